"""Every option there is, with another value for it, or why it has none."""

from __future__ import annotations

import types
import typing

from pydantic import BaseModel

from srframework.component import Counts
from srframework.registry.discovery import discover
from srframework.registry.registry import Registry
from srframework.training.options import TrainingOptions

REGISTRY = Registry(each for each in discover() if each.dist == "srframework")


LABELS = ("no", "yes", "maybe")


TINY = {"use": "tiny", "layers": 1, "width": 16, "heads": 2, "intermediate": 16, "dropout": 0.1}


TRAINING = {"max_steps": 4, "batch_size": 4, "gradient_accumulation": 2, "learning_rate": 0.01, "warmup_steps": 1}
TRAINING |= {"weight_decay": 0.1, "max_grad_norm": 0.1, "max_length": 12, "eval_every": 2, "eval_batch_size": 4}


BIAS = {"use": "bias-logistic", "c": 1.0}

# -- what is changed ---------------------------------------------------------------------------------

SOURCE = {
    "path": "other.tsv",
    "format": "tsv",
    "text_a": "c",
    "text_b": "c",
    "label": "label2",
    "label_names": {"no": "yes", "yes": "no"},
    "where": {"c": "blue"},
    "keep": ["c"],
}

CHANGES = {
    "PairsOptions.metric": "f1",
    "*.encoding": "ascii",
    "TextOptions.word_vectors": "vectors-2.vec",
    "TextOptions.max_train": 18,
    "TextOptions.max_eval": 5,
    **{f"SourceOptions.{name}": value for name, value in SOURCE.items()},
    **{f"OodOptions.{name}": value for name, value in SOURCE.items()},
    "OodOptions.path": "odd-2.tsv",
    "OodOptions.labels": ["no", "yes"],
    "OodOptions.collapse": {"maybe": "no"},
    "PairsOptions.root": "pairs-moved",
    "PairsOptions.labels": ["maybe", "yes", "no"],
    "PairsOptions.text_a": "c",
    "PairsOptions.text_b": "c",
    "PairsOptions.label": "label2",
    "PairsOptions.label_names": {"no": "maybe", "maybe": "no"},
    "NliOptions.path": "nli-moved",
    "NliOptions.hans": "hans-2",
    "ParaphraseOptions.path": "paraphrase-moved",
    "ParaphraseOptions.paws_qqp": "paraphrase-moved/paws_wiki",
    "ParaphraseOptions.paws_wiki": "paraphrase-moved/paws_qqp",
    "FactVerificationOptions.path": "fever-moved",
    "FactVerificationOptions.symmetric": "symmetric-2",
    "EncoderOptions.path": "model-moved",
    "EncoderOptions.revision": "a-branch",
    "BertBaseOptions.path": "model-moved",
    "BertLargeOptions.path": "model-moved",
    "RobertaBaseOptions.path": "model-moved",
    "LogisticBiasOptions.merge": ["no", "maybe"],
    "FileBiasOptions.path": "bias-2.npy",
    "ConfregOptions.teacher": "full@2",
    "GroupDroOptions.column": "label",
    "JttOptions.identified_by": "full@2",
    "TextOptions.group_by": ["label"],
    "WorstGroupOptions.group_by": ["c"],
    "PruneOptions.pattern": "1x4",
    "ImpOptions.levels": "all",
    "SyntheticOptions.group_by": ["cue"],
    "SyntheticOptions.also": ["reversed"],
}
"""Of options whose type does not say what another value would be."""

ALONG = {
    "MaskOptions.schedule": {"initial_sparsity": None},
    "FileBiasOptions.log": {"path": "bias-log.npy"},
    "TinyOptions.weights": dict.fromkeys(("layers", "width", "heads", "intermediate")),
}
"""What has to change with an option, for the options to be valid."""

ELSEWHERE = {
    **{
        f"{kind}.{name}": "names a data set on the hub: of what is read there the rows count, as of a file's"
        for kind in ("SourceOptions", "OodOptions")
        for name in ("hub", "config", "split")
    },
    "NliOptions.hans_train": "whether there is another split, which a stage trains on or not: its rows count",
}
"""Options that are not changed here, and why not."""

MAY_COUNT = {
    "TrainingOptions.eval_batch_size": "the size of a batch can change the last bits of what is evaluated",
    "TrainingOptions.eval_every": "another checkpoint can be the best",
    "TrainingOptions.best_after": "another checkpoint can be the best",
    "TrainingOptions.patience": "each evaluation can be better than all before it",
    "TrainingOptions.keep": "the best checkpoint need not be the last",
    "TrainingOptions.ood_train": "rows that are the same in two splits count once more",
    "FileBiasOptions.log": "the same probabilities, rounded otherwise",
    "ConfregOptions.teacher": "the best checkpoint of the teacher can be the one at that step",
    "JttOptions.identified_by": "its errors can be the same at that step",
    "JttOptions.upweight": "there may be no errors, or nothing but errors",
    "TextOptions.group_by": "losses and evaluators see the column",
    "SyntheticOptions.group_by": "losses and evaluators see the column",
    "EncoderOptions.dropout": "can be the model's own",
    "LogisticBiasOptions.merge": "classes of few examples",
    "LogisticBiasOptions.balanced": "classes can have one size",
    "MaskOptions.refresh_every": "the scores need not have changed enough for another mask",
    "MaskOptions.phi": "scores can grow with the threshold",
    "MaskOptions.alpha": "scores can grow with the threshold",
    "OodOptions.collapse": "the label need not be predicted",
    "*.keep": "evaluators see the column",
    "*.where": "rows that a file does not have",
    "PairsOptions.metric": "can choose the same checkpoint",
    "PairsOptions.features": "is seen by the bias model alone, which is asked for its predictions",
}
"""Options whose change need not change the bits of so small an example, and why it counts."""


def is_location(field):
    marks = [*field.metadata, *(mark for each in typing.get_args(field.annotation) for mark in metadata(each))]
    return any(isinstance(mark, Counts) and mark.as_ == "location" for mark in marks)


def metadata(annotation):
    return getattr(annotation, "__metadata__", ())


def others(field, now):
    """Further values of a field's type, nearest first."""
    annotation = field.annotation
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        annotation = next(each for each in typing.get_args(annotation) if each is not types.NoneType)
    limits = {
        name: getattr(mark, name) for mark in field.metadata for name in ("ge", "gt", "le", "lt") if hasattr(mark, name)
    }
    if annotation is bool:
        return [not now]
    if typing.get_origin(annotation) is typing.Literal:
        return [each for each in typing.get_args(annotation) if each != now]
    if annotation is int:
        return [3, 4, 8, 1] if now is None else [now + 1, now * 2, now - 1]
    if annotation is float:
        low, high = limits.get("ge", limits.get("gt", 0.0)), limits.get("le", limits.get("lt", 1.0))
        return [(low + high) / 2, 0.75] if now is None else [now * 1.5, now * 0.5, (low + high) / 2, low, high]
    return []


class Option(typing.NamedTuple):
    """An option of a recipe: where in it, and what of its schema."""

    scene: str
    path: tuple
    owner: type[BaseModel]
    name: str

    def __str__(self):
        return f"{self.scene}:{'.'.join(map(str, (*self.path, self.name)))}"

    @property
    def key(self):
        return next(
            f"{each.__name__}.{self.name}"
            for each in reversed(self.owner.__mro__)
            if self.name in getattr(each, "model_fields", {})
        )

    @property
    def own(self):
        return f"{self.owner.__name__}.{self.name}"


def options_of(scene, path, owner):
    """The options of a class, and of the tables in it."""
    for name, field in owner.model_fields.items():
        inner = [field.annotation, *typing.get_args(field.annotation)]
        tables = [each for each in inner if isinstance(each, type) and issubclass(each, BaseModel)]
        if not tables:
            yield Option(scene, path, owner, name)
        for table in tables:
            place = (*path, name, *(("odd",) if typing.get_origin(field.annotation) is dict else ()))
            yield from options_of(scene, place, table)


PLACES = {"backbone": ("backbone",), "dataset": ("dataset",), "pruner": ("stages", -1, "pruner"), "bias": ("bias",)}
PLACES["evaluator"] = ("evaluators", 0)
PLACES["debiaser"] = ("stages", -1, "loss")


def has_options(registered):
    """Whether a scene changes the component's options; no scene does so for launchers."""
    return registered.kind != "launcher" and bool(registered.component.options.model_fields)


def all_options():
    yield from options_of("training", ("training",), TrainingOptions)
    for each in REGISTRY:
        if has_options(each):
            yield from options_of(f"{each.kind}/{each.name}", PLACES[each.kind], each.component.options)
