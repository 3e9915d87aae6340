"""Options of ``pairs``."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from srf_datasets.groups import read_for
from srf_datasets.label_tests import HANS_HINT, nli_orderings
from srf_datasets.parsing import UNLABELLED, Columns, FileToCheck, Key, Parser
from srf_datasets.text_options import TextOptions
from srframework import Encoding, FileProblem, Options, RowFile, did_you_mean, directory_problem, nearest

Names = Annotated[tuple[str, ...], Field(strict=False)]

RESERVED = ("train", "dev", "test", "ood_train", "model")
"""Names that OOD splits must not have."""

ID_KEYS: tuple[Key, ...] = (("train",), ("dev",), ("test",))
"""The splits with the ordinary bias of the task."""

HANS_LABELS = {"entailment", "non-entailment"}

OWN_COLUMNS = ("text_a", "text_b", "label")
"""Columns of every split; further columns must have other names."""


class SourceOptions(Options):
    """Options of a split: the source of its rows, and their columns."""

    path: str | None = Field(
        None, description="A .tsv or .txt (tab-separated, no quotes), .csv or .jsonl file, relative to root."
    )
    format: Literal["tsv", "csv", "jsonl"] | None = Field(
        None, description="Format of the file; unset: by the extension of path."
    )
    encoding: Encoding | None = Field(None, description="Encoding of the file; unset: as in the data set.")
    hub: str | None = Field(None, description="A data set on the Hugging Face hub, or a local copy, instead of path.")
    config: str | None = Field(None, description="Configuration of the hub data set.")
    split: str | None = Field(None, description="Split of the hub data set; unset: the one with this table's name.")
    text_a: str | None = Field(None, description="Column of the first text; unset: as in the data set.")
    text_b: str | None = Field(None, description="Column of the second text; unset: as in the data set.")
    label: str | None = Field(None, description="Column of the label; unset: as in the data set.")
    label_names: dict[str, str] | None = Field(
        None, description="Table from a word in the label column to its label; unset: as in the data set."
    )
    where: dict[str, str] = Field(
        {}, description="Table from a column to a value: read only rows with this value in the column."
    )
    keep: Names = Field((), description="Further columns to read, for evaluators, such as heuristic.")

    @field_validator("keep")
    @classmethod
    def _own_columns(cls, keep: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(keep)) < len(keep) or set(keep) & set(OWN_COLUMNS):
            raise ValueError(f"columns other than {', '.join(OWN_COLUMNS)}, each once")
        return keep

    @model_validator(mode="after")
    def _one_source(self) -> SourceOptions:
        if (self.path is None) == (self.hub is None):
            raise ValueError("either a path or a hub data set")
        if self.path is not None and self.format is None and RowFile.format_of(self.path) is None:
            raise ValueError("a path that ends in .tsv, .txt, .csv, .jsonl or .json, or the option format")
        return self


class OodOptions(SourceOptions):
    """Options of an OOD split, which may have fewer labels than the model."""

    labels: Names | None = Field(None, description="The labels of the split; unset: as in the data set.")
    collapse: dict[str, str] = Field(
        {}, description="For each label that this split does not have, the label of the split to use instead."
    )


class PairsOptions(TextOptions):
    """Options of ``pairs``."""

    root: str = Field(".", description="The paths of the splits are relative to this directory.")
    labels: Names = Field(min_length=2, description="The labels, in the order of the model's outputs; at least 2.")
    metric: str = Field(
        "accuracy",
        min_length=1,
        description="The metric that selects the best checkpoint: a figure of one of the recipe's evaluators.",
    )
    text_a: str = Field("sentence1", description="Column of the first text.")
    text_b: str = Field("sentence2", description="Column of the second text; '' for one text.")
    label: str = Field("label", description="Column of the label.")
    label_names: dict[str, str] = Field(
        {},
        description="Maps words in the label column to labels. A word that is not in the table must itself be a label.",
    )
    features: Literal["overlap", "claim-only", "none"] = Field(
        "overlap",
        description="Spurious features for a bias model: the overlap of the two texts' words (overlap), "
        "the max-pooled word vectors of the first text (claim-only), or none.",
    )
    train: SourceOptions = Field(description="Training examples.")
    dev: SourceOptions = Field(description="ID examples that select the best checkpoint.")
    test: SourceOptions | None = Field(None, description="ID examples for the reported metrics; unset: those of dev.")
    ood: dict[str, OodOptions] = Field({}, description="OOD splits, by name.")
    ood_train: SourceOptions | None = Field(
        None, description="OOD training examples, with the data set's labels; default split of a hub data set: train."
    )

    @field_validator("ood")
    @classmethod
    def _own_names(cls, ood: dict[str, OodOptions]) -> dict[str, OodOptions]:
        for name in ood:
            if name in RESERVED:
                raise ValueError(f"names of OOD splits other than {', '.join(RESERVED)}")
        return ood

    @field_validator("labels")
    @classmethod
    def _distinct(cls, labels: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(labels)) < len(labels):
            raise ValueError("every label once")
        if never := [label for label in labels if label != label.strip() or label in UNLABELLED]:
            raise ValueError(
                f"labels without spaces around them, and without '' and '-', which mean unlabelled (not {never[0]!r})"
            )
        return labels

    @model_validator(mode="after")
    def _words_mean_labels(self) -> PairsOptions:
        tables = {"label_names": (self.label_names, self.labels)}
        for name, source in self.sources().items():
            tables[f"{name}.label_names"] = (source.label_names or {}, self.labels)
        for name, split in self.ood.items():
            tables[f"ood.{name}.label_names"] = (split.label_names or {}, split.labels or self.labels)
        for name, (meanings, labels) in tables.items():
            if wrong := [label for label in meanings.values() if label not in (*labels, *UNLABELLED)]:
                expected = f"{name} to map words to labels ({', '.join(labels)}) or to '-', which skips the row"
                raise ValueError(f"{expected}, not {wrong[0]!r}{did_you_mean(nearest(wrong[0], labels))}")
        return self

    @model_validator(mode="after")
    def _labels_match(self) -> PairsOptions:
        for name, split in self.ood.items():
            own = split.labels or self.labels
            for source, target in split.collapse.items():
                if source not in self.labels or target not in own:
                    raise ValueError(
                        f"ood.{name}.collapse to map labels of the data set ({', '.join(self.labels)}) "
                        f"to labels of the split ({', '.join(own)})"
                    )
            if left := [label for label in self.labels if label not in own and label not in split.collapse]:
                raise ValueError(
                    f"an entry for {left[0]!r} in ood.{name}.collapse, because the split has no such label"
                )
        return self

    def sources(self) -> dict[str, SourceOptions]:
        """Name -> source, for the splits with the labels of the data set."""
        named = {"train": self.train, "dev": self.dev, "test": self.test, "ood_train": self.ood_train}
        return {name: source for name, source in named.items() if source is not None}

    def every_source(self) -> Iterator[tuple[str, Key, SourceOptions]]:
        """Yield name, key and source of every split."""
        yield from ((name, (name,), source) for name, source in self.sources().items())
        yield from ((name, ("ood", name), source) for name, source in self.ood.items())

    def own_labels(self, source: SourceOptions) -> tuple[str, ...]:
        """Give the labels of a split."""
        return (source.labels if isinstance(source, OodOptions) else None) or self.labels

    def columns(self, source: SourceOptions) -> Columns:
        """Give the columns of a split."""
        needed = () if isinstance(source, OodOptions) else read_for(self.group_by)
        return Columns(
            text_a=source.text_a or self.text_a,
            text_b=self.text_b if source.text_b is None else source.text_b,
            label=source.label or self.label,
            keep=tuple(dict.fromkeys([*source.keep, *needed])),
            where=source.where,
        )

    def names_of_labels(self, source: SourceOptions) -> dict[str, str]:
        """Give the mapping from words to labels for a split."""
        return self.label_names if source.label_names is None else source.label_names

    def sources_not_here(self) -> Iterator[FileProblem]:
        """Report splits whose ``hub`` names a local directory that does not exist."""
        for _, key, source in self.every_source():
            if source.hub is not None and (problem := directory_problem(source.hub, "Data set", (*key, "hub"))):
                yield problem

    def files(self) -> Iterator[FileToCheck]:
        """List the files of all splits."""
        for name, key, source in self.every_source():
            if source.path is not None:
                path, kind = str(Path(self.root, source.path)), source.format or RowFile.format_of(source.path) or ""
                parser, keys = partial(self._parser, name, source), self._keys(key, source)
                orderings = nli_orderings(self._nli_names()) if key in ID_KEYS else ()
                hint = HANS_HINT if set(self.own_labels(source)) == HANS_LABELS else None
                yield FileToCheck((*key, "path"), path, kind, parser, keys, name, hint=hint, orderings=orderings)

    def _nli_names(self) -> dict[str, str]:
        """Map the usual names of NLI labels to the labels that have them, whatever their case."""
        return {label.casefold(): label for label in self.labels}

    def _parser(self, name: str, source: SourceOptions) -> Parser:
        columns, names = self.columns(source), self.names_of_labels(source)
        encoding = source.encoding or self.encoding
        return Parser(name, self.own_labels(source), columns, names, encoding=encoding, has_format=True)

    def _keys(self, key: Key, source: SourceOptions) -> dict[str, Key]:
        """Column of a split -> the option that names it."""
        keys: dict[str, Key] = {column: (*key, "where", column) for column in source.where}
        keys |= dict.fromkeys(read_for(self.group_by), ("group_by",))
        keys |= dict.fromkeys(source.keep, (*key, "keep"))
        for option in ("label", "text_b", "text_a"):
            of_split = getattr(source, option)
            keys[of_split or getattr(self, option)] = (*key, option) if of_split else (option,)
        return keys

    def provided(self) -> list[str]:
        """List features for a bias model and OOD training examples, if the options define them."""
        text_b = self.text_b if self.train.text_b is None else self.train.text_b
        features = self.features == "claim-only" or (self.features == "overlap" and text_b)
        named = ["spurious-features", *self.of_backbone()] if features else []
        return [*named, *(["ood-train"] if self.ood_train else [])]
