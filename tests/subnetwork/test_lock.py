"""A locked mask: pruned entries stay exactly 0 whatever trains the model, and nothing of the lock is saved."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch.nn.utils import clip_grad_norm_
from transformers import AutoModelForSequenceClassification, Trainer, TrainingArguments

import srframework
from srframework.masks import Mask
from srframework.subnetwork.lock import locked_mask

OPTIMIZERS = {
    "AdamW": lambda parameters: torch.optim.AdamW(parameters, lr=1e-2, weight_decay=0.1),
    "SGD with momentum": lambda parameters: torch.optim.SGD(parameters, lr=1e-2, momentum=0.9, weight_decay=0.1),
    "SGD with Nesterov": lambda parameters: torch.optim.SGD(parameters, lr=1e-2, momentum=0.9, nesterov=True),
    "RMSprop": lambda parameters: torch.optim.RMSprop(parameters, lr=1e-3, momentum=0.9, centered=True),
    "Adagrad": lambda parameters: torch.optim.Adagrad(parameters, lr=1e-2, weight_decay=0.1),
    "Adafactor": lambda parameters: torch.optim.Adafactor(parameters, lr=1e-2),
    "fused": lambda parameters: torch.optim.AdamW(parameters, lr=1e-2, fused=True),
}


class Noise(torch.optim.Optimizer):
    """Changes every entry, whatever its gradient is."""

    def __init__(self, parameters):
        super().__init__(parameters, {})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.add_(0.01)


def loss_of(model, seed=0):
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, 40, (4, 8), generator=generator)
    return model(input_ids=ids, labels=torch.tensor([0, 1, 2, 0])).loss


def train(model, optimizer, steps=50):
    model.train()
    for step in range(steps):
        optimizer.zero_grad()
        loss_of(model, step).backward()
        clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()


def pruned_values(model, mask):
    return torch.cat([model.get_submodule(name).weight[~kept] for name, kept in mask.items()])


def is_zero(model, mask) -> bool:
    """Whether every pruned entry is +0.0 or -0.0, and some kept entry is not."""
    kept = torch.cat([model.get_submodule(name).weight[each] for name, each in mask.items()])
    return not pruned_values(model, mask).any() and bool(kept.any())


@pytest.fixture
def locked(model, mask):
    return srframework.lock(model, mask)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_no_optimizer_changes_a_pruned_entry(locked, mask, name):
    before = copy.deepcopy(locked.state_dict())
    train(locked, OPTIMIZERS[name](locked.parameters()))
    assert is_zero(locked, mask)
    changed = [key for key, value in locked.state_dict().items() if not torch.equal(value, before[key])]
    assert len(changed) == len([*locked.parameters()])


def test_the_gradient_is_that_of_the_masked_model(locked, mask):
    loss_of(locked.eval()).backward()
    for name, kept in mask.items():
        gradient = locked.get_submodule(name).weight.grad
        assert not gradient[~kept].any()
        assert gradient[kept].any()


def test_momentum_from_before_the_lock_moves_nothing_that_is_used_or_saved(model, mask, tmp_path):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    train(model, optimizer, 3)
    srframework.lock(model, mask)
    train(model, optimizer, 3)
    saved = model.state_dict()
    assert not any(saved[f"{name}.weight"][~kept].any() for name, kept in mask.items())


def test_an_optimizer_that_changes_every_entry_is_corrected_before_use_and_before_saving(locked, mask, tmp_path):
    expected = copy.deepcopy(locked)
    optimizer = Noise(locked.parameters())
    optimizer.step()
    assert pruned_values(locked, mask).any()
    locked.save_pretrained(tmp_path / "saved")
    plain = AutoModelForSequenceClassification.from_pretrained(tmp_path / "saved")
    assert is_zero(plain, mask)
    optimizer.step()
    for name, each in expected.named_parameters():
        each.data.add_(0.02)
        if name.removesuffix(".weight") in mask and name.endswith(".weight"):
            each.data[~mask[name.removesuffix(".weight")]] = 0.0
    with torch.no_grad():
        torch.testing.assert_close(loss_of(locked.eval()), loss_of(expected.eval()))
    assert is_zero(locked, mask)


def test_weights_that_are_loaded_into_a_locked_model_are_pruned(locked, mask, make_model):
    locked.load_state_dict(make_model(seed=3).state_dict())
    assert is_zero(locked, mask)


def test_a_saved_model_is_ordinary(locked, mask, tmp_path):
    train(locked, OPTIMIZERS["AdamW"](locked.parameters()))
    locked.save_pretrained(tmp_path / "saved")
    plain, loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path / "saved", output_loading_info=True)
    assert not loaded["missing_keys"]
    assert not loaded["unexpected_keys"]
    assert is_zero(plain, mask)
    assert plain.state_dict().keys() == locked.state_dict().keys()
    assert locked_mask(plain) == Mask({})
    with torch.no_grad():
        assert torch.equal(loss_of(plain.eval()), loss_of(locked.eval()))


def test_a_deep_copy_is_locked_by_itself(locked, mask):
    other = copy.deepcopy(locked)
    assert locked_mask(other) == mask
    train(other, OPTIMIZERS["AdamW"](other.parameters()))
    assert is_zero(other, mask)
    srframework.unlock(other)
    train(other, OPTIMIZERS["SGD with momentum"](other.parameters()), 5)
    assert pruned_values(other, mask).any()
    train(locked, OPTIMIZERS["AdamW"](locked.parameters()), 5)
    assert is_zero(locked, mask)
    assert locked_mask(locked) == mask


def test_a_copy_by_pickle_is_locked(locked, mask):
    other = pickle.loads(pickle.dumps(locked))
    train(other, OPTIMIZERS["AdamW"](other.parameters()), 5)
    assert is_zero(other, mask)


@pytest.mark.filterwarnings("ignore:.*gradient_checkpointing_enable:FutureWarning")
def test_gradient_checkpointing_works(locked, mask):
    locked.gradient_checkpointing_enable()
    train(locked, OPTIMIZERS["AdamW"](locked.parameters()), 5)
    assert is_zero(locked, mask)


def test_accumulated_gradients_and_a_closure_work(locked, mask):
    optimizer = torch.optim.LBFGS(locked.parameters(), max_iter=3)

    def closure():
        optimizer.zero_grad()
        loss = loss_of(locked, 1) + loss_of(locked, 2)
        loss.backward()
        loss_of(locked, 3).backward()
        return loss

    optimizer.step(closure)
    assert is_zero(locked, mask)


def test_inference_mode_and_frozen_weights_work(locked, mask):
    locked.requires_grad_(False)
    with torch.inference_mode():
        loss_of(locked)
    locked.requires_grad_(True)
    train(locked, OPTIMIZERS["AdamW"](locked.parameters()), 3)
    assert is_zero(locked, mask)


def test_half_precision_stays_locked(locked, mask):
    locked.to(torch.bfloat16)
    train(locked, OPTIMIZERS["AdamW"](locked.parameters()), 3)
    assert is_zero(locked, mask)


def test_a_second_lock_replaces_the_first(locked, mask):
    denser = Mask({name: torch.ones_like(kept) for name, kept in mask.items()})
    assert locked_mask(srframework.lock(locked, denser)) == denser
    train(locked, OPTIMIZERS["AdamW"](locked.parameters()), 3)
    assert pruned_values(locked, mask).any()


def test_unlocking_is_explicit_and_complete(locked, mask):
    assert srframework.unlock(locked) is locked
    assert locked_mask(locked) == Mask({})
    assert is_zero(locked, mask)
    train(locked, OPTIMIZERS["AdamW"](locked.parameters()), 3)
    assert pruned_values(locked, mask).any()
    with pytest.raises(ValueError, match="expected a model with a locked mask, got one without"):
        srframework.unlock(locked)


def test_a_mask_of_another_model_is_an_error(model):
    with pytest.raises(ValueError, match="the model has no matrix 'nothing'"):
        srframework.lock(model, Mask({"nothing": torch.ones(2, 2, dtype=torch.bool)}))
    with pytest.raises(ValueError, match=r"mask of 'classifier': expected \(3, 16\), got \(2, 2\)"):
        srframework.lock(model, Mask({"classifier": torch.ones(2, 2, dtype=torch.bool)}))


class Rows(torch.utils.data.Dataset):
    def __len__(self):
        return 100

    def __getitem__(self, index):
        generator = torch.Generator().manual_seed(index)
        return {"input_ids": torch.randint(0, 40, (8,), generator=generator), "labels": index % 3}


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore:.*pin_memory:UserWarning")
def test_the_trainer_of_transformers_keeps_pruned_entries_at_0(locked, mask, tmp_path):
    arguments = TrainingArguments(
        output_dir=str(tmp_path / "out"),
        max_steps=50,
        per_device_train_batch_size=4,
        gradient_accumulation_steps=2,
        learning_rate=1e-2,
        weight_decay=0.1,
        save_steps=25,
        eval_strategy="steps",
        eval_steps=25,
        load_best_model_at_end=True,
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
    )
    trainer = Trainer(locked, arguments, train_dataset=Rows(), eval_dataset=Rows())
    before = locked.classifier.weight.clone()
    trainer.train()
    assert not torch.equal(before, locked.classifier.weight)
    assert is_zero(locked, mask)
    trainer.save_model(str(tmp_path / "saved"))
    for place in (tmp_path / "saved", tmp_path / "out/checkpoint-50"):
        plain, loaded = AutoModelForSequenceClassification.from_pretrained(place, output_loading_info=True)
        assert not loaded["missing_keys"]
        assert not loaded["unexpected_keys"]
        assert is_zero(plain, mask)
