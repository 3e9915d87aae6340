"""Checks of backbones that load a model several times: other seeds, labels, options and processes."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from srframework.component import Options
from srframework.contracts import Network
from srframework.errors import SRFrameworkError
from srframework.testing.check import NotApplicable, Subject, require
from srframework.testing.loads import network_digest
from srframework.testing.other_process import loaded_elsewhere
from srframework.testing.randomness import untouched_settings
from srframework.testing.small_task import LABELS

_SIZES = {
    "num_hidden_layers": ("layers", "num_layers", "n_layers", "num_hidden_layers"),
    "hidden_size": ("width", "hidden_size"),
    "intermediate_size": ("intermediate", "intermediate_size"),
    "num_attention_heads": ("heads", "num_heads", "num_attention_heads"),
}
"""Field of a configuration -> names of an option that sets it."""


def _encoder(network: Network) -> dict[str, torch.Tensor]:
    return {name: value.detach() for name, value in network.matrices(["encoder"]).items()}


def with_other_options(subject: Subject) -> list[tuple[str, Options, Network]]:
    """Return a few models with other values of the options that are integers: the change, the options, the model."""
    return subject.once("other options", lambda: list(_with_other_options(subject)))


def _with_other_options(subject: Subject) -> Iterator[tuple[str, Options, Network]]:
    for name, pairs in subject.variations():
        tried = [options for _, options in pairs if type(getattr(options, name)) is int][-2:]
        for options in tried:
            try:
                network = subject.built(options).load(LABELS, 1)
            except SRFrameworkError:
                continue
            yield f"with {name} = {getattr(options, name)!r}: ", options, network


def same_model_in_another_process(subject: Subject) -> None:
    """Another process with another hash seed loads the same model."""
    here = network_digest(subject.build().load(LABELS, 1))
    same = all(found == [here] for found in loaded_elsewhere(subject, 1))
    require(same, "another process with another hash seed loads other weights, labels, tokens or prunable modules")


def label_names_do_not_matter(subject: Subject) -> None:
    """The weights of the encoder do not depend on the names of the labels."""
    one = _encoder(subject.build().load(LABELS, 1))
    two = _encoder(subject.build().load(("first", "second label", "third"), 1))
    for name, value in one.items():
        require(torch.equal(value, two[name]), f"{name} depends on the names of the labels; only the seed may decide")


def earlier_loads_do_not_matter(subject: Subject) -> None:
    """The model depends on the labels and the seed of this load, not on earlier loads of the instance."""
    backbone = subject.build()
    expected = backbone.load(LABELS, 1)
    backbone.load(LABELS[1::-1], 3)
    got = backbone.load(LABELS, 1)
    require(
        got.model.config.id2label == expected.model.config.id2label, "a later load has the labels of an earlier one"
    )
    weights = got.model.state_dict()
    for name, value in expected.model.state_dict().items():
        require(torch.equal(value, weights[name]), f"{name} is other at a later load with the same seed")


def stored_weights_are_loaded(subject: Subject) -> None:
    """If the example has a file of weights, those of the encoder do not depend on the seed."""
    subject.build()
    if not list(subject.directory.rglob("*.safetensors")):
        raise NotApplicable("the example has no file of weights")
    one, two = (_encoder(subject.build().load(LABELS, seed)) for seed in (1, 2))
    for name, value in one.items():
        require(torch.equal(value, two[name]), f"{name} depends on the seed, although a file has its weights")


def sizes_follow_options(subject: Subject) -> None:
    """An option that names a size, such as layers or hidden_size, is that size of the model."""
    fields = subject.component.options.model_fields
    named = {size: [each for each in names if each in fields] for size, names in _SIZES.items()}
    if not any(named.values()):
        raise NotApplicable("no option names a size")
    loads = [("", subject.options(), subject.build().load(LABELS, 1)), *with_other_options(subject)]
    for where, options, network in loads:
        for size, names in named.items():
            for name in names:
                expected, got = getattr(options, name), getattr(network.model.config, size, None)
                fits = expected is None or got is None or got == expected
                require(fits, f"{where}the option {name} is {expected}, {size} of the model is {got}")


def settings_untouched(subject: Subject) -> None:
    """Loading leaves the settings of torch, numpy and the process as they were."""
    with untouched_settings("load()"):
        subject.build().load(LABELS, 1)


CHECKS = [
    same_model_in_another_process,
    label_names_do_not_matter,
    earlier_loads_do_not_matter,
    stored_weights_are_loaded,
    sizes_follow_options,
    settings_untouched,
]
