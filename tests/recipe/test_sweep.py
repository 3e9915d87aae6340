from __future__ import annotations

from pathlib import Path

import pytest

from srframework.errors import RecipeError
from srframework.recipe.sweep import Cell, load_all_variants, load_cells
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

[[stages]]
name = "srnet"
op = "prune"
weights = "full"
pruner = { use = "mask", sparsity = 0.5 }
loss = "poe"

[variants.short]
training.max_steps = 5

[variants.long]
training.max_steps = 50
sweep.seed = [7, 8]

[sweep]
"""


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry(discover())


@pytest.fixture
def cells(tmp_path, monkeypatch, registry):
    """The cells of the recipe with this sweep, as ``r.toml``; the sweep's first line is the 26th."""
    monkeypatch.chdir(tmp_path)

    def cells(sweep: str, *overrides: str) -> list[Cell]:
        Path("r.toml").write_text(RECIPE + sweep)
        return load_cells("r.toml", registry, overrides)

    return cells


@pytest.fixture
def problems(cells):
    def problems(sweep: str, *overrides: str) -> list[str]:
        with pytest.raises(RecipeError) as caught:
            cells(sweep, *overrides)
        return [str(problem) for problem in caught.value.problems]

    return problems


GRID = 'seed = [1, 2]\n"stages.srnet.pruner.sparsity" = [0.3, 0.6, 0.9]\n'
SPARSITY = "stages.srnet.pruner.sparsity"
ZIP = f"""\
seed = [1, 2]
[[sweep.zip]]
"{SPARSITY}" = [0.3, 0.6]
"stages.srnet.epochs" = [4, 6]
[[sweep.zip]]
backbone.width = [16, 32]
backbone.heads = [2, 4]
"""


def test_without_a_sweep_there_is_one_cell_of_no_values(cells):
    (only,) = cells("")
    assert (only.values, only.label, only.slug) == ({}, "", "")
    assert only.recipe.stages[1].pruner.options.sparsity == 0.5


def test_cells_are_the_product_in_the_order_of_the_file_the_last_key_fastest(cells):
    found = cells(GRID)
    pairs = [(1, 0.3), (1, 0.6), (1, 0.9), (2, 0.3), (2, 0.6), (2, 0.9)]
    assert [cell.values for cell in found] == [{"seed": seed, SPARSITY: sparsity} for seed, sparsity in pairs]
    assert [(cell.recipe.seed, cell.recipe.stages[1].pruner.options.sparsity) for cell in found] == pairs


def test_keys_of_a_zip_group_move_together_and_groups_are_axes(cells):
    found = [
        (r.seed, r.stages[1].pruner.options.sparsity, r.stages[1].training.epochs, o.width, o.heads)
        for r, o in ((cell.recipe, cell.recipe.backbone.options) for cell in cells(ZIP))
    ]
    assert found == [
        (seed, *pruned, *size) for seed in (1, 2) for pruned in ((0.3, 4), (0.6, 6)) for size in ((16, 2), (32, 4))
    ]


@pytest.mark.parametrize(
    "written",
    [
        f'"{SPARSITY}" = [0.3, 0.6]\n',
        f"{SPARSITY} = [0.3, 0.6]\n",
        "[sweep.stages.srnet.pruner]\nsparsity = [0.3, 0.6]\n",
    ],
    ids=["quoted", "dotted", "table"],
)
def test_a_swept_key_may_be_written_in_any_way(cells, written):
    assert [cell.values for cell in cells(written)] == [{SPARSITY: 0.3}, {SPARSITY: 0.6}]


@pytest.mark.parametrize(
    ("sweep", "labels", "slugs"),
    [
        (
            'seed = [1]\n"stages.srnet.pruner.sparsity" = [0.3]\n',
            ["seed=1, sparsity=0.3"],
            ["seed=1,sparsity=0.3"],
        ),
        (
            "training.epochs = [1]\nstages.srnet.epochs = [2]\nseed = [3]\n",
            ["training.epochs=1, stages.srnet.epochs=2, seed=3"],
            ["training.epochs=1,stages.srnet.epochs=2,seed=3"],
        ),
        (
            f'[[sweep.zip]]\n"{SPARSITY}" = [0.3, 0.6]\nseed = [1, 2]\n',
            ["sparsity=0.3", "sparsity=0.6"],
            ["sparsity=0.3", "sparsity=0.6"],
        ),
        (
            'stages.srnet.pruner = [{ use = "mask" }, { use = "imp", sparsity = 0.5 }, "omp"]\n',
            ["pruner=mask", "pruner=imp", "pruner=omp"],
            ["pruner=mask", "pruner=imp", "pruner=omp"],
        ),
        ('name = ["a/b: ü", "a/b: ö"]\n', ["name=a/b: ü", "name=a/b: ö"], ["name=a-b-", "name=a-b-,run=2"]),
        (
            'stages.srnet.loss = [{ use = "poe" }, { use = "poe", theta_min = 0.5 }]\n',
            ["loss=poe", "loss=poe"],
            ["loss=poe", "loss=poe,run=2"],
        ),
        (
            '[[sweep.zip]]\n"stages.srnet.op" = ["prune", "prune"]\nseed = [1, 2]\n',
            ["op=prune", "op=prune"],
            ["op=prune", "op=prune,run=2"],
        ),
        (
            f'name = ["{"n" * 200}1", "{"n" * 200}2"]\n',
            [f"name={'n' * 200}1", f"name={'n' * 200}2"],
            [f"name={'n' * 115}", f"name={'n' * 115},run=2"],
        ),
    ],
    ids=["last part", "whole key", "zip", "tables", "characters", "options", "zip that repeats", "long"],
)
def test_labels_are_short_and_every_slug_is_a_directory_of_its_own(cells, sweep, labels, slugs):
    found = cells(sweep)
    assert [cell.label for cell in found] == labels
    assert [cell.slug for cell in found] == slugs


# -- overrides and variants ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("overrides", "seeds", "sparsities"),
    [
        (["seed=5"], [5, 5, 5], [0.3, 0.6, 0.9]),
        ([f"{SPARSITY}=0.7"], [1, 2], [0.7, 0.7]),
        (["stages.srnet.pruner={ use = 'mask', sparsity = 0.8 }"], [1, 2], [0.8, 0.8]),
        (["stages.srnet.pruner.pooler=true"], [1, 1, 1, 2, 2, 2], [0.3, 0.6, 0.9] * 2),
        (["seed=5", f"{SPARSITY}=0.7"], [5], [0.7]),
        (["sweep={}"], [0], [0.5]),
        (["sweep.seed=[4]"], [4, 4, 4], [0.3, 0.6, 0.9]),
    ],
)
def test_an_override_takes_a_key_out_of_the_sweep_and_all_that_is_inside_it(cells, overrides, seeds, sparsities):
    found = cells(GRID, *overrides)
    assert [cell.recipe.seed for cell in found] == seeds
    assert [cell.recipe.stages[1].pruner.options.sparsity for cell in found] == sparsities


def test_an_override_takes_a_key_out_of_its_group_and_leaves_the_others(cells):
    found = cells(ZIP, f"{SPARSITY}=0.7", "seed=0", "backbone.width=16", "backbone.heads=2")
    assert [cell.values for cell in found] == [{"stages.srnet.epochs": 4}, {"stages.srnet.epochs": 6}]


def test_what_an_override_makes_alike_runs_once(cells):
    group = f'[[sweep.zip]]\n"{SPARSITY}" = [0.3, 0.6, 0.9]\nseed = [1, 2, 1]\n'
    assert [cell.values for cell in cells(group, f"{SPARSITY}=0.7")] == [{"seed": 1}, {"seed": 2}]
    assert len(cells(group)) == 3


def test_a_chosen_variant_adds_its_sweep_which_wins(cells):
    def seen(*overrides: str):
        return [(cell.recipe.seed, cell.recipe.stages[0].training.max_steps) for cell in cells(GRID, *overrides)]

    assert seen(f"{SPARSITY}=0.7", "variant=long") == [(7, 50), (8, 50)]
    assert seen(f"{SPARSITY}=0.7", "variant=short") == [(1, 5), (2, 5)]


def test_where_variants_are_swept_each_has_its_own_sweep(cells):
    found = cells('seed = [1, 2, 3]\nvariant = ["short", "long"]\n')
    assert [cell.label for cell in found] == [
        *("variant=short, seed=1", "variant=short, seed=2", "variant=short, seed=3"),
        *("variant=long, seed=7", "variant=long, seed=8"),
    ]
    assert [cell.recipe.stages[0].training.max_steps for cell in found] == [5, 5, 5, 50, 50]


def test_variants_may_be_swept_together_with_other_keys(cells):
    found = cells(f'[[sweep.zip]]\nvariant = ["short", "long"]\n"{SPARSITY}" = [0.3, 0.6]\n')
    assert [cell.values for cell in found] == [
        {"variant": "short", SPARSITY: 0.3},
        {"variant": "long", SPARSITY: 0.6, "seed": 7},
        {"variant": "long", SPARSITY: 0.6, "seed": 8},
    ]


# -- what is wrong ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sweep", "said"),
    [
        ("seed = 3\n", ["r.toml:26: sweep.seed: must be an array with at least one value, not 3"]),
        ("seed = []\n", ["r.toml:26: sweep.seed: must be an array with at least one value, not []"]),
        ("seed = {}\n", ["r.toml:26: sweep.seed: must be an array with at least one value, not {}"]),
        ("seed = [1, 2, 1]\n", ["r.toml:26: sweep.seed: expected distinct values, got [1, 2, 1]"]),
        ("zip = 3\n", ["r.toml:26: sweep.zip: expected [[sweep.zip]] tables of keys that change together, got 3"]),
        ("zip = [3]\n", ["r.toml:26: sweep.zip: expected [[sweep.zip]] tables of keys that change together, got [3]"]),
        (
            "[[sweep.zip]]\nseed = 3\n",
            ["r.toml:27: sweep.zip[0].seed: must be an array with at least one value, not 3"],
        ),
        (
            "[[sweep.zip]]\nseed = [1, 2]\ntraining.epochs = [1, 2, 3]\n",
            ["r.toml:26: sweep.zip[0]: expected arrays of the same length, got seed: 2, training.epochs: 3"],
        ),
        (
            f'seed = [1, 2]\n[[sweep.zip]]\nseed = [3, 4]\n"{SPARSITY}" = [0.3, 0.6]\n',
            [
                "r.toml:26: sweep.seed: a key can be swept only once; seed is swept twice",
                "r.toml:28: sweep.zip[0].seed: a key can be swept only once; seed is swept twice",
            ],
        ),
        (
            "[[sweep.zip]]\ntraining.epochs = [1, 2]\n[[sweep.zip]]\nseed = [1]\n'training.epochs' = [1]\n",
            [
                f"r.toml:{line}: sweep.zip[{group}].training.epochs: a key can be swept only once; "
                "training.epochs is swept twice"
                for line, group in ((27, 0), (30, 1))
            ],
        ),
        (
            "seed = [1]\nvariants.long.seed = [1, 2]\n[[sweep.zip]]\n'sweep.seed' = [[1], [2]]\n",
            [
                "r.toml:27: sweep.variants.long.seed: expected a key of the recipe other than sweep and variants",
                "r.toml:29: sweep.zip[0].sweep.seed: expected a key of the recipe other than sweep and variants",
            ],
        ),
        (
            'training.epochs = 3\n[[sweep.zip]]\nseed = []\nname = ["a"]\n',
            [
                "r.toml:26: sweep.training.epochs: must be an array with at least one value, not 3",
                "r.toml:28: sweep.zip[0].seed: must be an array with at least one value, not []",
            ],
        ),
    ],
)
def test_a_sweep_that_is_no_grid_is_refused_with_its_lines(problems, sweep, said):
    assert problems(sweep) == said


@pytest.mark.parametrize("value", ["3", "[1]"])
def test_a_sweep_that_is_no_table_is_refused(problems, value):
    (said,) = problems("", f"sweep={value}")
    expected = "expected a table of keys, each with an array of values"
    assert said == f"--set sweep={value}: sweep: {expected}, got {value}"


def test_a_problem_of_several_cells_is_reported_once_with_the_line_of_the_sweep(problems):
    (said,) = problems('seed = [1, 2]\n"stages.srnet.pruner.sparsity" = [0.5, 1.5]\n')
    assert said.startswith("r.toml:27: stages.srnet.pruner.sparsity: must be less than 1 (got 1.5) (option of pruner")


def test_a_problem_beside_the_sweep_is_reported_once_with_its_own_line(cells, problems):
    cells("")
    text = 'seed = [1, 2]\ntraining.epochs = [1, 2]\n[variants.bad]\nbackbone = "tinny"\n'
    (said,) = problems(text, "variant=bad")
    assert said.startswith("r.toml:29: backbone: no backbone is named 'tinny'")


def test_a_swept_key_that_names_no_place_is_reported_once_with_its_line(problems):
    assert problems('"stages.srnt.epochs" = [1, 2]\nseed = [1, 2]\n') == [
        "r.toml:26: stages.srnt.epochs: no stage is named 'srnt'; did you mean 'srnet'? Choices: full, srnet"
    ]


def test_a_swept_variant_that_is_not_there_is_refused_with_the_choices(problems):
    assert problems('variant = ["short", "lng"]\n') == [
        "r.toml:26: variant: no variant is named 'lng'; did you mean 'long'? Choices: short, long"
    ]


def test_the_sweep_of_a_variant_is_reported_with_the_line_of_the_variant(problems):
    text = '[variants.bad]\nsweep."stages.srnet.pruner.sparsity" = [0.5, 1.5]\nsweep.seed = 3\n'
    assert problems(text, "variant=bad") == ["r.toml:28: sweep.seed: must be an array with at least one value, not 3"]
    (said,) = problems(text, "variant=bad", "sweep.seed=[1]")
    assert said.startswith("r.toml:27: stages.srnet.pruner.sparsity: must be less than 1 (got 1.5)")


def test_a_sweep_on_the_command_line_is_reported_by_its_own_words(problems):
    (said,) = problems("", f"sweep.{SPARSITY}=[1.5]")
    assert said.startswith(f"--set sweep.{SPARSITY}=[1.5]: {SPARSITY}: must be less than 1 (got 1.5)")


# -- every variant ---------------------------------------------------------------------------------


@pytest.fixture
def every(cells, registry):
    """What ``validate`` checks of the recipe with this text after it."""

    def every(text: str = "", *overrides: str) -> list[Cell]:
        Path("r.toml").write_text(RECIPE + text)
        return load_all_variants("r.toml", registry, overrides)

    return every


def steps(found: list[Cell]) -> list[tuple[int, int | None]]:
    return [(cell.recipe.seed, cell.recipe.stages[0].training.max_steps) for cell in found]


def test_every_variant_is_loaded_with_its_own_sweep_after_the_recipe_itself(every):
    assert steps(every()) == [(0, None), (0, 5), (7, 50), (8, 50)]
    assert steps(every("seed = [1, 2]\n")) == [(1, None), (2, None), (1, 5), (2, 5), (7, 50), (8, 50)]


def test_an_override_that_chooses_a_variant_leaves_the_others_out(every):
    assert steps(every("", "variant=long")) == [(7, 50), (8, 50)]
    assert steps(every("", "seed=3")) == [(3, None), (3, 5), (3, 50)]


def test_a_recipe_without_variants_is_itself(every, registry):
    every()
    Path("r.toml").write_text(RECIPE[: RECIPE.index("[variants.short]")])
    assert steps(load_all_variants("r.toml", registry)) == [(0, None)]


def test_a_variant_may_have_any_name(every):
    text = "[variants.true]\nseed = 1\n[variants.3]\nseed = 2\n[variants.'a.b \"ü\"']\nseed = 3\n"
    assert steps(every(text))[-3:] == [(1, None), (2, None), (3, None)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            '[variants.bad]\nseed = "x"\n[variants.worse]\nseed = -1\nsweep.name = 3\n',
            [
                "r.toml:27: seed: must be an integer (got 'x')",
                "r.toml:30: sweep.name: must be an array with at least one value, not 3",
                "r.toml:29: seed: must be at least 0 (got -1)",
            ],
        ),
        # what is wrong with the recipe itself is said once, not once for each variant
        (
            '[[stages]]\nname = "more"\nop = "trane"\nloss = "std"\n[variants.bad]\nseed = "x"\n',
            [
                "r.toml:28: stages.more.op: must be 'train' or 'prune' (got 'trane'); did you mean 'train'?",
                "r.toml:31: seed: must be an integer (got 'x')",
            ],
        ),
        ("[variants]\nbad = 3\n", ["r.toml:27: variants.bad: must be a table (got 3)"]),
    ],
)
def test_all_problems_of_all_variants_come_at_once_and_each_once(every, text, said):
    with pytest.raises(RecipeError) as caught:
        every(text)
    assert [str(problem) for problem in caught.value.problems] == said
