"""Every option there is, changed: where the bits of a result change, so does its key.

The options come from the schema. Each has a changed value, derived from its type or in ``CHANGES``; else it fails here.
"""

from __future__ import annotations

import copy
import functools
import hashlib
import json
import shutil
from unittest import mock

import numpy as np
import pytest
import tomli_w
from every_option import (
    ALONG,
    BIAS,
    CHANGES,
    ELSEWHERE,
    LABELS,
    MAY_COUNT,
    REGISTRY,
    TINY,
    TRAINING,
    all_options,
    has_options,
    is_location,
    others,
)
from pydantic import ValidationError

from srf_backbones.options import TinyOptions
from srf_backbones.tiny import TinyBert
from srframework.errors import RecipeError
from srframework.recipe.check import load_recipe
from srframework.recipe.schema import RecipeTable
from srframework.run.api import quieten
from srframework.run.machine import MACHINE
from srframework.run.options import RunOptions
from srframework.run.paths import LOG
from srframework.run.pipeline import Pipeline
from srframework.run.results import FIGURES
from srframework.run.shared_materials import clear_shared_materials
from srframework.run.stage_results import StageResults
from srframework.store.store import Store
from srframework.training.options import PROGRESS


def texts(count, shift=0):
    colours = ("red", "blue")
    rows = [
        f"a dog {n + shift} runs\tthe dog {n % 5} {'and the cat ' * (n % 4)}runs\t{colours[n % 2]}\t"
        f"{LABELS[(n + shift) % 3]}\t{LABELS[(2 * n + 1) % 3]}"
        for n in range(count)
    ]
    return "\n".join(["a\tb\tc\tlabel\tlabel2", *rows]) + "\n"


def glue(first, second, label, rows):
    return (
        "\n".join(
            ["\t".join((first, second, label, "index")), *(f"{a}\t{b}\t{y}\t{n}" for n, (a, b, y) in enumerate(rows))]
        )
        + "\n"
    )


def pairs_of(count, labels, word="dog"):
    return [(f"the {word} {n} ran", f"a {word} {n % 3} ran", labels[n % len(labels)]) for n in range(count)]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Data of every kind, and a model; each a second time, moved or changed."""
    quieten()
    home = tmp_path_factory.mktemp("coverage")

    def write(name, text):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text)

    for name, count, shift in (
        ("train", 24, 0),
        ("dev", 9, 1),
        ("test", 9, 2),
        ("ood", 9, 0),
        ("extra", 6, 1),
        ("other", 12, 5),
    ):
        write(f"pairs/{name}.tsv", texts(count, shift))
    write("pairs/odd.tsv", texts(12).replace("\tmaybe", "\tyes"))
    write("pairs/odd-2.tsv", texts(10, 1).replace("\tmaybe", "\tyes"))
    for name, seed in (("vectors-1.vec", 1), ("vectors-2.vec", 2)):
        numbers = np.random.default_rng(seed).normal(size=(4, 3))
        rows = (
            f"{word} {' '.join(f'{x:.3f}' for x in row)}"
            for word, row in zip(("dog", "the", "ran", "runs"), numbers, strict=True)
        )
        write(name, "4 3\n" + "\n".join(rows) + "\n")
    nli = ("entailment", "contradiction", "neutral")
    hans = "sentence1\tsentence2\tgold_label\theuristic\tpairID\tsubcase\ttemplate\n"
    for name, word in (("nli/hans", "dog"), ("hans-2", "cat")):
        for file in ("heuristics_evaluation_set.txt", "heuristics_train_set.txt"):
            rows = pairs_of(6, ("entailment", "non-entailment"), word)
            write(
                f"{name}/{file}",
                hans + "".join(f"{a}\t{b}\t{y}\tsubsequence\tex{n}\ts\tt\n" for n, (a, b, y) in enumerate(rows)),
            )
    for file, count in (("train", 24), ("dev_matched", 9), ("dev_mismatched", 6)):
        write(f"nli/{file}.tsv", glue("sentence1", "sentence2", "gold_label", pairs_of(count, nli)))
    for file, count in (("train", 24), ("dev", 9)):
        write(f"paraphrase/{file}.tsv", glue("question1", "question2", "is_duplicate", pairs_of(count, ("0", "1"))))
    for folder, word in (("paws_qqp", "dog"), ("paws_wiki", "cat")):
        for number, file in enumerate(("train", "dev", "test")):
            rows = pairs_of(6 + number, ("0", "1"), word)
            write(f"paraphrase/{folder}/{file}.tsv", glue("sentence1", "sentence2", "label", rows))
    fever = ("SUPPORTS", "REFUTES", "NOT ENOUGH INFO")
    for folder, word in (("fever", "dog"), ("symmetric-2", "cat")):
        files = {
            "fever.train.jsonl": 24,
            "fever.dev.jsonl": 9,
            "sym1/test.jsonl": 6,
            "sym2/test.jsonl": 6,
            "sym2/dev.jsonl": 6,
        }
        for file, count in files.items():
            rows = pairs_of(count, fever if "fever" in file else fever[:2], word)
            write(
                f"{folder}/{file}",
                "".join(
                    json.dumps({"id": n, "claim": a, "evidence": b, "label": y, "gold_label": y}) + "\n"
                    for n, (a, b, y) in enumerate(rows)
                ),
            )
    odds = np.random.default_rng(1).uniform(0.1, 1, size=(24, 3))
    for name, rows in (("bias-1.npy", odds), ("bias-2.npy", odds[::-1])):
        np.save(home / name, rows / rows.sum(1, keepdims=True))
    np.save(home / "bias-log.npy", np.log(odds / odds.sum(1, keepdims=True)))
    network = TinyBert(TinyOptions(**{key: value for key, value in TINY.items() if key != "use"})).load(LABELS, 1)
    network.model.save_pretrained(home / "model")
    network.tokenizer.save_pretrained(home / "model")
    for name in ("pairs", "nli", "paraphrase", "fever", "model"):
        shutil.copytree(home / name, home / f"{name}-moved")
    return home


def recipe_of(scene):
    """A recipe in which every option of the scene's component bears on the result, if it ever does."""
    sources = {name: {"path": f"{name}.tsv"} for name in ("train", "dev", "test")}
    pairs = {"use": "pairs", "root": "pairs", "labels": list(LABELS), "text_a": "a", "text_b": "b", **sources}
    pairs |= {"ood_train": {"path": "extra.tsv"}}
    pairs["ood"] = {"odd": {"path": "odd.tsv", "labels": ["yes", "no"], "collapse": {"maybe": "yes"}}}
    pairs["ood"]["odd"]["label_names"] = {"yes": "yes", "no": "no"}
    stage = {"name": "last", "op": "train", "loss": {"use": "std"}}
    recipe = {"name": "n", "schema": 1, "seed": 1, "backbone": dict(TINY), "dataset": pairs, "training": dict(TRAINING)}
    recipe["stages"] = [stage]
    kind, _, name = scene.partition("/")
    prune = {"op": "prune", "pruner": {"use": "mask", "sparsity": 0.5, "schedule": "cubic", "initial_sparsity": 0.2}}
    if kind == "pruner":
        imp = {"sparsity": 0.5, "step": 0.25, "interval": 0.25}
        own = {"mask": prune["pruner"] | {"refresh_every": 2}, "imp": imp, "imp-rw": imp}.get(name, {})
        stage |= {"op": "prune", "pruner": {**own, "use": name}}
    elif kind == "backbone" and name != "tiny":
        recipe["backbone"] = {"use": name, "path": "model"}
    elif kind == "dataset":
        folder = "fever" if name == "fact-verification" else name
        own = {"pairs": pairs, "synthetic": {"train_size": 24, "dev_size": 9, "ood_size": 9, "ood_train_size": 6}}
        recipe["dataset"] = {**own.get(name, {"path": folder}), "use": name}
        if "word_vectors" in REGISTRY.get("dataset", name).component.options.model_fields:
            recipe["dataset"]["word_vectors"] = "vectors-1.vec"
        recipe["bias"], stage["loss"], stage["ood_train"] = dict(BIAS), {"use": "poe"}, 1
    elif kind == "bias":
        recipe["bias"] = dict(BIAS) if name == "bias-logistic" else {"use": name, "path": "bias-1.npy"}
        stage["loss"] = {"use": "poe"}
    elif kind == "evaluator":
        recipe["evaluators"], pairs["group_by"] = [{"use": name}], ["label"]
        for source in (*sources.values(), pairs["ood"]["odd"]):
            source["keep"] = ["c"]
    elif kind == "debiaser":
        anneals = "theta_max" in REGISTRY.get("debiaser", name).component.options.model_fields
        stage["loss"] = {"use": name, **({"theta_max": 0.9, "theta_min": 0.3} if anneals else {})}
        recipe |= {"bias": dict(BIAS)} if anneals else {}
        pairs["group_by"] = ["label"]
        if name in ("confreg", "jtt"):
            stage["loss"]["teacher" if name == "confreg" else "identified_by"] = "full"
            recipe["stages"].insert(0, {"name": "full", "op": "train", "loss": {"use": "std"}})
    return recipe


def table_at(recipe, path):
    for part in path:
        recipe = recipe[part]
    return recipe


def changed(option, home, monkeypatch):
    """The scene's recipe as it is, and with another value of the option; None where the option is not changed here."""
    if option.own in ELSEWHERE:
        return None
    before = recipe_of(option.scene)
    if option.key in ("TrainingOptions.epochs", "TrainingOptions.max_steps"):
        before["training"]["keep"] = "last"  # the best checkpoint can be one before the steps that are added
    if option.key == "TrainingOptions.epochs":
        del before["training"]["max_steps"]
    field = option.owner.model_fields[option.name]
    key = field.alias or option.name
    now = table_at(before, option.path).get(key, field.get_default(call_default_factory=True))
    explicit = [CHANGES[each] for each in (option.own, option.key, f"*.{option.name}") if each in CHANGES]
    monkeypatch.chdir(home)
    for value in [*explicit, *others(field, now)]:
        after = copy.deepcopy(before)
        table = table_at(after, option.path)
        table[key] = value
        for name, along in ALONG.get(option.own, {}).items():
            table.pop(name) if along is None else table.update({name: along})
        if value != now and is_valid(after, home):
            return before, after
    raise AssertionError(f"{option.own}: add a changed value to CHANGES, or a reason to ELSEWHERE (now {now!r})")


def is_valid(recipe, home):
    try:
        read(recipe, home)
    except (RecipeError, ValidationError):
        return False
    return True


def read(recipe, home):
    path = home / f"{hashlib.sha256(json.dumps(recipe).encode()).hexdigest()[:16]}.toml"
    path.write_text(tomli_w.dumps(recipe))
    return load_recipe(path, REGISTRY)


def run(recipe, home, monkeypatch, anew=False):
    """(Stage, kind) -> key and bits of each result; an equal recipe runs once, unless it is to read all anew."""
    monkeypatch.chdir(home)
    if anew:
        clear_shared_materials()
        _run.cache_clear()
    return _run(json.dumps(recipe), home)


@functools.cache
def _run(recipe, home):
    store = Store(home / f"store-{hashlib.sha256(recipe.encode()).hexdigest()[:16]}")
    shutil.rmtree(store.root, ignore_errors=True)
    found = {}
    pipeline = Pipeline(read(json.loads(recipe), home), store, RunOptions(shared=True))
    own = StageResults.get_or_compute

    def obtain(results, stage, kind, identity, compute, *rest, **named):
        entry, was_there = own(results, stage, kind, identity, compute, *rest, **named)
        found[stage.name, kind, named.get("record_as", "")] = entry.key, bits(entry.files)
        return entry, was_there

    with mock.patch.object(StageResults, "get_or_compute", obtain):
        pipeline.run()
    shutil.rmtree(store.root)
    return found


def bits(files):
    """The hash of each file of a result; the figures of each point inside the stage count as a file of their own."""
    found = [each for each in files.rglob("*") if each.is_file() and each.name not in (LOG, MACHINE, FIGURES)]
    content = {path.relative_to(files).as_posix(): path.read_bytes() for path in found}
    if (files / FIGURES).exists():
        figures = json.loads((files / FIGURES).read_text())
        points = {f"points/{point}/{FIGURES}": each for point, each in figures.pop("points").items()}
        content |= {name: json.dumps(each).encode() for name, each in ({FIGURES: figures} | points).items()}
    return {name: hashlib.sha256(each).hexdigest() for name, each in content.items()}


def are_other(before, after):
    """Whether two results differ in bits; that one of them keeps a further point inside the stage is no difference."""
    names = before.keys() ^ after.keys()
    both = before.keys() & after.keys()
    return any(not each.startswith("points/") for each in names) or any(before[each] != after[each] for each in both)


def compare(before, after):
    """Which results have other bits, and which have another key; those with other bits must have another key."""
    names = before.keys() & after.keys()
    other_bits = {name for name in names if are_other(before[name][1], after[name][1])}
    other_keys = {name for name in names if before[name][0] != after[name][0]}
    assert other_bits <= other_keys, f"other bits under the same key: {sorted(other_bits - other_keys)}"
    return other_bits, other_keys


# -- the tests ---------------------------------------------------------------------------------------

OPTIONS = list(all_options())

QUICK = ("training", "backbone/tiny", "pruner/mask", "bias/bias-logistic", "evaluator/worst-group")
"""What is run each time; the rest with the slow tests."""


def marked(option):
    return pytest.param(option, id=str(option), marks=() if option.scene in QUICK else pytest.mark.slow)


def test_the_options_are_those_of_all_components():
    scenes = {each.scene for each in OPTIONS}
    assert len(scenes) == 1 + sum(map(has_options, REGISTRY))
    some = {"training:training.epochs", "pruner/mask:stages.-1.pruner.phi", "dataset/pairs:dataset.ood.odd.collapse"}
    assert some <= set(map(str, OPTIONS))
    known = {each.own for each in OPTIONS} | {each.key for each in OPTIONS} | {f"*.{each.name}" for each in OPTIONS}
    assert set(ALONG) | set(ELSEWHERE) | set(MAY_COUNT) <= known


@pytest.mark.parametrize("scene", sorted({each.scene for each in OPTIONS}))
def test_each_option_has_another_value_or_a_reason(scene, home, monkeypatch):
    for option in (each for each in OPTIONS if each.scene == scene):
        assert changed(option, home, monkeypatch) or ELSEWHERE[option.own]


@pytest.mark.long
@pytest.mark.parametrize("option", [marked(each) for each in OPTIONS])
def test_a_change_of_an_option_that_changes_the_bits_changes_the_key(option, home, monkeypatch):
    recipes = changed(option, home, monkeypatch)
    if recipes is None:
        return
    other_bits, other_keys = compare(*(run(recipe, home, monkeypatch) for recipe in recipes))
    field = option.owner.model_fields[option.name]
    if option.name in PROGRESS or is_location(field):
        assert not other_keys
    elif not {option.own, option.key, f"*.{option.name}"} & set(MAY_COUNT):
        assert bool(other_keys) == bool(other_bits), "another key for the same bits: MAY_COUNT must say why"


NO_RESULT = {
    "name": "another",
    "description": "of something else",
    "requires": ["srframework"],
    "claim": {"statement": "S.", "checks": ["id(last) >= 0"]},
    "variants": {"more": {"training": {"epochs": 9}}},
    "figure": {"plot": {"all": "last"}},
}
"""Keys of a recipe that bear on no result, and another value."""
OF_RESULTS = {"version", "seed", "backbone", "dataset", "evaluators", "bias", "training", "variant", "sweep", "stages"}
"""The others; what they choose is in the tests above and below."""


def test_keys_of_a_recipe_that_bear_on_no_result_do_not_count(home, monkeypatch):
    assert set(RecipeTable.model_fields) == NO_RESULT.keys() | OF_RESULTS
    before = recipe_of("training")
    assert compare(run(before, home, monkeypatch), run(before | NO_RESULT, home, monkeypatch)) == (set(), set())


def test_the_seed_changes_bits_and_key(home, monkeypatch):
    before = recipe_of("training")
    other_bits, other_keys = compare(run(before, home, monkeypatch), run(before | {"seed": 2}, home, monkeypatch))
    assert len(other_bits) == len(other_keys) == 2


def test_an_evaluator_more_changes_what_is_measured_and_what_may_be_chosen(home, monkeypatch):
    before = recipe_of("training")
    after = before | {"evaluators": ["f1"]}
    _, other_keys = compare(run(before, home, monkeypatch), run(after, home, monkeypatch))
    assert len(other_keys) == 2
    last = [each | {"training": each["training"] | {"keep": "last"}} for each in (before, after)]
    _, other_keys = compare(*(run(each, home, monkeypatch) for each in last))
    assert {kind for _, kind, _ in other_keys} == {"measured"}


FILES = {
    "dataset/pairs": ["pairs/train.tsv", "pairs/dev.tsv", "pairs/test.tsv", "pairs/odd.tsv", "pairs/extra.tsv"],
    "backbone/encoder": ["model/model.safetensors"],
    "bias/bias-file": ["bias-1.npy"],
}


@pytest.mark.long
@pytest.mark.parametrize(("scene", "file"), [(scene, file) for scene, files in FILES.items() for file in files])
def test_the_content_of_a_file_counts(scene, file, home, monkeypatch):
    recipe, path = recipe_of(scene), home / file
    before, content = run(recipe, home, monkeypatch), path.read_bytes()
    if path.suffix == ".tsv":
        path.write_bytes(content.replace(b" 3 runs", b" cat runs"))
    elif path.suffix == ".npy":
        path.write_bytes((home / "bias-2.npy").read_bytes())
    else:
        path.write_bytes(content[:-16] + content[-8:] + content[-16:-8])
    try:
        other_bits, _ = compare(before, run(recipe, home, monkeypatch, anew=True))
        assert other_bits
    finally:
        path.write_bytes(content)
        clear_shared_materials()
        _run.cache_clear()


@pytest.mark.parametrize(
    ("scene", "old", "new"),
    [
        ("dataset/pairs", "vectors-1.vec", "moved.vec"),
        ("bias/bias-file", "bias-1.npy", "moved.npy"),
    ],
)
def test_a_file_that_moved_is_the_same(scene, old, new, home, monkeypatch):
    shutil.copyfile(home / old, home / new)
    before = recipe_of(scene)
    after = json.loads(json.dumps(before).replace(f'"{old}"', f'"{new}"'))
    assert compare(run(before, home, monkeypatch), run(after, home, monkeypatch)) == (set(), set())
