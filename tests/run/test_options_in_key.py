"""What counts of options: of a file the content, wherever it stands; of everything else the value."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import os
import typing
from collections import deque
from collections.abc import Sequence
from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict, Field, FilePath, SecretStr, create_model
from typing_extensions import TypedDict

from srframework import InputDirectory, InputFile, Location, Options
from srframework.errors import DataError, PluginError
from srframework.hashing import digest
from srframework.run.options_in_key import options_in_key


def of(options, locations_count=False):
    return digest(options_in_key(options, "pruner 'own' of other 1.0", locations_count))


class Loose(Options):
    model_config = ConfigDict(strict=False, arbitrary_types_allowed=True, allow_inf_nan=True)


class Table(BaseModel):
    file: InputFile
    weight: float = 1.0


class Deeper(Options):
    tables: dict[str, list[Table]] = Field({})
    perhaps: Table | None = None


class Pair(typing.NamedTuple):
    file: InputFile
    weight: float


class Typed(TypedDict):
    file: InputFile


@dataclasses.dataclass
class Data:
    file: InputFile


Alias = typing.TypeAliasType("Alias", InputFile | None) if hasattr(typing, "TypeAliasType") else InputFile | None

FORMS = {
    "itself": (InputFile, lambda file: file),
    "optional": (InputFile | None, lambda file: file),
    "typing.Optional": (typing.Optional[InputFile], lambda file: file),  # noqa: UP045
    "union before": (InputFile | int, lambda file: file),
    "union after": (int | InputFile, lambda file: file),
    "string first": (str | InputFile, lambda file: file),
    "tuple": (tuple[InputFile, ...], lambda file: (file,)),
    "queue": (deque[InputFile], lambda file: deque([file])),
    "sequence": (Sequence[InputFile], lambda file: (file,)),
    "fixed tuple": (tuple[int, InputFile], lambda file: (1, file)),
    "list": (list[InputFile], lambda file: [file]),
    "list of optional": (list[InputFile | None], lambda file: [None, file]),
    "list of lists": (list[list[InputFile]], lambda file: [[], [file]]),
    "set": (frozenset[InputFile], lambda file: frozenset([file])),
    "table": (dict[str, InputFile], lambda file: {"a": file}),
    "key of a table": (dict[InputFile, float], lambda file: {file: 1.0}),
    "table of tuples": (dict[str, tuple[InputFile, float]], lambda file: {"a": (file, 1.0)}),
    "model": (Table, lambda file: {"file": file}),
    "optional model": (Table | None, lambda file: {"file": file}),
    "models": (tuple[Table, ...], lambda file: ({"file": file},)),
    "deep": (Deeper, lambda file: {"tables": {"a": [{"file": file}]}, "perhaps": {"file": file}}),
    "named tuple": (Pair, lambda file: (file, 1.0)),
    "typed table": (Typed, lambda file: {"file": file}),
    "dataclass": (Data, lambda file: {"file": file}),
    "any of several models": (Deeper | Table, lambda file: {"file": file}),
    "annotated again": (typing.Annotated[InputFile, Field(min_length=1)], lambda file: file),
    "alias": (Alias, lambda file: file),
    "pydantic's own": (FilePath, lambda file: file),
}


def made(annotation, value):
    model = create_model("Own", __base__=Loose, value=(annotation, Field(description="V.")))
    return model.model_validate({"value": value})


@pytest.fixture
def files(tmp_path):
    first, moved, other = (tmp_path / name for name in ("first.txt", "moved.txt", "other.txt"))
    for path, text in ((first, "1"), (moved, "1"), (other, "2")):
        path.write_text(text)
    return first, moved, other


@pytest.mark.parametrize("form", FORMS)
def test_of_a_file_the_content_counts_and_not_the_path_at_any_depth(form, files):
    annotation, value = FORMS[form]
    first, moved, other = (of(made(annotation, value(str(path)))) for path in files)
    assert first == moved != other
    files[0].write_text("3")
    assert of(made(annotation, value(str(files[0])))) not in (first, other)


def test_a_default_counts_by_its_content_too(files, tmp_path):
    def own(path):
        return create_model("Own", __base__=Options, values=(tuple[InputFile, ...], (str(path),)))()

    first, moved, other = map(of, map(own, files))
    assert first == moved != other


def test_other_values_beside_files_count(files):
    first, _, _ = files
    values = [{"a": (str(first), 1.0)}, {"a": (str(first), 2.0)}, {"b": (str(first), 1.0)}, {}]
    values += [{"a": (str(first), 1.0), "b": (str(first), 1.0)}, {"b": (str(first), 1.0), "a": (str(first), 1.0)}]
    found = [of(made(dict[str, tuple[InputFile, float]], value)) for value in values]
    assert len(set(found)) == len(found)


class Colour(enum.Enum):
    red = 1
    blue = 2


class One(BaseModel):
    x: int = 1


class Two(BaseModel):
    x: int = 1


def test_values_that_differ_do_not_count_as_one():
    inf, nan = float("inf"), float("nan")
    values = [
        None,
        True,
        False,
        0,
        1,
        1.0,
        0.0,
        -0.0,
        inf,
        -inf,
        nan,
        "1",
        "",
        "inf",
        b"1",
        [],
        [1],
        [[1]],
        {},
        {"a": 1},
    ]
    values += [{1: 1}, {"1": 1}, {"a": None}, {1}, Path("1"), Colour.red, Colour.blue, "red", One(), Two(), One(x=2)]
    values += [SecretStr("a"), SecretStr("b"), datetime.date(2020, 1, 1), "2020-01-01", datetime.time(1)]
    found = [of(made(typing.Any, value)) for value in values]
    assert len(set(found)) == len(found)


def test_an_option_that_is_left_out_of_its_dump_counts():
    own = create_model("Own", __base__=Options, value=(int, Field(1, exclude=True)))
    assert of(own(value=1)) != of(own(value=2))


def test_a_value_that_cannot_be_told_is_refused():
    with pytest.raises(
        PluginError, match=r"^pruner 'own' of other 1\.0: value: a value of type object cannot be hashed"
    ):
        of(made(typing.Any, object()))


def test_a_location_counts_only_where_it_is_all_that_is_known():
    def own(path):
        fields = {"path": (Location, ...), "revision": (Location | None, None), "more": (dict[str, Location], {})}
        return create_model("Own", __base__=Options, **fields)(path=path, revision=path, more={"a": path})

    assert of(own("a")) == of(own("b"))
    assert of(own("a"), locations_count=True) != of(own("b"), locations_count=True)


def test_of_a_directory_names_and_content_of_all_files_count(tmp_path):
    def own():
        return of(made(tuple[InputDirectory, ...], (str(tmp_path / "here"),)))

    (tmp_path / "here" / "inside").mkdir(parents=True)
    file = tmp_path / "here" / "inside" / "file"
    found = [own()]
    file.write_text("1")
    found.append(own())
    file.write_text("2")
    found.append(own())
    file.rename(file.with_name("renamed"))
    found.append(own())
    os.symlink(tmp_path / "here", tmp_path / "here" / "again")  # a circle
    found.append(own())
    assert len(set(found)) == 5
    moved = tmp_path / "moved"
    moved.symlink_to(tmp_path / "here")
    assert of(made(tuple[InputDirectory, ...], (str(moved),))) == found[-1]


@pytest.mark.parametrize(("name", "got"), [("file", "a file"), ("gone", "no such directory")])
def test_an_input_directory_exists_when_the_options_are_made(tmp_path, name, got):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=rf"a directory that exists, relative to .* \({got}\)"):
        made(InputDirectory, str(tmp_path / name))


def test_a_file_that_is_gone_or_is_none_any_more_is_a_sentence(files):
    options = made(dict[str, InputFile], {"a": str(files[0])})
    files[0].unlink()
    with pytest.raises(DataError, match=r"^pruner 'own' of other 1\.0: value\.a: .*first\.txt cannot be read: No such"):
        of(options)
    os.mkfifo(files[0])
    with pytest.raises(DataError, match=r"first\.txt cannot be read: expected a regular file"):
        of(options)


def test_a_file_that_changes_in_place_at_the_same_time_and_size_counts_anew(files):
    options, stat = made(InputFile, str(files[0])), files[0].stat()
    first = of(options)
    files[0].write_text("2")
    os.utime(files[0], ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert of(options) != first
