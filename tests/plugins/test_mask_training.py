"""Mask training: on matrices of a few entries, and in the training loop."""

from __future__ import annotations

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_mask_training import attached, by_magnitude, forward, set_scores, small_network
from torch import nn

from srf_pruners.mask import MaskTraining
from srf_pruners.mask_options import MaskOptions
from srframework import Mask
from srframework.training.optimization import own_parameters

ENCODER = "bert.encoder.layer.0"


IN_ENCODER = {
    *(f"{ENCODER}.attention.self.{name}" for name in ("query", "key", "value")),
    f"{ENCODER}.attention.output.dense",
    f"{ENCODER}.intermediate.dense",
    f"{ENCODER}.output.dense",
}


class TestAttach:
    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            ({"pooler": False}, IN_ENCODER | {"classifier"}),
            ({"pooler": True}, IN_ENCODER | {"classifier", "bert.pooler.dense"}),
            ({"pooler": False, "classifier": False}, IN_ENCODER),
        ],
    )
    def test_the_parts_that_the_options_name_are_masked(self, make_network, options, expected):
        assert set(attached(make_network(), **options).masks()) == expected

    def test_only_the_scores_are_trained(self, make_network):
        network = make_network()
        pruner = attached(network)
        trained = [parameter for parameter in network.model.parameters() if parameter.requires_grad]
        assert {id(each) for each in trained} == {id(each) for each in own_parameters(pruner)}
        assert [each.shape for each in own_parameters(pruner)] == [each.shape for each in network.matrices().values()]

    @pytest.mark.parametrize("sparsity", [0.0, 0.3, 0.5, 0.7, 0.99])
    def test_it_starts_from_the_magnitude_mask(self, sparsity):
        network = small_network()
        weights = {name: weight.detach().clone() for name, weight in network.matrices().items()}
        pruner = attached(network, sparsity=sparsity)
        assert pruner.masks() == Mask(by_magnitude(weights, sparsity))

    def test_scores_start_at_zero_and_alpha_phi(self):
        pruner = attached(small_network(), sparsity=0.5, phi=0.1, alpha=3.0)
        for scores, mask in zip(own_parameters(pruner), [pruner.masks()[name] for name in "023"], strict=True):
            torch.testing.assert_close(scores.detach(), mask * 0.3)

    def test_until_the_first_refresh_the_threshold_of_hard_scores_is_phi(self):
        state = attached(small_network(), sparsity=0.5, phi=0.1, alpha=3.0).state()
        assert [state[f"{name}.threshold"].item() for name in "023"] == [pytest.approx(0.1)] * 3

    def test_soft_scores_are_the_magnitudes_and_the_threshold_is_between_them(self):
        network = small_network()
        weights = {name: weight.detach().clone() for name, weight in network.matrices().items()}
        pruner = attached(network, sparsity=0.5, init="soft")
        for (name, weight), scores in zip(weights.items(), own_parameters(pruner), strict=True):
            assert torch.equal(scores.detach(), weight.abs())
            low, high = weight.abs().flatten().sort().values[round(weight.numel() / 2) - 1 :][:2].tolist()
            assert pruner.state()[f"{name}.threshold"].item() == pytest.approx((low + high) / 2)
        assert pruner.masks() == Mask(by_magnitude(weights, 0.5))

    @pytest.mark.parametrize("init", ["hard", "soft"])
    def test_globally_one_threshold_is_everybodys(self, init):
        network = small_network()
        weights = {name: weight.detach().clone() for name, weight in network.matrices().items()}
        pruner = attached(network, sparsity=0.4, init=init, scope="global")
        assert pruner.masks() == Mask(by_magnitude(weights, 0.4, "global"))
        assert pruner.masks() != Mask(by_magnitude(weights, 0.4, "local"))
        assert pruner.masks().pruned == round(0.4 * 17)
        pruner.update_mask(1)
        assert len({value.item() for key, value in pruner.state().items() if key.endswith("threshold")}) == 1

    def test_the_weights_of_the_modules_show_the_mask(self):
        network = small_network()
        weights = {name: weight.detach().clone() for name, weight in network.matrices().items()}
        pruner = attached(network, sparsity=0.5)
        for name, weight in network.matrices().items():
            assert torch.equal(weight, weights[name] * pruner.masks()[name])

    def test_the_forward_pass_is_that_of_the_masked_model(self):
        network, reference = small_network(), small_network()
        pruner = attached(network, sparsity=0.5)
        pruner.masks().apply_(reference.model)
        assert torch.equal(forward(network), forward(reference))


class TestGradient:
    @pytest.mark.parametrize("scope", ["local", "global"])
    @pytest.mark.parametrize("init", ["hard", "soft"])
    def test_the_scores_get_autograds_gradient_of_an_explicit_mask(self, init, scope):
        network, reference = small_network(), small_network()
        for each in (network, reference):
            each.model.double()
        inputs = torch.linspace(-1, 1, 20, dtype=torch.float64).reshape(5, 4)
        pruner = attached(network, sparsity=0.5, init=init, scope=scope)
        network.model(inputs).exp().sum().backward()
        masks = {name: mask.double().requires_grad_() for name, mask in pruner.masks().items()}
        replaced = {f"{name}.weight": mask * reference.matrices()[name].detach() for name, mask in masks.items()}
        torch.func.functional_call(reference.model, replaced, (inputs,)).exp().sum().backward()
        for (name, mask), scores in zip(masks.items(), own_parameters(pruner), strict=True):
            torch.testing.assert_close(scores.grad, mask.grad, rtol=1e-6, atol=1e-12)
            assert (scores.grad[~pruner.masks()[name]] != 0).any() or pruner.masks()[name].all()

    def test_a_pruned_weight_comes_back_when_its_score_rises(self):
        network = small_network()
        pruner = attached(network, sparsity=0.5)
        pruned = ~pruner.masks()["0"]
        set_scores(pruner, [pruned.float(), *[each.detach() for each in own_parameters(pruner)[1:]]])
        pruner.update_mask(1)
        assert torch.equal(pruner.masks()["0"], pruned)
        assert torch.equal(network.matrices()["0"] != 0, pruned)


def scores_of_small_network() -> st.SearchStrategy[list[torch.Tensor]]:
    few = st.sampled_from([-0.02, -0.0, 0.0, 0.01, 0.02])
    elements = st.one_of(few, st.floats(-(2.0**60), 2.0**60, width=32))

    def one(shape: tuple[int, int]) -> st.SearchStrategy[torch.Tensor]:
        equal = elements.map(lambda value: torch.full(shape, value))
        return st.one_of(equal, arrays.arrays("float32", shape, elements=elements).map(torch.from_numpy))

    return st.tuples(one((3, 4)), one((1, 3)), one((2, 1))).map(list)


class TestRefresh:
    @given(
        rounds=st.lists(scores_of_small_network(), min_size=1, max_size=3),
        options=st.fixed_dictionaries(
            {
                "sparsity": st.one_of(st.sampled_from([0.0, 0.999]), st.floats(0, 0.999)),
                "scope": st.sampled_from(["local", "global"]),
                "init": st.sampled_from(["hard", "soft"]),
            }
        ),
        begin=st.one_of(st.none(), st.floats(0, 1)),
    )
    def test_whatever_the_scores_the_count_is_exact(self, rounds, options, begin):
        network, sparsity = small_network(), options["sparsity"]
        if begin is not None:
            options = options | {"schedule": "cubic", "initial_sparsity": begin * sparsity}
        pruner = attached(network, **options)
        for step, scores in enumerate([None, *rounds, None]):
            if scores is not None:
                set_scores(pruner, scores)
                pruner.update_mask(step)
            pruned = {name: int((weight == 0).sum()) for name, weight in network.matrices().items()}
            assert pruned == {name: int((~mask).sum()) for name, mask in pruner.masks().items()}
            at = MaskOptions(**options).sparsity_at(step if step <= len(rounds) else len(rounds), 10)
            if options["scope"] == "global":
                assert sum(pruned.values()) == round(at * 17)
            else:
                assert pruned == {"0": round(at * 12), "2": round(at * 3), "3": round(at * 2)}

    def test_globally_the_highest_of_all_scores_are_kept(self):
        pruner = attached(small_network(), sparsity=0.7, scope="global")
        ranks = torch.arange(17.0).flip(0)
        set_scores(pruner, [ranks[:12].reshape(3, 4), ranks[12:15].reshape(1, 3) + 10, ranks[15:].reshape(2, 1)])
        pruner.update_mask(1)
        # 12 of the scores 16 … 5, 14 13 12, 1 0 go.
        kept = {name: mask.int().tolist() for name, mask in pruner.masks().items()}
        assert kept == {"0": [[1, 1, 1, 1], [0, 0, 0, 0], [0, 0, 0, 0]], "2": [[1, 0, 0]], "3": [[0], [0]]}

    @pytest.mark.parametrize(("every", "expected"), [(None, []), (1, [1, 2, 3, 4, 5, 6]), (3, [3, 6])])
    def test_it_happens_every_so_many_steps_besides(self, every, expected):
        pruner = attached(small_network(), sparsity=0.5, refresh_every=every)
        happened = []
        for step in range(1, 7):
            set_scores(pruner, [torch.full_like(each, -step) for each in own_parameters(pruner)])
            pruner.after_step(step)
            if pruner.masks().sparsity < 1:
                happened.append(step)
        assert happened == expected

    def test_after_everything_was_pruned_the_schedule_may_still_be_followed(self):
        pruner = attached(small_network(), sparsity=0.999, schedule="cubic", initial_sparsity=0.5)
        pruner.update_mask(10)
        assert pruner.masks().sparsity == 1.0
        assert all(torch.isfinite(value).all() for value in pruner.state().values())
        pruner.update_mask(0)
        assert pruner.masks().pruned == 6 + 2 + 1

    def test_the_highest_scores_are_kept(self):
        network = small_network()
        pruner = attached(network, sparsity=0.5)
        ranks = torch.tensor([[3.0, 9.0, 1.0, 7.0], [-2.0, 8.0, 0.0, -1.0], [5.0, 4.0, 2.0, 6.0]])
        set_scores(pruner, [ranks, torch.tensor([[0.1, 0.3, 0.2]]), torch.tensor([[2.0], [1.0]])])
        pruner.update_mask(1)
        kept = {name: mask.int().tolist() for name, mask in pruner.masks().items()}
        assert kept == {"0": [[0, 1, 0, 1], [0, 1, 0, 0], [1, 1, 0, 1]], "2": [[0, 1, 0]], "3": [[1], [0]]}

    def test_equal_scores_keep_the_larger_weights(self):
        network = small_network()
        weights = {name: weight.detach().clone() for name, weight in network.matrices().items()}
        pruner = attached(network, sparsity=0.5)
        set_scores(pruner, [torch.full_like(each, 0.02) for each in own_parameters(pruner)])
        pruner.update_mask(1)
        assert pruner.masks() == Mask(by_magnitude(weights, 0.5))


class TestState:
    def moved(self, pruner: MaskTraining, seed: int) -> None:
        draw = torch.Generator().manual_seed(seed)
        set_scores(pruner, [torch.rand(each.shape, generator=draw) for each in own_parameters(pruner)])
        pruner.update_mask(seed)

    def test_restore_brings_back_every_bit(self):
        network = small_network()
        pruner = attached(network, sparsity=0.5)
        self.moved(pruner, 1)
        state, mask, output = pruner.state(), pruner.masks(), forward(network)
        bits = {name: value.clone() for name, value in state.items()}
        self.moved(pruner, 2)
        assert pruner.masks() != mask
        pruner.restore(state)
        assert pruner.masks() == mask
        assert torch.equal(forward(network), output)
        assert all(torch.equal(value, bits[name]) for name, value in pruner.state().items())

    def test_a_state_is_a_copy(self):
        pruner = attached(small_network(), sparsity=0.5)
        state = pruner.state()
        bits = {name: value.clone() for name, value in state.items()}
        self.moved(pruner, 1)
        assert all(torch.equal(value, bits[name]) for name, value in state.items())
        pruner.restore(state)
        self.moved(pruner, 2)
        assert all(torch.equal(value, bits[name]) for name, value in state.items())

    def test_it_brings_another_pruner_on_the_same_model_to_the_same_mask(self):
        one, other = attached(small_network(), sparsity=0.5), attached(small_network(), sparsity=0.5)
        self.moved(one, 1)
        other.restore(one.state())
        assert other.masks() == one.masks()

    def test_the_optimizer_goes_on_with_the_same_parameters(self):
        pruner = attached(small_network(), sparsity=0.5)
        before = own_parameters(pruner)
        pruner.restore(pruner.state())
        assert [id(each) for each in own_parameters(pruner)] == [id(each) for each in before]


class TestTraining:
    def test_everything_but_the_scores_keeps_its_bits(self, train, make_network):
        network = make_network(dropout=0.1)
        before = {name: value.clone() for name, value in network.model.state_dict().items()}
        pruner = MaskTraining(MaskOptions(sparsity=0.7))
        ran = train(pruner, network=network, max_steps=10, weight_decay=0.1, warmup_steps=2, keep="last")
        assert ran.final.weights.keys() == before.keys()
        for name, value in ran.final.weights.items():
            mask = ran.final.mask.get(name.removesuffix(".weight"))
            expected = before[name] if mask is None else torch.where(mask, before[name], torch.zeros(()))
            assert torch.equal(value, expected), name
        start = Mask(by_magnitude({name: before[f"{name}.weight"] for name in ran.final.mask}, 0.7))
        assert ran.final.mask != start

    @pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.7, 0.95])
    def test_every_evaluation_and_checkpoint_has_the_exact_sparsity(self, train, make_network, sparsity):
        network, seen = make_network(), []
        pruner = MaskTraining(MaskOptions(sparsity=sparsity, pooler=True))

        def zeros_are_counted() -> list[float]:
            while True:
                seen.append({name: int((weight == 0).sum()) for name, weight in network.matrices().items()})
                yield 0.0

        ran = train(pruner, network=network, metrics=zeros_are_counted(), eval_every=2, points_kept=[1, 2, 3, 5])
        sizes = {name: weight.numel() for name, weight in network.matrices().items()}
        assert seen == [{name: round(sparsity * size) for name, size in sizes.items()}] * 3
        for checkpoint in ran.checkpoints:
            for name, size in sizes.items():
                assert int((~checkpoint.mask[name]).sum()) == round(sparsity * size)
                assert int((checkpoint.weights[f"{name}.weight"] == 0).sum()) == round(sparsity * size)

    def test_a_gradual_schedule_is_followed_and_only_its_final_sparsity_may_be_the_result(self, train, make_network):
        network, seen = make_network(), []
        pruner = MaskTraining(MaskOptions(sparsity=0.9, init="soft", schedule="cubic", initial_sparsity=0.5))

        def zeros_are_counted() -> list[float]:
            for metric in (0.1, 0.2, 0.3, 0.4, 0.5):
                seen.append(
                    {
                        name: int((weight == 0).sum())
                        for name, weight in network.matrices(("encoder", "classifier")).items()
                    }
                )
                yield metric

        ran = train(pruner, network=network, metrics=zeros_are_counted(), max_steps=6, eval_every=2)
        assert ran.chosen.candidates == 3
        sizes = {name: weight.numel() for name, weight in network.matrices(("encoder", "classifier")).items()}
        levels = [
            0.9 - 0.4 * (2 / 3) ** 3,
            0.9,
            0.9 - 0.4 * (1 / 3) ** 3,
            0.9,
            0.9,
        ]  # as it is, and as a candidate
        assert seen == [{name: round(level * size) for name, size in sizes.items()} for level in levels]
        assert ran.final.step == 6

    def test_it_finds_the_weights_that_the_task_needs(self):
        network = small_network()
        with torch.no_grad():
            network.model[0].weight.copy_(torch.tensor([[0.1, 9.0, 9.0, 9.0]] * 3))
        pruner = attached(network, sparsity=0.7, pooler=False, classifier=False)
        assert not pruner.masks()["0"][:, 0].any()
        optimizer = torch.optim.AdamW(own_parameters(pruner), lr=0.01)
        inputs = torch.from_numpy(np.random.default_rng(0).normal(size=(64, 4))).float()
        wanted = 0.1 * inputs[:, :1].expand(-1, 3)
        for step in range(30):
            nn.functional.mse_loss(network.model[0](inputs), wanted).backward()
            optimizer.step()
            optimizer.zero_grad()
            pruner.update_mask(step + 1)
        assert pruner.masks()["0"][:, 0].all()
