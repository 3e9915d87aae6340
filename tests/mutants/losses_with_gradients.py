"""Debiasers with one fault each in their gradient, their memory or their sample, and the check that must find it."""

from __future__ import annotations

import torch
from mutants.losses import Learned, Sampling, Sound
from torch import nn
from torch.nn import functional as F

from srframework import ParameterGroup


def _each(inputs, logits):
    return F.cross_entropy(logits.float(), inputs.labels, reduction="none")


def _of_label(inputs, values):
    return values.gather(1, inputs.labels[:, None]).squeeze(1)


class SoftmaxTwice(Sound):
    def loss(self, inputs):
        return inputs.mean(_each(inputs, (inputs.logits.float() + inputs.bias_log_probs.clamp(min=-20)).softmax(1)))


class ClampsLogits(Sound):
    def loss(self, inputs):
        return inputs.mean(_each(inputs, inputs.logits.clamp(-10, 10) + inputs.bias_log_probs.clamp(min=-20)))


class ClampsTheLoss(Sound):
    def loss(self, inputs):
        return inputs.mean(_each(inputs, inputs.logits + inputs.bias_log_probs.clamp(min=-20)).clamp(max=5))


class AddsAnEpsilon(Sound):
    def loss(self, inputs):
        p = (inputs.logits.float() + inputs.bias_log_probs.clamp(min=-20)).softmax(1)
        return inputs.mean(-(_of_label(inputs, p) + 1e-8).log())


class SecondLabelOrNot(Sound):
    def loss(self, inputs):
        logits = inputs.logits.float() + inputs.bias_log_probs.clamp(min=-20)
        is_second = (inputs.labels == 1).float()
        return inputs.mean(F.binary_cross_entropy_with_logits(logits[:, 1] - logits[:, 0], is_second, reduction="none"))


class ProbabilitiesForLogs(Sound):
    def loss(self, inputs):
        return inputs.mean(_each(inputs, inputs.logits + inputs.bias_log_probs.exp()))


class SubtractsTheBias(Sound):
    def loss(self, inputs):
        return inputs.mean(_each(inputs, inputs.logits - inputs.bias_log_probs.clamp(min=-20)))


class WeighsByTheBias(Sound):
    def loss(self, inputs):
        return inputs.mean(_of_label(inputs, inputs.bias_log_probs.exp()) * _each(inputs, inputs.logits))


class WeighsByTheLargest(Sound):
    def loss(self, inputs):
        return inputs.mean((1 - inputs.bias_log_probs.exp().max(1).values) * _each(inputs, inputs.logits))


class CachesBySize(Sound):
    def attach(self, context):
        self.cache = {}

    def loss(self, inputs):
        each = _each(inputs, inputs.logits + inputs.bias_log_probs.clamp(min=-20))
        return inputs.mean(each * self.cache.setdefault(len(each), 1 / (1 + each.detach())))


class SharesItsAverage(Sound):
    average = torch.ones(3)

    def loss(self, inputs):
        return super().loss(inputs) * self.average.mean()


class CreatesItsParameterLate(Learned):
    def attach(self, context):
        self.scale = None

    def parameter_groups(self):
        return [] if self.scale is None else [ParameterGroup([self.scale])]

    def loss(self, inputs):
        if self.scale is None:
            self.scale = nn.Parameter(torch.ones(1))
        return super().loss(inputs)


class FillsTheAttentionMask(Sound):
    def loss(self, inputs):
        inputs.batch["attention_mask"].fill_(1)
        return super().loss(inputs)


class ChangesTheDefaultType(Sound):
    def attach(self, context):
        torch.set_default_dtype(torch.float64)


class ScalesByAHash(Sound):
    def loss(self, inputs):
        return super().loss(inputs) * (1 + hash("scale") % 1000)


class NeverSamplesTheLast(Sampling):
    def sample(self, epoch, generator):
        return torch.randint(self.count - 1, (self.count,), generator=generator)


class SamplesLabels(Sampling):
    def attach(self, context):
        super().attach(context)
        self.labels = torch.from_numpy(context.gold)

    def sample(self, epoch, generator):
        return self.labels[torch.randperm(self.count, generator=generator)]


GRADIENTS = {
    SoftmaxTwice: "learns_from_errors",
    ClampsLogits: "learns_from_errors",
    ClampsTheLoss: "learns_from_errors",
    AddsAnEpsilon: "learns_from_errors",
    SecondLabelOrNot: "learns_from_errors",
    ProbabilitiesForLogs: "discounts_the_bias",
    SubtractsTheBias: "discounts_the_bias",
    WeighsByTheBias: "discounts_the_bias",
    WeighsByTheLargest: "discounts_the_bias",
    CachesBySize: "state_survives_a_kill",
    SharesItsAverage: "state_survives_a_kill",
    CreatesItsParameterLate: "state_survives_a_kill",
    FillsTheAttentionMask: "inputs_unchanged",
    ChangesTheDefaultType: "random_state_untouched",
    ScalesByAHash: "repeats",
    NeverSamplesTheLast: "sample_reaches_every_example",
    SamplesLabels: "sample_reaches_every_example",
}
