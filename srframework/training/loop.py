"""The one training loop: A_L and P_L^p are the same but for what the pruner optimises."""

from __future__ import annotations

import contextlib
import itertools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import datasets
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast, set_seed
from torch import Tensor, nn
from transformers import PreTrainedModel, get_linear_schedule_with_warmup

from srframework.contracts import Debiaser, LossInputs, Network, Phase, Pruner
from srframework.errors import SRFrameworkError
from srframework.faults import calling, calling_model, owner_of
from srframework.masks import Mask
from srframework.training.batches import Batches
from srframework.training.checkpoints import Checkpoints, Snapshot, optimizer_state, restore_optimizer
from srframework.training.finite import not_finite
from srframework.training.options import TrainingOptions, steps_in
from srframework.training.signals import HeldSignals


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
        on_start: Called once, with the step from which the training goes on; 0 at its beginning.
    """

    evaluate: Callable[[PreTrainedModel], tuple[float, dict[str, float]]]
    on_step: Callable[[int, float, float], None]
    on_evaluation: Callable[[int, float, dict[str, float]], None]
    on_start: Callable[[int], None] = lambda _step: None


@dataclass
class _Position:
    """How far a training is; the rest of its state is in the model, the pruner, the loss and the optimizer.

    Attributes:
        step: Optimizer steps.
        phase: Number of the phase, from 0.
        losses: How many losses there were since one was told; ``loss_sum`` is their sum.
    """

    step: int = 0
    phase: int = 0
    losses: int = 0
    loss_sum: Tensor = field(default_factory=lambda: torch.zeros(()))


@dataclass
class Training:
    """One stage's training.

    Attributes:
        network: The model, which is trained in place.
        examples: Tokenised training examples; with columns ``bias_log_probs`` and ``teacher_log_probs``
            if the loss wants them.
        debiaser: L.
        pruner: p, or :class:`srframework.fixed_mask.FixedMask`.
        options: The stage's.
        seed: Of the data order and of dropout.
        accelerator: Device and processes.
        steps_kept: Steps after which a checkpoint is yielded; those that it never reaches do not count.
        checkpoints: Where it leaves, now and then, what it needs to go on, and from where it goes on; None for nowhere.
    """

    network: Network
    examples: datasets.Dataset
    debiaser: Debiaser
    pruner: Pruner
    options: TrainingOptions
    seed: int
    accelerator: Accelerator
    steps_kept: frozenset[int] = frozenset()
    checkpoints: Checkpoints | None = None
    _hidden: Tensor | None = field(default=None, init=False)
    _best: tuple[float, Checkpoint] | None = field(default=None, init=False)

    def run(self, events: Events) -> Iterator[Checkpoint]:
        """Train; yield each point that is to be kept as it is reached, and last the result.

        Where :attr:`checkpoints` has one, the training goes on from there, to the same bits on a CPU;
        points that were reached before it are not yielded again.

        Raises:
            SRFrameworkError: The weights or the loss are no finite numbers, or the processes disagree on the mask; says
                at which step, and what of it came first.
        """
        options, pruner, accelerator = self.options, self.pruner, self.accelerator
        set_seed(self.seed)
        total = steps_in(options, len(self.examples), accelerator.num_processes)
        plain = self.network.model.to(accelerator.device)
        self._plain, self._names = plain, list(plain.state_dict())
        if (found := not_finite(plain.state_dict())) is not None:
            raise SRFrameworkError(f"expected finite weights at the start of the stage, got {found}")
        self._first_not_finite = torch.zeros(4, dtype=torch.int64, device=accelerator.device)
        pruner.attach(self.network, total)
        self.debiaser.attach(self._watch_hidden())
        if accelerator.num_processes > 1:  # one draw for what all share; to drop out each has examples of its own
            set_seed((self.seed + accelerator.process_index) % 2**32)
        model = accelerator.prepare_model(plain)
        model.train()
        phases = pruner.phases(total)
        planned = sum(phase.steps for phase in phases)
        snapshot = None
        if self.checkpoints is not None:
            self.checkpoints.require(self._leading_to(phases))
            snapshot = self.checkpoints.latest()
        batches = Batches(self.examples, self.network.tokenizer, options, self.seed, accelerator)
        at = _Position() if snapshot is None else self._restored(snapshot, batches)
        at.loss_sum = at.loss_sum.to(accelerator.device)
        stream = iter(batches)
        events.on_start(at.step)
        self._saved = time.monotonic()
        with self._signals() as signals:
            for number, phase in list(enumerate(phases))[at.phase :]:
                if snapshot is None:
                    pruner.begin(phase, at.step)
                    self._agree(at.step)
                at.phase = number
                start = sum(before.steps for before in phases[:number])
                end = start + phase.steps
                parameters = [*pruner.parameters(), *self.debiaser.parameters()]
                optimizer, schedule = self._optimizer(parameters, phase)
                if snapshot is not None:
                    restore_optimizer(snapshot, optimizer, schedule)
                    if self.checkpoints is not None:
                        self.checkpoints.restore_streams()  # last: what is made draws from them
                    snapshot = None
                while at.step < end:
                    at.loss_sum += self._backward(model, stream, at, planned)
                    at.losses += 1
                    pruner.before_step(at.step)
                    self._clip(parameters)
                    rate = schedule.get_last_lr()[0]
                    self._set_epsilon(optimizer, at.step - start + 1)
                    optimizer.step()
                    schedule.step()
                    optimizer.zero_grad()
                    at.step += 1
                    pruner.after_step(at.step)
                    if pruner.changes_mask(at.step):
                        self._agree(at.step)
                    self._tell(events, at, rate, at.step == end, planned)
                    if at.step in self.steps_kept:
                        yield self._checkpoint_between(at.step)
                    if self._is_due(at.step) or signals.held:
                        self._save(at, batches, optimizer, schedule)
                    if signals.held:
                        signals.deliver()
                if not phase.steps:
                    pruner.refresh(at.step)  # else it was refreshed after the last of them
                if phase.level is not None:
                    yield self._checkpoint(at.step, f"{phase.level:g}")
                accelerator.free_memory()  # else it keeps the optimizer of every phase, and the model of every stage
        yield self._best[1] if self._best is not None else self._checkpoint(at.step, None)

    def _leading_to(self, phases: Sequence[Phase]) -> dict[str, int]:
        """Point -> the first step after which a checkpoint does not lead to it any more."""
        steps = {str(step): step for step in self.steps_kept}  # it is kept before a checkpoint of that step
        ends = itertools.accumulate(phase.steps for phase in phases)
        levels = {
            f"{phase.level:g}": end + 1 for phase, end in zip(phases, ends, strict=True) if phase.level is not None
        }
        return steps | levels

    def _tell(self, events: Events, at: _Position, rate: float, is_end: bool, planned: int) -> None:
        """After a step: what is due of the log, and of evaluations."""
        options, step = self.options, at.step
        measured = step % options.eval_every == 0 or is_end
        if measured or step in self.steps_kept:
            self._mean_loss(at)  # nothing that is no number is measured, or kept
        if step % options.log_every == 0 or is_end:
            events.on_step(step, self._mean_loss(at), rate)
            at.loss_sum, at.losses = torch.zeros_like(at.loss_sum), 0
        if measured:
            self.pruner.refresh(step)
            self._agree(step)
            id_metric, ood_metrics = events.evaluate(self._plain)
            events.on_evaluation(step, id_metric, ood_metrics)
            self._remember_best(id_metric, step, planned)

    def _signals(self) -> HeldSignals:
        """Of one process; several do not get theirs after the same step."""
        keeps = self.checkpoints is not None and self.accelerator.num_processes == 1
        return HeldSignals(self.checkpoints.note if self.checkpoints is not None else print, holding=keeps)

    # -- going on ------------------------------------------------------------------------------

    def _is_due(self, step: int) -> bool:
        """Whether a checkpoint is to be written now; the same in every process."""
        if self.checkpoints is None:
            return False
        every, seconds = self.options.checkpoint_steps, self.options.checkpoint_seconds
        due = bool(seconds) and time.monotonic() - self._saved >= seconds
        if seconds and self.accelerator.num_processes > 1:  # one clock for all
            due = bool(broadcast(torch.tensor([due], dtype=torch.int32, device=self.accelerator.device)).item())
        return due or (every is not None and step % every == 0)

    def _save(self, at: _Position, batches: Batches, optimizer: Any, schedule: Any) -> None:
        assert self.checkpoints is not None, "it is only due where there are any"
        self._mean_loss(at)

        def snapshot() -> Snapshot:
            tensors, facts = optimizer_state(optimizer, schedule)
            tensors |= {f"model.{name}": value for name, value in self._plain.state_dict().items()}
            tensors |= {f"pruner.{name}": value for name, value in self.pruner.state().items()}
            tensors |= {f"loss.{index}": value for index, value in enumerate(self.debiaser.parameters())}
            tensors["loss_sum"] = at.loss_sum
            counters = {"step": at.step, "phase": at.phase, "losses": at.losses}
            facts |= {"at": counters, "batches": batches.taken, "best": None}
            if self._best is not None:
                metric, best = self._best
                facts["best"] = {"metric": metric, "step": best.step}
                tensors |= {f"best.{name}": value for name, value in best.weights.items()}
                tensors |= {f"best-mask.{name}": value for name, value in best.mask.items()}
            return Snapshot(tensors, facts)

        self.checkpoints.save(at.step, snapshot)
        self._saved = time.monotonic()

    def _restored(self, snapshot: Snapshot, batches: Batches) -> _Position:
        """Set model, pruner, loss, data order and the best so far to what they were."""
        device = self.accelerator.device
        self._plain.load_state_dict(snapshot.part("model."))
        self.pruner.restore({name: value.to(device) for name, value in snapshot.part("pruner.").items()})
        with torch.no_grad():
            for index, own in enumerate(self.debiaser.parameters()):
                own.copy_(snapshot.tensors[f"loss.{index}"])
        batches.taken = snapshot.facts["batches"]
        if (best := snapshot.facts["best"]) is not None:
            weights = {name: snapshot.tensors[f"best.{name}"] for name in self._names}
            checkpoint = Checkpoint(best["step"], None, weights, Mask(snapshot.part("best-mask.")))
            self._best = best["metric"], checkpoint
        return _Position(**snapshot.facts["at"], loss_sum=snapshot.tensors["loss_sum"])

    def _agree(self, step: int) -> None:
        """See to it that all processes have one mask.

        Raises:
            SRFrameworkError: They have not.
        """
        if self.accelerator.num_processes == 1:
            return
        mine = list(bytes.fromhex(self.pruner.masks().digest()))
        digests = self.accelerator.gather(torch.tensor([mine], device=self.accelerator.device)).tolist()
        if any(digest != digests[0] for digest in digests):
            told = ", ".join(f"{rank}: {bytes(digest).hex()[:12]}" for rank, digest in enumerate(digests))
            raise SRFrameworkError(
                f"the processes disagree on the mask after step {step}: expected one hash of it, got {told}"
            )

    # -- one step ------------------------------------------------------------------------------

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

    def _backward(self, model: nn.Module, batches: Iterator[dict[str, Tensor]], at: _Position, planned: int) -> Tensor:
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
                with calling_model("forward pass"), precision:
                    logits = model(**batch).logits
                hidden = None if self._hidden is None else self._hidden.float()
                inputs = LossInputs(logits.float(), labels, **known, hidden=hidden, progress=at.step / planned)
                loss = self.debiaser.loss(inputs) / count
                self._watch(loss, inputs, at.step + 1)
                with calling(owner_of(self.debiaser), "gradient"):
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

    def _mean_loss(self, at: _Position) -> float:
        """Since it was told last, over all processes; 0 where that was just now.

        Raises:
            SRFrameworkError: It is no finite number.
        """
        total = self.accelerator.reduce(at.loss_sum, "mean") if self.accelerator.num_processes > 1 else at.loss_sum
        loss: float = total.item() / max(at.losses, 1)
        if not math.isfinite(loss):
            raise SRFrameworkError(f"the loss is {loss} at step {at.step}; expected a finite number ({self._cause()})")
        return loss

    def _watch(self, loss: Tensor, inputs: LossInputs, step: int) -> None:
        """Remember, on the device, the first step whose loss is not finite, and which of its inputs are not."""

        def is_bad(tensor: Tensor | None) -> Tensor:
            finite = loss.new_ones((), dtype=torch.bool) if tensor is None else tensor.detach().isfinite().all()
            return (~finite).to(self._first_not_finite)

        seen = [is_bad(each) for each in (inputs.logits, inputs.bias_log_probs, inputs.teacher_log_probs)]
        now = torch.stack([is_bad(loss) * step, *seen])
        self._first_not_finite = torch.where(
            (self._first_not_finite[0] == 0) & (now[0] > 0), now, self._first_not_finite
        )

    def _cause(self) -> str:
        """Of a loss that is no finite number, by what came first."""
        step, logits, bias, teacher = self._first_not_finite.tolist()
        is_first = step == 1  # before it no weight was changed, and all were finite
        if logits and is_first:
            return "at step 1 the model itself gives logits that are not finite, from finite weights"
        if not logits and (bias or teacher):
            whose = "bias model" if bias else "teacher"
            return f"the {whose} gives log-probabilities that are not finite for the examples of step {step}"
        if not logits and is_first:
            return f"at step 1 the loss, {type(self.debiaser).__name__}, makes it of finite logits"
        return self._remedy()

    def _remedy(self) -> str:
        rate, norm = self.options.learning_rate, self.options.max_grad_norm
        return f"learning_rate is {rate:g}, max_grad_norm {norm:g}; a lower learning rate is the usual remedy"

    def _remember_best(self, metric: float, step: int, total: int) -> None:
        first = round((self.options.best_after or 0) * total, 6)  # 0.55 * 100 is a little more than 55
        if not self.pruner.keeps_best or self.options.keep != "best" or step < first or not self.pruner.complete(step):
            return
        if self._best is None or metric > self._best[0]:
            self._best = metric, self._checkpoint(step, None)

    def _checkpoint(self, step: int, point: str | None) -> Checkpoint:
        """What stands now; just after a refresh."""
        mask = self.pruner.masks()
        weights = {name: _tensor(self._plain, name).detach().to("cpu", copy=True) for name in self._names}
        for name, matrix in mask.items():
            weights[f"{name}.weight"].masked_fill_(~matrix, 0.0)  # a kept -0.0 apart, pruned is +0.0
        if (found := not_finite(weights)) is not None:
            raise SRFrameworkError(f"expected finite weights after step {step}, got {found} ({self._remedy()})")
        return Checkpoint(step, point, weights, mask)

    def _checkpoint_between(self, step: int) -> Checkpoint:
        """What a refresh would give now, without its effect on what follows: that somebody
        refers to a step must not change the stage."""
        state = self.pruner.state()
        self.pruner.refresh(step)
        self._agree(step)
        checkpoint = self._checkpoint(step, str(step))
        self.pruner.restore(state)
        return checkpoint


def _tensor(model: nn.Module, name: str) -> Tensor:
    """A parameter or buffer by its plain name; the value that the forward pass sees, where
    the module is parametrised."""
    module, _, attribute = name.rpartition(".")
    tensor = getattr(model.get_submodule(module), attribute)
    assert isinstance(tensor, Tensor), name
    return tensor
