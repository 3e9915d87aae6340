from __future__ import annotations

import json
from pathlib import Path

import pytest

GOOD = """\
name = "small"
schema = 1
backbone = "tiny"
dataset = "synthetic"

[[stages]]
name = "full"
op = "train"
loss = "std"

[[stages]]
name = "srnet"
op = "prune"
weights = "full"
pruner = { use = "mask", sparsity = 0.5 }
loss = "poe"
"""


def changed(old: str, new: str) -> bytes:
    assert GOOD.count(old) == 1
    return GOOD.replace(old, new).encode()


OPTION = "(option of pruner 'mask' of srframework "

WRONG: dict[str, tuple[bytes, list[str]]] = {
    "unknown-key": (changed("sparsity", "sparsty"), ["wrong:15: stages.srnet.pruner.sparsty: unknown key", OPTION]),
    "wrong-type": (
        changed("0.5", "'half'"),
        ["wrong:15: stages.srnet.pruner.sparsity: must be a number (got 'half')", OPTION],
    ),
    "out-of-range": (changed("0.5", "1.5"), ["wrong:15: stages.srnet.pruner.sparsity: must be less than 1", OPTION]),
    "unknown-component": (
        changed('"tiny"', '"tinny"'),
        ["wrong:3: backbone: no backbone is named", "did you mean 'tiny'?"],
    ),
    "missing-stage": (
        changed('"full"\npruner', '"ful"\npruner'),
        ["wrong:14: stages.srnet.weights", "did you mean 'full'?"],
    ),
    "cycle": (
        changed('op = "train"', 'op = "train"\nmask = "srnet"'),
        [
            f"wrong:{place}: this stage would depend on itself"
            for place in ("9: stages.full.mask", "15: stages.srnet.weights")
        ],
    ),
    "self-reference": (
        changed('"full"\npruner', '"srnet"\npruner'),
        ["wrong:14: stages.srnet.weights", "srnet -> srnet"],
    ),
    "no-spurious-features": (
        changed(
            'dataset = "synthetic"',
            'dataset = { use = "pairs", labels = ["a", "b"], features = "none", train.hub = "x/y", dev.hub = "x/y" }',
        ),
        [
            "wrong:16: stages.srnet.loss",
            "'poe' needs a bias model",
            "spurious features",
            "which dataset 'pairs' does not provide",
        ],
    ),
    "malformed": (b"name = 'x'\nstages = [\n", ["wrong:3: not valid TOML: "]),
    "empty": (b"", ["wrong:1: expected a recipe, got an empty file"]),
    "binary": (bytes(range(256)) * 8, ["wrong:", "expected UTF-8 text, got the byte 0x80"]),
    "everything-missing": (
        b"# nothing yet\n",
        [f"wrong:1: {key}: required key is missing (" for key in ("name", "schema", "backbone", "dataset", "stages")],
    ),
}


@pytest.fixture
def wrong(work):
    """Write the wrong recipes, each under its name."""
    for name, (content, _) in WRONG.items():
        Path(name).write_bytes(content)
    Path("directory").mkdir()
    Path("good.toml").write_text(GOOD)
    return {name: [line.replace("wrong", name, 1) for line in expected] for name, (_, expected) in WRONG.items()} | {
        "directory": ["directory: expected a recipe file, got a directory"],
        "missing.toml": ["missing.toml: no such file, and no shipped recipe has this name"],
        "quickstat": ["quickstat: no such file, and no shipped recipe has this name", "did you mean 'quickstart'?"],
    }


@pytest.mark.parametrize("name", [*WRONG, "directory", "missing.toml", "quickstat"])
def test_a_wrong_recipe_is_refused_by_run_and_nothing_is_written(wrong, start, name):
    done = start("run", name, module=True)
    assert (done.code, done.out) == (2, "")
    assert all(part in done.err for part in wrong[name])
    heads = [part for part in wrong[name] if part.startswith(f"{name}:") and len(part) > len(name) + 1]
    places = [done.err.index(part) for part in heads]
    assert places == sorted(places)
    assert len(done.err.splitlines()) == (1 if len(heads) < 2 else 1 + len(heads))


def test_validate_says_everything_that_is_wrong_with_every_recipe(wrong, start):
    done = start("validate", "good.toml", *wrong, module=True)
    assert done.code == 2
    counts = dict(line.rsplit(": ", 1) for line in done.out.splitlines())
    assert counts.pop("good.toml") == "valid"
    assert counts == {
        name: "1 problem" if count == 1 else f"{count} problems"
        for name in wrong
        for count in [len([line for line in done.err.splitlines() if line.startswith(f"{name}:")])]
    }
    assert all(part in done.err for parts in wrong.values() for part in parts)


def test_validate_json_is_a_list_with_the_problems_of_each_recipe(wrong, call):
    done = call("validate", "good.toml", "cycle", "empty", "--json")
    assert done.code == 2
    good, cycle, empty = json.loads(done.out)
    assert good == {"recipe": "good.toml", "valid": True, "problems": []}
    assert (cycle["valid"], len(cycle["problems"])) == (False, 2)
    assert empty == {"recipe": "empty", "valid": False, "problems": ["empty:1: expected a recipe, got an empty file"]}
    assert done.err.splitlines() == [*cycle["problems"], *empty["problems"]]


@pytest.mark.parametrize(
    "content",
    [b"\xef\xbb\xbf" + GOOD.encode(), GOOD.replace("\n", "\r\n").encode(), GOOD.rstrip("\n").encode()],
    ids=["byte-order mark", "CRLF", "no newline at the end"],
)
def test_a_recipe_from_another_editor_is_valid(call, work, content):
    Path("other.toml").write_bytes(content)
    assert call("validate", "other.toml").out == "other.toml: valid\n"


def test_overrides_apply_to_every_recipe(call, wrong):
    done = call("validate", "good.toml", "quickstart", "--set", "stages.srnet.pruner.sparsity=2", "--set", "seed=x")
    assert done.code == 2
    assert done.out == "good.toml: 2 problems\nquickstart: 2 problems\n"
    said = [line.split(": must be")[0] for line in done.err.splitlines()]
    assert sorted(said) == sorted(
        2
        * [
            "--set stages.srnet.pruner.sparsity=2: stages.srnet.pruner.sparsity",
            "--set seed=x: seed",
        ]
    )


VARIANTS = """
[variants.sparser]
stages.srnet.pruner.sparsity = 0.9
sweep.seed = [1, -1]

[variants.denser]
stages.srnet.pruner.sparsty = 0.1
"""


def test_every_variant_is_checked_unless_one_is_chosen(call, work):
    Path("r.toml").write_text(GOOD + VARIANTS)
    done = call("validate", "r.toml")
    assert (done.code, done.out) == (2, "r.toml: 2 problems\n")
    assert [line.split(": ")[:2] for line in done.err.splitlines()] == [
        ["r.toml:20", "seed"],
        ["r.toml:23", "stages.srnet.pruner.sparsty"],
    ]
    for variant, line in (("sparser", "r.toml:20"), ("denser", "r.toml:23")):
        done = call("validate", "r.toml", "--set", f"variant={variant}")
        assert (done.code, done.out) == (2, "r.toml: 1 problem\n")
        assert done.err.startswith(f"{line}: ")
    done = call("validate", "r.toml", "--set", "variant=dense")
    assert (done.code, done.err) == (
        2,
        "--set variant=dense: variant: no variant is named 'dense'; did you mean 'denser'? Choices: sparser, denser\n",
    )


def test_shipped_recipes_are_valid_by_name(call):
    assert (call("validate", "quickstart").code, call("validate", "quickstart").out) == (0, "quickstart: valid\n")


def test_validate_wants_a_recipe(call):
    done = call("validate")
    assert done.code == 2
    assert "Missing argument 'RECIPE...'" in done.err
