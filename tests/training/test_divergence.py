"""A training that fails, and weights or losses that are not finite."""

from __future__ import annotations

import math
import re

import pytest
import torch
from small_training import Phased

from srf_debiasers.losses import Standard
from srf_debiasers.options import NoOptions
from srframework.contracts import LossInputs, Phase
from srframework.errors import SRFrameworkError
from srframework.fixed_mask import FixedMask
from srframework.masks import Mask


class Breaking(Standard):
    """Cross-entropy that gives ``value`` at batch ``at``, from 1."""

    def __init__(self, value: float, at: int) -> None:
        super().__init__(NoOptions())
        self.value, self.left = value, at

    def loss(self, inputs: LossInputs) -> torch.Tensor:
        self.left -= 1
        return super().loss(inputs) * (1.0 if self.left else self.value)


class TestFailure:
    @pytest.mark.parametrize(
        ("value", "log_every", "step"), [(math.nan, 1, 2), (math.inf, 1, 2), (math.nan, 3, 3), (math.nan, 100, 6)]
    )
    def test_a_loss_that_is_no_finite_number_is_a_sentence(self, train, value, log_every, step):
        with pytest.raises(SRFrameworkError) as failed:
            train(debiaser=Breaking(value, at=2), log_every=log_every, learning_rate=0.02, max_grad_norm=2.5)
        assert type(failed.value) is SRFrameworkError
        assert str(failed.value) == (
            f"the loss is {value} at step {step}; expected a finite number "
            "(learning_rate is 0.02, max_grad_norm 2.5; a lower learning rate is the usual remedy)"
        )

    def test_a_level_that_ends_in_a_bad_loss_is_not_kept(self, train):
        kept = []
        with pytest.raises(SRFrameworkError, match="at step 4"):
            train(
                pruner=Phased(Phase(2, level=0.1), Phase(2, level=0.2)),
                debiaser=Breaking(math.nan, at=4),
                log_every=100,
                on_checkpoint=lambda checkpoint: kept.append(checkpoint.point),
            )
        assert kept == ["0.1"]

    def test_a_mask_that_does_not_fit_the_model_stops_the_stage(self, train):
        with pytest.raises(ValueError, match="no matrix 'decoder'"):
            train(pruner=FixedMask(mask=Mask({"decoder": torch.ones(2, 2, dtype=torch.bool)})))


class TestWhatIsNotFinite:
    """The true cause is named; a learning rate only where weights and first losses were finite."""

    @pytest.fixture
    def told(self, train):
        def run(**settings) -> str:
            with pytest.raises(SRFrameworkError) as caught:
                train(**settings)
            return str(caught.value)

        return run

    @pytest.mark.parametrize("value", [math.nan, math.inf])
    def test_weights_at_the_start(self, told, make_network, value):
        network = make_network()
        network.model.bert.pooler.dense.weight.data[0, 0] = value
        message = told(network=network)
        assert message.startswith("expected finite weights at the start of the stage, got ")
        assert "in bert.pooler.dense.weight (1 of its 256 entries" in message
        assert "learning" not in message

    @pytest.mark.parametrize("value", [math.nan, -math.inf])
    def test_what_a_loss_is_told_of_the_examples(self, told, make_examples, value):
        class Told(Standard):
            def loss(self, inputs):
                return super().loss(inputs) + inputs.bias_log_probs.mean()

        rows = [[0.0, 0.0, value if index == 3 else 0.0] for index in range(24)]
        examples = make_examples(24).remove_columns("bias_log_probs").add_column("bias_log_probs", rows)
        message = told(debiaser=Told(NoOptions()), examples=examples, max_steps=12)
        assert re.match(
            r"the loss is -?(nan|inf) at step (\d+); expected a finite number "
            r"\(the bias model gives log-probabilities that "
            r"are not finite for the examples of step \2\)$",
            message,
        )

    @pytest.mark.parametrize("accumulated", [1, 2])
    def test_a_loss_that_is_not_finite_at_once(self, told, accumulated):
        class Broken(Standard):
            def loss(self, inputs):
                return super().loss(inputs) * math.nan

        message = told(debiaser=Broken(NoOptions()), gradient_accumulation=accumulated)
        assert message == (
            "the loss is nan at step 1; expected a finite number "
            "(at step 1 the loss Broken is not finite although the logits are finite)"
        )

    def test_a_model_that_is_not_finite_at_once(self, told, make_network):
        network = make_network()
        network.model.bert.encoder.layer[0].output.LayerNorm.weight.data.fill_(3e38)
        assert told(network=network).endswith(
            "(at step 1 the model computes logits that are not finite from finite weights)"
        )

    def test_a_training_that_diverges(self, told):
        message = told(learning_rate=1e30, max_grad_norm=0)
        assert re.match(
            r"the loss is -?(nan|inf) at step [2-6]; expected a finite number \(learning_rate is 1e\+30, ", message
        )

    def test_a_loss_that_is_not_finite_later_is_no_fault_of_the_data(self, told, make_examples):
        class Later(Standard):
            def loss(self, inputs):
                return super().loss(inputs) * (math.nan if inputs.progress > 0.3 else 1.0)

        message = told(debiaser=Later(NoOptions()), examples=make_examples(24))
        assert message.endswith("a lower learning rate is the usual remedy)")

    def test_weights_that_the_last_step_made_so_are_not_kept(self, told):
        class Lopsided(Standard):
            """A finite loss whose gradient is none."""

            def loss(self, inputs):
                return super().loss(inputs) + 0 * inputs.logits.sum().sub(inputs.logits.sum().detach()).sqrt()

        message = told(debiaser=Lopsided(NoOptions()), max_steps=1, max_grad_norm=0)
        assert message.startswith("expected finite weights after step 1, got NaN in ")
