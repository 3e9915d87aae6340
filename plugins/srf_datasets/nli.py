"""Natural language inference: MNLI, and HANS out of distribution."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from srf_datasets.examples import Columns, Reader, collapse_to
from srf_datasets.options import HANS_FILE, NLI_FILES, NliOptions
from srf_datasets.overlap import overlap_features
from srframework import Dataset, Split, TaskData

LABELS = ("contradiction", "entailment", "neutral")
HANS_LABELS = ("non-entailment", "entailment")
HANS_COLLAPSE = {"contradiction": "non-entailment", "neutral": "non-entailment"}

_HUB_SPLITS = {"train": "train", "dev": "validation_matched"}
_MNLI = Columns("sentence1", "sentence2", "gold_label")
_MNLI_HUB = Columns("premise", "hypothesis", "label")
_HANS = Columns("sentence1", "sentence2", "gold_label", keep=("heuristic", "subcase", "template"))
_HANS_HUB = Columns("premise", "hypothesis", "label", keep=("heuristic", "subcase", "template"))


class Nli(Dataset):
    """MNLI (train, dev matched) and HANS (evaluation set), from files or from the hub."""

    options: NliOptions

    def load(self, seed: int) -> TaskData:
        """Read every split; nothing is drawn at random."""
        notes: list[str] = []
        train = self._mnli("train", notes)
        return TaskData(
            labels=LABELS,
            metric="accuracy",
            train=train,
            dev=self._mnli("dev", notes),
            ood=(self._hans(notes),),
            spurious_features=partial(overlap_features, train),
            notes=tuple(notes),
        )

    def _mnli(self, name: str, notes: list[str]) -> Split:
        path = self.options.path
        if Path(path).is_dir() and Path(path, NLI_FILES[name]).is_file():
            reader = Reader(name, LABELS, _MNLI)
            split = reader.from_file(str(Path(path, NLI_FILES[name])), "tsv")
        else:
            reader = Reader(name, LABELS, _MNLI_HUB)
            split = reader.from_hub(path, None, _HUB_SPLITS[name])
        notes += reader.notes
        return split

    def _hans(self, notes: list[str]) -> Split:
        source = self.options.hans_source()
        collapse = collapse_to(LABELS, HANS_LABELS, HANS_COLLAPSE)
        if Path(source, HANS_FILE).is_file():
            reader = Reader("hans", HANS_LABELS, _HANS, {}, collapse)
            split = reader.from_file(str(Path(source, HANS_FILE)), "tsv")
        else:
            reader = Reader("hans", HANS_LABELS, _HANS_HUB, {}, collapse)
            # Its repository has a loading script, which is never run; the hub keeps a conversion of it.
            split = reader.from_hub(source, None, "validation", revision="refs/convert/parquet")
        notes += reader.notes
        return split
