"""Tries the components of a recipe before its first stage, so that a broken one fails after seconds, not after hours.

Each loss and each pruner does the first step of its stage, on a batch of two examples; each evaluator gets predictions
of two examples, repeated. Everything else is as in the run, the size of the data and the number of steps included, so
that a component refuses nothing here that it accepts there. Nothing is written.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from accelerate import Accelerator

from srframework.component import references
from srframework.contracts import Network, Predictions, ReferencedStage, Split
from srframework.faults import at, calling_model
from srframework.masks import Mask
from srframework.recipe.model import Recipe, Reference, Stage, Use
from srframework.run.prediction import predict, tokenize
from srframework.run.reporter import Reporter
from srframework.run.resources import Materials
from srframework.run.stage import StageTraining
from srframework.training.events import Events
from srframework.training.options import optimizer_steps

ROWS = 2
"""Examples of a batch, and of each split."""


def preflight(recipe: Recipe, stages: Sequence[Stage], materials: Materials, accelerator: Accelerator) -> None:
    """Try the components of some stages, and the recipe's evaluators. Each component with its options is tried once.

    Args:
        recipe: The recipe.
        stages: The stages of it that will be computed, at least one.
        materials: Data and models of the recipe.
        accelerator: Device and processes, which all call this together.

    Raises:
        SRFrameworkError: A component fails; the same error as in the run, with "preflight of" before the stage.
    """
    owner, tried = recipe.backbone.registered.owner, list[Use]()
    with _random_state_kept(accelerator.device):
        with at(stage=stages[0].name, doing="evaluating", model=owner, preflight=True):
            _try_evaluators(recipe, stages[0], materials, accelerator)
        for stage in stages:
            if all(use in tried for use in stage.components()):
                continue
            tried += stage.components()
            with at(stage=stage.name, doing="training", model=owner, preflight=True):
                _try_first_step(recipe, stage, materials, accelerator)
            accelerator.free_memory()  # otherwise it keeps the model


@contextlib.contextmanager
def _random_state_kept(device: torch.device) -> Iterator[None]:
    """Restore the states of the global random generators at the end of the block."""
    of_numpy, of_python = np.random.get_state(), random.getstate()
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            yield
    finally:
        np.random.set_state(of_numpy)
        random.setstate(of_python)


# -- loss and pruner -------------------------------------------------------------------------------


def _try_first_step(recipe: Recipe, stage: Stage, materials: Materials, accelerator: Accelerator) -> None:
    """Do the phases of a stage up to its first optimizer step, on a copy of θ_pt."""
    examples = sum(len(split.examples) for split in materials.trained_on(stage))
    changed = {
        "max_steps": optimizer_steps(stage.training, examples, accelerator.num_processes),
        "batch_size": ROWS,
        "gradient_accumulation": 1,
        "eval_every": 1,
        "log_every": 1,
        "group_by_length": False,  # would take the longest examples
    }
    network = materials.fresh()
    training = StageTraining(
        stage=replace(stage, training=stage.training.model_copy(update=changed)),
        seed=recipe.seed,
        materials=materials,
        network=network,
        mask=_full_mask(network) if stage.mask is not None else None,
        referenced=_stand_ins(recipe, stage, examples, materials),
        points_kept=frozenset(["1"]),  # the mask is compared with the weights there
        accelerator=accelerator,
        reporter=Reporter(),
    ).training()
    events = Events(lambda _model: (0.0, {}), lambda *_step: None, lambda *_evaluation: None)
    with contextlib.closing(training.run(events)) as kept:
        next((each for each in kept if each.step), None)


def _stand_ins(recipe: Recipe, stage: Stage, examples: int, materials: Materials) -> dict[str, ReferencedStage]:
    """Return stand-ins with uniform predictions for the stages that options of a stage refer to."""
    labels = len(materials.task.labels)
    log_probs = np.full((examples, labels), -np.log(labels), dtype=np.float32)
    texts = [text for use in stage.components() for _, text in references(use.options)]
    return {text: replace(_stand_in(recipe, text, materials), log_probs=log_probs) for text in texts}


def _stand_in(recipe: Recipe, text: str, materials: Materials) -> ReferencedStage:
    """Return θ_pt in place of a stage, with a mask that prunes nothing if the stage has a mask."""
    pruned = {each.name for each in recipe.stages if each.pruner is not None or each.mask is not None}
    mask = _full_mask(materials.pretrained) if Reference.parse(text).stage in pruned else None
    return ReferencedStage(str(text), materials.fresh, mask)


def _full_mask(network: Network) -> Mask:
    return Mask({name: torch.ones_like(weight, dtype=torch.bool) for name, weight in network.matrices().items()})


# -- evaluators ------------------------------------------------------------------------------------


def _try_evaluators(recipe: Recipe, stage: Stage, materials: Materials, accelerator: Accelerator) -> None:
    """Compute all figures of θ_pt, with the logits of two examples of each split repeated for its other examples."""
    network = materials.fresh()
    network.model.to(accelerator.device)
    evaluators, predictions = materials.evaluators, dict[str, Predictions]()
    for split in materials.task.evaluated:
        logits = _logits(network, split, stage, accelerator)
        repeated = logits[np.arange(len(split.examples)) % len(logits)]
        predictions[split.name] = materials.predictions_of(split, repeated)
    figures = {name: evaluators.figures(each) for name, each in predictions.items()}
    for each in figures.values():
        materials.figure(each)
    known = {
        text: replace(_stand_in(recipe, text, materials), predictions=predictions) for text in evaluators.references
    }
    materials.measures(network, None, predictions, figures, known)


def _logits(network: Network, split: Split, stage: Stage, accelerator: Accelerator) -> np.ndarray:
    few = replace(split, examples=split.examples.select(range(min(ROWS, len(split.examples)))))
    with calling_model("tokenizer"):
        tokens = tokenize(few, network.tokenizer, stage.training.max_length)
    with calling_model("forward pass"):
        return predict(network.model, tokens, network.tokenizer, accelerator, ROWS, stage.training.eval_precision)
