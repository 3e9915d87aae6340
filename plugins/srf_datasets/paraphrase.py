"""Paraphrase identification: QQP, and PAWS-qqp and PAWS-wiki out of distribution."""

from __future__ import annotations

import os
from pathlib import Path

import datasets

from srf_datasets.examples import Reader
from srf_datasets.groups import grouped, with_groups
from srf_datasets.overlap import overlap_features
from srf_datasets.parsing import Columns, text_of_literal
from srf_datasets.sizes import PAWS_QQP, PUBLISHED, known_sizes, published, rows_of
from srf_datasets.subset import subsets
from srf_datasets.task_options import (
    PARAPHRASE_LABELS as LABELS,
)
from srf_datasets.task_options import (
    PAWS,
    QQP,
    QQP_FILES,
    ParaphraseOptions,
)
from srf_datasets.word_vectors import with_vectors_of
from srframework import Dataset, Split, TaskData

_QQP_HUB = Columns("question1", "question2", "label", id="idx")
_QQP_NAMES = {"not_duplicate": "0", "duplicate": "1"}
_PAWS_CONFIG = "labeled_final"
_HUB_SPLITS = {"train": "train", "dev": "validation", "test": "test"}


class Paraphrase(Dataset):
    """QQP (train, dev), PAWS-qqp and PAWS-wiki (one split each; both training sets for OOD training).

    They are read from files or from the hub, but the hub has no PAWS-qqp.
    Rows of QQP that are short, unlabelled or without a question are skipped, counted and reported.
    """

    options: ParaphraseOptions

    def load(self, seed: int) -> TaskData:
        """Read all splits; ``seed`` draws the subsets."""
        options = self.options
        notes: list[str] = []
        train = self._qqp("train", notes)
        dev = self._qqp("dev", notes)
        ood = []
        if (source := options.paws_qqp_source()) is not None:
            ood.append(self._paws_qqp("paws-qqp", source, options.paws_qqp_split, notes))
        else:
            notes.append("PAWS-qqp is left out: it is not on the hub; set paws_qqp to a local directory")
        ood.append(self._paws_wiki("paws-wiki", options.paws_wiki_source(), options.paws_wiki_split, notes))
        task = TaskData(
            labels=LABELS,
            metric="f1",
            train=train,
            dev=dev,
            ood=tuple(ood),
            ood_train=self._ood_train(notes),
            spurious_features=with_vectors_of(options.vector_file(), overlap_features),
            notes=tuple(notes),
        )
        return subsets(task, options.max_train, options.max_eval, seed)

    def sizes(self) -> dict[str, int]:
        """Count the rows of local files; give published sizes for other sources."""
        options, path = self.options, Path(self.options.path)
        counts = {
            name: rows_of(path / file, "tsv") if os.path.isdir(path) else published(options.path, name, "paraphrase")
            for name, file in QQP_FILES.items()
        }
        if (qqp := options.paws_qqp_source()) is not None:
            counts["paws-qqp"] = _paws_size(qqp, options.paws_qqp_split)
        counts["paws-wiki"] = _paws_size(options.paws_wiki_source(), options.paws_wiki_split)
        train = [_paws_size(source, "train") for source in options.paws_train().values()]
        known = [count for count in train if count is not None]
        counts["ood_train"] = sum(known) if known and len(known) == len(train) else None
        if qqp is None and options.path not in PUBLISHED:  # presumably a directory that does not exist yet
            counts |= {"paws-qqp": PAWS_QQP["dev"], "ood_train": sum(known) + PAWS_QQP["train"]}
        return known_sizes(counts, options.max_train, options.max_eval)

    def _qqp(self, name: str, notes: list[str]) -> Split:
        path = self.options.path
        if os.path.isdir(path):
            reader = Reader(
                name, LABELS, with_groups(QQP, self.options.group_by), skip_empty=True, encoding=self.options.encoding
            )
            split = reader.from_file(str(Path(path, QQP_FILES[name])), "tsv")
        else:
            reader = Reader(name, LABELS, with_groups(_QQP_HUB, self.options.group_by), _QQP_NAMES, skip_empty=True)
            split = reader.from_hub(path, None, _HUB_SPLITS[name])
        notes += reader.notes
        return grouped(split, self.options.group_by)

    def _paws_qqp(self, name: str, source: str, split: str, notes: list[str]) -> Split:
        reader = Reader(name, LABELS, PAWS, text=text_of_literal, encoding=self.options.encoding)
        read = reader.from_file(str(Path(source, f"{split}.tsv")), "tsv")
        notes += reader.notes
        return read

    def _paws_wiki(self, name: str, source: str, split: str, notes: list[str]) -> Split:
        reader = Reader(name, LABELS, PAWS, encoding=self.options.encoding)
        if os.path.isdir(source):
            read = reader.from_file(str(Path(source, f"{split}.tsv")), "tsv")
        else:
            read = reader.from_hub(source, _PAWS_CONFIG, _HUB_SPLITS[split])
        notes += reader.notes
        return read

    def _ood_train(self, notes: list[str]) -> Split | None:
        """Concatenate the training sets of PAWS that exist."""
        read = {"paws-qqp": self._paws_qqp, "paws-wiki": self._paws_wiki}
        sources = self.options.paws_train()
        if not sources:
            return None
        if absent := [name for name in read if name not in sources]:
            notes.append(
                f"ood_train: only the training set of {next(iter(sources))}; that of {absent[0]} was not found"
            )
        parts = [read[name]("ood_train", source, "train", notes).examples for name, source in sources.items()]
        return Split("ood_train", datasets.concatenate_datasets(parts), LABELS)


def _paws_size(source: str, split: str) -> int | None:
    return rows_of(Path(source, f"{split}.tsv"), "tsv") if os.path.isdir(source) else published(source, split)
