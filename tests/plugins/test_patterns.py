"""The option ``pattern``: N of M neighbours, blocks of neighbours, whole rows."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from small_context import context

from srf_pruners.imp import IterativeMagnitudePruning
from srf_pruners.mask import MaskTraining
from srf_pruners.mask_options import MaskOptions
from srf_pruners.one_shot import OneShotMagnitudePruning, RandomPruning
from srf_pruners.options import ImpOptions, OneShotOptions
from srframework import Mask, Pattern, PruneOptions, UsageError, keep_highest
from srframework.testing import network

ROWS = torch.tensor([[1.0, 9.0, 3.0, 4.0], [8.0, 2.0, 2.0, 2.0], [0.0, 0.0, 7.0, 5.0]])


def kept(text: str, sparsity: float, **more) -> list[list[int]]:
    return keep_highest({"a": ROWS}, sparsity, pattern=Pattern.parse(text), **more)["a"].int().tolist()


def test_two_of_four_are_kept_and_among_ties_the_first():
    assert kept("2:4", 0.5) == [[0, 1, 0, 1], [1, 1, 0, 0], [0, 0, 1, 1]]


def test_one_of_two_is_kept():
    assert kept("1:2", 0.5) == [[0, 1, 0, 1], [1, 0, 1, 0], [1, 0, 1, 0]]


def test_neighbours_are_kept_by_their_sum():
    # Sums: 10 7 | 10 4 | 0 12. Half of 6 units: the three highest; of the equal 10s both are kept.
    assert kept("1x2", 0.5) == [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1]]


def test_rows_are_kept_by_their_sum():
    # Sums: 17, 14, 12. A third of 3 rows is one row.
    assert kept("row", 1 / 3) == [[1, 1, 1, 1], [1, 1, 1, 1], [0, 0, 0, 0]]


def test_units_that_are_pruned_stay_pruned():
    before = {"a": torch.tensor([[False] * 4, [True] * 4, [True] * 4])}
    assert kept("row", 2 / 3, remaining=before) == [[0] * 4, [1] * 4, [0] * 4]


def test_blocks_of_rows_have_the_sparsity_each():
    assert kept("row", 0.5, blocks={"a": [1, 2]}) == [[1] * 4, [1] * 4, [0] * 4]


def test_matrices_together_have_the_sparsity_in_units():
    scores = {"a": torch.tensor([[1.0, 1.0, 5.0, 5.0]]), "b": torch.tensor([[2.0, 2.0]])}
    found = keep_highest(scores, 1 / 3, "global", pattern=Pattern.parse("1x2"))
    assert {name: each.int().tolist() for name, each in found.items()} == {"a": [[0, 0, 1, 1]], "b": [[1, 1]]}


def test_another_sparsity_than_that_of_the_pattern_is_refused():
    with pytest.raises(ValueError, match=r'expected a sparsity of 0\.5 with "2:4", got 0\.7'):
        kept("2:4", 0.7)


@given(
    rows=st.integers(1, 5),
    groups=st.integers(1, 4),
    text=st.sampled_from(["2:4", "1:4", "3:4", "1x4", "1x2", "row"]),
    sparsity=st.floats(0, 0.99),
    seed=st.integers(0, 1000),
)
def test_the_counts_are_exact(rows, groups, text, sparsity, seed):
    pattern = Pattern.parse(text)
    sparsity = sparsity if pattern.sparsity is None else pattern.sparsity
    # Few different scores, so that there are ties.
    scores = torch.randint(0, 4, (rows, 4 * groups), generator=torch.Generator().manual_seed(seed)).float()
    mask = keep_highest({"a": scores}, sparsity, pattern=pattern)["a"]
    units = mask.reshape(rows, -1, pattern.group or 4 * groups)
    if pattern.kept is not None:
        assert (units.sum(2) == pattern.kept).all()
        return
    assert (units.all(2) == units.any(2)).all()
    assert int((~units.any(2)).sum()) == round(sparsity * units.shape[0] * units.shape[1])
    sums = scores.reshape(units.shape).sum(2)
    if units.any() and not units.any(2).all():
        assert sums[units.any(2)].min() >= sums[~units.any(2)].max()


@pytest.mark.parametrize("text", ["4:2", "2:2", "0:4", "2/4", "1x1", "2x4", "rows", "", "1:100"])
def test_other_texts_are_refused(text):
    with pytest.raises(ValidationError, match='"N:M" with N < M'):
        PruneOptions(pattern=text)


@pytest.mark.parametrize(
    ("options", "given_options", "message"),
    [
        (OneShotOptions, {"pattern": "2:4"}, 'sparsity = 0.5 with pattern = "2:4", got 0.7'),
        (OneShotOptions, {"pattern": "1:4", "sparsity": 0.5}, 'sparsity = 0.75 with pattern = "1:4", got 0.5'),
        (ImpOptions, {"pattern": "2:4", "sparsity": 0.5}, 'step = 0.5 with pattern = "2:4", got 0.1'),
        (
            OneShotOptions,
            {"pattern": "2:4", "sparsity": 0.5, "scope": "global"},
            'scope = "local" with pattern = "2:4", got "global"',
        ),
        (OneShotOptions, {"pattern": "row", "classifier": False, "scope": "global"}, 'scope = "local" with'),
        (OneShotOptions, {"pattern": "row"}, 'classifier = false with pattern = "row", got true'),
        (
            MaskOptions,
            {"pattern": "2:4", "sparsity": 0.5, "schedule": "cubic", "initial_sparsity": 0.2},
            'schedule = "fixed" with pattern = "2:4", got "cubic"',
        ),
    ],
)
def test_options_that_the_pattern_does_not_allow_are_refused(options, given_options, message):
    with pytest.raises(ValidationError) as refused:
        options(**given_options)
    assert message in str(refused.value)


KINDS = {
    "omp": lambda **options: OneShotMagnitudePruning(OneShotOptions(**options)),
    "random": lambda **options: RandomPruning(OneShotOptions(**options)),
    "imp": lambda **options: IterativeMagnitudePruning(ImpOptions(step=options["sparsity"], **options)),
    "mask-hard": lambda **options: MaskTraining(MaskOptions(**options)),
    "mask-soft": lambda **options: MaskTraining(MaskOptions(init="soft", **options)),
}


def units_of(mask: Mask, text: str) -> list[torch.Tensor]:
    group = Pattern.parse(text).group
    return [each.reshape(len(each), -1, group or each.shape[1]) for each in mask.values()]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("text", "sparsity"), [("2:4", 0.5), ("1x4", 0.4), ("row", 0.4)])
def test_each_pruner_gives_the_pattern_before_and_after_steps(kind, text, sparsity):
    made, model = KINDS[kind](pattern=text, sparsity=sparsity, classifier=text != "row"), network()
    made.attach(model, context(steps=4))
    phases = made.phases(4)
    made.begin(phases[0], 0)
    optimizer = torch.optim.AdamW([p for group in made.parameter_groups() for p in group.parameters], lr=0.05)
    for step in range(1, 5):
        tokens = model.tokenizer(["a b c", "d e f"], return_tensors="pt")
        model.model(**tokens).logits.square().sum().backward()
        made.before_step(step - 1)
        optimizer.step()
        optimizer.zero_grad()
        made.after_step(step)
        made.update_mask(step)
        for units in units_of(made.masks(), text):
            if text == "2:4":
                assert (units.sum(2) == 2).all()
            else:
                assert (units.all(2) == units.any(2)).all()
                count = units.shape[0] * units.shape[1]
                assert int((~units.any(2)).sum()) == round(sparsity * count)
        for name, each in made.masks().items():
            assert (model.matrices()[name][~each] == 0).all()


def test_a_unit_has_one_score_that_learns_from_all_of_its_entries():
    made, model = KINDS["mask-soft"](pattern="1x4", sparsity=0.5), network()
    before = model.matrices()["classifier"].detach().clone()
    made.attach(model, context(steps=4))
    scores = dict(zip(made.masks(), (p for g in made.parameter_groups() for p in g.parameters), strict=False))
    (of_classifier,) = [p for g in made.parameter_groups() for p in g.parameters if p.shape == (3, 2)]
    torch.testing.assert_close(of_classifier.detach(), before.abs().reshape(3, 2, 4).sum(2))
    assert len(scores) == len(made.masks())


def test_the_gradient_of_a_unit_is_the_sum_over_its_entries_by_hand():
    made, model = KINDS["mask-hard"](pattern="1x4", sparsity=0.5), network()
    weight = model.matrices()["classifier"].detach().clone()
    made.attach(model, context(steps=4))
    factor = torch.arange(24, dtype=torch.float32).reshape(3, 8)
    (model.model.classifier.weight * factor).sum().backward()
    (of_classifier,) = [p for g in made.parameter_groups() for p in g.parameters if p.shape == (3, 2)]
    torch.testing.assert_close(of_classifier.grad, (factor * weight).reshape(3, 2, 4).sum(2))


def test_a_matrix_that_the_pattern_does_not_divide_is_refused_by_its_name():
    with pytest.raises(
        UsageError, match='pattern "1x5": expected matrices whose rows have a multiple of 5 entries, got 8'
    ):
        KINDS["omp"](pattern="1x5", sparsity=0.5).attach(network(), context(steps=4))
