"""Learning from failure (Nam et al. 2020) in the manner of a third party: one class, with a model of its own."""

from __future__ import annotations

import pytest
import torch
from accelerate import Accelerator
from small_training import assert_same_bits
from torch import Tensor
from torch.nn import functional as F
from torch.optim.optimizer import register_optimizer_step_pre_hook

from srframework import Debiaser, LossInputs, Options, ParameterGroup, TrainingContext
from srframework.training.checkpoints import Checkpoints
from srframework.training.context import StageInputs


class LearningFromFailure(Debiaser):
    """A second model learns the easy examples; the main model gets the weight ℓ_b / (ℓ_b + ℓ_m) for each example.

    The losses of the weights are moving averages of each example.
    """

    def attach(self, context: TrainingContext) -> None:
        self._biased = context.pretrained().model.to(context.device).train()
        self._averages = torch.zeros(2, len(context.gold), device=context.device)

    def parameter_groups(self) -> list[ParameterGroup]:
        return [ParameterGroup(list(self._biased.parameters()), learning_rate=5e-3)]

    def loss(self, inputs: LossInputs) -> Tensor:
        logits = torch.stack([self._biased(**inputs.batch).logits, inputs.logits])
        biased, main = (F.cross_entropy(each, inputs.labels, reduction="none") for each in logits)
        now = torch.stack([biased, main]).detach()
        self._averages[:, inputs.index] = 0.7 * self._averages[:, inputs.index] + 0.3 * now
        weights = self._averages[0, inputs.index] / self._averages[:, inputs.index].sum(0)
        confident = F.softmax(logits[0].detach(), 1).gather(1, inputs.labels[:, None]).squeeze(1) ** 0.7
        return inputs.mean(weights * main) + inputs.mean(confident * biased)

    def sample(self, epoch: int, generator: torch.Generator) -> Tensor:
        """Draw examples with a high loss more often, so that the order depends on the state."""
        return torch.multinomial(1 + self._averages[1].cpu(), self._averages.shape[1], True, generator=generator)

    def state(self) -> dict[str, Tensor]:
        return {"averages": self._averages.clone()}

    def restore(self, state: dict[str, Tensor]) -> None:
        self._averages.copy_(state["averages"])


class _Killed(Exception):
    """The end of a run that is killed."""


@pytest.fixture
def run(train, make_network):
    def once(place=None, stop=None):
        count, loss = 0, LearningFromFailure(Options())

        def measure(_model) -> float:
            nonlocal count
            count += 1
            if count == stop:
                raise _Killed
            return 0.0

        checkpoints = Checkpoints(place, Accelerator()) if place is not None else None
        options = {"eval_every": 1, "checkpoint_steps": 1, "max_steps": 15}
        inputs = StageInputs(pretrained=make_network)
        ran = train(debiaser=loss, inputs=inputs, measure=measure, checkpoints=checkpoints, **options)
        return ran, loss

    return once


@pytest.mark.parametrize("stop", [3, 7, 8])
def test_a_killed_training_resumes_with_the_same_bits(run, tmp_path, stop):
    """An epoch has 6 steps: the kill is in the first, between two, and in the second, whose order the state chose."""
    expected, of_expected = run()
    with pytest.raises(_Killed):
        run(tmp_path / "checkpoints", stop)
    resumed, of_resumed = run(tmp_path / "checkpoints")
    assert resumed.started == [stop - 1]
    assert_same_bits(expected.final, resumed.final)
    own = of_resumed._biased.state_dict()
    for name, value in of_expected._biased.state_dict().items():
        assert torch.equal(value, own[name]), name
    assert torch.equal(of_expected._averages, of_resumed._averages)


def test_its_own_parameters_have_their_own_learning_rate(train, make_network):
    rates = []

    def hook(optimizer, *_):
        rates.append([group["lr"] for group in optimizer.param_groups])

    handle = register_optimizer_step_pre_hook(hook)
    train(debiaser=LearningFromFailure(Options()), inputs=StageInputs(pretrained=make_network), max_steps=2)
    handle.remove()
    assert rates == [[1e-2, 5e-3], [5e-3, 2.5e-3]]
