"""What a stage's hash hangs on, and what not."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from srframework.errors import DataError
from srframework.recipe.check import load_recipe
from srframework.registry.discovery import discover
from srframework.registry.registry import Registry
from srframework.run import identity

RECIPE = """
name = "Told apart"
schema = 1
seed = 1
backbone = { use = "tiny", layers = 1 }
dataset = { use = "synthetic", train_size = 24 }
training = { max_steps = 4 }

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

[[stages]]
name = "ticket"
op = "train"
mask = "srnet"
loss = { use = "confreg", teacher = "full" }
"""


@pytest.fixture(scope="module")
def registry():
    return Registry(discover())


@pytest.fixture
def signatures(tmp_path, registry):
    def signatures(*overrides, text=RECIPE, name="recipe.toml"):
        (tmp_path / name).write_text(text)
        return identity.signatures(load_recipe(tmp_path / name, registry, overrides))

    return signatures


@pytest.mark.parametrize(
    "override",
    [
        "name=Another",
        "description=Of something else",
        *("training.log_every=1", "training.eval_ood=true"),
        *("training.checkpoint_steps=1", "training.checkpoint_seconds=0"),
        "training.epochs=7",  # max_steps counts
    ],
)
def test_what_changes_nothing_is_not_in_it(signatures, override):
    assert signatures(override) == signatures()


@pytest.mark.parametrize(
    ("override", "changed"),
    [
        ("seed=2", {"full", "srnet", "ticket"}),
        ("training.keep=last", {"full", "srnet", "ticket"}),
        ("backbone.layers=2", {"full", "srnet", "ticket"}),
        ("dataset.train_size=48", {"full", "srnet", "ticket"}),
        ("training.batch_size=8", {"full", "srnet", "ticket"}),
        ("stages.full.max_steps=5", {"full", "srnet", "ticket"}),
        ("stages.srnet.pruner.sparsity=0.6", {"srnet", "ticket"}),
        ("stages.srnet.weights=full@2", {"srnet", "ticket"}),
        ("stages.ticket.loss.teacher=full@2", {"ticket"}),
        ("stages.ticket.learning_rate=1e-3", {"ticket"}),
        ("bias={ use = 'bias-logistic', c = 1.0 }", {"srnet", "ticket"}),
        ("evaluators=['accuracy', 'sparsity', 'f1']", {"full", "srnet", "ticket"}),
    ],
)
def test_what_changes_a_stage_changes_it_and_all_that_build_on_it(signatures, override, changed):
    before, after = signatures(), signatures(override)
    assert {name for name in before if before[name] != after[name]} == changed


def test_names_of_stages_and_stages_beside_it_do_not_count(signatures):
    renamed = signatures(text=RECIPE.replace("full", "finetuned").replace("srnet", "found"))
    assert list(renamed.values()) == list(signatures().values())
    alone = RECIPE[: RECIPE.index('[[stages]]\nname = "srnet"')]
    assert signatures(text=alone) == {"full": signatures()["full"]}


def test_two_stages_that_say_the_same_are_one(signatures):
    again = '[[stages]]\nname = "again"\nop = "train"\nloss = "std"\n'
    found = signatures(text=RECIPE + again)
    assert found["again"] == found["full"]


def test_the_order_of_keys_does_not_count_and_the_hash_is_that_of_plain_json():
    assert identity.digest({"b": [1, None], "a": "θ"}) == identity.digest({"a": "θ", "b": [1, None]})
    # printf '{"a":"x"}' | sha256sum
    assert identity.digest({"a": "x"}) == "bac82bcae3ff0e486fd02d6dce53dc6444bcbd21f6ab5dea0a69e86e8b723b7f"


def test_of_a_file_to_read_the_content_counts_and_not_the_path(signatures, tmp_path):
    def with_file(name, content):
        (tmp_path / name).write_text(content)
        return signatures(f"bias={{ use = 'bias-file', path = '{tmp_path / name}' }}")["srnet"]

    assert with_file("a.jsonl", "[0.5]") == with_file("b.jsonl", "[0.5]")
    assert with_file("a.jsonl", "[0.5]") != with_file("a.jsonl", "[0.6]")


# -- components ------------------------------------------------------------------------------------


def identities(recipe):
    """Of each stage, with one model and one data set in all cases: what was loaded is the same."""
    keys = {}
    for stage in recipe.stages:
        keys[stage.name] = identity.digest(identity.stage_identity(recipe, stage, keys, {"pretrained": "θ"}))
    return keys


def of_another(use, **changes):
    """A component as another version, or other code, of its plugin."""
    return replace(use, registered=replace(use.registered, plugin=replace(use.registered.plugin, **changes)))


OTHERS = [{"version": "0.0.1"}, {"code": SimpleNamespace(digest=lambda: "other", check=lambda: None)}]


@pytest.fixture
def recipe(tmp_path, registry):
    (tmp_path / "recipe.toml").write_text(RECIPE)
    return load_recipe(tmp_path / "recipe.toml", registry)


@pytest.mark.parametrize("other", OTHERS, ids=["version", "code"])
@pytest.mark.parametrize(
    ("part", "changed"),
    [
        ("backbone", {"full", "srnet", "ticket"}),
        ("evaluators", {"full", "srnet", "ticket"}),
        ("bias", {"srnet", "ticket"}),
        ("dataset", set()),  # its rows count
    ],
)
def test_version_and_code_of_every_component_that_took_part_count(recipe, part, changed, other):
    use = getattr(recipe, part)
    new = tuple(of_another(each, **other) for each in use) if isinstance(use, tuple) else of_another(use, **other)
    before, after = identities(recipe), identities(replace(recipe, **{part: new}))
    assert {name for name in before if before[name] != after[name]} == changed


@pytest.mark.parametrize("other", OTHERS, ids=["version", "code"])
@pytest.mark.parametrize("part", ["loss", "pruner"])
def test_version_and_code_of_loss_and_pruner_count(recipe, part, other):
    full, srnet, ticket = recipe.stages
    new = replace(recipe, stages=(full, replace(srnet, **{part: of_another(getattr(srnet, part), **other)}), ticket))
    before, after = identities(recipe), identities(new)
    assert {name for name in before if before[name] != after[name]} == {"srnet", "ticket"}


def test_options_of_the_backbone_count_and_where_it_is_loaded_from_does_not(tmp_path, registry):
    def keys(**options):
        text = RECIPE.replace('use = "tiny", layers = 1', 'use = "encoder", path = "here"')
        (tmp_path / "recipe.toml").write_text(text)
        found = load_recipe(tmp_path / "recipe.toml", registry)
        own = found.backbone.options.model_copy(update=options)
        return identities(replace(found, backbone=replace(found.backbone, options=own)))

    assert keys() == keys(path="elsewhere", revision="main")
    assert not set(keys().values()) & set(keys(dropout=0.3).values())


def test_a_file_that_changes_while_the_recipe_runs_is_refused(tmp_path, registry):
    file = tmp_path / "bias.json"
    file.write_text("[]")
    (tmp_path / "recipe.toml").write_text(RECIPE)
    found = load_recipe(tmp_path / "recipe.toml", registry, [f"bias={{ use = 'bias-file', path = '{file}' }}"])
    components = identity.Components(identity.uses(found))
    components.check()
    before = components(found.bias)
    file.write_text("[1]")
    assert components(found.bias) == before
    with pytest.raises(DataError, match=r"^bias model 'bias-file' of srframework .*: path: a file was changed while"):
        components.check()


def test_the_bias_model_counts_for_every_stage_if_an_evaluator_requires_it(signatures):
    """The figures of dev that the log has depend on it, and one of them may choose the checkpoint."""
    before, after = signatures(), signatures("bias.c=0.5", "bias.use=bias-logistic")
    assert {name for name in before if before[name] != after[name]} == {"srnet", "ticket"}
    with_groups = "evaluators=['bias-groups']"
    before, after = signatures(with_groups), signatures(with_groups, "bias.c=0.5", "bias.use=bias-logistic")
    assert {name for name in before if before[name] != after[name]} == {"full", "srnet", "ticket"}
    last = "training.keep=last"
    before, after = signatures(with_groups, last), signatures(with_groups, last, "bias.c=0.5", "bias.use=bias-logistic")
    assert {name for name in before if before[name] != after[name]} == {"srnet", "ticket"}
