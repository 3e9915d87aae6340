"""Bring your own: texts, or pairs of them, in any files or hub data sets."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from srf_datasets.examples import Columns, Reader, collapse_to
from srf_datasets.options import OodOptions, PairsOptions, SourceOptions
from srf_datasets.overlap import overlap_features
from srf_datasets.rows import format_of
from srframework import Dataset, Split, TaskData


class Pairs(Dataset):
    """A task described in its options."""

    options: PairsOptions

    def load(self, seed: int) -> TaskData:
        """Read every split; nothing is drawn at random."""
        options = self.options
        notes: list[str] = []
        train = self._split("train", options.train, notes)
        features = partial(overlap_features, train) if options.provided() else None
        return TaskData(
            labels=options.labels,
            metric=options.metric,
            train=train,
            dev=self._split("dev", options.dev, notes),
            test=self._split("test", options.test, notes) if options.test else None,
            ood=tuple(self._split(name, source, notes) for name, source in options.ood.items()),
            spurious_features=features,
            notes=tuple(notes),
        )

    def _split(self, name: str, source: SourceOptions, notes: list[str]) -> Split:
        options = self.options
        own = (source.labels if isinstance(source, OodOptions) else None) or options.labels
        collapse = collapse_to(options.labels, own, source.collapse) if isinstance(source, OodOptions) else None
        columns = Columns(
            text_a=source.text_a or options.text_a,
            text_b=options.text_b if source.text_b is None else source.text_b,
            label=source.label or options.label,
            keep=source.keep,
            where=source.where,
        )
        names = options.label_names if source.label_names is None else source.label_names
        reader = Reader(name, own, columns, names, collapse)
        if source.path is not None:
            split = reader.from_file(
                str(Path(options.root, source.path)), source.format or format_of(source.path) or ""
            )
        else:
            split = reader.from_hub(source.hub or "", source.config, source.split or name)
        notes += reader.notes
        return split
