from __future__ import annotations

from pathlib import Path

import pytest

from srframework.errors import RecipeError
from srframework.recipe.grid import axis_of
from srframework.recipe.sweep import load_cells
from srframework.registry.discovery import discover
from srframework.registry.registry import Registry

RECIPE = """\
name = "small"
schema = 1
backbone.use = "tiny"
dataset = "synthetic"

[[stages]]
name = "full"
op = "train"
loss = "std"

[variants.short]
training.max_steps = 5

[variants.long]
training.max_steps = 50
sweep.seed = [7, 8]

[sweep]
seed = [1, 2]
[[sweep.zip]]
training.learning_rate = [1e-3, 1e-2]
training.weight_decay = [0.0, 0.1]
"""

RATE, DECAY = "training.learning_rate", "training.weight_decay"


@pytest.fixture
def cells(tmp_path, monkeypatch):
    """The cells of the recipe, with these words of the command line."""
    monkeypatch.chdir(tmp_path)
    Path("r.toml").write_text(RECIPE)
    registry = Registry(discover())
    return lambda *flags, sets=(): load_cells("r.toml", registry, sets, flags)


@pytest.fixture
def values(cells):
    return lambda *flags, sets=("sweep={}",): [cell.values for cell in cells(*flags, sets=sets)]


def test_a_grid_is_the_product_of_its_keys_the_last_fastest(values):
    assert values("--grid seed=1,2", "--grid backbone.layers=3, 4") == [
        {"seed": seed, "backbone.layers": layers} for seed in (1, 2) for layers in (3, 4)
    ]


def test_keys_of_a_zip_move_together(values):
    assert values(f"--zip {RATE}=1e-3,1e-2  {DECAY}=0.0,0.1", "--grid seed=1,2") == [
        {RATE: rate, DECAY: decay, "seed": seed} for rate, decay in ((1e-3, 0.0), (1e-2, 0.1)) for seed in (1, 2)
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a,b", ["a", "b"]),
        ("a", ["a"]),
        ("3,x,1e-3,true", [3, "x", 0.001, True]),
        ("'a,b',\"c,\\\",d\",'\"'", ["a,b", 'c,",d', '"']),
        ("it's,b", ["it's", "b"]),
        ('"",x', ["", "x"]),
        ("a(b,c),d", ["a(b,c)", "d"]),
        ("a],b", ["a]", "b"]),
        ("['x,y',2],b=c", [["x,y", 2], "b=c"]),
    ],
)
def test_values_are_as_in_toml_a_bare_word_is_a_string_and_brackets_and_quotes_hold_together(text, expected):
    (swept,) = axis_of(f"--grid name={text}", lambda *_: pytest.fail("refused"))
    assert (swept.keys, list(swept.values)) == (("name",), expected)


def test_tables_and_arrays_are_values(values):
    flag = '--grid backbone={ use = "tiny", layers = 1 },{ use = "tiny", layers = 2 }'
    assert values(flag) == [{"backbone": {"use": "tiny", "layers": layers}} for layers in (1, 2)]
    assert values("--grid evaluators=[],[ 'accuracy', 'f1' ]") == [
        {"evaluators": []},
        {"evaluators": ["accuracy", "f1"]},
    ]
    assert values("--zip backbone={ use = 'tiny', layers = 1 },tiny seed=1,2") == [
        {"backbone": {"use": "tiny", "layers": 1}, "seed": 1},
        {"backbone": "tiny", "seed": 2},
    ]


def test_labels_and_slugs_are_as_of_a_recipes_sweep(cells):
    found = cells(f"--zip {RATE}=1e-3,1e-2 {DECAY}=0.0,0.1", "--grid seed=1", sets=["sweep={}"])
    assert [cell.label for cell in found] == ["learning_rate=0.001, seed=1", "learning_rate=0.01, seed=1"]
    assert [cell.slug for cell in found] == ["learning_rate=0.001,seed=1", "learning_rate=0.01,seed=1"]
    assert [cell.recipe.stages[0].training.weight_decay for cell in found] == [0.0, 0.1]


def test_a_key_that_the_recipe_sweeps_too_has_the_values_of_the_command_line_and_the_others_stay(values):
    rows = [{RATE: 1e-3, DECAY: 0.0}, {RATE: 1e-2, DECAY: 0.1}]
    assert values("--grid seed=5", sets=()) == [{**row, "seed": 5} for row in rows]
    assert values(f"--grid {RATE}=1.0,2.0", "--grid seed=5", sets=()) == [
        {DECAY: decay, RATE: rate, "seed": 5} for decay in (0.0, 0.1) for rate in (1.0, 2.0)
    ]
    assert values("--grid training={ epochs = 1 },{ epochs = 2 }", "--grid seed=5", sets=()) == [
        {"training": {"epochs": epochs}, "seed": 5} for epochs in (1, 2)
    ]


def test_an_override_fixes_what_the_recipe_sweeps_and_is_applied_inside_what_the_command_line_does(cells, values):
    assert values("--grid seed=5", sets=[f"{RATE}=1.0", f"{DECAY}=0.0"]) == [{"seed": 5}]
    found = cells("--grid backbone={ use = 'tiny' }", sets=["sweep={}", "backbone.layers=3"])
    assert found[0].recipe.backbone.options.layers == 3


def test_variants_may_be_swept_and_keep_their_own_sweeps(values):
    fixed = [f"{RATE}=1.0", f"{DECAY}=0.0"]
    assert values("--grid variant=short,long", sets=fixed) == [
        *({"variant": "short", "seed": seed} for seed in (1, 2)),
        *({"variant": "long", "seed": seed} for seed in (7, 8)),
    ]
    assert values("--grid variant=short,long", "--grid seed=3", sets=fixed) == [
        {"variant": "short", "seed": 3},
        {"variant": "long", "seed": 3},
    ]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--grid seed"], ["--grid seed: expected KEY=a,b, such as training.learning_rate=1e-3,1e-2"]),
        (["--grid a..b=1"], ["--grid a..b=1: expected KEY=a,b, such as training.learning_rate=1e-3,1e-2"]),
        (
            ["--zip seed=1 epochs"],
            [
                "--zip seed=1 epochs: expected KEY=a,b, such as training.learning_rate=1e-3,1e-2 "
                "training.weight_decay=0.0,0.1"
            ],
        ),
        (
            ["--grid seed=1,,2"],
            [
                "--grid seed=1,,2: seed: expected values separated by commas, got an empty one; "
                'write "" for an empty string'
            ],
        ),
        (["--grid seed=1,2,1"], ["--grid seed=1,2,1: seed: expected distinct values, got [1, 2, 1]"]),
        (
            ["--zip seed=1,1 training.epochs=2,2"],
            ["--zip seed=1,1 training.epochs=2,2: seed: expected distinct values, got [[1, 2], [1, 2]]"],
        ),
        (
            ["--zip seed=1,2 training.epochs=2"],
            [
                "--zip seed=1,2 training.epochs=2: expected the same number of values for each key, "
                "got seed: 2, training.epochs: 1"
            ],
        ),
        (["--zip  "], ['--zip  : expected keys that change together, such as "KEY=a,b KEY2=c,d", got none']),
        (
            ["--grid seed=1,2", "--grid seed=3,4"],
            [
                f"--grid seed={values}: seed: a key can be swept only once; seed is swept twice"
                for values in ("1,2", "3,4")
            ],
        ),
        (
            ["--grid sweep.seed=[1]"],
            ["--grid sweep.seed=[1]: sweep.seed: expected a key of the recipe other than sweep and variants"],
        ),
        (
            ["--grid backbone.layers=3,4"],
            [
                "--grid backbone.layers=3,4: backbone.layers: expected a key that is swept or set, not both; "
                "--set backbone.layers=1 sets it"
            ],
        ),
        (["--grid seed=1,x"], ["--grid seed=1,x: seed: must be an integer (got 'x')"]),
        (
            ["--grid stages.ful.epochs=1,2"],
            [
                "--grid stages.ful.epochs=1,2: stages.ful.epochs: no stage is named 'ful'; did you mean 'full'? "
                "Choices: full"
            ],
        ),
        (
            ["--grid variant=short,lng"],
            [
                "--grid variant=short,lng: variant: no variant is named 'lng'; did you mean 'long'? Choices: "
                "short, long",
            ],
        ),
        (
            ["--grid seed=x", "--grid training.epochs=0", "--grid name=a,b"],
            [
                "--grid seed=x: seed: must be an integer (got 'x')",
                "--grid training.epochs=0: training.epochs: must be at least 1 (got 0)",
            ],
        ),
    ],
)
def test_what_is_wrong_is_said_of_the_option_all_at_once_and_each_once(cells, flags, said):
    with pytest.raises(RecipeError) as caught:
        cells(*flags, sets=[f"{RATE}=1.0", f"{DECAY}=0.0", "backbone.layers=1"])
    assert [str(problem) for problem in caught.value.problems] == said


def test_what_is_wrong_with_the_options_and_with_the_recipe_is_told_together(cells):
    with pytest.raises(RecipeError) as caught:
        cells("--grid seed", "--zip seed=1,2 name=a", sets=["backbone.layers=x"])
    assert [str(problem).split(": ")[0] for problem in caught.value.problems] == [
        *("--grid seed", "--zip seed=1,2 name=a", "--set backbone.layers=x")
    ]
