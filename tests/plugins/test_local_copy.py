"""Local copies of hub data sets: read as they are now, and never beyond their directory."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from srf_datasets.examples import Reader
from srf_datasets.options import PairsOptions
from srf_datasets.pairs import Pairs
from srf_datasets.parsing import Columns
from srframework import DataError

COLUMNS = Columns("premise", "hypothesis", "label")
LABELS = ("no", "yes")
FORMATS = ("parquet", "csv", "jsonl", "arrow")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def copy(tmp_path):
    path = tmp_path / "copy"
    path.mkdir()
    return path


def write(path: Path, premise: str) -> None:
    """One row, of the same size each time, at the same time."""
    rows = datasets.Dataset.from_dict({"premise": [premise], "hypothesis": ["h"], "label": ["yes"]})
    if path.suffix == ".parquet":
        rows.to_parquet(path)
    elif path.suffix == ".csv":
        rows.to_csv(path)
    elif path.suffix == ".jsonl":
        rows.to_json(path)
    else:
        with datasets.arrow_writer.ArrowWriter(path=str(path), features=rows.features) as writer:
            writer.write_table(rows.data.table)
            writer.finalize()
    os.utime(path, ns=(10**18, 10**18))


def premises(copy: Path, split: str = "train") -> list[str]:
    return Reader("train", LABELS, COLUMNS).from_hub(str(copy), None, split).examples["text_a"][:]


def refusal(copy: Path, split: str = "train") -> str:
    with pytest.raises(DataError) as caught:
        premises(copy, split)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# -- nothing stale -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FORMATS)
def test_a_file_that_is_changed_in_place_at_the_same_time_is_read_again(copy, kind):
    write(copy / f"train.{kind}", "old")
    assert premises(copy) == ["old"]
    write(copy / f"train.{kind}", "new")
    assert premises(copy) == ["new"]


def test_a_file_that_is_changed_between_two_processes_is_read_again(copy, tmp_path):
    script = (
        "import sys; from srf_datasets.examples import Reader; from srf_datasets.parsing import Columns;"
        "split = Reader('train', ('no', 'yes'), Columns('premise', 'hypothesis', 'label'))"
        ".from_hub(sys.argv[1], None, 'train'); print(split.examples['text_a'][:])"
    )
    environment = {**os.environ, "HF_DATASETS_CACHE": str(tmp_path / "cache")}
    write(copy / "train.parquet", "old")
    assert premises(copy) == ["old"]
    write(copy / "train.parquet", "new")
    command = [sys.executable, "-c", script, str(copy)]
    assert subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout == "['new']\n"


def test_nothing_of_a_local_copy_is_left_in_the_cache(copy, tmp_path):
    write(copy / "train.parquet", "a")
    premises(copy)
    assert not (tmp_path / "cache").exists() or not [*(tmp_path / "cache").rglob("*.arrow")]


def test_a_new_split_and_a_removed_one_are_seen(copy):
    write(copy / "train.jsonl", "a")
    assert premises(copy) == ["a"]
    write(copy / "validation.jsonl", "b")
    assert premises(copy, "validation") == ["b"]
    (copy / "train.jsonl").unlink()
    assert "'train'" in refusal(copy)


def test_a_part_of_a_split_can_be_named(copy):
    (copy / "train.csv").write_text("premise,hypothesis,label\na,b,yes\nc,d,no\n")
    assert premises(copy, "train[:1]") == ["a"]


# -- nothing from elsewhere ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "../secret.csv",
        "a/../../secret.csv",
        "{tmp}/secret.csv",
        "https://example.com/train.csv",
        "hf://datasets/x/y/train.csv",
        "zip://train.csv::a.zip",
        "file:///etc/passwd",
    ],
)
@pytest.mark.parametrize("card", ["README.md", ".huggingface.yaml"])
def test_a_description_that_names_files_elsewhere_is_refused_and_nothing_is_fetched(copy, tmp_path, name, card):
    (tmp_path / "secret.csv").write_text("premise,hypothesis,label\nsecret,b,yes\n")
    write(copy / "train.csv", "a")
    said = f"configs:\n- config_name: default\n  data_files:\n  - split: train\n    path: {name.format(tmp=tmp_path)}\n"
    (copy / card).write_text(f"---\n{said}---\n" if card.endswith(".md") else said)
    message = refusal(copy)
    assert "expected data files in this directory, got" in message
    assert card in message


def test_a_loading_script_is_never_run(copy, tmp_path):
    (copy / "copy.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    write(copy / "train.csv", "a")
    assert "Dataset scripts are no longer supported" in refusal(copy)
    assert not (tmp_path / "ran").exists()


# -- hostile files -------------------------------------------------------------------------------


def damaged_parquet(copy: Path) -> None:
    write(copy / "train.parquet", "a")
    content = (copy / "train.parquet").read_bytes()
    (copy / "train.parquet").write_bytes(content[:4] + bytes(len(content) // 2) + content[4 + len(content) // 2 :])


def image_column(copy: Path) -> None:
    """A text column that the file's own metadata calls images: those are opened by the path in each row."""
    kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    rows = pa.table({"premise": pa.array([{"path": __file__}], kind), "hypothesis": ["h"], "label": ["yes"]})
    features = {"premise": {"_type": "Image"}} | {
        name: {"dtype": "string", "_type": "Value"} for name in ("hypothesis", "label")
    }
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    pq.write_table(rows.replace_schema_metadata(metadata), copy / "train.parquet")


HOSTILE = {
    "an image column": image_column,
    "parquet that is none": lambda copy: (copy / "train.parquet").write_bytes(b"rubbish" * 100),
    "parquet cut short": lambda copy: (copy / "train.parquet").write_bytes(b"PAR1"),
    "parquet damaged": damaged_parquet,
    "empty parquet": lambda copy: (copy / "train.parquet").write_bytes(b""),
    "empty csv": lambda copy: (copy / "train.csv").write_bytes(b""),
    "binary csv": lambda copy: (copy / "train.csv").write_bytes(bytes(range(256)) * 10),
    "ragged csv": lambda copy: (copy / "train.csv").write_text("premise,hypothesis,label\na,b\nc,d,e,f,g\n"),
    "gzip": lambda copy: (copy / "train.csv.gz").write_bytes(gzip.compress(b"premise,hypothesis,label\na,b,yes\n")),
    "deep json": lambda copy: (copy / "train.jsonl").write_text("[" * 100_000),
    "no json": lambda copy: (copy / "train.jsonl").write_text("{'a': 1}\n"),
    "lists in json": lambda copy: (copy / "train.jsonl").write_text(
        '{"premise": ["a"], "hypothesis": "b", "label": 1}'
    ),
    "arrow that is none": lambda copy: (copy / "train.arrow").write_bytes(b"ARROW1 rubbish"),
    "images": lambda copy: (copy / "train.png").write_bytes(b"\x89PNG"),
    "a tar": lambda copy: (copy / "train.tar").write_bytes(b"\0" * 1024),
    "a fifo": lambda copy: os.mkfifo(copy / "train.csv"),
    "a fifo as its description": lambda copy: os.mkfifo(copy / "README.md"),
    "a directory as a file": lambda copy: (copy / "train.csv").mkdir(),
    "a description that is no YAML": lambda copy: (copy / "README.md").write_text("---\nconfigs: [\n---\n"),
    "a broken link": lambda copy: (copy / "train.csv").symlink_to("gone.csv"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_copy_is_a_sentence(copy, name):
    HOSTILE[name](copy)
    message = refusal(copy)
    assert str(copy) in message
    assert len(message) < 2000


def test_a_copy_in_a_folder_called_as_the_hub_data_set_is_read_from_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "glue" / "mnli").mkdir(parents=True)
    write(tmp_path / "glue" / "mnli" / "train.csv", "mine")
    source = {"hub": "glue/mnli", "text_a": "premise", "text_b": "hypothesis"}
    options = {"labels": ["no", "yes"], "train": source, "dev": {**source, "split": "train"}}
    assert Pairs(PairsOptions.model_validate(options)).load(0).train.examples["text_a"][:] == ["mine"]


@pytest.mark.parametrize("name", ["data/MNLI", "./mnli", "/no/such/dir", "a/b/c", "mnli.tsv", "~/mnli", "", "a b"])
def test_nothing_path_like_is_looked_up_on_the_hub(name, monkeypatch):
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: pytest.fail("looked up"))
    with pytest.raises(DataError, match="Data set not found"):
        Reader("train", LABELS, COLUMNS).from_hub(name, None, "train")


def test_no_file_that_a_row_names_is_opened(copy):
    image_column(copy)
    assert "expected a text or a number in 'premise', got a column of the type Image" in refusal(copy)
