"""Fact verification: FEVER, and Fever-Symmetric out of distribution."""

from __future__ import annotations

import os
from pathlib import Path

from srf_datasets.claim import claim_features
from srf_datasets.examples import Reader
from srf_datasets.groups import grouped, with_groups
from srf_datasets.parsing import Columns
from srf_datasets.sizes import known_sizes, published, rows_of
from srf_datasets.subset import subsets
from srf_datasets.task_options import (
    FACT_LABELS as LABELS,
)
from srf_datasets.task_options import (
    FEVER_FILES,
    SYMMETRIC_FILES,
    FactVerificationOptions,
    fever_columns,
)
from srf_datasets.word_vectors import with_vectors_of
from srframework import Dataset, Split, TaskData

_HUB_SPLITS = {"train": "train", "dev": "validation"}
_HUB = Columns("claim", "evidence", "label")


class FactVerification(Dataset):
    """FEVER (train, dev), Fever-Symmetric v1 and v2 (test sets, and the dev set of v2 for OOD training).

    Fever-Symmetric has no label NOT ENOUGH INFO: a model that predicts it there is wrong. Rows of FEVER without a text
    are skipped, counted and reported. The ids of a file, if any, become a column ``id``.
    """

    options: FactVerificationOptions

    def load(self, seed: int) -> TaskData:
        """Read all splits; ``seed`` draws the subsets."""
        options = self.options
        notes: list[str] = []
        train = self._fever("train", notes)
        dev = self._fever("dev", notes)
        symmetric, ood_train = options.symmetric_source(), options.symmetric_train()
        if symmetric is None:
            notes.append("Fever-Symmetric is left out: it is not on the hub; set symmetric to a local directory")
            ood = []
        else:
            ood = [self._read(name, Path(symmetric, file), notes) for name, file in SYMMETRIC_FILES.items()]
        task = TaskData(
            labels=LABELS,
            metric="accuracy",
            train=train,
            dev=dev,
            ood=tuple(ood),
            ood_train=self._read("ood_train", Path(ood_train), notes) if ood_train is not None else None,
            spurious_features=with_vectors_of(options.vector_file(), claim_features),
            notes=tuple(notes),
        )
        return subsets(task, options.max_train, options.max_eval, seed)

    def sizes(self) -> dict[str, int]:
        """Count the rows of local files; give published sizes for other sources."""
        options, path = self.options, Path(self.options.path)
        counts = {
            name: rows_of(path / file, "jsonl")
            if os.path.isdir(path)
            else published(options.path, name, "fact-verification")
            for name, file in FEVER_FILES.items()
        }
        symmetric, ood_train = options.symmetric_source(), options.symmetric_train()
        if symmetric is not None:
            counts |= {name: rows_of(Path(symmetric, file), "jsonl") for name, file in SYMMETRIC_FILES.items()}
        if ood_train is not None:
            counts["ood_train"] = rows_of(ood_train, "jsonl")
        elif "ood-train" in options.provided():
            counts["ood_train"] = published(options.path, "ood_train", "fact-verification")
        return known_sizes(counts, options.max_train, options.max_eval)

    def _fever(self, name: str, notes: list[str]) -> Split:
        path = self.options.path
        if os.path.isdir(path):
            return self._read(name, Path(path, FEVER_FILES[name]), notes, skip_empty=True)
        reader = Reader(name, LABELS, with_groups(_HUB, self.options.group_by), skip_empty=True)
        split = reader.from_hub(path, None, _HUB_SPLITS[name])
        notes += reader.notes
        return grouped(split, self.options.group_by)

    def _read(self, name: str, path: Path, notes: list[str], skip_empty: bool = False) -> Split:
        encoding = self.options.encoding
        columns = with_groups(fever_columns(str(path), encoding), self.options.group_by if skip_empty else ())
        reader = Reader(name, LABELS, columns, skip_empty=skip_empty, encoding=encoding)
        split = reader.from_file(str(path), "jsonl")
        notes += reader.notes
        return grouped(split, self.options.group_by)
