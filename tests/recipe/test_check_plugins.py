"""Recipes whose components come from several plugins."""

from __future__ import annotations

from typing import Any

import pytest
from checked_recipe import RECIPE
from pydantic import Field

from srframework.component import Component, Options
from srframework.errors import PluginError
from srframework.registry.discovery import Plugin
from srframework.registry.registry import Registry


def other(kind: str, name: str, **fields: object) -> Plugin:
    about = {"options": Options, "factory": "m:C", "summary": "x", "source": "x"}
    return Plugin("other", "1", "e", "m", "loaded", components=((kind, Component(name=name, **(about | fields))),))


def test_a_name_that_two_plugins_have_is_a_problem_until_the_full_name_is_used(read, problems, registry):
    both = Registry([*registry.plugins, other("pruner", "mask")])
    assert problems(RECIPE, registry=both) == [
        "r.toml:19: stages.srnet.pruner.use: pruner 'mask' is provided by more than one plugin; "
        "expected one of: other/mask, srframework/mask"
    ]
    recipe = read(RECIPE, "stages.srnet.pruner.use=srframework/mask", registry=both)
    assert recipe.stages[1].pruner.registered.full_name == "srframework/mask"


def test_a_required_evaluator_that_two_plugins_have_is_chosen_by_listing_one(read, problems, registry):
    both = Registry([*registry.plugins, other("evaluator", "accuracy")])
    assert problems(RECIPE, registry=both) == [
        "r.toml:8: dataset.use: evaluator 'accuracy' is provided by more than one plugin; "
        "expected one of: other/accuracy, srframework/accuracy"
    ]
    recipe = read(RECIPE, "evaluators=['other/accuracy']", registry=both)
    assert [use.registered.full_name for use in recipe.evaluators] == ["other/accuracy", "srframework/sparsity"]


class Late(Options):
    after: Any = Field(0.25, description="What it has as the default of best_after.")

    def default_best_after(self, fine_tuned: bool) -> float:
        return self.after if fine_tuned else 0.125


@pytest.mark.parametrize(
    ("overrides", "best_after"),
    [
        ([], 0.25),
        (["stages.srnet.weights=pretrained"], 0.125),
        (["stages.srnet.best_after=0.5"], 0.5),
        (["stages.srnet.best_after=0"], 0.0),
        (["training.best_after=0.5"], 0.5),
        (["stages.srnet.pruner.after=1"], 1.0),
    ],
)
def test_a_pruner_has_a_default_of_its_own_for_when_the_best_checkpoint_may_come(read, registry, overrides, best_after):
    more = Registry([*registry.plugins, other("pruner", "scores", options=Late)])
    recipe = read(RECIPE.replace('"mask", sparsity = 0.5', '"scores"'), *overrides, registry=more)
    assert recipe.stages[1].training.best_after == best_after


@pytest.mark.parametrize(("after", "got"), [("1.5", "1.5"), ("-1", "-1"), ("'a'", "a value of type str")])
def test_a_default_that_is_no_share_is_the_plugins_fault(read, registry, after, got):
    more = Registry([*registry.plugins, other("pruner", "scores", options=Late)])
    text = RECIPE.replace('"mask", sparsity = 0.5', f'"scores", after = {after}')
    with pytest.raises(PluginError) as refused:
        read(text, registry=more)
    assert "pruner 'scores' of other 1" in str(refused.value)
    assert f"its default_best_after() must return a number in [0, 1] (got {got})" in str(refused.value)


def test_without_any_bias_model_a_loss_that_needs_one_says_so(problems, registry):
    bare = Registry([plugin for plugin in registry.plugins if plugin.name != "debiasers"])
    needy = Registry([*bare.plugins, other("debiaser", "poe", requires=["bias"]), other("debiaser", "std")])
    assert problems(RECIPE, registry=needy) == [
        "r.toml:20: stages.srnet.loss.use: debiaser 'poe' needs a bias model; expected a [bias] table with one of: "
        "none is installed"
    ]


def test_whatever_a_loss_requires_must_come_from_the_data_set(problems, registry):
    strange = Registry([*registry.plugins, other("debiaser", "strange", requires=["moon-phase"])])
    assert problems(RECIPE, "stages.srnet.loss=strange", registry=strange) == [
        "--set stages.srnet.loss=strange: stages.srnet.loss.use: expected a data set that provides moon-phase, "
        "which debiaser 'strange' of other 1 requires; got 'synthetic'"
    ]


@pytest.mark.parametrize(
    ("kind", "table", "key"),
    [("evaluator", "evaluators=['strange']", "evaluators"), ("backbone", "backbone=strange", "backbone.use")],
)
def test_whatever_another_component_requires_must_come_from_the_data_set_too(problems, registry, kind, table, key):
    strange = Registry([*registry.plugins, other(kind, "strange", requires=["moon-phase"])])
    (problem,) = problems(RECIPE, table, registry=strange)
    assert problem.endswith(
        f"{key}: expected a data set that provides moon-phase, which {kind} 'strange' of other 1 requires; "
        "got 'synthetic'"
    )


def test_an_evaluator_may_require_what_the_data_set_provides(read, registry):
    strange = Registry([*registry.plugins, other("evaluator", "strange", requires=["spurious-features"])])
    recipe = read(RECIPE, "evaluators=['strange']", registry=strange)
    assert [use.registered.name for use in recipe.evaluators] == ["strange", "accuracy", "sparsity"]


def test_a_data_set_can_require_evaluators_only(problems, registry):
    strange = Registry([*registry.plugins, other("dataset", "strange", requires=["bias", "evaluator/f1"])])
    (problem,) = problems(RECIPE, "dataset=strange", 'stages.srnet.loss="std"', registry=strange)
    assert problem.endswith(
        "dataset 'strange' of other 1 requires bias; a data set can require \"evaluator/NAME\" only"
    )


class Weighed(Options):
    weight: float = Field(1.0, description="A number.")


def test_an_evaluator_may_be_listed_with_several_options_and_the_same_twice_counts_once(read, registry):
    more = Registry([*registry.plugins, other("evaluator", "weighed", options=Weighed)])
    listed = 'evaluators=["weighed", { use = "weighed", weight = 2.0 }, { use = "weighed", weight = 1.0 }]'
    uses = [use for use in read(RECIPE, listed, registry=more).evaluators if use.registered.name == "weighed"]
    assert [use.options.weight for use in uses] == [1.0, 2.0]
