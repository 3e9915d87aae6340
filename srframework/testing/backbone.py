"""Checks of backbones."""

from __future__ import annotations

import itertools
import re
import tempfile
from collections import defaultdict
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from srframework.component import Options
from srframework.contracts import PARTS, Network
from srframework.testing.backbone_loads import CHECKS as LOADS
from srframework.testing.backbone_loads import with_other_options
from srframework.testing.check import NotApplicable, Subject, checks_in, require, require_options_matter
from srframework.testing.randomness import untouched_states
from srframework.testing.small_task import LABELS


def _loaded(subject: Subject) -> Network:
    """The backbone, loaded once for the checks that only read it."""
    loaded: Network = subject.once("network", lambda: subject.build().load(LABELS, 1))
    return loaded


def _logits(network: Network, *texts: Any) -> Tensor:
    with torch.no_grad():
        batch = network.tokenizer(*texts, return_tensors="pt", padding=True)
        logits: Tensor = network.model.eval()(**batch).logits
    return logits


def one_output_per_label(subject: Subject) -> None:
    """The model has one output for each label, also for two labels."""
    backbone = subject.build()
    for labels in (LABELS, LABELS[:2]):
        network = backbone.load(labels, 1)
        got, expected = tuple(_logits(network, ["a"], ["b"]).shape), (1, len(labels))
        require(got == expected, f"expected logits of shape {expected}, got {got}")


def names_the_labels(subject: Subject) -> None:
    """The configuration of the model names the labels in their order."""
    config = _loaded(subject).model.config
    require(config.id2label == dict(enumerate(LABELS)), f"id2label: expected {LABELS}, got {config.id2label}")
    expected = {label: index for index, label in enumerate(LABELS)}
    require(config.label2id == expected, f"label2id: expected {expected}, got {config.label2id}")


def same_seed_same_weights(subject: Subject) -> None:
    """One seed gives the same weights, whatever the global random state is."""
    weights = []
    for state in (5, 6):
        with torch.random.fork_rng():
            torch.manual_seed(state)
            weights.append(subject.build().load(LABELS, 1).model.state_dict())
    for name, value in weights[0].items():
        require(torch.equal(value, weights[1][name]), f"{name} differs between two loads with one seed")


def seed_matters(subject: Subject) -> None:
    """Each seed gives another classifier."""
    loads = {seed: _loaded(subject) if seed == 1 else subject.build().load(LABELS, seed) for seed in (1, 2, 3, 1001)}
    heads = {seed: network.matrices(["classifier"]) for seed, network in loads.items()}
    for one, two in itertools.combinations(heads, 2):
        changed = any(not torch.equal(value, heads[two][name]) for name, value in heads[one].items())
        require(changed or not heads[one], f"seeds {one} and {two} give the same classifier")


def random_state_untouched(subject: Subject) -> None:
    """Loading leaves the global random states of Python, numpy and torch as they were."""
    backbone = subject.build()
    with untouched_states("load()"):
        backbone.load(LABELS, 1)


def fresh_object(subject: Subject) -> None:
    """Each load returns a model of its own."""
    backbone = subject.build()
    one, two = backbone.load(LABELS, 1), backbone.load(LABELS, 1)
    require(one.model is not two.model, "two loads return the same model")
    require(one.tokenizer is not two.tokenizer, "two loads return the same tokenizer")
    shared = {each.data_ptr() for each in one.model.parameters()} & {each.data_ptr() for each in two.model.parameters()}
    require(not shared, "two loads return models that share weights")


def prunable_is_linear(subject: Subject) -> None:
    """Each prunable module exists, is linear, and belongs to a part of the model."""
    network = _loaded(subject)
    modules = dict(network.model.named_modules())
    require(network.prunable, "no module is prunable")
    for name, part in network.prunable.items():
        require(name in modules, f"prunable: the model has no module {name}")
        kind = type(modules[name])
        require(issubclass(kind, nn.Linear), f"prunable: {name} is {kind.__name__}, not a linear module")
        require(part in PARTS, f"prunable: {name}: expected a part among {', '.join(PARTS)}, got {part!r}")


def prunable_is_distinct(subject: Subject) -> None:
    """No weight is prunable under two names."""
    seen: dict[int, str] = {}
    network = _loaded(subject)
    for name in network.prunable:  # matrices() gives a shared weight once
        other = seen.setdefault(id(network.model.get_submodule(name).weight), name)
        require(other == name, f"prunable: {name} and {other} are the same weight")


def prunable_covers_the_model(subject: Subject) -> None:
    """The prunable modules are all linear modules of every layer, and the classifier; also with other options."""
    _require_covered(_loaded(subject), "")
    for where, _, network in with_other_options(subject):
        _require_covered(network, where)


def _require_covered(network: Network, where: str) -> None:
    given: dict[str, set[str]] = defaultdict(set)
    for name, module in network.model.named_modules():
        found = re.fullmatch(r"(.*?\.)(\d+)\.(.*)", name)
        if found and isinstance(module, nn.Linear):
            given[found[1] + found[2]].add(name)
    for layer, names in given.items():
        missing = sorted(names - set(network.prunable))
        require(not missing, f"{where}layer {layer}: {', '.join(missing)} are not prunable")
        wrong = [name for name in names if network.prunable[name] != "encoder"]
        require(not wrong, f"{where}layer {layer}: {', '.join(wrong)}: expected the part encoder")
    layers = {name for names in given.values() for name in names}
    outside = [name for name, part in network.prunable.items() if part == "encoder" and name not in layers]
    require(not outside, f"{where}{', '.join(outside)}: the part encoder is for the modules of the layers")
    poolers = {
        name
        for name, module in network.model.named_modules()
        if isinstance(module, nn.Linear) and "pooler" in name.split(".")
    }
    other = sorted(name for name in poolers if network.prunable.get(name) != "pooler")
    require(
        not other,
        f"{where}{', '.join(other)}: expected the part pooler, got {network.prunable.get((other or [''])[0])}",
    )
    require("classifier" in network.prunable.values(), f"{where}prunable: no module has the part classifier")
    require("encoder" in network.prunable.values(), f"{where}prunable: no module has the part encoder")
    last = [name for name in network.prunable if network.prunable[name] == "classifier"]
    outputs = {network.matrices()[name].shape[0] for name in last}
    require(len(LABELS) in outputs, f"{where}the classifier has {outputs} outputs, none of them {len(LABELS)}")


def blocks_fit(subject: Subject) -> None:
    """The row blocks belong to prunable modules, and have as many rows as the matrix."""
    network = _loaded(subject)
    if not network.blocks:
        raise NotApplicable("no module is fused")
    for name, rows in network.blocks.items():
        require(name in network.prunable, f"blocks: {name} is not prunable")
        expected, got = network.model.get_submodule(name).weight.shape[0], sum(rows)  # type: ignore[index]
        require(got == expected and min(rows) > 0, f"blocks: {name} has {expected} rows, its blocks {rows}")


def true_sizes(subject: Subject) -> None:
    """The configuration has the true size of the vocabulary and the true number of layers."""
    network = _loaded(subject)
    config, embeddings = network.model.config, network.model.get_input_embeddings()
    expected: int = embeddings.weight.shape[0]  # type: ignore[assignment,index]
    require(
        config.vocab_size == expected, f"vocab_size: expected {expected}, as the embeddings, got {config.vocab_size}"
    )
    found = [re.fullmatch(r".*?\.(\d+)\..*", name) for name, part in network.prunable.items() if part == "encoder"]
    layers, groups = {int(each[1]) for each in found if each}, getattr(config, "num_hidden_groups", None)
    count = config.num_hidden_layers if groups is None else groups
    require(len(layers) == count, f"the configuration has {count} layers, the prunable modules are of {len(layers)}")


def long_texts(subject: Subject) -> None:
    """A text that the tokenizer cuts to its maximum length passes through the model."""
    network = _loaded(subject)
    longest = network.tokenizer.model_max_length
    if longest > 10_000:
        raise NotApplicable("the tokenizer has no maximum length")
    words = " ".join("ab"[index % 2] for index in range(longest + 5))
    with torch.no_grad():
        logits = network.model.eval()(**network.tokenizer([words], truncation=True, return_tensors="pt")).logits
    require(torch.isfinite(logits).all(), f"a text of {longest} tokens has logits that are not finite")


def options_matter(subject: Subject) -> None:
    """Each option changes the weights, the configuration, the tokenizer or the prunable modules for some value."""

    def outcome(options: Options) -> list[Any]:
        network = subject.built(options).load(LABELS, 1)
        weights = [(name, tuple(value.shape), float(value.sum())) for name, value in network.model.state_dict().items()]
        config = network.model.config.to_json_string()
        return [weights, config, network.tokenizer.get_vocab(), dict(network.prunable), dict(network.blocks)]

    require_options_matter(subject, outcome)


def second_text_is_used(subject: Subject) -> None:
    """The second text changes the logits, and the order of the two texts matters."""
    network = _loaded(subject)
    one, two = _logits(network, ["a b"], ["c d"]), _logits(network, ["a b"], ["e"])
    require(not torch.allclose(one, two, atol=1e-7), "the logits do not depend on the second text")
    swapped = _logits(network, ["c d"], ["a b"])
    require(not torch.allclose(one, swapped, atol=1e-7), "the logits do not depend on the order of the two texts")


def padding_is_ignored(subject: Subject) -> None:
    """The logits of an example do not depend on the padding of its batch."""
    network = _loaded(subject)
    alone, padded = _logits(network, ["a b"]), _logits(network, ["a b", "a b c d e f g h"])
    difference, of_texts = float((alone[0] - padded[0]).abs().max()), float((padded[0] - padded[1]).abs().max())
    require(difference <= 0.01 * of_texts + 1e-7, f"padding changes the logits by {difference:.2g}")


def sound_weights(subject: Subject) -> None:
    """The weights are finite, trainable and in single precision, and fit the tokenizer."""
    network = _loaded(subject)
    embeddings: Any = network.model.get_input_embeddings()
    rows, words = embeddings.weight.shape[0], len(network.tokenizer)
    require(words <= rows, f"the tokenizer has {words} tokens, the model has embeddings of {rows}")
    require(network.tokenizer.pad_token is not None, "the tokenizer has no padding token")
    for name, value in network.model.state_dict().items():
        require(not value.is_floating_point() or torch.isfinite(value).all(), f"{name} is not finite")
    for name, each in network.model.named_parameters():
        require(each.requires_grad, f"{name} does not require a gradient")
        require(each.dtype == torch.float32, f"{name}: expected float32, got {each.dtype}")


def evaluation_repeats(subject: Subject) -> None:
    """In evaluation mode, the model gives the same logits again: dropout is off."""
    network = _loaded(subject)
    texts = ["a b", "c d", "e f", "g h"] * 4  # many, so that equal draws are no chance
    one, two = _logits(network, texts, texts), _logits(network, texts, texts)
    require(torch.equal(one, two), "two calls in evaluation mode give different logits")


def gradients_reach_the_matrices(subject: Subject) -> None:
    """The gradient of a loss reaches every prunable matrix."""
    network = subject.build().load(LABELS, 1)
    batch = network.tokenizer(["a b c d", "e f"], ["g h", "i j a"], return_tensors="pt", padding=True)
    logits = network.model.train()(**batch).logits
    require(logits.requires_grad, "the logits have no gradient")
    torch.autograd.backward(nn.functional.cross_entropy(logits, torch.tensor([0, 1])))
    for name, weight in network.matrices().items():
        gradient: Any = weight.grad
        require(gradient is not None, f"{name} gets no gradient: the logits do not depend on it")
        require(bool(torch.isfinite(gradient).all()), f"the gradient of {name} is not finite")


def saves_and_loads(subject: Subject) -> None:
    """A saved model, loaded by plain transformers, has the same logits, labels and tokens."""
    network = _loaded(subject)
    with tempfile.TemporaryDirectory() as place:
        network.model.save_pretrained(place)
        network.tokenizer.save_pretrained(place)
        model = AutoModelForSequenceClassification.from_pretrained(place)
        tokenizer = AutoTokenizer.from_pretrained(place)
    one, two = (dict(each("a b c", "d")) for each in (network.tokenizer, tokenizer))
    require(one == two, "the saved tokenizer gives other tokens")
    expected, got = _logits(network, ["a b c"], ["d"]), _logits(Network(model, tokenizer, {}), ["a b c"], ["d"])
    require(torch.allclose(expected, got, atol=1e-6), "the saved model gives other logits")
    require(model.config.id2label == network.model.config.id2label, "the saved model has other labels")


CHECKS = checks_in(
    "backbone",
    [
        one_output_per_label,
        names_the_labels,
        same_seed_same_weights,
        seed_matters,
        random_state_untouched,
        fresh_object,
        prunable_is_linear,
        prunable_is_distinct,
        prunable_covers_the_model,
        blocks_fit,
        true_sizes,
        long_texts,
        options_matter,
        second_text_is_used,
        padding_is_ignored,
        sound_weights,
        evaluation_repeats,
        gradients_reach_the_matrices,
        saves_and_loads,
        *LOADS,
    ],
)
