"""What a pruner of a stranger may do: own learning rates, terms of the loss, numbers in the log, calibration."""

from __future__ import annotations

import pytest
import torch
from accelerate import Accelerator
from torch import nn
from torch.nn.utils import parametrize

from srframework.contracts import Debiaser, ParameterGroup, Pruner
from srframework.errors import PluginError
from srframework.fixed_mask import FixedMask, ScoringPruner
from srframework.masks import Mask
from srframework.scores import keep_highest
from srframework.training.checkpoints import Checkpoints


class Scored(nn.Module):
    def __init__(self, weight):
        super().__init__()
        self.scores = nn.Parameter(torch.zeros_like(weight))
        self.register_buffer("kept", torch.ones_like(weight, dtype=torch.bool))

    def forward(self, weight):
        return Masked.apply(weight, self.scores, self.kept)


class Masked(torch.autograd.Function):
    @staticmethod
    def forward(ctx, weight, _scores, kept):
        ctx.save_for_backward(weight, kept)
        return weight * kept

    @staticmethod
    def backward(ctx, grad):
        weight, kept = ctx.saved_tensors
        return grad * kept, grad * weight, None


class Movement(Pruner):
    """Weights and scores are trained together, the scores with their own learning rate and a penalty."""

    rate = 0.1

    def attach(self, network, context):
        self.context, self.steps, self.model = context, context.steps, network.model
        self.scored = {}
        for name, weight in network.matrices().items():
            self.scored[name] = scored = Scored(weight)
            parametrize.register_parametrization(network.model.get_submodule(name), "weight", scored, unsafe=True)

    def parameter_groups(self):
        scores = [each.scores for each in self.scored.values()]
        own = {id(each) for each in scores}
        weights = [each for each in self.model.parameters() if each.requires_grad and id(each) not in own]
        return [ParameterGroup(scores, learning_rate=self.rate, weight_decay=0.0), ParameterGroup(weights)]

    def loss_terms(self, inputs, loss):
        penalty = sum(each.scores.sigmoid().mean() for each in self.scored.values())
        assert loss.grad_fn is None
        return {"penalty": 0.1 * penalty}

    def after_step(self, step):
        self.context.log("step", step)

    def update_mask(self, step):
        scores = {name: each.scores.detach() for name, each in self.scored.items()}
        for name, kept in keep_highest(scores, 0.5 * step / self.steps, "local").items():
            self.scored[name].kept.copy_(kept)

    def masks(self):
        return Mask({name: each.kept for name, each in self.scored.items()})

    def state(self):
        return {f"{n}.{k}": getattr(s, k).detach().clone() for n, s in self.scored.items() for k in ("scores", "kept")}

    def restore(self, state):
        for name, each in self.scored.items():
            each.scores.data.copy_(state[f"{name}.scores"])
            each.kept.copy_(state[f"{name}.kept"])


def test_a_group_has_its_own_learning_rate_and_the_reported_rate_is_the_stages(train):
    class Frozen(Movement):
        rate = 1e-30

    ran = train(Frozen(None), max_steps=4, warmup_steps=0)
    assert [rate for _, _, rate in ran.steps] == pytest.approx([0.01, 0.0075, 0.005, 0.0025])
    still = [each.scores for each in ran.network.model.modules() if isinstance(each, Scored)]
    assert max(float(each.detach().abs().max()) for each in still) < 1e-20
    moved = [each.scores for each in train(Movement(None)).network.model.modules() if isinstance(each, Scored)]
    assert min(float(each.detach().abs().max()) for each in moved) > 0.01


def test_terms_of_the_loss_and_logged_numbers_are_means_since_the_last_line(train):
    plain = train(FixedMask(), max_steps=6, log_every=3)
    ran = train(Movement(None), max_steps=6, log_every=3)
    assert [sorted(line) for line in ran.scalars] == [["pruner.penalty", "pruner.step"]] * 2
    assert [line["pruner.step"] for line in ran.scalars] == [2.0, 5.0]  # means of 1, 2, 3 and of 4, 5, 6
    first, penalty = train(Movement(None), max_steps=1), 0.1 * 0.5 * len(ran.network.matrices())
    assert first.scalars[0]["pruner.penalty"] == pytest.approx(penalty)  # the sigmoid of 0 is 0.5
    only = train(FixedMask(), max_steps=1)
    assert first.steps[0][1] == pytest.approx(only.steps[0][1] + penalty)
    assert plain.scalars == [{}, {}]


def test_a_loss_logs_under_its_own_prefix(train):
    class Counting(Debiaser):
        def attach(self, context):
            self.log = context.log

        def loss(self, inputs):
            self.log("size", torch.tensor(float(len(inputs.labels))))
            return inputs.mean(nn.functional.cross_entropy(inputs.logits, inputs.labels, reduction="none"))

    assert train(debiaser=Counting(None), max_steps=2).scalars == [{"loss.size": 4.0}, {"loss.size": 4.0}]


@pytest.mark.parametrize("value", [torch.zeros(2), "high"])
def test_what_is_no_number_cannot_be_logged(train, value):
    class Loud(Movement):
        def after_step(self, step):
            self.context.log("x", value)

    with pytest.raises((TypeError, ValueError)):
        train(Loud(None), max_steps=1)


def test_a_killed_training_resumes_with_the_same_bits_and_the_same_log(train, tmp_path):
    class Killed(Exception):
        pass

    class Mortal(Movement):
        def before_step(self, step):
            if step == 4:
                raise Killed

    options = {"max_steps": 6, "log_every": 4, "eval_every": 2}
    whole = train(Movement(None), **options)
    place = Checkpoints(tmp_path, Accelerator())
    with pytest.raises(Killed):
        train(Mortal(None), checkpoints=place, checkpoint_steps=3, **options)
    again = train(Movement(None), checkpoints=Checkpoints(tmp_path, Accelerator()), checkpoint_steps=3, **options)
    assert again.started == [3]
    assert again.scalars == whole.scalars
    assert again.final.mask == whole.final.mask
    assert all(torch.equal(value, again.final.weights[name]) for name, value in whole.final.weights.items())


def test_a_pruner_whose_mask_is_not_in_the_weights_stops_the_training(train):
    class Liar(FixedMask):
        def masks(self):
            name, weight = next(iter(self.network.matrices().items()))
            return Mask({name: torch.zeros_like(weight, dtype=torch.bool)})

        def attach(self, network, context):
            super().attach(network, context)
            self.network = network

    with pytest.raises(
        PluginError, match=r"expected 0 in the 256 entries of .*query that its mask prunes after step 2"
    ):
        train(Liar(), max_steps=2, eval_every=2)


def test_a_pruner_scores_with_calibration_batches_and_their_gradients(train):
    class Fisher(ScoringPruner):
        """|gradient × weight| on calibration examples, as in first-order pruning."""

        class options:  # noqa: N801 -- stands for pydantic options
            sparsity = 0.5

        def attach(self, network, context):
            network.model.zero_grad()
            self.seen = 0
            for batch in context.calibration(6):
                inputs = {name: value for name, value in batch.items() if name not in ("labels", "index")}
                inputs.pop("bias_log_probs", None)
                logits = network.model(**inputs).logits
                nn.functional.cross_entropy(logits, batch["labels"], reduction="sum").backward()
                self.seen += len(batch["labels"])
            self.products = {name: (w.grad * w).abs().detach() for name, w in network.matrices().items()}
            network.model.zero_grad()
            super().attach(network, context)

        def scores(self, weights):
            return self.products

    pruner = Fisher(Fisher.options)
    ran = train(pruner, max_steps=2)
    assert pruner.seen == 6
    assert {float(matrix.float().mean()) for matrix in ran.final.mask.values()} == {0.5}
