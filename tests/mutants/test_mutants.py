"""The checks find wrong components, each by the check that names the fault."""

from __future__ import annotations

import pytest
from mutants import evaluators
from mutants.backbones import BACKBONES, SoundModel
from mutants.bias_models import BIAS_MODELS, NoOptions, SoundBias
from mutants.datasets_of_tasks import DATASETS, Size, SoundTask
from mutants.evaluators_robust import ROBUST
from mutants.losses import DEBIASERS, SOUND_DEBIASERS, Smoothing
from mutants.pruners import MASKS
from mutants.pruners_in_training import TRAINING
from mutants.pruners_with_effects import EFFECTS
from mutants.sound_pruners import SOUND, Sparsity

from srframework import Component
from srframework.testing import check_component, checks_of
from srframework.testing.check import Subject, run_check


def component(factory, kind):
    classes = {"pruner": Sparsity, "debiaser": Smoothing, "evaluator": evaluators.Cased, "dataset": Size}
    options = classes.get(kind, NoOptions)
    requires = {"debiaser": ["bias"], "bias": ["spurious-features"], "dataset": ["evaluator/accuracy"]}.get(kind, ())
    requires = getattr(factory, "requires", requires)
    provides = ["spurious-features"] if kind == "dataset" else ()
    name = factory.__name__.lower()
    return Component(name, options, factory, "Wrong.", "here", requires=requires, provides=provides)


TABLES = {
    "pruner": MASKS | TRAINING | EFFECTS,
    "debiaser": DEBIASERS,
    "bias": BIAS_MODELS,
    "evaluator": evaluators.EVALUATORS | ROBUST,
    "dataset": DATASETS,
    "backbone": BACKBONES,
}
ALL = [(kind, factory, name) for kind, table in TABLES.items() for factory, name in table.items()]
SLOW = {"resumes_with_same_bits", "exact_counts", "same_rows_in_another_process"}


@pytest.mark.parametrize(
    ("kind", "factory", "name"),
    [
        pytest.param(kind, factory, name, id=f"{kind}-{factory.__name__}", marks=[pytest.mark.long] * (name in SLOW))
        for kind, factory, name in ALL
    ],
)
def test_the_check_that_names_the_fault_finds_it(kind, factory, name):
    [check] = [each for each in checks_of(kind) if each.name == name]
    result = run_check(check, Subject(kind, component(factory, kind)))
    assert result.outcome == "failed", f"{factory.__name__} is not found by {name}: {result}"
    assert result.reason


def test_there_are_at_least_a_hundred():
    assert len(ALL) >= 100


SOUND_ONES = [
    *[("pruner", each) for each in SOUND],
    *[("debiaser", each) for each in SOUND_DEBIASERS],
    ("bias", SoundBias),
    ("evaluator", evaluators.Sound),
    ("dataset", SoundTask),
    ("backbone", SoundModel),
]


@pytest.mark.long
@pytest.mark.parametrize(
    ("kind", "factory"), [pytest.param(*each, id=f"{each[0]}-{each[1].__name__}") for each in SOUND_ONES]
)
def test_the_sound_components_that_the_faults_derive_from_pass(kind, factory):
    failed = [
        f"{result.check.name}: {result.reason}"
        for result in check_component(component(factory, kind), kind)
        if result.outcome == "failed"
    ]
    assert not failed
