"""IMP with rewinding: its phases, one rewind by hand, and a run through all levels."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError
from small_context import context
from torch import nn

from srf_pruners.imp_rw import RewindingMagnitudePruning
from srf_pruners.options import ImpRewindOptions
from srframework import Mask, Network, Phase
from srframework.training.optimization import own_parameters

CLASSIFIER = ("classifier.weight", "classifier.bias")


def imp_rw(**options: object) -> RewindingMagnitudePruning:
    return RewindingMagnitudePruning(ImpRewindOptions(**options))


@pytest.fixture
def two_layers() -> Network:
    """A matrix of 1 x 4 in the encoder, and a classifier of 2 x 1 on it; biases 0.5."""
    model = nn.Sequential(nn.Linear(4, 1), nn.Linear(1, 2))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0, 2.0, 3.0, 4.0]]))
        model[1].weight.copy_(torch.tensor([[5.0], [6.0]]))
        model[0].bias.fill_(0.5)
        model[1].bias.fill_(0.5)
    return Network(model, None, {"0": "encoder", "1": "classifier"})


def trained(network: Network) -> None:
    """Other weights, whose order is another too."""
    with torch.no_grad():
        network.model[0].weight.copy_(torch.tensor([[0.9, 0.4, 0.2, 0.1]]))
        network.model[1].weight.copy_(torch.tensor([[8.0], [7.0]]))
        network.model[0].bias.fill_(-1.0)
        network.model[1].bias.fill_(-1.0)


class TestOptions:
    def test_the_defaults_are_those_of_imp_and_everything_returns(self):
        options = ImpRewindOptions()
        assert (options.sparsity, options.step, options.interval, options.classifier) == (0.9, 0.1, 0.1, True)
        assert options.rewind == "all"

    @pytest.mark.parametrize("rewind", ["none", "classifier", True])
    def test_another_rewind_is_refused(self, rewind):
        with pytest.raises(ValidationError, match="Input should be 'all' or 'all-but-classifier'"):
            ImpRewindOptions(rewind=rewind)


class TestPhases:
    def test_prunes_take_no_step_and_nothing_follows_the_last(self):
        assert imp_rw(sparsity=0.3, levels="all").phases(100) == [
            Phase(0, level=0.1, warmup=False),
            Phase(10, level=None, warmup=False, decay_steps=100),
            Phase(0, level=0.2, warmup=False),
            Phase(10, level=None, warmup=False, decay_steps=100),
            Phase(0, level=0.3, warmup=False),
        ]

    @pytest.mark.parametrize(
        ("levels", "kept"),
        [("last", [False] * 5), ([0.2], [False, False, True, True, False]), ([0.3], [False] * 4 + [True])],
    )
    def test_training_is_evaluated_after_a_level_that_is_kept(self, levels, kept):
        phases = imp_rw(sparsity=0.3, levels=levels).phases(100)
        assert [phase.kept for phase in phases] == kept

    def test_one_level_is_pruned_without_any_training(self):
        assert imp_rw(sparsity=0.5, step=0.5, levels="all").phases(100) == [Phase(0, level=0.5, warmup=False)]

    def test_the_last_level_is_the_result_not_the_best(self):
        assert not imp_rw().keeps_best


class TestRewind:
    @pytest.mark.parametrize(
        ("rewind", "classifier", "bias"), [("all", [[5.0], [0.0]], 0.5), ("all-but-classifier", [[8.0], [0.0]], -1.0)]
    )
    def test_trained_weights_say_what_goes_and_the_initial_ones_return(self, two_layers, rewind, classifier, bias):
        network = two_layers
        pruner = imp_rw(sparsity=0.5, step=0.25, rewind=rewind)
        pruner.attach(network, context())
        pruner.begin(Phase(0, level=0.25), step=0)
        assert network.model[0].weight.tolist() == [[0.0, 2.0, 3.0, 4.0]]
        pruner.begin(Phase(1), step=0)
        trained(network)
        pruner.begin(Phase(0, level=0.5), step=1)
        # Of the three that remain, 0.1 is now the smallest: 4 goes.
        assert network.model[0].weight.tolist() == [[0.0, 2.0, 3.0, 0.0]]
        assert network.model[0].bias.tolist() == [0.5]
        assert network.model[1].weight.tolist() == classifier
        assert network.model[1].bias.tolist() == [bias, bias]

    def test_a_phase_without_a_level_changes_nothing(self, two_layers):
        pruner = imp_rw()
        pruner.attach(two_layers, context())
        trained(two_layers)
        pruner.begin(Phase(1), step=0)
        assert two_layers.model[0].weight.tolist() == [pytest.approx([0.9, 0.4, 0.2, 0.1])]
        assert pruner.masks() == Mask({})

    def test_the_classifier_stays_as_trained_even_where_it_is_not_pruned(self, two_layers):
        pruner = imp_rw(sparsity=0.5, step=0.25, rewind="all-but-classifier", classifier=False)
        pruner.attach(two_layers, context())
        trained(two_layers)
        pruner.begin(Phase(0, level=0.25), step=1)
        assert two_layers.model[1].weight.tolist() == [[8.0], [7.0]]
        assert set(pruner.masks()) == {"0"}

    def test_the_parameters_are_the_same_ones_in_the_same_place(self, two_layers):
        pruner = imp_rw()
        pruner.attach(two_layers, context())
        before = [(id(each), each.data_ptr()) for each in own_parameters(pruner)]
        pruner.begin(Phase(0, level=0.5), step=0)
        assert [(id(each), each.data_ptr()) for each in own_parameters(pruner)] == before
        assert len(before) == 4

    def test_another_pruner_on_a_trained_model_goes_on_from_its_state(self, two_layers):
        one, other = imp_rw(sparsity=0.5, step=0.25), imp_rw(sparsity=0.5, step=0.25)
        one.attach(two_layers, context())
        one.begin(Phase(0, level=0.25), step=0)
        trained(two_layers)
        other.attach(two_layers, context())
        other.restore(one.state())
        assert other.masks() == one.masks()
        other.begin(Phase(0, level=0.5), step=1)
        assert two_layers.model[0].weight.tolist() == [[0.0, 2.0, 3.0, 0.0]]
        assert two_layers.model[1].weight.tolist() == [[5.0], [0.0]]


class TestRun:
    @pytest.fixture(params=["all", "all-but-classifier"])
    def rewind(self, request) -> str:
        return request.param

    @pytest.fixture(params=["local", "global"])
    def scope(self, request) -> str:
        return request.param

    @pytest.fixture
    def initial(self, make_network) -> dict[str, torch.Tensor]:
        """θ_0: another network of the same seed."""
        return make_network().model.state_dict()

    @pytest.fixture
    def ran(self, train, rewind, scope):
        """Levels of 0.2, 0.4 and 0.6, three steps before each but the first."""
        pruner = imp_rw(sparsity=0.6, step=0.2, interval=0.3, pooler=True, rewind=rewind, scope=scope, levels="all")
        return train(pruner, max_steps=10, eval_every=1, weight_decay=0.1, metrics=[0.9, 0.1])

    def test_every_level_is_kept_directly_after_its_prune(self, ran):
        assert [(each.step, each.point) for each in ran.checkpoints] == [(0, "0.2"), (3, "0.4"), (6, "0.6"), (6, None)]
        assert len(ran.steps) == 6

    def test_every_level_is_its_mask_on_the_initial_weights_bit_by_bit(self, ran, initial, rewind):
        for checkpoint in ran.checkpoints:
            for name, weight in checkpoint.weights.items():
                mask = checkpoint.mask.get(name.removesuffix(".weight"))
                expected = initial[name] if mask is None else torch.where(mask, initial[name], torch.zeros(()))
                if rewind == "all" or name not in CLASSIFIER:
                    assert torch.equal(weight, expected), name
                elif checkpoint.step:
                    assert not torch.equal(weight, expected)
                    assert mask is None or (weight[~mask] == 0).all()
        assert len(ran.final.mask) == 8

    def test_counts_are_exact_and_masks_nested(self, ran, scope):
        for level, checkpoint in zip((0.2, 0.4, 0.6), ran.checkpoints, strict=False):
            if scope == "global":
                assert checkpoint.mask.pruned == round(level * checkpoint.mask.entries)
            else:
                for mask in checkpoint.mask.values():
                    assert int((~mask).sum()) == round(level * mask.numel())
        for before, after in zip(ran.checkpoints, ran.checkpoints[1:], strict=False):
            for name, mask in after.mask.items():
                assert not (mask & ~before.mask[name]).any()

    def test_training_decides_what_goes(self, ran, initial, scope):
        untrained = imp_rw(sparsity=0.6, step=0.6, pooler=True, scope=scope)
        ran.network.model.load_state_dict(initial)
        untrained.attach(ran.network, context(1))
        untrained.begin(Phase(0, level=0.6), step=0)
        assert ran.final.mask != untrained.masks()
        assert ran.final.mask.pruned == untrained.masks().pruned
