"""The training loop. A_L and P_L^p differ only in the parameters that the pruner optimises."""

from __future__ import annotations

import contextlib
import itertools
import math
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import datasets
import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast, set_seed
from torch import nn

from srframework.contracts import Debiaser, Network, Phase, Pruner
from srframework.errors import SRFrameworkError
from srframework.faults import reached
from srframework.training.agreement import require_equal_masks
from srframework.training.batches import Batches
from srframework.training.checkpoints import (
    Checkpoints,
    TrainingState,
    loss_state,
    optimizer_state,
    restore_loss,
    restore_optimizer,
)
from srframework.training.choice import Choice
from srframework.training.chosen import Chosen
from srframework.training.context import Contexts, StageInputs
from srframework.training.events import Events, KeptModel, Position
from srframework.training.finite import not_finite
from srframework.training.gradients import Gradients
from srframework.training.kept import kept_model, zeros_of
from srframework.training.optimization import clip, make_optimizer, set_epsilon
from srframework.training.options import TrainingOptions, optimizer_steps
from srframework.training.scalars import Scalars
from srframework.training.signals import DeferredSignals


@dataclass
class Training:
    """The training of one stage.

    Attributes:
        network: The model, which is trained in place.
        examples: Tokenised training examples; with columns ``bias_log_probs`` and ``weights``, if they exist.
        debiaser: L.
        pruner: p, or :class:`srframework.fixed_mask.FixedMask`.
        options: The stage's options.
        seed: Seed of the data order and of dropout.
        accelerator: Device and processes.
        inputs: Further inputs of loss and pruner.
        points_kept: Points at which the model is yielded, besides the levels that the pruner keeps: steps (``"10000"``)
            and levels (``"0.5"``); those that are not reached are ignored.
        checkpoints: Saves checkpoints to resume from; None: no checkpoints.
        measure_start: Whether to evaluate before the first step too.
        chosen: How the result was chosen, known when it is yielded.
    """

    network: Network
    examples: datasets.Dataset
    debiaser: Debiaser
    pruner: Pruner
    options: TrainingOptions
    seed: int
    accelerator: Accelerator
    inputs: StageInputs = field(default_factory=StageInputs)
    points_kept: frozenset[str] = frozenset()
    checkpoints: Checkpoints | None = None
    measure_start: bool = False
    chosen: Chosen = field(default=Chosen(), init=False)
    _scalars: Scalars = field(default_factory=Scalars, init=False)
    _logits: Mapping[str, np.ndarray] = field(default_factory=dict, init=False)  # of the model as it is now, by split

    def run(self, events: Events) -> Generator[KeptModel]:
        """Train. Yield each point that is kept when it is reached, and finally the result.

        If there is a usable checkpoint, the training resumes from it, with the same bits on a CPU.
        Earlier points are not yielded again.

        Raises:
            SRFrameworkError: The weights or the loss are not finite, or the processes disagree on the mask; names
                the step and the first cause.
        """
        options, pruner, accelerator = self.options, self.pruner, self.accelerator
        self._events, self._logits = events, {}
        total = optimizer_steps(options, len(self.examples), accelerator.num_processes)
        model = self._attached(total)
        phases = pruner.phases(total)
        planned = sum(phase.steps for phase in phases)
        self._choice = Choice(options, pruner.keeps_best, planned, events.better == "lower")
        snapshot = None
        if self.checkpoints is not None:
            self.checkpoints.require(self._first_too_late(phases))
            snapshot = self.checkpoints.latest()
        batches = Batches(self.examples, self.network.tokenizer, options, self.seed, accelerator, self.debiaser.sample)
        at = Position() if snapshot is None else self._restored(snapshot, batches)
        at.loss_sum = at.loss_sum.to(accelerator.device)
        stream = iter(batches)
        events.on_start(at.step)
        self._saved = time.monotonic()
        with self._signals() as signals:
            for number, phase in list(enumerate(phases))[at.phase :]:
                if snapshot is None:
                    pruner.begin(phase, at.step)
                    require_equal_masks(pruner, accelerator, at.step)
                    self._logits = {}
                if self.measure_start and not number and not at.step:
                    events.on_evaluation(0, *events.evaluate(self._plain))
                at.phase = number
                end = (start := sum(before.steps for before in phases[:number])) + phase.steps
                groups = [*pruner.parameter_groups(), *self.debiaser.parameter_groups()]
                parameters = [parameter for group in groups for parameter in group.parameters]
                optimizer, schedule = make_optimizer(groups, phase, options, accelerator)
                if snapshot is not None:
                    restore_optimizer(snapshot, optimizer, schedule)
                    if self.checkpoints is not None:
                        self.checkpoints.restore_streams()  # last, because creating objects draws random numbers
                    snapshot = None
                while at.step < end and not self._choice.is_over:
                    reached(at.step + 1)
                    at.loss_sum += self._gradients.add_up(model, stream, at.step + 1, at.step / planned)
                    at.losses += 1
                    rate = self._step(parameters, optimizer, schedule, at, start)
                    self._report(events, at, rate, phases)
                    if str(at.step) in self.points_kept:
                        yield self._checkpoint_between(at.step)
                    if self._is_due(at.step) or signals.pending:
                        self._save(at, batches, optimizer, schedule)
                    if signals.pending:
                        events.on_stop(at.step)
                        signals.deliver()
                if not phase.steps:
                    pruner.update_mask(at.step)  # with steps, the last one did this
                    self._logits = {}
                if phase.point is not None and self._keeps(phase):
                    yield self._checkpoint(at.step, phase.point)
                accelerator.free_memory()  # otherwise it keeps all optimizers and models
        result = self._choice.best or self._checkpoint(at.step, None)
        self.chosen = Chosen(result.step, at.step, planned, self._choice.candidates)
        yield result

    def _attached(self, total: int) -> nn.Module:
        """Attach pruner and loss to the model for ``total`` steps; return the model wrapped for the processes."""
        accelerator = self.accelerator
        set_seed(self.seed)
        plain = self.network.model.to(accelerator.device)
        self._plain, self._names, self._zeros = plain, list(plain.state_dict()), zeros_of(self.network)
        if (found := not_finite(plain.state_dict())) is not None:
            raise SRFrameworkError(f"expected finite weights at the start of the stage, got {found}")
        facts = self.network, self.examples, self.options, self.seed, accelerator.device, total, self.inputs
        contexts = Contexts(*facts, self._scalars)
        self.pruner.attach(self.network, contexts.of(self.inputs.pruner, "pruner"))
        self.debiaser.attach(contexts.of(self.inputs.debiaser, "loss"))
        parts = self.network, self.debiaser, self.pruner, self.options, accelerator
        self._gradients = Gradients(*parts, self._scalars.add)
        if accelerator.num_processes > 1:  # equal draws until here; dropout must differ between processes
            set_seed((self.seed + accelerator.process_index) % 2**32)
        model: nn.Module = accelerator.prepare_model(plain)
        model.train()
        return model

    def _first_too_late(self, phases: Sequence[Phase]) -> dict[str, int]:
        """Point -> first step whose checkpoint is too late to reach the point."""
        # The point of a step comes before a checkpoint of this step.
        steps = {point: int(point) for point in self.points_kept if point.isdecimal()}
        ends = zip(phases, itertools.accumulate(phase.steps for phase in phases), strict=True)
        levels = {phase.point: end + 1 for phase, end in ends if phase.point is not None and self._keeps(phase)}
        return steps | levels

    def _keeps(self, phase: Phase) -> bool:
        """Whether the end of a phase is evaluated, and its level is kept."""
        return phase.kept or phase.point in self.points_kept

    def _report(self, events: Events, at: Position, rate: float, phases: Sequence[Phase]) -> None:
        """After a step, log and evaluate if due. In the last phase, the checkpoint can be the best."""
        options, step, is_last = self.options, at.step, at.phase == len(phases) - 1
        is_end = step == sum(phase.steps for phase in phases[: at.phase + 1])
        measured = step % options.eval_every == 0 or (is_end and (is_last or self._keeps(phases[at.phase])))
        if measured or str(step) in self.points_kept:
            self._mean_loss(at)  # raises before a model that is not finite is evaluated or kept
        if measured or is_end:
            self.pruner.update_mask(step)  # before the log line, which has what this logs
            require_equal_masks(self.pruner, self.accelerator, step)
        if step % options.log_every == 0 or is_end:
            events.on_step(step, self._mean_loss(at), rate, self._scalars.means())
            at.loss_sum, at.losses = torch.zeros_like(at.loss_sum), 0
        if measured:
            id_metric, ood_metrics = events.evaluate(self._plain)
            self._logits = events.logits()
            events.on_evaluation(step, id_metric, ood_metrics)
            if is_last and self._choice.counts(step):
                self._consider(events, step, id_metric, sum(phase.steps for phase in phases))

    def _consider(self, events: Events, step: int, metric: float, planned: int) -> None:
        """Consider the model, with the mask of the final sparsity, as the best checkpoint.

        Args:
            events: Gives the metric, if that is another mask than the present one.
            step: The number of finished steps.
            metric: The ID metric with the present mask.
            planned: The last step.
        """

        def checkpoint() -> KeptModel:
            return self._checkpoint(step, None)

        if step == planned:  # the present mask is the final one
            self._choice.add(metric, checkpoint)
            return
        before, found = self.pruner.masks(), self._logits
        with self._mask_after(planned):
            if self.pruner.masks() != before:
                metric = events.evaluate_candidate(step, self._plain)
                self._logits = events.logits()
            self._choice.add(metric, checkpoint)
        self._logits = found

    def _signals(self) -> DeferredSignals:
        """Defer signals only in a single process: several processes get a signal after different steps."""
        defers = self.checkpoints is not None and self.accelerator.num_processes == 1
        return DeferredSignals(self.checkpoints.note if self.checkpoints is not None else print, enabled=defers)

    # -- checkpoints ---------------------------------------------------------------------------

    def _is_due(self, step: int) -> bool:
        """Whether to write a checkpoint now; equal in all processes."""
        every, seconds = self.options.checkpoint_steps, self.options.checkpoint_seconds
        if self.checkpoints is None:
            return False
        due = bool(seconds) and time.monotonic() - self._saved >= seconds
        if seconds and self.accelerator.num_processes > 1:  # use the clock of the first
            due = bool(broadcast(torch.tensor([due], dtype=torch.int32, device=self.accelerator.device)).item())
        return due or (every is not None and step % every == 0)

    def _save(self, at: Position, batches: Batches, optimizer: Any, schedule: Any) -> None:
        assert self.checkpoints is not None, "saving requires checkpoints"
        self._mean_loss(at)

        def snapshot() -> TrainingState:
            tensors, facts = optimizer_state(optimizer, schedule)
            tensors |= {f"model.{name}": value for name, value in self._plain.state_dict().items()}
            tensors |= {f"pruner.{name}": value for name, value in self.pruner.state().items()}
            tensors |= loss_state(self.debiaser)
            tensors |= {"order": batches.order} if batches.order is not None else {}
            tensors |= {f"log.{name}": value for name, value in self._scalars.state().items()}
            tensors["loss_sum"] = at.loss_sum
            counters = {"step": at.step, "phase": at.phase, "losses": at.losses}
            of_best, choice = self._choice.state()
            facts |= {"at": counters, "batches": batches.consumed, "choice": choice}
            return TrainingState(tensors | of_best, facts)

        self.checkpoints.save(at.step, snapshot)
        self._saved = time.monotonic()

    def _restored(self, snapshot: TrainingState, batches: Batches) -> Position:
        """Restore model, pruner, loss, data order and the best model; return the position."""
        device = self.accelerator.device
        self._plain.load_state_dict(snapshot.part("model."))
        self.pruner.restore({name: value.to(device) for name, value in snapshot.part("pruner.").items()})
        restore_loss(snapshot, self.debiaser, device)
        self._scalars.restore(snapshot.part("log."))
        batches.order = snapshot.tensors.get("order")
        batches.consumed = snapshot.facts["batches"]
        self._choice.restore(snapshot, self._names)
        return Position(**snapshot.facts["at"], loss_sum=snapshot.tensors["loss_sum"])

    # -- one step ------------------------------------------------------------------------------

    def _step(
        self, parameters: Sequence[nn.Parameter], optimizer: Any, schedule: Any, at: Position, start: int
    ) -> float:
        """Do one optimizer step in a phase that began at step ``start``; return its learning rate."""
        self.pruner.before_step(at.step)
        clip(parameters, self.options, self.accelerator)
        # Not that of the first group, which may have its own.
        rate: float = self.options.learning_rate * schedule.lr_lambdas[0](schedule.last_epoch)
        set_epsilon(optimizer, at.step - start + 1, self.options)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        at.step += 1
        self.pruner.after_step(at.step)
        self._logits = {}
        if self.pruner.changes_mask(at.step):
            require_equal_masks(self.pruner, self.accelerator, at.step)
        return rate

    def _mean_loss(self, at: Position) -> float:
        """Return the mean loss since the last log line, over all processes; 0 if there is none.

        Raises:
            SRFrameworkError: The mean loss is not finite.
        """
        total = self.accelerator.reduce(at.loss_sum, "mean") if self.accelerator.num_processes > 1 else at.loss_sum
        loss: float = total.item() / max(at.losses, 1)
        if not math.isfinite(loss):
            cause = self._gradients.watch.cause()
            raise SRFrameworkError(f"the loss is {loss} at step {at.step}; expected a finite number ({cause})")
        return loss

    def _checkpoint(self, step: int, point: str | None) -> KeptModel:
        """Return the current model. The mask must be up to date."""
        kept = kept_model(self._plain, self._names, self.pruner, step, point, self._gradients.watch, self._zeros)
        return replace(kept, logits=self._logits)

    def _checkpoint_between(self, step: int) -> KeptModel:
        """Return the current model with an updated mask: a reference to a step must not change the stage."""
        with self._mask_after(step):
            return replace(self._checkpoint(step, str(step)), logits={})

    @contextlib.contextmanager
    def _mask_after(self, step: int) -> Iterator[None]:
        """Set the mask to that of the schedule after ``step`` steps in a block, then undo it."""
        weights = {name: value.clone() for name, value in self._plain.state_dict().items()}
        state = self.pruner.state()
        self.pruner.update_mask(step)
        require_equal_masks(self.pruner, self.accelerator, step)
        yield
        self._plain.load_state_dict(weights)  # update_mask may have set some to 0
        self.pruner.restore(state)
