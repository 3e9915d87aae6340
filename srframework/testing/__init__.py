"""The conformance kit: checks, for the tests of plugin authors, that a component fulfils its contract.

::

    from srframework.testing import check_pruner
    from my_plugin import srframework_pruners

    def test_mine():
        [component] = srframework_pruners()
        check_pruner(component, sparsity=0.5)

Each check builds the component with the given options, uses it as a run does, with a small model and
small data of its own, and raises AssertionError with a sentence if the component violates its contract.
"""

from __future__ import annotations

import contextlib
import math
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
from accelerate import Accelerator

from srframework.component import NEEDS_BIAS, Component, stage_references
from srframework.contracts import (
    PARTS,
    Backbone,
    BiasModel,
    Dataset,
    Debiaser,
    Evaluator,
    Job,
    JobResult,
    Launcher,
    LossInputs,
    Network,
    Predictions,
    Pruner,
    Split,
)
from srframework.testing.small_task import LABELS, CrossEntropy, network, task, word_vectors
from srframework.training.checkpoints import Checkpoints
from srframework.training.events import Events, KeptModel
from srframework.training.loop import Training
from srframework.training.options import TrainingOptions

__all__ = [
    "check_backbone",
    "check_bias",
    "check_dataset",
    "check_debiaser",
    "check_evaluator",
    "check_launcher",
    "check_pruner",
    "network",
    "task",
    "word_vectors",
]


def check_backbone(component: Component, **options: Any) -> None:
    """Check a backbone: one output per label, prunable modules that are linear, same weights for the same seed."""
    backbone = _build(component, Backbone, options)
    first, again = backbone.load(LABELS, 1), backbone.load(LABELS, 1)
    assert first.prunable, f"{component.name}: expected prunable modules, got none"
    for name, part in first.prunable.items():
        assert part in PARTS, f"{component.name}: {name}: expected a part among {', '.join(PARTS)}, got {part!r}"
        assert first.matrices()[name].dim() == 2, f"{component.name}: {name}: expected a matrix"
    for (name, value), other in zip(first.model.state_dict().items(), again.model.state_dict().values(), strict=True):
        assert torch.equal(value, other), f"{component.name}: {name} differs between two loads with one seed"
    encoded = first.tokenizer("a b", "c", return_tensors="pt")
    shape = tuple(first.model.eval()(**encoded).logits.shape)
    assert shape == (1, len(LABELS)), f"{component.name}: expected logits of shape (1, {len(LABELS)}), got {shape}"


def check_dataset(component: Component, **options: Any) -> None:
    """Check a data set: columns and labels of its splits, its spurious features, same data for the same seed."""
    dataset = _build(component, Dataset, options)
    data, again = dataset.load(1), dataset.load(1)
    splits: tuple[Split, ...] = (data.train, *data.evaluated)
    given = set(component.provided(component.options.model_validate(options)))
    if data.ood_train is not None:
        splits = (*splits, data.ood_train)
    assert ("ood-train" in given) == (data.ood_train is not None), (
        f"{component.name}: must provide ood-train exactly if ood_train is not None"
    )
    names = [split.name for split in splits]
    assert len(set(names)) == len(names), f"{component.name}: two splits have the same name: {', '.join(names)}"
    assert "model" not in names, f"{component.name}: the split name 'model' is reserved for the metrics of weights"
    others = (again.train, *again.evaluated, *([again.ood_train] if again.ood_train is not None else []))
    for split, other in zip(splits, others, strict=True):
        where, columns = f"{component.name}: split {split.name!r}", split.examples.column_names
        assert {"text_a", "label"} <= set(columns), f"{where}: expected columns text_a and label, got {columns}"
        labels = set(split.examples["label"])
        assert labels <= set(range(len(split.labels))), f"{where}: labels outside 0..{len(split.labels) - 1}: {labels}"
        if split.collapse is None:
            assert split.labels == data.labels, f"{where}: expected the task's labels, or a collapse"
        else:
            assert len(split.collapse) == len(data.labels), f"{where}: collapse: expected one index per label"
            assert set(split.collapse) <= set(range(len(split.labels))), f"{where}: collapse: index out of range"
        assert split.examples.to_dict() == other.examples.to_dict(), f"{where}: differs between two loads with one seed"
    assert ("spurious-features" in given) == (data.spurious_features is not None), (
        f"{component.name}: must provide spurious-features exactly if spurious_features is not None"
    )
    if data.spurious_features is not None:
        for split in splits:
            where, rows = (
                f"{component.name}: spurious features of {split.name!r}",
                data.spurious_features(split, word_vectors),
            )
            assert rows.ndim == 2, f"{where}: expected (N, F), got {rows.shape}"
            assert len(rows) == len(split.examples), f"{where}: expected one row per example"
            assert np.isfinite(rows).all(), f"{where}: expected finite numbers"
    known = set(data.labels)
    assert set(data.merged_labels) <= known, f"{component.name}: merged_labels: expected labels among {sorted(known)}"
    sizes = dataset.sizes()
    for split in splits:
        name = "ood_train" if split is data.ood_train else split.name
        assert sizes.get(name, len(split.examples)) >= len(split.examples), (
            f"{component.name}: sizes: {name}: expected at least {len(split.examples)}, got {sizes.get(name)}"
        )


def check_debiaser(component: Component, **options: Any) -> None:
    """Check a debiaser: a finite scalar loss with a finite gradient."""
    logits = torch.randn(4, len(LABELS), generator=torch.Generator().manual_seed(1)).requires_grad_()
    uniform = torch.full((4, len(LABELS)), -math.log(len(LABELS)))
    debiaser = _build(component, Debiaser, options)
    required = component.required(component.options.model_validate(options))
    debiaser.attach(hidden_size=5)
    inputs = LossInputs(
        logits,
        torch.tensor([0, 1, 2, 0]),
        bias_log_probs=uniform if NEEDS_BIAS in required else None,
        teacher_log_probs=uniform if stage_references(component.options) else None,
        hidden=torch.linspace(-1, 1, 20).reshape(4, 5),
    )
    loss = debiaser.loss(inputs)
    assert loss.shape == (), f"{component.name}: expected a scalar loss, got shape {tuple(loss.shape)}"
    loss.backward()
    assert torch.isfinite(loss), f"{component.name}: the loss is {loss.item()}"
    assert logits.grad is not None, f"{component.name}: the loss does not depend on the logits"
    assert torch.isfinite(logits.grad).all(), f"{component.name}: the gradient is not finite"
    for own in debiaser.parameters():
        assert own.grad is not None, f"{component.name}: the loss does not depend on a parameter of its own"


def check_bias(component: Component, **options: Any) -> None:
    """Check a bias model: a distribution for each training example; for each example of another split, or None."""
    bias_model, data = _build(component, BiasModel, options), task()
    features = data.spurious_features
    assert features is not None, "the small task has spurious features"
    bias_model.fit(data, lambda split: features(split, word_vectors))
    for split in (data.train, *data.evaluated):
        where, log_probs = f"{component.name}: split {split.name!r}", bias_model.log_probs(split)
        if log_probs is None:
            assert split is not data.train, f"{where}: expected log-probabilities of the training examples, got None"
            continue
        shape = len(split.examples), len(LABELS)
        assert log_probs.shape == shape, f"{where}: expected shape (N, C), {shape}, got {log_probs.shape}"
        sums = np.exp(log_probs).sum(axis=1)
        assert np.allclose(sums, 1, atol=1e-5), f"{where}: probabilities sum to {sums.min()}..{sums.max()}"


def check_pruner(component: Component, total_steps: int = 20, **options: Any) -> None:
    """Check a pruner: with AdamW and weight decay, pruned weights are 0 after every update of the mask; its state can
    be restored; a killed training resumes with the same bits."""
    pruner, net = _build(component, Pruner, options), network()
    pruner.attach(net, total_steps)
    step = 0
    for phase in pruner.phases(total_steps):
        assert phase.steps >= 0, f"{component.name}: a phase of {phase.steps} steps"
        pruner.begin(phase, step)
        optimizer = torch.optim.AdamW(pruner.parameters(), lr=0.01, weight_decay=0.1)
        for _ in range(phase.steps):
            loss = net.model(**net.tokenizer(["a b c", "d e f"], return_tensors="pt")).logits.square().sum()
            loss.backward()
            pruner.before_step(step)
            optimizer.step()
            optimizer.zero_grad()
            step += 1
            pruner.after_step(step)
        pruner.update_mask(step)
        _assert_pruned(component.name, pruner, net)
        if phase.level is not None:
            pruned = pruner.masks().sparsity
            assert abs(pruned - phase.level) < 0.05, f"{component.name}: level {phase.level} has sparsity {pruned}"
    before, state = pruner.masks(), pruner.state()
    pruner.restore(state)
    assert pruner.masks() == before, f"{component.name}: restoring the current state changes the mask"
    uninterrupted = _train(_build(component, Pruner, options), total_steps)
    for stopped_at in sorted({2, step // 2, step - 1} & set(range(2, step))):
        with tempfile.TemporaryDirectory() as place:
            with contextlib.suppress(_Stopped):
                _train(_build(component, Pruner, options), total_steps, Path(place), stopped_at)
            resumed = _train(_build(component, Pruner, options), total_steps, Path(place))
        where = f"{component.name}: a training that is stopped at step {stopped_at} and resumed"
        assert resumed.mask == uninterrupted.mask, f"{where} has another mask: state() must return all of the state"
        for name, value in uninterrupted.weights.items():
            assert torch.equal(value, resumed.weights[name]), f"{where} has other weights in {name}"


def check_evaluator(component: Component, **options: Any) -> None:
    """Check an evaluator: named finite numbers for every split that it applies to and for the weights; the same numbers
    from the confusion matrix of a split."""
    evaluator, data = _build(component, Evaluator, options), task()
    logits = np.random.default_rng(1).normal(size=(6, len(LABELS))).astype(np.float32)
    heuristics = data.dev.examples.add_column("heuristic", ["x", "y"] * 3).add_column("group", ["x", "y"] * 3)
    predictions = Predictions.of_split(data.dev, logits)
    more = Predictions.of_split(Split("more", heuristics, LABELS), logits)
    figures = [evaluator.evaluate(each) for each in (predictions, more) if evaluator.applies_to(each)]
    figures.append(evaluator.measure(network().matrices()))
    assert any(figures), f"{component.name}: computes no metric of predictions or of weights"
    declared = evaluator.figures()
    for name, value in ((name, value) for each in figures for name, value in each.items()):
        assert any(figure.covers(name) for figure in declared), f"{component.name}: figures() does not declare {name}"
        assert math.isfinite(value), f"{component.name}: {name} is {value}"
    confusion = np.zeros((len(LABELS), len(LABELS)))
    np.add.at(confusion, (predictions.gold, predictions.predicted), 1)
    padded = evaluator.of_confusion(np.pad(confusion, (0, 1))[np.newaxis])
    for name, values in evaluator.of_confusion(np.stack([confusion, 2 * confusion.T])).items():
        where = f"{component.name}: {name} of confusion matrices"
        assert np.shape(values) == (2,), f"{where}: expected shape (2,), got {np.shape(values)}"
        expected = evaluator.evaluate(predictions).get(name)
        assert expected is not None, f"{where}: evaluate() has no such metric"
        assert abs(values[0] - expected) < 1e-9, f"{where} is {values[0]}, but evaluate() returns {expected}"
        assert abs(padded[name][0] - expected) < 1e-9, f"{where} changes with a label that no example has"


def check_launcher(component: Component, **options: Any) -> None:
    """Check a launcher: of two jobs, one after the other, each ends with a result that has the job's error."""
    launcher: Launcher = _build(component, Launcher, options)
    with tempfile.TemporaryDirectory() as place, contextlib.chdir(place):
        job = Job({}, None, "missing", "store", (), place, str(Path(place, "job.log")))
        try:
            launcher.start(1, None)
            for name in ("first", "second"):
                launcher.submit(name, job)
                ended = launcher.wait()
                names = [each for each, _ in ended]
                assert names == [name], f"{component.name}: expected the end of {name!r}, got {names}"
                result = ended[0][1]
                assert isinstance(result, JobResult), f"{component.name}: expected a JobResult, got {result!r}"
                found = result.error or ""
                assert found.startswith("missing/recipe.toml"), (
                    f"{component.name}: expected the error of the job, got {found!r}"
                )
        finally:
            launcher.close()


class _Stopped(Exception):
    """Simulates the end of a killed run."""


def _train(pruner: Pruner, total_steps: int, place: Path | None = None, stopped_at: int = 0) -> KeptModel:
    """Train the small network, with a checkpoint after each step in ``place``; return the result."""
    net, accelerator = network(), Accelerator()
    tokens = net.tokenizer(["a b c", "d e f", "g h i", "j a b"])
    columns = {**tokens, "length": [5] * 4, "labels": [0, 1, 2, 0]}

    def on_step(step: int, _loss: float, _rate: float) -> None:
        if step == stopped_at:
            raise _Stopped

    training = Training(
        network=net,
        examples=datasets.Dataset.from_dict(columns),
        debiaser=CrossEntropy(None),
        pruner=pruner,
        options=TrainingOptions.model_validate(
            {"max_steps": total_steps, "batch_size": 2, "learning_rate": 0.01}
            | {"log_every": 1, "eval_every": 3, "checkpoint_steps": 1}
        ),
        seed=1,
        accelerator=accelerator,
        checkpoints=Checkpoints(place, accelerator) if place is not None else None,
    )
    *_, last = training.run(Events(lambda _model: (0.0, {}), on_step, lambda *_: None))
    return last


def _build(component: Component, contract: type, options: Mapping[str, Any]) -> Any:
    made = component.build(component.options.model_validate(options))
    assert isinstance(made, contract), f"{component.name}: expected {contract.__name__}, got {type(made).__name__}"
    return made


def _assert_pruned(name: str, pruner: Pruner, net: Network) -> None:
    matrices = net.matrices()
    for module, kept in pruner.masks().items():
        assert module in matrices, f"{name}: masks {module}, which is not prunable"
        zeros = matrices[module].detach()[~kept]
        assert bool((zeros == 0).all()), f"{name}: {module}: pruned weights are not 0 after an update of the mask"
