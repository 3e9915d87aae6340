"""Recipes that are large, deep, odd or repetitive: a sentence, or a recipe, after work in proportion to the file."""

from __future__ import annotations

import os
import threading
from collections import Counter
from pathlib import Path

import pytest
import tomli

from srframework.errors import SHOWN, RecipeError
from srframework.recipe import checked_tables, graph, sweep
from srframework.recipe.document import MAX_BYTES
from srframework.recipe.model import Reference, shipped
from srframework.recipe.overrides import MAX_DEPTH
from srframework.recipe.sweep import MAX_RUNS, load_all_variants, load_cells
from srframework.registry.discovery import discover
from srframework.registry.registry import Registry
from srframework.run.identity import signatures

HEAD = 'name = "x"\nschema = 1\nbackbone = "tiny"\ndataset = "synthetic"\n'
STAGE = '[[stages]]\nname = "full"\nop = "train"\n'


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry(discover())


@pytest.fixture
def load(tmp_path, monkeypatch, registry):
    """Write a recipe as ``r.toml``, and load all of it."""
    monkeypatch.chdir(tmp_path)

    def load(content, *overrides, flags=()):
        Path("r.toml").write_bytes(content if isinstance(content, bytes) else content.encode())
        return (
            load_cells("r.toml", registry, overrides, flags)
            if flags
            else load_all_variants("r.toml", registry, overrides)
        )

    return load


@pytest.fixture
def problems(load):
    def problems(content=HEAD + STAGE, *overrides, flags=()):
        with pytest.raises(RecipeError) as caught:
            load(content, *overrides, flags=flags)
        return [str(problem) for problem in caught.value.problems]

    return problems


# -- values, keys, names -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("seed = " + "9" * 5000, "r.toml:1: not valid TOML: an integer of thousands of digits"),
        ("seed = 0x" + "f" * 5000, "r.toml:1: seed: expected an integer of at most 64 bits, got an integer"),
        ("seed = -9223372036854775809", "r.toml:1: seed: expected an integer of at most 64 bits, got -922337203685477"),
        ("training.learning_rate = 1e999", "r.toml:1: training.learning_rate: must be a finite number (got inf)"),
        ("training.learning_rate = true", "r.toml:1: training.learning_rate: must be a number (got true)"),
        ("seed = 2024-01-01", "r.toml:1: seed: must be an integer (got 2024-01-01"),
        ("name_ = 2024-01-01T00:00:00Z", "r.toml:1: name_: unknown key"),
        ("description = 2024-01-01T00:00:00Z", "r.toml:1: description: must be a string (got 2024-01-01T"),
        ("description = { a = [true] }", "r.toml:1: description: must be a string (got { a = [true] }"),
        ('"[key]" = 1', "r.toml:1: '[key]': unknown key; choices: name"),
        ('training."[key]" = 1', "r.toml:1: training.'[key]': unknown key"),
        ('"" = 1', "r.toml:1: '': unknown key"),
        ('"\\u001b[31m\\n" = 1', 'r.toml:1: "\\u001b[31m\\n": unknown key'),
        ('"' + "k" * 5000 + '" = 1', "r.toml:1: 'kkkkk"),
        ('description = ["' + "\\u001b" * 5000 + '"]', 'r.toml:1: description: must be a string (got ["\\u001b'),
        ("training.a = " + "[" * 100 + "]" * 100, "r.toml:1: training: expected tables and arrays nested at most 32"),
        ("a." * 100 + "a = 1", f"r.toml:1: a: expected tables and arrays nested at most {MAX_DEPTH} deep"),
        ("a = " + "[" * 10**5, f"r.toml:1: not valid TOML: tables or arrays nested more than {MAX_DEPTH} deep"),
        ("a = 1\0", "r.toml:1: not valid TOML: "),
        ("a = 1\rb = 2", "r.toml:1: not valid TOML: "),
        ('a = "\\ud800"', "r.toml:1: not valid TOML: "),
        ("sweep = 3", "r.toml:1: sweep: expected a table of keys"),
        ("sweep.seed = 2024-01-01", "r.toml:1: sweep.seed: must be an array with at least one value, not 2024-01-01"),
        ("sweep.'.x' = [1]", "r.toml:1: sweep.'.x': expected a key with a name before and after each dot"),
        ("variants = [true]", "r.toml:1: variants: must be a table (got [true])"),
        ("variant = true", "r.toml:1: variant: no variant is named true; the recipe defines no variants"),
        ("stages = 2024-01-01", "r.toml:1: stages: must be an array (got 2024-01-01)"),
    ],
)  # fmt: skip
def test_an_odd_value_or_key_is_refused_in_one_short_line(problems, line, problem):
    content = line + "\n" + HEAD + ("" if line.startswith("stages") else STAGE)
    found = problems(content)
    assert any(each.startswith(problem) for each in found), found
    assert all(each.isprintable() and len(each) < 1000 for each in found)


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("=x", "--set =x: expected KEY=VALUE"),
        ("a..b=1", "--set a..b=1: expected KEY=VALUE"),
        ("stages.=1", "--set stages.=1: expected KEY=VALUE"),
        ("a." * 50 + "a=1", f"expected at most {MAX_DEPTH} keys separated by dots, got 51"),
        ("seed=" + "9" * 5000, "seed: must be an integer (got '9999"),
        ("seed=" + "9" * 40, "seed: expected an integer of at most 64 bits, got 99999"),
        ("seed=[" + "9" * 40 + "]", "seed: expected an integer of at most 64 bits"),
        ("seed=true", "seed: must be an integer (got true)"),
        ("seed=" + "x" * 10**5, "seed: must be an integer (got 'xxxx"),
        ("backbone.x=1", "backbone is a value ('tiny'), not a table"),
        ("stages.0.name.x=1", "stages.full.name is a value ('full'), not a table"),
        ("stages." + "9" * 5000 + ".op=x", "no stage is named '9999"),
        ("stages.\u0663.op=x", "no stage is named '٣'; choices: full"),
        ("training=1", "training: must be a table (got 1)"),
        ("seed=1\nname='z'", "seed: must be an integer (got \"1\\nname='z'\")"),
        ("\x1b]0;x\x07=1", '"\\u001b]0;x\\u0007": unknown key'),
    ],
)  # fmt: skip
def test_an_odd_override_is_refused_in_one_short_line(problems, override, problem):
    found = problems(HEAD + STAGE, override)
    assert any(problem in each for each in found), found
    assert all(each.isprintable() and len(each) < 1500 for each in found)


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (["x" * 300], "expected a name of at most 100 characters, because it names a directory, got 'xxx"),
        *(
            ([name], "expected a name that Windows allows for a directory")
            for name in ("NUL", "con", "Com1", "LPT9.x", "aux.tar.gz")
        ),
        (["full."], "expected a name that does not end in a dot"),
        (
            ["full", "FULL"],
            "got 'FULL', which differs from 'full' only in case; some file systems ignore case",
        ),
        (["Pretrained"], "got 'Pretrained', which differs from 'pretrained' only in case"),
        (["a\\n"], "must be a letter or digit, and then letters, digits, '_', '.' and '-' (got \"a\\n\")"),
    ],
)
def test_a_stage_has_a_name_that_a_directory_can_have(problems, names, problem):
    stages = "".join(f'[[stages]]\nname = "{name}"\nop = "train"\n' for name in names)
    (found,) = problems(HEAD + stages)
    assert problem in found


def test_long_and_dotted_names_that_any_file_system_takes_are_allowed(load):
    names = ["x" * 100, "null", "com10", "x.con", "a.b"]
    (cell,) = load(HEAD + "".join(f'[[stages]]\nname = "{name}"\nop = "train"\n' for name in names))
    assert [stage.name for stage in cell.recipe.stages] == names


def test_a_stage_without_a_loss_has_std(load):
    (cell,) = load(HEAD + STAGE)
    assert cell.recipe.stages[0].loss.registered.name == "std"
    assert 'loss = { use = "srframework/std" }' in cell.recipe.to_toml() or "std" in cell.recipe.to_toml()


def test_without_a_plugin_that_has_std_a_stage_needs_a_loss(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("r.toml").write_text(HEAD + STAGE)
    plugins = [plugin for plugin in discover() if plugin.name != "debiasers"]
    with pytest.raises(RecipeError) as caught:
        load_all_variants("r.toml", Registry(plugins))
    missing = (
        "r.toml:5: stages.full.loss: required key is missing (the debiaser: a table with `use` and its "
        "options; default: std)"
    )
    assert [str(each) for each in caught.value.problems] == [missing]


# -- nothing that only follows from something else ------------------------------------------------------

PAIRS = 'name = "x"\nschema = 1\nbackbone = "tiny"\n[dataset]\nuse = "pairs"\ntrain.hub = "x/y"\ndev.hub = "x/y"\n'


@pytest.mark.parametrize(
    ("labels", "problem"),
    [
        ("[0, 1, 2]", 'dataset.labels: expected strings, got [0, 1, 2]; quote them: ["0", "1", "2"]'),
        ("[true, 1.5]", 'dataset.labels: expected strings, got [true, 1.5]; quote them: ["true", "1.5"]'),
        ("[2024-01-01, 2]", 'dataset.labels: expected strings, got [2024-01-01, 2]; quote them: ["2024-01-01", "2"]'),
        ('["a", 1]', "dataset.labels[1]: must be a string (got 1)"),
        ("[]", "dataset.labels: must be an array of at least 2 items (got [])"),
        ("3", "dataset.labels: must be an array (got 3)"),
    ],
)
def test_labels_that_are_no_strings_are_one_problem(problems, labels, problem):
    (found,) = problems(PAIRS + f"labels = {labels}\n" + STAGE)
    assert problem in found


@pytest.mark.parametrize(
    ("content", "key"),
    [
        # a [bias] that is wrong is the bias model that is missing
        (HEAD + "[bias]\nuse = 'bias-file'\n" + STAGE + 'loss = "poe"\n', "bias.path"),
        (HEAD + "[bias]\nuse = 'bias-fil'\n" + STAGE + 'loss = "poe"\n', "bias.use"),
        # a data set that is wrong may provide anything
        (HEAD.replace('"synthetic"', '"synthetc"') + STAGE + 'loss = "poe"\nood_train = 1\n', "dataset"),
        # a stage whose op is wrong may have a mask
        (HEAD + STAGE.replace("train", "prun") + STAGE.replace("full", "b") + 'mask = "full"\n', "stages.full.op"),
        # a stage without a name may be the one that is meant
        (HEAD + '[[stages]]\nop = "train"\n' + STAGE.replace("full", "b") + 'weights = "full"\n', "stages.0.name"),
        (HEAD + '[[stages]]\nop = "train"\n[claim]\nstatement = "s"\nchecks = ["id(full) > 0"]\n', "stages.0.name"),
        # a training option that is wrong is wrong once
        (HEAD + "training.epochs = 0\n" + STAGE + STAGE.replace("full", "b"), "training.epochs"),
    ],
)
def test_what_follows_from_a_problem_is_no_problem(problems, content, key):
    (found,) = problems(content)
    assert found.split(": ")[1] == key


# -- size ----------------------------------------------------------------------------------------------


@pytest.fixture
def counted(monkeypatch):
    """How often some functions are called: the work, whatever the machine."""
    calls: Counter[str] = Counter()

    def count(module, name):
        function = getattr(module, name)

        def counting(*arguments, **more):
            calls[name] += 1
            return function(*arguments, **more)

        monkeypatch.setattr(module, name, counting)

    for module, name in ((tomli, "loads"), (checked_tables, "validated")):
        count(module, name)
    return calls


def chain(count, last=""):
    stages = [f'[[stages]]\nname = "s{n}"\nop = "train"\nloss = "std"\n' for n in range(count)]
    return HEAD + "".join(stage + (f'weights = "s{n - 1}"\n' if n else last) for n, stage in enumerate(stages))


def test_a_chain_of_thousands_of_stages_is_a_recipe(load):
    (cell,) = load(chain(2000))
    recipe = cell.recipe
    assert [stage.name for stage in recipe.stages] == [f"s{n}" for n in range(2000)]
    assert len(recipe.only("s1999").stages) == 2000
    assert recipe.points_kept("s5") == frozenset()
    assert len(set(signatures(recipe).values())) == 2000


def test_a_cycle_of_thousands_of_stages_is_shown_shortened(problems):
    found = problems(chain(1500, 'weights = "s1499"\n'))
    assert len(found) == 1500
    assert found[0].endswith("through 's1499': s0 -> s1499 -> s1498 -> s1497 -> s1496 -> s1495 -> … -> s1 -> s0")
    assert max(map(len, found)) < 300


def test_of_thousands_of_cycles_as_many_are_looked_for_as_are_shown():
    nodes = [graph.Node(n, f"s{n}", (("weights", Reference(f"s{n ^ 1}")),), has_mask=True) for n in range(3000)]
    assert len(list(graph.check(nodes))) == 2 * SHOWN


def test_thousands_of_wrong_references_are_refused(problems):
    found = problems(chain(1500).replace('weights = "s', 'weights = "t'))
    assert len(found) == 1499
    assert all(len(each) < 1000 for each in found)


def test_stages_that_refer_to_each_other_twice_are_visited_once():
    visits = 0

    class Counting(tuple):
        def __iter__(self):
            nonlocal visits
            visits += 1
            return super().__iter__()

    def node(n):
        references = Counting((key, Reference(f"s{n - 1}")) for key in ("weights", "mask")) if n else Counting()
        return graph.Node(n, f"s{n}", references, has_mask=True)

    nodes = [node(n) for n in range(200)]
    assert graph.order(nodes[::-1]) == [f"s{n}" for n in range(200)]
    assert list(graph.check(nodes)) == []
    assert visits < 10 * len(nodes)


@pytest.mark.parametrize(
    ("content", "count"),
    [
        ("[sweep]\n" + "".join(f'"k{n}" = {list(range(1000))}\n' for n in range(3)), "1,000,000,000"),
        ("[sweep]\n" + "".join(f'"k{n}" = [1, 2]\n' for n in range(100)), "1,267,650,600,228,229,401,496,703,205,376"),
        ("[sweep]\n" + "".join(f'"k{n}" = [1, 2]\n' for n in range(4000)), "about 10^1204"),
        (f"[[sweep.zip]]\na = {list(range(200))}\nb = {list(range(200))}\n[sweep]\nc = {list(range(51))}\n", "10,200"),
        ("variants.a.sweep.k = [1, 2]\nvariants.b.sweep.k = [1]\n[sweep]\nvariant = ['a', 'b']\n"
         f"l = {list(range(1000))}\nm = {list(range(11))}\n", "33,000"),
    ],
)  # fmt: skip
def test_a_sweep_of_too_many_runs_is_counted_and_never_listed(problems, counted, content, count):
    found = [each for each in problems(HEAD + content + STAGE) if "runs in a sweep" in each]
    assert found
    assert f"sweep: expected at most {MAX_RUNS:,} runs in a sweep, got {count} (values: " in found[0]
    assert counted["validated"] < 100
    assert all(len(each) < 500 for each in found)


def test_options_of_the_command_line_are_counted_too(problems):
    values = ",".join(map(str, range(1000)))
    (found,) = problems(HEAD + STAGE, flags=[f"--grid {key}={values}" for key in ("seed", "name", "description")])
    assert "expected at most 10,000 runs in a sweep, got 1,000,000,000 (values: 1,000 of seed, " in found


def test_the_runs_of_all_variants_are_counted_too(problems):
    variants = "".join(f"[variants.v{n}]\nseed = 1\n" for n in range(20))
    content = HEAD + STAGE + f"[sweep]\n'training.epochs' = {list(range(1, 10001))}\n" + variants
    (found,) = problems(content)
    assert "expected at most 100,000 runs of all variants, got 210,000; validate one variant at a time" in found


def test_thousands_of_cells_are_checked_with_the_work_of_a_few(load, counted):
    source = shipped()["quickstart"].read_text()
    cells = load(source + f"[sweep]\nseed = {list(range(3000))}\n")
    assert len({cell.slug for cell in cells}) == len({cell.recipe.seed for cell in cells}) == 3000
    assert counted["loads"] == 1
    assert counted["validated"] < 2.1 * 3000  # the top and [training] of each cell; each stage and component once


def test_a_problem_of_every_cell_is_reported_once(problems):
    (found,) = problems(HEAD + "backbone_ = 1\n" + f"sweep.seed = {list(range(2000))}\n" + STAGE)
    assert "backbone_: unknown key" in found


def test_a_file_that_is_too_large_is_refused(problems):
    (found,) = problems(b"#" * (MAX_BYTES + 1))
    assert found == "r.toml: expected a recipe file of at most 4 MiB, got a larger one"


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="a file without an end")
def test_a_file_without_an_end_is_refused(registry):
    with pytest.raises(RecipeError, match="at most 4 MiB"):
        load_all_variants("/dev/zero", registry)


def test_a_recipe_is_read_from_a_pipe(tmp_path, monkeypatch, registry):
    monkeypatch.chdir(tmp_path)
    content = HEAD + STAGE + "[variants.a]\nseed = 5\nsweep.seed = [6, 7]\n"
    for load in (load_all_variants, load_cells):
        os.mkfifo("pipe")
        writer = threading.Thread(target=Path("pipe").write_text, args=(content,), daemon=True)
        writer.start()
        seeds = [cell.recipe.seed for cell in load("pipe", registry)]
        writer.join()
        assert seeds == ([0, 6, 7] if load is load_all_variants else [0])
        Path("pipe").unlink()


def test_cells_whose_names_differ_by_case_have_directories_of_their_own(load):
    cells = load(HEAD + STAGE, flags=["--grid name=a,A,b.,b..,'a,run=2'"])
    slugs = [cell.slug.casefold() for cell in cells]
    assert len(set(slugs)) == len(slugs) == 5
    assert not any(slug.endswith(".") for slug in slugs)
    assert sweep.MAX_RUNS == 10_000
