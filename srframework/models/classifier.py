"""Load a classifier from disk by the backbone ``encoder``, and check that nothing in it is new."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from srframework.contracts import Network
from srframework.errors import BackboneError, UsageError
from srframework.models.saved import CONFIG, OnDisk
from srframework.recipe.checked_tables import checked_component
from srframework.recipe.model import Use
from srframework.registry.registry import Registry
from srframework.run.model_checks import check_network
from srframework.run.model_directory import ModelDirectory
from srframework.text import did_you_mean, shorten

BACKBONE = "encoder"

_NO_CLASSES = ("regression", "multi_label_classification")


def used(registry: Registry, kind: str, table: dict[str, Any], where: str) -> Use:
    """Return a component with the options of a table.

    Raises:
        UsageError: The options are not valid; the message begins with ``where``.
    """
    found = checked_component(registry, kind, table)
    if found.problems:
        problem = found.problems[0]
        key = ".".join(map(str, problem.key))
        raise UsageError(f"{where}: {f'{key}: ' if key else ''}{problem.message}{did_you_mean(problem.nearest)}")
    use: Use = found.value
    return use


def labels_of(model: OnDisk) -> tuple[str, ...]:
    """Return the labels of a classifier, in the order of its outputs: id2label in config.json.

    Raises:
        BackboneError: config.json is missing or damaged, or does not describe a classifier.
    """
    config, where = ModelDirectory(model.directory).json(CONFIG), f"{_shown(model)}/{CONFIG}"
    if config is None:
        raise BackboneError(f"{_shown(model)}: expected the directory of a model, got no {CONFIG}")
    if (kind := config.get("problem_type")) in _NO_CLASSES:
        raise BackboneError(f"{where}: expected a classifier with one label for each text, got problem_type = {kind}")
    named = config.get("id2label", {"0": "LABEL_0", "1": "LABEL_1"})  # transformers leaves out its default
    try:
        numbered = {int(index): name for index, name in named.items()}
        labels = tuple(numbered[index] for index in range(len(numbered)))
    except (AttributeError, ValueError, KeyError) as error:
        raise BackboneError(f"{where}: id2label: expected names of outputs 0, 1, …, got {shorten(named)}") from error
    if not all(isinstance(label, str) for label in labels) or len(set(labels)) < max(2, len(labels)):
        expected = "expected a classifier with two or more different labels"
        raise BackboneError(f"{where}: id2label: {expected}, got {shorten(named)}")
    return labels


def load(model: OnDisk, registry: Registry, labels: Sequence[str]) -> Network:
    """Load a classifier; every prunable matrix has the weights of the file.

    Args:
        model: The model.
        registry: Has the backbone.
        labels: Its labels, in the order that the outputs shall have.

    Raises:
        BackboneError: It is not a classifier with these labels, or its files are damaged.
    """
    directory = ModelDirectory(model.directory)
    shapes = directory.weight_shapes()
    use = used(registry, "backbone", {"use": BACKBONE, "path": str(model.directory.resolve())}, model.name)
    network: Network = use.build().load(tuple(labels), 0)
    for matrix, weight in network.matrices().items():
        name = f"{matrix}.weight"
        if name not in shapes:
            raise BackboneError(f"{_shown(model)}: expected a trained classifier, got files without the weights {name}")
        if shapes[name] != tuple(weight.shape):
            expected = " × ".join(map(str, weight.shape))
            got = " × ".join(map(str, shapes[name]))
            raise BackboneError(f"{_shown(model)}: {name}: expected {expected} as in {CONFIG}, got {got}")
    check_network(network, model.name)
    return network


def _shown(model: OnDisk) -> str:
    """Return the directory as the user knows it; a packed model is in a temporary one."""
    return str(model.directory) if Path(model.name).exists() else model.name
