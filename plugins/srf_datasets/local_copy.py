"""Reads a local copy of a hub data set without the cache of `datasets`, which may miss changes of files."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import datasets
from huggingface_hub import DatasetCard

from srframework import DataError, open_input

_FORMATS = ("arrow", "csv", "json", "parquet", "text")
"""Formats of `datasets` with plain rows: their readers open no file that another file names."""

_PACKED = (".gz", ".zip", ".bz2", ".xz", ".zst", ".lz4", ".7z")

_CARDS = ("README.md", ".huggingface.yaml")
"""Files that may name the data files of a data set."""


@contextmanager
def local_copy(path: str, config: str | None, split: str) -> Iterator[datasets.Dataset]:
    """Read a split of the data files in a directory; it can be used inside the block.

    `datasets` decides which files belong to a split, also by the directory's ``README.md``.

    Args:
        path: The directory.
        config: Name of its configuration; None if it has only one.
        split: Name of the split, in the notation of `datasets`: ``train``, ``train[:1%]``.

    Raises:
        DataError: The data files are outside the directory, or have an unsupported format.
        Exception: Any error of `datasets`.
    """
    root = Path(path).resolve()
    for card in _CARDS:
        _check_card(root, card)
    with tempfile.TemporaryDirectory(prefix="srframework-") as cache:
        builder = datasets.load_dataset_builder(str(root), config, cache_dir=cache)
        kind = type(builder).__module__.rpartition(".")[2]
        if kind not in _FORMATS:
            raise DataError(f"{path}: expected files of one of the formats {', '.join(_FORMATS)}, got {kind}")
        for files in (builder.config.data_files or {}).values():
            for file in files:
                _check_inside(path, root, str(file))
        builder.download_and_prepare()
        data = builder.as_dataset(split=split)
        if not isinstance(data, datasets.Dataset):
            raise DataError(f"{path}: expected the name of one split, got {split!r}")
        yield data


def _check_inside(path: str, root: Path, file: str) -> None:
    # Links are allowed: the cache of the hub consists of them, and no data file can create one.
    inside = "://" not in file and "::" not in file and Path(os.path.normpath(file)).is_relative_to(root)
    if not inside:
        raise DataError(f"{path}: expected data files in this directory, got {file}")
    if file.lower().endswith(_PACKED):
        raise DataError(f"{file}: expected a file that is not compressed; unpack it first")
    open_input(file).close()


def _check_card(root: Path, card: str) -> None:
    """Refuse a description that names files outside the directory, before they are opened."""
    if not (root / card).exists():
        return
    with open_input(root / card) as file:
        text = file.read(1 << 20).decode(errors="replace")
    if not card.endswith(".md"):
        text = f"---\n{text}\n---\n"
    try:
        configs = getattr(DatasetCard(text).data, "configs", None)
    except Exception as error:  # errors of the YAML parser and of the hub's checks have no common base class
        raise DataError(f"{root / card}: its header cannot be read: {' '.join(str(error).split())[:300]}") from error
    for name in _strings(configs):
        if "://" in name or "::" in name or name.startswith(("/", "~")) or ".." in name.split("/"):
            raise DataError(f"{root / card}: expected data files in this directory, got {name!r}")


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _strings(each)
    elif isinstance(value, list):
        for each in value:
            yield from _strings(each)
