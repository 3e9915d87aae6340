"""Natural language inference: MNLI, and HANS out of distribution."""

from __future__ import annotations

import os
import random
from dataclasses import replace
from pathlib import Path

import datasets

from srf_datasets.examples import Reader, collapse_to
from srf_datasets.groups import grouped, with_groups
from srf_datasets.overlap import overlap_features
from srf_datasets.parsing import Columns
from srf_datasets.sizes import known_sizes, published, rows_of
from srf_datasets.subset import subsets
from srf_datasets.task_options import (
    HANS,
    HANS_FILE,
    HANS_LABELS,
    HANS_TRAIN_FILE,
    HEURISTICS,
    MNLI,
    NLI_FILES,
    NliOptions,
)
from srf_datasets.task_options import (
    NLI_LABELS as LABELS,
)
from srf_datasets.word_vectors import with_vectors_of
from srframework import Dataset, Split, TaskData

HANS_COLLAPSE = {"contradiction": "non-entailment", "neutral": "non-entailment"}
NON_ENTAILMENT = ("contradiction", "neutral")
"""Labels that overlap features cannot tell apart (Clark et al. 2019)."""

_HUB_SPLITS = {"train": "train", "dev": "validation_matched", "mismatched": "validation_mismatched"}
_MNLI_HUB = Columns("premise", "hypothesis", "label", id="idx")


class Nli(Dataset):
    """MNLI (train, dev matched; optional: mismatched) and HANS (evaluation set; training set for OOD training).

    Both are read from files or from the hub.
    """

    options: NliOptions

    def load(self, seed: int) -> TaskData:
        """Read all splits; ``seed`` draws the subsets, and the labels of HANS's non-entailed training pairs."""
        options = self.options
        notes: list[str] = []
        task = TaskData(
            labels=LABELS,
            metric="accuracy",
            train=self._mnli("train", notes),
            dev=self._mnli("dev", notes),
            also=(self._mnli("mismatched", notes),) if options.mismatched else (),
            ood=(self._hans(notes),),
            ood_train=self._hans_train(seed, notes) if "ood-train" in options.provided() else None,
            spurious_features=with_vectors_of(options.vector_file(), overlap_features),
            merged_labels=NON_ENTAILMENT,
            notes=tuple(notes),
        )
        return subsets(task, options.max_train, options.max_eval, seed)

    def sizes(self) -> dict[str, int]:
        """Count the rows of local files; give published sizes for other sources."""
        options, counts = self.options, dict[str, int | None]()
        for name in ("train", "dev", *(["mismatched"] if options.mismatched else [])):
            path = Path(options.path)
            counts[name] = (
                rows_of(path / NLI_FILES[name], "tsv") if os.path.isdir(path) else published(options.path, name, "nli")
            )
        hans = Path(options.hans_source())
        wanted = {"hans": ("evaluation", HANS_FILE)}
        if "ood-train" in options.provided():
            wanted["ood_train"] = ("train", HANS_TRAIN_FILE)
        for name, (split, file) in wanted.items():
            counts[name] = (
                rows_of(hans / file, "tsv") if os.path.isdir(hans) else published(options.hans_source(), split)
            )
        return known_sizes(counts, options.max_train, options.max_eval)

    def _mnli(self, name: str, notes: list[str]) -> Split:
        path = self.options.path
        if os.path.isdir(path):
            columns = with_groups(MNLI, self.options.group_by)
            reader = Reader(name, LABELS, columns, encoding=self.options.encoding)
            split = reader.from_file(str(Path(path, NLI_FILES[name])), "tsv")
        else:
            reader = Reader(name, LABELS, with_groups(_MNLI_HUB, self.options.group_by))
            split = reader.from_hub(path, None, _HUB_SPLITS[name])
        notes += reader.notes
        return grouped(split, self.options.group_by)

    def _hans(self, notes: list[str], name: str = "hans", keep: tuple[str, ...] = HEURISTICS) -> Split:
        source = self.options.hans_source()
        collapse = collapse_to(LABELS, HANS_LABELS, HANS_COLLAPSE)
        evaluation = name == "hans"
        if os.path.isdir(source):
            columns = replace(HANS, keep=keep)
            reader = Reader(name, HANS_LABELS, columns, {}, collapse, encoding=self.options.encoding)
            split = reader.from_file(str(Path(source, HANS_FILE if evaluation else HANS_TRAIN_FILE)), "tsv")
        else:
            reader = Reader(name, HANS_LABELS, Columns("premise", "hypothesis", "label", keep), {}, collapse)
            # The repository has only a loading script, which is never run; the hub has a converted copy.
            split = reader.from_hub(
                source, None, "validation" if evaluation else "train", revision="refs/convert/parquet"
            )
        notes += reader.notes
        return split

    def _hans_train(self, seed: int, notes: list[str]) -> Split:
        """Read the training set of HANS, with the model's labels and the columns of MNLI."""
        split = self._hans(notes, "ood_train", keep=())
        wanted = self.options.hans_non_entailment
        choices = NON_ENTAILMENT if wanted == "either" else (wanted,)
        draw = random.Random(f"{seed}/hans_non_entailment")  # noqa: S311  (labels, no secrets)
        columns = split.examples[:]
        entailed = HANS_LABELS.index("entailment")
        columns["label"] = [
            LABELS.index("entailment" if label == entailed else draw.choice(choices)) for label in columns["label"]
        ]
        return replace(split, examples=datasets.Dataset.from_dict(columns), labels=LABELS, collapse=None)
