"""Debiasers with one fault each, and the check that must find it."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional as F

from srframework import Debiaser, Options, ParameterGroup


class Smoothing(Options):
    share: float = Field(0.1, ge=0, lt=1, description="Share of the probability, in [0, 1).")


class Sound(Debiaser):
    """Product of experts with label smoothing."""

    def loss(self, inputs):
        logits = inputs.logits.float() + inputs.bias_log_probs.clamp(min=-20)
        each = F.cross_entropy(logits, inputs.labels, label_smoothing=self.options.share, reduction="none")
        return inputs.mean(each)


class Learned(Sound):
    """Scales the logits by a learned factor."""

    def attach(self, context):
        self.scale = nn.Parameter(torch.ones(1))

    def parameter_groups(self):
        return [ParameterGroup([self.scale])]

    def loss(self, inputs):
        return super().loss(inputs) + self.scale.square().sum() * 0.1 + inputs.logits.float().mean() * 0


class PerExample(Sound):
    def loss(self, inputs):
        return F.cross_entropy(inputs.logits, inputs.labels, reduction="none")


class Detached(Sound):
    def loss(self, inputs):
        return super().loss(inputs).detach().requires_grad_()


class OnlyFirstExample(Sound):
    def loss(self, inputs):
        return F.cross_entropy(inputs.logits[:1] + inputs.bias_log_probs[:1], inputs.labels[:1])


class SumForMean(Sound):
    def loss(self, inputs):
        return super().loss(inputs) * len(inputs.labels)


class DividesByConstant(Sound):
    def loss(self, inputs):
        return F.cross_entropy(inputs.logits, inputs.labels, reduction="sum") / 32


class DependsOnOrder(Sound):
    def loss(self, inputs):
        each = F.cross_entropy(inputs.logits + inputs.bias_log_probs, inputs.labels, reduction="none")
        return (each * torch.linspace(0.5, 1.5, len(each))).mean()


class PairsNeighbours(Sound):
    def loss(self, inputs):
        return F.cross_entropy(inputs.logits + inputs.bias_log_probs.roll(1, 0), inputs.labels)


class ChangesLabels(Sound):
    def loss(self, inputs):
        loss = super().loss(inputs)
        inputs.labels.zero_()
        return loss


class ChangesBias(Sound):
    def loss(self, inputs):
        inputs.bias_log_probs.mul_(0.5)
        return super().loss(inputs)


class ChangesLogits(Sound):
    def loss(self, inputs):
        inputs.logits.data.clamp_(-1, 1)
        return super().loss(inputs)


class IgnoresLabels(Sound):
    def loss(self, inputs):
        return F.cross_entropy(inputs.logits + inputs.bias_log_probs, inputs.logits.argmax(1))


class LabelsOffByOne(Sound):
    def loss(self, inputs):
        return F.cross_entropy(inputs.logits + inputs.bias_log_probs, (inputs.labels + 1) % 3)


class WrongSign(Sound):
    def loss(self, inputs):
        return -super().loss(inputs)


class IgnoresBias(Sound):
    def loss(self, inputs):
        return F.cross_entropy(inputs.logits, inputs.labels, label_smoothing=self.options.share)


class IgnoresOption(Sound):
    def loss(self, inputs):
        return F.cross_entropy(inputs.logits + inputs.bias_log_probs.clamp(min=-20), inputs.labels)


class OptionReadOnce(Sound):
    def loss(self, inputs):
        share = Smoothing().share
        return F.cross_entropy(inputs.logits + inputs.bias_log_probs, inputs.labels, label_smoothing=share)


class BreaksOnCertainBias(Sound):
    def loss(self, inputs):
        p = inputs.bias_log_probs.exp().gather(1, inputs.labels[:, None])
        return super().loss(inputs) + (1 / (1 - p)).mean() * 1e-9


class InfiniteWeight(Sound):
    def loss(self, inputs):
        return super().loss(inputs) + 1e-9 * inputs.bias_log_probs.sum(1).mean().nan_to_num(
            nan=1.0, neginf=float("-inf")
        )


class ExpOverflows(Sound):
    def loss(self, inputs):
        p = inputs.logits.exp() / inputs.logits.exp().sum(1, keepdim=True)
        return F.nll_loss((p.log() + inputs.bias_log_probs).log_softmax(1), inputs.labels)


class LogOfZero(Sound):
    def loss(self, inputs):
        p = inputs.logits.softmax(1).gather(1, inputs.labels[:, None])
        return super().loss(inputs) - p.log().mean()


class SqrtAtOne(Sound):
    def loss(self, inputs):
        p = inputs.logits.float().softmax(1).gather(1, inputs.labels[:, None])
        return super().loss(inputs) + (1 - p).sqrt().mean()


class NeedsTwoExamples(Sound):
    def loss(self, inputs):
        return super().loss(inputs) / inputs.logits[:, 0].std().detach().clamp(min=0.5)


class FailsForOne(Sound):
    def loss(self, inputs):
        return super().loss(inputs) + 0 * inputs.logits.squeeze().sum(1).mean()


class HalfOverflows(Sound):
    def loss(self, inputs):
        return super().loss(inputs) + 0 * (inputs.logits * 60000).square().mean()


class NeedsFloat32(Sound):
    def loss(self, inputs):
        return super().loss(inputs) + 0 * (inputs.logits @ torch.eye(3)).sum()


class DividesByProgress(Sound):
    def loss(self, inputs):
        return super().loss(inputs) * (inputs.progress / inputs.progress)


class LogOfProgress(Sound):
    def loss(self, inputs):
        return super().loss(inputs) * (1 - 0 * torch.tensor(inputs.progress).log())


class RandomDropout(Sound):
    def loss(self, inputs):
        return super().loss(inputs) * (1 + 0.01 * torch.rand(()))


class HidesItsParameter(Learned):
    def parameter_groups(self):
        return [ParameterGroup([])]


class HidesAModule(Sound):
    def attach(self, context):
        self.head = nn.Linear(3, 3)

    def loss(self, inputs):
        return F.cross_entropy(self.head(inputs.logits.float()) + inputs.logits, inputs.labels)


class ListsUnusedParameter(Learned):
    def loss(self, inputs):
        return Sound.loss(self, inputs)


class ListsFrozenParameter(Learned):
    def parameter_groups(self):
        return [ParameterGroup([nn.Parameter(self.scale.detach(), requires_grad=False)])]


class ForgetsAverage(Sound):
    def attach(self, context):
        self.average = 0.0

    def loss(self, inputs):
        loss = super().loss(inputs)
        self.average = 0.9 * self.average + 0.1 * float(loss.detach())
        return loss + self.average


class CountsCalls(Sound):
    def attach(self, context):
        self.calls = 0

    def loss(self, inputs):
        self.calls += 1
        return super().loss(inputs) / self.calls


class IgnoresWeights(Sound):
    def loss(self, inputs):
        logits = inputs.logits.float() + inputs.bias_log_probs.clamp(min=-20)
        return F.cross_entropy(logits, inputs.labels, label_smoothing=self.options.share)


class NormalisesWeightsInPlace(Sound):
    def loss(self, inputs):
        if inputs.weights is not None:
            inputs.weights.div_(inputs.weights.sum())
        return super().loss(inputs)


class ChangesTheContext(Sound):
    def attach(self, context):
        context.bias_log_probs.clip(-5, 0, out=context.bias_log_probs)
        context.gold[0] = 1


class ThreeLabels(Sound):
    def loss(self, inputs):
        return super().loss(inputs) + 0 * (F.one_hot(inputs.labels, 3) * inputs.logits).mean()


class DrawsInAttach(Learned):
    def attach(self, context):
        self.scale = nn.Parameter(torch.rand(1))


class NewParametersAtEachCall(Learned):
    def parameter_groups(self):
        self.scale = nn.Parameter(self.scale.detach().clone())
        return [ParameterGroup([self.scale])]


class KeepsTheGraph(Sound):
    def attach(self, context):
        self.average = 0.0

    def loss(self, inputs):
        self.average = 0.9 * self.average + 0.1 * super().loss(inputs)
        return super().loss(inputs) + self.average


class StateInPlace(Sound):
    def attach(self, context):
        self.calls = torch.zeros(())

    def loss(self, inputs):
        self.calls += 1
        return super().loss(inputs) * float(self.calls)

    def state(self):
        return {"calls": self.calls}

    def restore(self, state):
        self.calls = state["calls"].clone()


class LogsEachExample(Sound):
    def attach(self, context):
        self.log = context.log

    def loss(self, inputs):
        self.log("confidence", inputs.logits.softmax(1).max(1).values)
        return super().loss(inputs)


class Sampling(Sound):
    """Draws the examples of an epoch with replacement."""

    def attach(self, context):
        self.count = len(context.gold)

    def sample(self, epoch, generator):
        return torch.randint(self.count, (self.count,), generator=generator)


class SampleTooShort(Sampling):
    def sample(self, epoch, generator):
        return super().sample(epoch, generator)[1:]


class SampleFromOne(Sampling):
    def sample(self, epoch, generator):
        return super().sample(epoch, generator) + 1


class SampleOfFloats(Sampling):
    def sample(self, epoch, generator):
        return super().sample(epoch, generator).float()


class SampleWithItsOwnSeed(Sampling):
    def sample(self, epoch, generator):
        return super().sample(epoch, torch.Generator().manual_seed(epoch))


class SampleCountsEpochs(Sampling):
    calls = 0

    def sample(self, epoch, generator):
        self.calls += 1
        return super().sample(epoch, generator).roll(self.calls)


class ReturnsFloat(Sound):
    def loss(self, inputs):
        return super().loss(inputs).item()


class RaisesInLoss(Sound):
    def loss(self, inputs):
        return inputs.missing


DEBIASERS = {
    PerExample: "scalar_with_gradient",
    Detached: "scalar_with_gradient",
    OnlyFirstExample: "scalar_with_gradient",
    ReturnsFloat: "scalar_with_gradient",
    RaisesInLoss: "scalar_with_gradient",
    SumForMean: "mean_over_batch",
    DividesByConstant: "mean_over_batch",
    DependsOnOrder: "order_of_batch",
    PairsNeighbours: "order_of_batch",
    ChangesLabels: "inputs_unchanged",
    ChangesBias: "inputs_unchanged",
    ChangesLogits: "inputs_unchanged",
    IgnoresLabels: "labels_matter",
    LabelsOffByOne: "prefers_the_labels",
    WrongSign: "prefers_the_labels",
    IgnoresBias: "bias_matters",
    IgnoresOption: "options_matter",
    OptionReadOnce: "options_matter",
    BreaksOnCertainBias: "certain_bias",
    InfiniteWeight: "certain_bias",
    ExpOverflows: "extreme_logits",
    LogOfZero: "extreme_logits",
    SqrtAtOne: "extreme_logits",
    NeedsTwoExamples: "batch_of_one",
    FailsForOne: "batch_of_one",
    HalfOverflows: "half_precision",
    NeedsFloat32: "half_precision",
    DividesByProgress: "any_progress",
    LogOfProgress: "any_progress",
    RandomDropout: "repeats",
    HidesItsParameter: "lists_own_parameters",
    HidesAModule: "lists_own_parameters",
    ListsUnusedParameter: "lists_own_parameters",
    ListsFrozenParameter: "lists_own_parameters",
    ForgetsAverage: "state_survives_a_kill",
    CountsCalls: "state_survives_a_kill",
    IgnoresWeights: "weights_matter",
    NormalisesWeightsInPlace: "inputs_unchanged",
    ChangesTheContext: "inputs_unchanged",
    ThreeLabels: "any_number_of_labels",
    DrawsInAttach: "random_state_untouched",
    NewParametersAtEachCall: "lists_own_parameters",
    KeepsTheGraph: "steps_share_no_graph",
    StateInPlace: "state_is_a_copy",
    LogsEachExample: "logs_numbers",
    SampleTooShort: "sample_is_sound",
    SampleFromOne: "sample_is_sound",
    SampleOfFloats: "sample_is_sound",
    SampleWithItsOwnSeed: "sample_follows_the_generator",
    SampleCountsEpochs: "sample_follows_the_generator",
}
SOUND_DEBIASERS = [Sound, Learned, Sampling]
