"""Gradients, the optimizer, precision, and what a loss is given."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
import pytest
import torch
from small_training import PRUNERS, Phased, Recording, assert_same_bits, every_pruner, some_mask
from transformers import RobertaConfig, RobertaForSequenceClassification

from srf_debiasers.losses import Standard
from srf_debiasers.options import NoOptions
from srframework.contracts import LossInputs, Network, ParameterGroup, Phase, TrainingContext
from srframework.fixed_mask import FixedMask
from srframework.masks import Mask
from srframework.training.optimization import own_parameters


class Unclipped(FixedMask):
    """Notes the gradients as they are before they are clipped."""

    def __init__(self, mask: Mask | None = None) -> None:
        super().__init__(mask=mask)
        self.gradients: list[torch.Tensor] = []

    def before_step(self, step: int) -> None:
        super().before_step(step)
        self.gradients = [each.grad.clone().cpu() for each in own_parameters(self) if each.grad is not None]


def norm(tensors: list[torch.Tensor]) -> float:
    return math.sqrt(sum(each.double().square().sum().item() for each in tensors))


class TestGradients:
    def clipped(self, train, optimized, **options) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        pruner = Unclipped()
        train(pruner, max_steps=1, **options)
        return pruner.gradients, optimized.gradients[0]

    @pytest.mark.parametrize("limit", [0.01, 0.2])
    def test_a_global_clip_scales_all_gradients_alike(self, train, optimized, limit):
        raw, clipped = self.clipped(train, optimized, max_grad_norm=limit)
        assert norm(raw) > limit
        assert norm(clipped) == pytest.approx(limit, rel=1e-4)
        for before, after in zip(raw, clipped, strict=True):
            torch.testing.assert_close(after, before * (limit / norm(raw)), rtol=1e-4, atol=1e-9)

    def test_a_clip_per_tensor_scales_each_by_its_own_norm(self, train, optimized):
        limit = 0.05
        raw, clipped = self.clipped(train, optimized, max_grad_norm=limit, clip="per-tensor")
        norms = [norm([each]) for each in raw]
        assert min(norms) < limit < max(norms)
        for before, after, length in zip(raw, clipped, norms, strict=True):
            torch.testing.assert_close(after, before * min(1.0, limit / (length + 1e-6)), rtol=1e-4, atol=1e-9)

    @pytest.mark.parametrize("clip", ["global", "per-tensor"])
    @pytest.mark.parametrize("limit", [0.0, 1e9])
    def test_a_norm_of_zero_or_a_large_one_does_not_clip(self, train, optimized, clip, limit):
        raw, clipped = self.clipped(train, optimized, max_grad_norm=limit, clip=clip)
        assert all(torch.equal(before, after) for before, after in zip(raw, clipped, strict=True))

    def test_the_optimizer_sees_gradients_of_exactly_zero_for_pruned_entries(self, train, make_network, optimized):
        network = make_network()
        mask = some_mask(network)
        pruner = FixedMask(mask=mask)
        train(pruner, network=network, weight_decay=0.1)
        names = [name for name, _ in network.model.named_parameters()]
        for gradients in optimized.gradients:
            by_name = dict(zip(names, gradients, strict=True))
            assert all((by_name[f"{name}.weight"][~matrix] == 0).all() for name, matrix in mask.items())

    def test_every_step_has_the_gradients_of_its_own_batch(self, train, make_examples, optimized):
        options = {"batch_size": 8, "max_steps": 3, "learning_rate": 1e-12, "max_grad_norm": 0.0}
        train(examples=make_examples(8), **options)
        first, *others = optimized.gradients
        for gradients in others:
            for one, other in zip(first, gradients, strict=True):
                torch.testing.assert_close(other, one, rtol=1e-3, atol=1e-6)

    def test_accumulated_gradients_are_those_of_the_bigger_batch(self, train, optimized):
        whole = train(batch_size=8, max_steps=3, max_grad_norm=0.0, learning_rate=1e-3)
        parts = train(batch_size=2, gradient_accumulation=4, max_steps=3, max_grad_norm=0.0, learning_rate=1e-3)
        assert len(optimized.gradients) == 6
        for big, small in zip(optimized.gradients[0], optimized.gradients[3], strict=True):
            torch.testing.assert_close(small, big, rtol=1e-4, atol=1e-7)
        assert [loss for _, loss, _ in parts.steps] == pytest.approx([loss for _, loss, _ in whole.steps], rel=1e-3)

    def test_the_learning_rate_warms_up_and_falls_to_zero(self, train, optimized):
        train(max_steps=6, warmup_steps=2, learning_rate=1.0)
        assert optimized.rates == pytest.approx([0, 0.5, 1.0, 0.75, 0.5, 0.25])

    def test_the_optimizer_is_adamw_with_the_options_given(self, train, make_network):
        network = make_network()
        before = {name: value.clone() for name, value in network.model.state_dict().items()}
        pruner = Unclipped()
        options = {"learning_rate": 0.1, "weight_decay": 0.2, "adam_epsilon": 0.01, "max_grad_norm": 0.0}
        ran = train(pruner, network=network, max_steps=1, **options)
        names = [name for name, _ in network.model.named_parameters()]
        for name, gradient in zip(names, pruner.gradients, strict=True):
            expected = before[name] * (1 - 0.1 * 0.2) - 0.1 * gradient / (gradient.abs() + 0.01)
            torch.testing.assert_close(ran.final.weights[name], expected, rtol=1e-4, atol=1e-6)


class Scaled(Standard):
    """Cross-entropy, times a number."""

    def __init__(self, factor: float) -> None:
        super().__init__(NoOptions())
        self.factor = factor

    def loss(self, inputs: LossInputs) -> torch.Tensor:
        return super().loss(inputs) * self.factor


class Watched(Phased):
    """Notes the gradients of every step."""

    def __init__(self, *phases: Phase) -> None:
        super().__init__(*phases, keeps_best=False)
        self.gradients: list[list[np.ndarray]] = []

    def before_step(self, step: int) -> None:
        self.gradients.append([each.grad.double().cpu().numpy().copy() for each in own_parameters(self)])


def adamw(weights: list[np.ndarray], gradients: list[list[np.ndarray]], rates: list[float], epsilon: float) -> None:
    """The authors' AdamW: ε joins the root of the second moment before that is corrected."""
    first, second = ([np.zeros_like(weight) for weight in weights] for _ in range(2))
    for t, (rate, step) in enumerate(zip(rates, gradients, strict=True), 1):
        for w, m, v, g in zip(weights, first, second, step, strict=True):
            m *= 0.9
            m += 0.1 * g
            v *= 0.999
            v += 0.001 * g**2
            w -= rate * math.sqrt(1 - 0.999**t) / (1 - 0.9**t) * m / (np.sqrt(v) + epsilon)


class TestEpsilon:
    """Gradients are about as large as ε, so that where ε is added decides."""

    OPTIONS: ClassVar[dict[str, float]] = {"learning_rate": 0.3, "adam_epsilon": 1e-6, "max_grad_norm": 0.0}

    def run(self, train, make_network, uncorrected: bool):
        network, pruner = make_network(), Watched(Phase(3), Phase(3))
        names = [name for name, _ in network.model.named_parameters()]
        before = [each.detach().double().numpy().copy() for each in network.model.parameters()]
        ran = train(pruner, Scaled(1e-6), network=network, adam_epsilon_uncorrected=uncorrected, **self.OPTIONS)
        return before, pruner.gradients, [ran.final.weights[name].double().numpy() for name in names]

    def test_it_is_added_before_the_correction_and_the_count_restarts_with_each_phase(self, train, make_network):
        weights, gradients, trained = self.run(train, make_network, uncorrected=True)
        start = [weight.copy() for weight in weights]
        rates = [0.3, 0.2, 0.1]
        adamw(weights, gradients[:3], rates, epsilon=1e-6)
        adamw(weights, gradients[3:], rates, epsilon=1e-6)
        assert max(np.abs(weight - old).max() for weight, old in zip(weights, start, strict=True)) > 1e-3
        for weight, got in zip(weights, trained, strict=True):
            np.testing.assert_allclose(got, weight, rtol=1e-6, atol=1e-6)

    def test_without_the_option_it_is_pytorchs(self, train, make_network):
        weights, gradients, trained = self.run(train, make_network, uncorrected=False)
        adamw(weights, gradients[:3], [0.3, 0.2, 0.1], epsilon=1e-6)
        adamw(weights, gradients[3:], [0.3, 0.2, 0.1], epsilon=1e-6)
        assert max(np.abs(got - weight).max() for weight, got in zip(weights, trained, strict=True)) > 1e-2


class Learned(Recording):
    """Cross-entropy, and the square of how far a number of its own is from 3; the weights of ``network`` tell its h."""

    def __init__(self, network=None) -> None:
        super().__init__()
        self.network, self.attached, self.values, self.apart = network, [], [], []

    def attach(self, context: TrainingContext) -> None:
        self.attached.append(context.hidden_size)
        self.own = torch.nn.Parameter(torch.zeros(()))

    def parameter_groups(self) -> list[ParameterGroup]:
        return [ParameterGroup([self.own])]

    def loss(self, inputs: LossInputs) -> torch.Tensor:
        self.values.append(self.own.item())
        if self.network is not None:
            last = [m for m in self.network.model.modules() if isinstance(m, torch.nn.Linear)][-1]
            self.apart.append((last(inputs.hidden) - inputs.logits).abs().max().item())
        return super().loss(inputs) + (self.own - 3).square().to(inputs.logits.device)


class TestWhatTheLossIsGiven:
    def test_progress_is_the_share_of_all_steps_that_are_done(self, train):
        loss = Recording()
        train(pruner=Phased(Phase(2), Phase(0, level=0.5), Phase(3)), debiaser=loss, gradient_accumulation=2)
        assert [inputs.progress for inputs in loss.inputs] == pytest.approx(
            [share for step in range(5) for share in [step / 5] * 2], abs=1e-12
        )

    def test_hidden_is_what_the_last_layer_of_the_classifier_is_given(self, train, make_network):
        network = make_network(dropout=0.3)
        loss = Learned(network)
        train(debiaser=loss, network=network, eval_every=1)
        assert loss.attached == [16]
        assert [inputs.hidden.shape for inputs in loss.inputs] == [(4, 16)] * 6
        assert max(loss.apart) < 1e-6
        assert all(inputs.hidden.requires_grad for inputs in loss.inputs)

    def test_of_a_classifier_of_two_layers_it_is_the_last(self, train, make_network):
        config = RobertaConfig(
            vocab_size=600, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8, num_labels=3
        )
        model = RobertaForSequenceClassification(config)
        prunable = {"classifier.dense": "classifier", "classifier.out_proj": "classifier"}
        network = Network(model, make_network().tokenizer, prunable)
        loss = Learned(network)
        train(debiaser=loss, network=network, max_steps=2)
        assert max(loss.apart) < 1e-6

    def test_hidden_is_single_whatever_the_precision(self, train):
        loss = Recording()
        train(debiaser=loss, precision="bf16", max_steps=1)
        assert loss.inputs[0].hidden.dtype == torch.float32

    def test_of_a_model_without_a_classifier_that_is_known_there_is_none(self, train, make_network):
        network = make_network()
        loss = Learned()
        encoder = {name: part for name, part in network.prunable.items() if part == "encoder"}
        train(debiaser=loss, network=Network(network.model, network.tokenizer, encoder), max_steps=1)
        assert loss.attached == [0]
        assert loss.inputs[0].hidden is None

    def test_the_index_is_that_of_the_example(self, train, make_examples):
        loss = Recording()
        train(debiaser=loss, examples=make_examples(8), max_steps=4, group_by_length=True)
        for inputs in loss.inputs:
            assert inputs.index.tolist() == inputs.bias_log_probs[:, 0].long().tolist()
            assert inputs.weights is None
            assert set(inputs.batch) == {"input_ids", "attention_mask"}

    def test_weights_stay_with_their_example(self, train, make_examples):
        loss = Recording()
        train(debiaser=loss, examples=make_examples(8).add_column("weights", [float(n) for n in range(8)]), max_steps=2)
        for inputs in loss.inputs:
            assert torch.equal(inputs.weights, inputs.index.float())

    def test_a_parameter_of_the_loss_is_trained_along_with_the_model(self, train, optimized):
        loss = Learned()
        plain = train(max_steps=6, max_grad_norm=0.0)
        ran = train(debiaser=loss, max_steps=6, max_grad_norm=0.0)
        assert loss.attached == [16]
        assert loss.values[:2] == pytest.approx([0.0, 1e-2], rel=1e-4)  # a first step of Adam is as long as its rate
        assert loss.values == sorted(loss.values)
        assert {len(gradients) for gradients in optimized.gradients[6:]} == {len(optimized.gradients[0]) + 1}
        assert_same_bits(plain.final, ran.final)

    def test_it_begins_anew_with_the_stage_and_goes_on_from_phase_to_phase(self, train):
        loss = Learned()
        train(pruner=Phased(Phase(2), Phase(2)), debiaser=loss, max_grad_norm=0.0)
        train(pruner=Phased(Phase(1)), debiaser=loss, max_grad_norm=0.0)
        assert (loss.values[0], loss.values[4]) == (0.0, 0.0)
        assert loss.values[:4] == sorted(set(loss.values[:4]))

    def test_its_gradient_counts_in_the_norm_that_is_clipped(self, train, optimized):
        train(debiaser=Learned(), max_steps=1, max_grad_norm=0.5)
        (gradients,) = optimized.gradients
        assert norm(gradients) == pytest.approx(0.5, rel=1e-4)
        assert gradients[-1].item() < -0.4


class TestPrecision:
    @every_pruner
    def test_bf16_trains_in_bf16_and_keeps_weights_and_loss_in_fp32(self, train, make_network, pruner_name):
        def run(precision: str):
            network, loss = make_network(), Recording()
            ran = train(PRUNERS[pruner_name](network), network=network, debiaser=loss, precision=precision)
            assert {value.dtype for value in ran.final.weights.values()} == {torch.float32}
            return loss

        full_loss, half_loss = run("fp32"), run("bf16")
        assert {inputs.logits.dtype for inputs in half_loss.inputs} == {torch.float32}
        assert torch.equal(half_loss.inputs[0].logits, half_loss.inputs[0].logits.bfloat16().float())
        assert not torch.equal(full_loss.inputs[0].logits, full_loss.inputs[0].logits.bfloat16().float())
        assert half_loss.losses[0] == pytest.approx(full_loss.losses[0], rel=0.05)
        assert all(math.isfinite(loss) for loss in half_loss.losses)
