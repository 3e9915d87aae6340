"""The one training loop: A_L and P_L^p are the same but for what the pruner optimises."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import datasets
import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch import Tensor, nn
from torch.utils.data import DataLoader, RandomSampler, Sampler
from transformers import DataCollatorWithPadding, PreTrainedModel, get_linear_schedule_with_warmup
from transformers.trainer_pt_utils import LengthGroupedSampler

from srframework.contracts import Debiaser, LossInputs, Network, Phase, Pruner
from srframework.errors import SRFrameworkError
from srframework.masks import Mask
from srframework.training_options import TrainingOptions, steps_in


@dataclass(frozen=True)
class Checkpoint:
    """A model at one step, on the CPU.

    Attributes:
        step: Optimizer steps of the stage until then.
        point: By what others refer to it: ``"10000"`` (a step), ``"0.5"`` (a sparsity level);
            None for the end of the stage.
        weights: The state dict; pruned entries are exactly 0.
        mask: Which entries those are.
    """

    step: int
    point: str | None
    weights: dict[str, Tensor]
    mask: Mask


@dataclass(frozen=True)
class Events:
    """What the loop calls while it works.

    Attributes:
        evaluate: Called with the model; gives ``(ID metric, {OOD split: metric})``.
        on_step: Called every ``log_every`` steps with (step, mean loss since the last call, learning rate).
        on_evaluation: Called with (step, ID metric, OOD metrics) after each evaluation.
    """

    evaluate: Callable[[PreTrainedModel], tuple[float, dict[str, float]]]
    on_step: Callable[[int, float, float], None]
    on_evaluation: Callable[[int, float, dict[str, float]], None]


@dataclass
class Training:
    """One stage's training.

    Attributes:
        network: The model, which is trained in place.
        examples: Tokenised training examples; with columns ``bias_log_probs`` and ``teacher_log_probs``
            if the loss wants them.
        debiaser: L.
        pruner: p, or :class:`srframework.pruning.FixedMask`.
        options: The stage's.
        seed: Of the data order and of dropout.
        accelerator: Device and processes.
        steps_kept: Steps after which a checkpoint is yielded.
    """

    network: Network
    examples: datasets.Dataset
    debiaser: Debiaser
    pruner: Pruner
    options: TrainingOptions
    seed: int
    accelerator: Accelerator
    steps_kept: frozenset[int] = frozenset()
    _hidden: Tensor | None = field(default=None, init=False)
    _best: tuple[float, Checkpoint] | None = field(default=None, init=False)

    def run(self, events: Events) -> Iterator[Checkpoint]:
        """Train; yield each point that is to be kept as it is reached, and last the result.

        Raises:
            SRFrameworkError: The loss is no finite number; says at which step.
        """
        set_seed(self.seed)
        options, pruner, accelerator = self.options, self.pruner, self.accelerator
        total = steps_in(options, len(self.examples), accelerator.num_processes)
        plain = self.network.model.to(accelerator.device)
        names = list(plain.state_dict())
        pruner.attach(self.network, total)
        self.debiaser.attach(self._watch_hidden())
        model = accelerator.prepare_model(plain)
        model.train()
        batches = self._batches()
        step = 0
        phases = pruner.phases(total)
        planned = sum(phase.steps for phase in phases)
        for phase in phases:
            pruner.begin(phase, step)
            parameters = [*pruner.parameters(), *self.debiaser.parameters()]
            optimizer, schedule = self._optimizer(parameters, phase)
            start, end = step, step + phase.steps
            loss_sum, loss_count = torch.zeros((), device=accelerator.device), 0
            while step < end:
                loss_sum += self._backward(model, batches, step / planned)
                loss_count += 1
                pruner.before_step(step)
                self._clip(parameters)
                rate = schedule.get_last_lr()[0]
                self._set_epsilon(optimizer, step - start + 1)
                optimizer.step()
                schedule.step()
                optimizer.zero_grad()
                step += 1
                pruner.after_step(step)
                measured = step % options.eval_every == 0 or step == end
                if measured or step in self.steps_kept:
                    self._finite(loss_sum.item(), step)  # nothing that is no number is measured, or kept
                if step % options.log_every == 0 or step == end:
                    events.on_step(step, self._finite(loss_sum.item() / loss_count, step), rate)
                    loss_sum, loss_count = torch.zeros_like(loss_sum), 0
                if measured:
                    pruner.refresh(step)
                    id_metric, ood_metrics = events.evaluate(model)
                    events.on_evaluation(step, id_metric, ood_metrics)
                    self._remember_best(id_metric, step, total, plain, names)
                if step in self.steps_kept:
                    yield self._checkpoint_between(step, plain, names)
            if not phase.steps:
                pruner.refresh(step)  # else it was refreshed after the last of them
            if phase.level is not None:
                yield self._checkpoint(step, f"{phase.level:g}", plain, names)
            accelerator.free_memory()  # else it keeps the optimizer of every phase, and the model of every stage
        yield self._best[1] if self._best is not None else self._checkpoint(step, None, plain, names)

    def _batches(self) -> Iterator[dict[str, Tensor]]:
        """Batches without end; the order of each epoch is a function of the seed and its number."""
        generator = torch.Generator()
        size = self.options.batch_size
        sampler: Sampler[int]
        if self.options.group_by_length:
            sampler = LengthGroupedSampler(size, lengths=list(self.examples["length"]), generator=generator)
        else:
            sampler = RandomSampler(self.examples, generator=generator)
        loader = self.accelerator.prepare_data_loader(
            DataLoader(
                self.examples.remove_columns("length"),
                batch_size=size,
                sampler=sampler,
                collate_fn=DataCollatorWithPadding(self.network.tokenizer),
                generator=torch.Generator(),
            )
        )
        epoch = 0
        while True:
            generator.manual_seed(self.seed * 1_000_003 + epoch)
            yield from loader
            epoch += 1

    def _optimizer(self, parameters: Sequence[nn.Parameter], phase: Phase) -> tuple[Any, Any]:
        options = self.options
        optimizer = torch.optim.AdamW(
            parameters,
            lr=options.learning_rate,
            eps=options.adam_epsilon,
            weight_decay=options.weight_decay,
            fused=True,
        )
        warmup = options.warmup_steps if phase.warmup else 0
        schedule = get_linear_schedule_with_warmup(optimizer, warmup, phase.steps)
        return self.accelerator.prepare_optimizer(optimizer), schedule

    def _set_epsilon(self, optimizer: Any, step: int) -> None:
        """Before the ``step``-th step of an optimizer, from 1."""
        if self.options.adam_epsilon_uncorrected:
            for group in optimizer.param_groups:
                group["eps"] = self.options.adam_epsilon / math.sqrt(1 - group["betas"][1] ** step)

    def _watch_hidden(self) -> int:
        """Keep what the last layer of the classifier is given; give its width; 0 where there is none."""
        classifier = self.network.matrices(["classifier"])
        if not classifier:
            return 0
        name, weight = list(classifier.items())[-1]

        def keep(_module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            self._hidden = inputs[0]

        self.network.model.get_submodule(name).register_forward_pre_hook(keep)
        return weight.shape[1]

    def _backward(self, model: nn.Module, batches: Iterator[dict[str, Tensor]], progress: float) -> Tensor:
        """Add up the gradients of one optimizer step; give the mean loss."""
        count = self.options.gradient_accumulation
        # Accelerate fixes one precision for the process; stages of a recipe may differ in theirs.
        precision = torch.autocast(
            self.accelerator.device.type, torch.bfloat16, enabled=self.options.precision == "bf16"
        )
        total = torch.zeros((), device=self.accelerator.device)
        for micro in range(count):
            batch = dict(next(batches))
            labels = batch.pop("labels")
            known = {name: batch.pop(name, None) for name in ("bias_log_probs", "teacher_log_probs")}
            syncing = contextlib.nullcontext() if micro == count - 1 else self.accelerator.no_sync(model)
            with syncing:
                with precision:
                    logits = model(**batch).logits
                hidden = None if self._hidden is None else self._hidden.float()
                inputs = LossInputs(logits.float(), labels, **known, hidden=hidden, progress=progress)
                loss = self.debiaser.loss(inputs) / count
                self.accelerator.backward(loss)
            total += loss.detach()
        for own in self.debiaser.parameters():  # which the model, and so DDP, does not know of
            if own.grad is not None and self.accelerator.num_processes > 1:
                own.grad = self.accelerator.reduce(own.grad.to(self.accelerator.device), "mean").to(own.device)
        return total

    def _clip(self, parameters: Sequence[nn.Parameter]) -> None:
        norm = self.options.max_grad_norm
        if not norm:
            return
        groups = [[parameter] for parameter in parameters] if self.options.clip == "per-tensor" else [parameters]
        for group in groups:
            self.accelerator.clip_grad_norm_(group, norm)

    def _finite(self, loss: float, step: int) -> float:
        if not math.isfinite(loss):
            rate = self.options.learning_rate
            raise SRFrameworkError(
                f"the loss is {loss} at step {step}; expected a finite number (learning_rate is {rate:g}, "
                f"max_grad_norm {self.options.max_grad_norm:g}; a lower learning rate is the usual remedy)"
            )
        return loss

    def _remember_best(
        self, metric: float, step: int, total: int, model: PreTrainedModel, names: Sequence[str]
    ) -> None:
        first = round((self.options.best_after or 0) * total, 6)  # 0.55 * 100 is a little more than 55
        if not self.pruner.keeps_best or self.options.keep != "best" or step < first or not self.pruner.complete(step):
            return
        if self._best is None or metric > self._best[0]:
            self._best = metric, self._checkpoint(step, None, model, names)

    def _checkpoint(self, step: int, point: str | None, model: nn.Module, names: Sequence[str]) -> Checkpoint:
        """What stands now; just after a refresh."""
        mask = self.pruner.masks()
        weights = {name: _tensor(model, name).detach().to("cpu", copy=True) for name in names}
        for name, matrix in mask.items():
            weights[f"{name}.weight"].masked_fill_(~matrix, 0.0)  # a kept -0.0 apart, pruned is +0.0
        return Checkpoint(step, point, weights, mask)

    def _checkpoint_between(self, step: int, model: nn.Module, names: Sequence[str]) -> Checkpoint:
        """What a refresh would give now, without its effect on what follows: that somebody
        refers to a step must not change the stage."""
        state = self.pruner.state()
        self.pruner.refresh(step)
        checkpoint = self._checkpoint(step, str(step), model, names)
        self.pruner.restore(state)
        return checkpoint


def _tensor(model: nn.Module, name: str) -> Tensor:
    """A parameter or buffer by its plain name; the value that the forward pass sees, where
    the module is parametrised."""
    module, _, attribute = name.rpartition(".")
    tensor = getattr(model.get_submodule(module), attribute)
    assert isinstance(tensor, Tensor), name
    return tensor
