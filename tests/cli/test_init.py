"""``init`` and ``schema``: recipes to start from, and their schema."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import tomli
from small_recipe import FULL, small_recipe

from srframework.recipe.model import shipped

RECIPE = small_recipe("any", FULL)


@pytest.fixture
def work(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_recipe_to_start_from_is_valid_and_is_never_overwritten(work, perform):
    done = perform("init", cwd=work)
    assert (done.code, done.out) == (0, "recipe.toml\n")
    assert done.err == "Next: srframework validate recipe.toml\n      srframework run recipe.toml --dry-run\n"
    assert perform("validate", "recipe.toml", cwd=work).code == 0
    before = (work / "recipe.toml").read_bytes()
    again = perform("init", cwd=work)
    assert (again.code, again.err) == (2, "error: recipe.toml: already exists; choose another name\n")
    assert (work / "recipe.toml").read_bytes() == before


@pytest.mark.parametrize("source", sorted(shipped()))
def test_a_copy_of_a_shipped_recipe_differs_only_in_its_name(work, perform, source):
    assert perform("init", "copy.toml", "--from", source, cwd=work).code == 0
    copy = (work / "copy.toml").read_text("utf-8").splitlines()
    original = shipped()[source].read_text("utf-8").splitlines()
    changed = [(old, new) for old, new in zip(original, copy, strict=True) if old != new]
    assert [new for _, new in changed] == ['name = "copy"']


@pytest.mark.parametrize("task", ["nli", "paraphrase", "synthetic"])
def test_the_task_replaces_the_data_set(work, perform, task):
    assert perform("init", "mine.toml", "--task", task, "--from", "quickstart", cwd=work).code == 0
    table = tomli.loads((work / "mine.toml").read_text("utf-8"))
    assert (table["name"], table["dataset"]) == ("mine", {"use": task})
    assert perform("validate", "mine.toml", cwd=work).code == 0


@pytest.mark.parametrize("source", sorted(shipped()))
def test_the_task_leaves_nothing_of_the_other_data_set(work, perform, source):
    assert perform("init", "mine.toml", "--task", "synthetic", "--from", source, cwd=work).code == 0
    made, original = (tomli.loads(path.read_text("utf-8")) for path in (work / "mine.toml", shipped()[source]))
    assert made == original | {"name": "mine", "dataset": {"use": "synthetic"}}


def test_options_to_fill_in_are_named(work, perform):
    done = perform("init", "mine.toml", "--task", "pairs", cwd=work)
    assert done.err.startswith("Fill in the options of [dataset]: labels, train, dev (srframework show pairs)\n")
    assert '# labels = ["…", "…"]    # The labels' in (work / "mine.toml").read_text("utf-8")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--from", "quickstar"], 2, "no shipped recipe is named 'quickstar' (see `srframework recipes`)"),
        (["--task", "nlii"], 2, "did you mean 'nli'?"),
        (["missing/mine.toml"], 2, "missing/mine.toml: cannot be written: No such file or directory"),
    ],
)
def test_what_cannot_be_written_is_a_sentence(work, perform, arguments, code, message):
    done = perform("init", *arguments, cwd=work)
    assert done.code == code
    assert message in done.err
    assert not list(work.iterdir())


def test_a_name_with_quotes_stays_toml(work, perform):
    assert perform("init", 'a"b\\1.toml', cwd=work).code == 0
    assert tomli.loads((work / 'a"b\\1.toml').read_text("utf-8"))["name"] == 'a"b\\1'


@pytest.fixture(scope="module")
def validator():
    from srframework.recipe.json_schema import recipe_schema
    from srframework.registry.discovery import discover
    from srframework.registry.registry import Registry

    schema = json.loads(json.dumps(recipe_schema(Registry(discover()))))
    jsonschema.Draft7Validator.check_schema(schema)
    return jsonschema.Draft7Validator(schema)


@pytest.mark.parametrize("name", sorted(shipped()))
def test_the_schema_accepts_every_shipped_recipe(validator, name):
    assert list(validator.iter_errors(tomli.loads(shipped()[name].read_text("utf-8")))) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("schema = 1", "schema = 2"),
        ("schema = 1", "schema = 1\nsed = 1"),
        ("schema = 1", "schema = 1\nseed = 'x'"),
        ('use = "tiny"', 'use = "tinny"'),
        ("layers = 1", "layers = 'one'"),
        ("layers = 1", "layer = 1"),
        ("train_size = 24", "train_size = 0"),
        ("batch_size = 8", "batch_size = 0"),
        ('op = "train"', 'op = "trian"'),
        ('loss = "std"', 'loss = "confreg"'),  # its option teacher is required
        ('loss = "std"', "loss = 3"),
        ('loss = "std"', 'loss = "std"\nepoch = 3'),
    ],
)
def test_the_schema_refuses_what_validate_refuses(validator, old, new):
    assert list(validator.iter_errors(tomli.loads(RECIPE))) == []
    assert RECIPE.count(old) == 1
    assert list(validator.iter_errors(tomli.loads(RECIPE.replace(old, new))))


def test_the_command_prints_the_schema_with_the_components_of_plugins(work, perform):
    (work / "mine.py").write_text(
        "from typing import Any\nfrom pydantic import Field\nfrom srframework import Component, Options, hookimpl\n"
        "class Odd:\n    pass\n"
        "class Mine(Options):\n    model_config = {'arbitrary_types_allowed': True}\n"
        "    level: int = Field(ge=1, description='A level.')\n    odd: Odd | None = Field(None, description='Odd.')\n"
        "@hookimpl\ndef srframework_pruners():\n"
        "    return [Component(name='mask', options=Mine, factory='x:Y', summary='Mine.', source='here')]\n"
    )
    done = perform("--plugin", "mine.py", "schema", cwd=work)
    assert done.code == 0
    found = json.loads(done.out)["$defs"]
    assert found["pruner/mine/mask"]["properties"]["use"]["enum"] == ["mine/mask"]  # the bare name is ambiguous
    assert found["pruner/mine/mask"]["required"] == ["use", "level"]
    assert found["pruner/srframework/mask"]["properties"]["use"]["enum"] == ["srframework/mask"]
