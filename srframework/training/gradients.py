"""The gradients of one optimizer step: forward pass, loss and backward pass of all batches of the step."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_layers import GenericForSequenceClassification

from srframework.contracts import Debiaser, LossInputs, Network, Pruner
from srframework.faults import calling, calling_model, owner_of
from srframework.training.divergence import LossWatch
from srframework.training.optimization import own_parameters
from srframework.training.options import TrainingOptions
from srframework.training.packed import logits_of


class Gradients:
    """Computes the gradients of a loss.

    Args:
        network: The model.
        debiaser: The loss, attached.
        pruner: The pruner, attached; it may add terms to the loss.
        options: The stage's options.
        accelerator: Device and processes.
        log: Logs a term of the loss.

    Attributes:
        watch: Finds the cause of a loss that is not finite.
    """

    def __init__(
        self,
        network: Network,
        debiaser: Debiaser,
        pruner: Pruner,
        options: TrainingOptions,
        accelerator: Accelerator,
        log: Callable[[str, Tensor], None],
    ) -> None:
        self._debiaser, self._pruner, self._options, self._accelerator = debiaser, pruner, options, accelerator
        self._log = log
        self.watch = LossWatch(debiaser, options, accelerator.device)
        self._hidden: Tensor | None = None
        self._model = network.model
        self._watch_hidden(network)

    def _watch_hidden(self, network: Network) -> None:
        """Record the input of the classifier's last layer, if there is one, in each forward pass."""
        classifier = list(network.matrices(["classifier"]))
        if not classifier:
            return

        def keep(_module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            self._hidden = inputs[0]

        network.model.get_submodule(classifier[-1]).register_forward_pre_hook(keep)

    def add_up(self, model: nn.Module, batches: Iterator[dict[str, Tensor]], step: int, progress: float) -> Tensor:
        """Accumulate the gradients of the ``step``-th optimizer step, from 1; return the mean loss."""
        count = self._options.gradient_accumulation
        # Accelerate's own setting is one per process, but stages of a recipe may differ in precision.
        precision = torch.autocast(
            self._accelerator.device.type, torch.bfloat16, enabled=self._options.precision == "bf16"
        )
        total = torch.zeros((), device=self._accelerator.device)
        for micro in range(count):
            batch = dict(next(batches))
            labels = batch.pop("labels")
            index = batch.pop("index")
            known = {name: batch.pop(name, None) for name in ("weights", "bias_log_probs")}
            syncing = contextlib.nullcontext() if micro == count - 1 else self._accelerator.no_sync(model)
            with syncing:
                with calling_model("forward pass"), precision:
                    logits = logits_of(model, self._model, batch)
                hidden = None if self._hidden is None else one_per_example(self._model, self._hidden.float(), batch)
                inputs = LossInputs(
                    logits.float(), labels, index, **known, hidden=hidden, progress=progress, batch=batch
                )
                loss = self._debiaser.loss(inputs)
                for name, term in self._pruner.loss_terms(inputs, loss.detach()).items():
                    self._log(f"pruner.{name}", term)
                    loss = loss + term.to(loss.device)
                loss = loss / count
                self.watch.check(loss, inputs, step)
                with calling(owner_of(self._debiaser), "gradient"):
                    self._accelerator.backward(loss)
            total += loss.detach()
        for own in own_parameters(self._debiaser):  # DDP does not know them
            if own.grad is not None and self._accelerator.num_processes > 1:
                own.grad = self._accelerator.reduce(own.grad.to(self._accelerator.device), "mean").to(own.device)
        return total


def one_per_example(model: PreTrainedModel, hidden: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
    """Return the input of the classifier's last layer that gives the logits of each example, ``(B, H)``.

    Args:
        model: The model; a decoder classifies the last token that is not padding, other models the mean of the tokens.
        hidden: ``(B, H)``, or ``(B, T, H)`` if the last layer runs on each of T tokens.
        batch: The model's inputs: ``input_ids`` and ``attention_mask``, ``(B, T)``.
    """
    if hidden.dim() == 2:
        return hidden
    if isinstance(model, GenericForSequenceClassification):
        present = batch["input_ids"] != model.config.get_text_config().pad_token_id
        positions = torch.arange(hidden.shape[1], device=hidden.device)
        return hidden[torch.arange(len(hidden), device=hidden.device), (positions * present).argmax(-1)]
    weights = batch["attention_mask"].unsqueeze(-1).to(hidden.dtype)
    return (hidden * weights).sum(1) / weights.sum(1)
