"""The user's own data: texts or pairs of texts, in files or hub data sets."""

from __future__ import annotations

from pathlib import Path

from srf_datasets.claim import claim_features
from srf_datasets.examples import Reader, collapse_to
from srf_datasets.groups import grouped
from srf_datasets.options import OodOptions, PairsOptions, SourceOptions
from srf_datasets.overlap import overlap_features
from srf_datasets.sizes import known_sizes, rows_of
from srf_datasets.subset import subsets
from srf_datasets.word_vectors import with_vectors_of
from srframework import Dataset, RowFile, Split, TaskData


class Pairs(Dataset):
    """A task whose files, columns and labels are given by the options."""

    options: PairsOptions

    def load(self, seed: int) -> TaskData:
        """Read all splits; ``seed`` draws the subsets."""
        options = self.options
        notes: list[str] = []
        chosen = claim_features if options.features == "claim-only" else overlap_features
        wanted = "spurious-features" in options.provided()
        task = TaskData(
            labels=options.labels,
            metric=options.metric,
            train=self._split("train", options.train, notes),
            dev=self._split("dev", options.dev, notes),
            test=self._split("test", options.test, notes) if options.test else None,
            ood=tuple(self._split(name, source, notes) for name, source in options.ood.items()),
            ood_train=self._split("ood_train", options.ood_train, notes) if options.ood_train else None,
            spurious_features=with_vectors_of(options.vector_file(), chosen) if wanted else None,
            notes=tuple(notes),
        )
        return subsets(task, options.max_train, options.max_eval, seed)

    def sizes(self) -> dict[str, int]:
        """Count the rows of files; sizes of hub data sets are unknown."""
        sources = {**self.options.sources(), **self.options.ood}
        counts = {
            name: rows_of(
                Path(self.options.root, source.path),
                _format(source),
                source.where,
                source.encoding or self.options.encoding,
            )
            for name, source in sources.items()
            if source.path is not None
        }
        return known_sizes(counts, self.options.max_train, self.options.max_eval)

    def _split(self, name: str, source: SourceOptions, notes: list[str]) -> Split:
        options = self.options
        own = options.own_labels(source)
        collapse = collapse_to(options.labels, own, source.collapse) if isinstance(source, OodOptions) else None
        encoding = source.encoding or options.encoding
        columns, names = options.columns(source), options.names_of_labels(source)
        reader = Reader(name, own, columns, names, collapse, encoding=encoding, has_format=True)
        if source.path is not None:
            split = reader.from_file(str(Path(options.root, source.path)), _format(source))
        else:
            default = "train" if name == "ood_train" else name
            split = reader.from_hub(source.hub or "", source.config, source.split or default)
        notes += reader.notes
        return grouped(split, options.group_by)


def _format(source: SourceOptions) -> str:
    return source.format or RowFile.format_of(source.path or "") or ""
