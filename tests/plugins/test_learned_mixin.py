"""The learned mixin: by hand, against scipy, by finite differences; its own parameter. Float64."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import scipy.special
import scipy.stats
import torch
from pydantic import ValidationError
from small_context import context

from srf_debiasers.learned_mixin import LearnedMixin
from srf_debiasers.options import LearnedMixinOptions
from srframework import BackboneError, LossInputs
from srframework.training.optimization import own_parameters

MAIN, BIAS = [1 / 2, 1 / 4, 1 / 4], [1 / 8, 1 / 8, 3 / 4]


def mixin(weight: list[float] | None = None, **options: float) -> LearnedMixin:
    """A mixin with this w, or with a random one of 4 entries."""
    made = LearnedMixin(LearnedMixinOptions(**options))
    made.attach(context(hidden_size=4 if weight is None else len(weight)))
    if weight is not None:
        with torch.no_grad():
            own_parameters(made)[0].copy_(torch.tensor(weight))
    return made


def batch(main, labels, bias, hidden) -> LossInputs:
    main, bias, hidden = (torch.as_tensor(np.asarray(each), dtype=torch.float64) for each in (main, bias, hidden))
    labels = torch.as_tensor(labels)
    return LossInputs(main.log(), labels, torch.arange(len(labels)), bias_log_probs=bias.log(), hidden=hidden)


def trusting(g: float) -> list[float]:
    """The h for which w = (1) gives softplus(w·h) = g."""
    return [math.log(math.expm1(g))]


@pytest.mark.parametrize(
    ("g", "label", "mixed", "scaled"),
    [
        (1.0, 0, [2 / 9, 1 / 9, 6 / 9], [1 / 8, 1 / 8, 6 / 8]),
        (1.0, 2, [2 / 9, 1 / 9, 6 / 9], [1 / 8, 1 / 8, 6 / 8]),
        (2.0, 1, [2 / 39, 1 / 39, 36 / 39], [1 / 38, 1 / 38, 36 / 38]),
    ],
)
@pytest.mark.parametrize("entropy", [0.0, 0.5])
def test_by_hand(g, label, mixed, scaled, entropy):
    expected = -math.log(mixed[label]) - entropy * sum(p * math.log(p) for p in scaled)
    loss = mixin([1.0], entropy=entropy).loss(batch([MAIN], [label], [BIAS], [trusting(g)]))
    assert loss.item() == pytest.approx(expected, abs=1e-6)


def test_without_evidence_the_trust_is_log_2():
    g = math.log(2)
    expected = math.log(1 + 3**g)  # p_m is even; (1/4)^g against (3/4)^g
    loss = mixin([0.3, -0.2]).loss(batch([[0.5, 0.5]], [0], [[1 / 4, 3 / 4]], [[0.0, 0.0]]))
    assert loss.item() == pytest.approx(expected, abs=1e-6)


def test_a_model_that_trusts_the_bias_not_at_all_is_trained_by_cross_entropy():
    loss = mixin([1.0]).loss(batch([MAIN], [1], [BIAS], [[-60.0]]))
    assert loss.item() == pytest.approx(math.log(4), abs=1e-6)


@pytest.mark.parametrize("entropy", [0.0, 0.03, 2.0])
def test_it_is_the_formula_of_the_paper(entropy):
    draw = np.random.default_rng(0)
    main, bias = draw.dirichlet(np.ones(3), size=(2, 50))
    hidden, labels = draw.normal(size=(50, 4)), draw.integers(0, 3, size=50)
    made = mixin(entropy=entropy)
    w = own_parameters(made)[0].detach().numpy().astype(np.float64)
    scaled = np.logaddexp(0, hidden @ w)[:, None] * np.log(bias)
    mixed = scipy.special.log_softmax(np.log(main) + scaled, axis=1)
    spread = scipy.stats.entropy(scipy.special.softmax(scaled, axis=1), axis=1)
    expected = -mixed[np.arange(50), labels].mean() + entropy * spread.mean()
    assert made.loss(batch(main, labels, bias, hidden)).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("entropy", [0.0, 0.5])
def test_its_gradient_is_that_of_finite_differences(entropy):
    draw = np.random.default_rng(1)
    main, bias = draw.dirichlet(np.ones(3), size=(2, 5))
    given, made = batch(main, [0, 1, 2, 2, 0], bias, draw.normal(size=(5, 4))), mixin(entropy=entropy)

    def loss(logits, hidden, weight):
        made._weight = weight
        return made.loss(replace(given, logits=logits, hidden=hidden))

    wanted = (given.logits, given.hidden, own_parameters(made)[0].detach().double())
    assert torch.autograd.gradcheck(loss, [each.requires_grad_() for each in wanted])


def test_its_parameter_gets_the_gradient_worked_out_by_hand():
    # p_m even, g = softplus(0) = ln 2, dg/dw = σ(0)·h = 1; dL/dg = Σ_j (q_j − y_j) log p_b,j
    made, given = mixin([0.0]), batch([[0.5, 0.5]], [0], [[1 / 4, 3 / 4]], [[2.0]])
    made.loss(given).backward()
    q = 1 / (1 + 3 ** math.log(2))
    expected = (q - 1) * math.log(1 / 4) + (1 - q) * math.log(3 / 4)
    assert own_parameters(made)[0].grad.item() == pytest.approx(expected, abs=1e-6)


def test_an_optimizer_moves_what_parameters_gave():
    made, given = mixin([0.1, 0.1]), batch([[0.5, 0.5]] * 2, [0, 1], [[1 / 4, 3 / 4]] * 2, [[1.0, 0.0], [0.0, 1.0]])
    optimizer, before = torch.optim.SGD(own_parameters(made), lr=1.0), made.loss(given).item()
    made.loss(given).backward()
    optimizer.step()
    first, second = own_parameters(made)[0].tolist()
    assert first < 0.1 < second  # the bias misleads in the first example, and helps in the second
    assert made.loss(given).item() < before


def test_the_parameter_is_drawn_by_the_generator_as_linear_layers_are():
    def drawn(seed: int) -> torch.Tensor:
        made = LearnedMixin(LearnedMixinOptions())
        made.attach(context(hidden_size=64, generator=torch.Generator().manual_seed(seed)))
        [weight] = own_parameters(made)
        return weight

    first = drawn(1)
    assert isinstance(first, torch.nn.Parameter)
    assert (first.shape, first.dtype, first.device.type) == ((64,), torch.float32, "cpu")
    assert torch.equal(first, drawn(1))
    assert not torch.equal(first, drawn(2))
    assert 0.1 < first.abs().max() <= 1 / 8


def test_a_second_stage_begins_anew():
    made = mixin([1.0])
    old = own_parameters(made)[0]
    made.attach(context(hidden_size=3))
    assert own_parameters(made)[0] is not old
    assert own_parameters(made)[0].shape == (3,)


def test_before_a_stage_begins_there_is_nothing_to_train():
    assert own_parameters(LearnedMixin(LearnedMixinOptions())) == []


def test_the_parameter_stays_where_it_is_when_the_batch_is_elsewhere():
    made, given = mixin([1.0]), batch([MAIN], [0], [BIAS], [[1.0]])
    labels, elsewhere = given.labels.to("meta"), [given.logits, given.bias_log_probs, given.hidden]
    logits, bias, hidden = (each.float().to("meta") for each in elsewhere)
    assert (
        made.loss(replace(given, logits=logits, labels=labels, bias_log_probs=bias, hidden=hidden)).device.type
        == "meta"
    )
    assert own_parameters(made)[0].device.type == "cpu"


def test_a_hidden_layer_in_half_precision_is_taken():
    made, given = mixin([1.0]), batch([MAIN], [0], [BIAS], [[0.5]])
    half = replace(
        given,
        logits=given.logits.float(),
        bias_log_probs=given.bias_log_probs.float(),
        hidden=given.hidden.bfloat16(),
    )
    assert made.loss(half).dtype == torch.float32
    assert made.loss(half).item() == pytest.approx(made.loss(given).item(), rel=1e-6)


def test_a_model_whose_classifier_is_not_known_is_refused():
    with pytest.raises(BackboneError, match="learned-mixin: expected a backbone with a classifier"):
        LearnedMixin(LearnedMixinOptions()).attach(context(hidden_size=0))


@pytest.mark.parametrize("entropy", [-0.1, float("inf")])
def test_a_weight_of_the_entropy_out_of_range_is_refused(entropy):
    with pytest.raises(ValidationError, match="entropy"):
        LearnedMixinOptions(entropy=entropy)
