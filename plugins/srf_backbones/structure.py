"""Finds the prunable matrices of a sequence classifier by the shapes of its layers, independent of module names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from torch import nn
from transformers import PreTrainedModel

from srframework import BackboneError


class _Pattern(NamedTuple):
    """The linear modules of one Transformer layer, in their order.

    Attributes:
        families: Models with such layers.
        shapes: ``(rows, columns)`` of each module, in sizes of the layer: "d" the hidden states, "q" all queries,
            "k" all keys, "f" the feed-forward layer; "3d" is three row blocks of "d" rows each.
    """

    families: str
    shapes: tuple[tuple[str, str], ...]


_SQUARE, _FEED_FORWARD = ("d", "d"), (("f", "d"), ("d", "f"))

_PATTERNS = (
    _Pattern("BERT, RoBERTa, ALBERT, DistilBERT, ELECTRA, DeBERTa v2 and v3", (*[_SQUARE] * 4, *_FEED_FORWARD)),
    _Pattern("DeBERTa v2 with one position projection", (*[_SQUARE] * 5, *_FEED_FORWARD)),
    _Pattern("DeBERTa v2 with two position projections", (*[_SQUARE] * 6, *_FEED_FORWARD)),
    _Pattern("ModernBERT", (("3d", "d"), _SQUARE, ("2f", "d"), ("d", "f"))),
    _Pattern(
        "EuroBERT, Llama, Qwen",
        (("q", "d"), ("k", "d"), ("k", "d"), ("d", "q"), ("f", "d"), ("f", "d"), ("d", "f")),
    ),
)

_REFUSED = {"mobilebert": "each of its layers has bottlenecks and several feed-forward layers, unlike section 3.1"}
"""Model type -> the reason why it cannot be pruned."""


@dataclass(frozen=True)
class Structure:
    """The prunable matrices of a model: the arguments of :class:`srframework.Network` with these names."""

    prunable: Mapping[str, str]
    blocks: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


def find_structure(model: PreTrainedModel) -> Structure:
    """Find the linear modules that may be pruned, and the row blocks of the fused ones.

    The parts follow from the role of a module, which is the same in all families. ``"encoder"``: the linear modules of
    the Transformer layers. ``"classifier"``: the last linear module, which has one output for each label.
    ``"pooler"``: linear modules between the layers and the classifier, inside the base model (BERT) or in the
    classification head (RoBERTa, ELECTRA, ModernBERT). Linear modules before the layers belong to the embeddings and
    are not included.

    Raises:
        BackboneError: The model has an encoder and a decoder, or its layers match no pattern; lists their modules.

    Source: section 3.1.
    """
    base = model.base_model
    _refuse_families(model)
    prefix = next(name for name, module in model.named_modules() if module is base)
    layers = _layers(base)
    inside = tuple(f"{prefix}.{name}." for name, *_ in layers)
    found: dict[str, str] = {}
    head: dict[str, str] = {}
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear):
            if name.startswith(inside):
                found[name] = "encoder"
            elif not name.startswith(f"{prefix}."):
                head[name] = "pooler"
            elif found:
                found[name] = "pooler"
    found |= head  # some models create the head before the layers
    found[_classifier(model, found)] = "classifier"
    blocks: dict[str, tuple[int, ...]] = {}
    for name, layer, pattern in layers:
        for (module_name, module), (rows, _) in zip(_linear(layer), pattern.shapes, strict=True):
            if rows[0].isdigit():
                count = int(rows[0])
                blocks[f"{prefix}.{name}.{module_name}"] = (module.out_features // count,) * count
    return Structure(found, blocks)


def _refuse_families(model: PreTrainedModel) -> None:
    name = type(model.base_model).__name__
    if model.config.is_encoder_decoder:
        raise BackboneError(f"{name} cannot be pruned: expected an encoder, got an encoder and a decoder")
    if reason := _REFUSED.get(model.config.model_type):
        raise BackboneError(f"{name} cannot be pruned: {reason}")


def _classifier(model: PreTrainedModel, found: Mapping[str, str]) -> str:
    last = [name for name, part in found.items() if part == "pooler"][-1:]
    outputs = [model.get_submodule(name).out_features for name in last]
    if outputs != [model.config.num_labels]:
        got = f"{last[0]} with {outputs[0]}" if last else "none"
        raise BackboneError(
            f"{type(model).__name__} cannot be pruned: expected a last linear module with "
            f"{model.config.num_labels} outputs, one for each label, got {got}"
        )
    return last[0]


def _layers(base: nn.Module) -> list[tuple[str, nn.Module, _Pattern]]:
    """List name, layer and pattern of all layers: ALBERT has a list of them in each group."""
    found: list[tuple[str, nn.Module, _Pattern]] = []
    for name, module in base.named_modules():
        if isinstance(module, nn.ModuleList) and not name.startswith(tuple(f"{known}." for known, *_ in found)):
            matches = [(f"{name}.{index}", layer, _match(layer)) for index, layer in enumerate(module)]
            if all(pattern is not None for *_, pattern in matches):
                found += [(each, layer, pattern) for each, layer, pattern in matches if pattern is not None]
    if not found:
        raise BackboneError(f"{type(base).__name__} cannot be pruned: {_difference(base)}")
    return found


def _match(layer: nn.Module) -> _Pattern | None:
    shapes = [(module.out_features, module.in_features) for _, module in _linear(layer)]
    return next((pattern for pattern in _PATTERNS if _fits(pattern, shapes)), None)


def _fits(pattern: _Pattern, shapes: Sequence[tuple[int, int]]) -> bool:
    """Check for values of the pattern's sizes that give these shapes."""
    if len(shapes) != len(pattern.shapes):
        return False
    values: dict[str, int] = {}
    for expected, shape in zip(pattern.shapes, shapes, strict=True):
        for term, size in zip(expected, shape, strict=True):
            count = int(term[:-1] or 1)
            if values.setdefault(term[-1], size // count) * count != size:
                return False
    return True


def _difference(base: nn.Module) -> str:
    """Explain how the first layer differs from the pattern with the nearest number of modules."""
    lists = [module for module in base.modules() if isinstance(module, nn.ModuleList) and len(module)]
    modules = next((each for each in (list(_linear(layers[0])) for layers in lists) if each), None)
    if modules is None:
        return "it has no stack of layers with linear modules"
    nearest = min(_PATTERNS, key=lambda pattern: abs(len(pattern.shapes) - len(modules)))
    got = ", ".join(f"{name} {module.out_features}x{module.in_features}" for name, module in modules)
    pattern = ", ".join("x".join(shape) for shape in nearest.shapes)
    if len(modules) == len(nearest.shapes):
        difference = (
            f"{len(modules)} linear modules a layer, as in the nearest pattern ({nearest.families}), but of other "
            "shapes or in another order"
        )
    else:
        difference = (
            f"{len(modules)} linear modules a layer where the nearest pattern ({nearest.families}) has "
            f"{len(nearest.shapes)}"
        )
    return f"{difference}: expected {pattern}, got {got}"


def _linear(layer: nn.Module) -> Iterator[tuple[str, nn.Linear]]:
    for name, module in layer.named_modules():
        if isinstance(module, nn.Linear):
            yield name, module
