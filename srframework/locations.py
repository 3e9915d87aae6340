"""Names that options give to what is read: a local directory, or something on the hub; light, for `validate`."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from srframework.text import nearest, shorten

_HUB_NAME = re.compile(r"[A-Za-z0-9_](?:[\w.-]{0,94}[A-Za-z0-9_])?", re.ASCII)
"""One part of a name on the hub: its owner, or the name itself."""

_FILES = (
    *(".tsv", ".txt", ".csv", ".jsonl", ".json", ".toml", ".parquet", ".arrow", ".xlsx", ".xls", ".zip", ".gz", ".tgz"),
    *(".tar", ".bz2", ".xz", ".zst", ".7z", ".npy", ".npz", ".safetensors", ".bin", ".pt", ".ckpt", ".vec"),
)
"""Endings of files, which no data set and no model on the hub has."""

_FOLDERS = frozenset(
    "cache checkpoint checkpoints corpora corpus data dataset datasets download downloads experiments files home input "
    "inputs local mnt model models output outputs pretrained results root runs scratch shared store tmp usr var "
    "weights work workspace".split()
)
"""Usual names of local folders. The hub reserves some of them, and no data set or model that we know of has one of
them as its owner."""


@dataclass(frozen=True)
class FileProblem:
    """One thing that is wrong with a file or a directory that an option names.

    Attributes:
        key: The option, from the top of the component's table: ``("train", "path")``.
        message: What was expected, where, and what was found.
        nearest: The nearest valid name, if one is near.
    """

    key: tuple[str | int, ...]
    message: str
    nearest: str | None = None


def is_path_like(name: str) -> bool:
    r"""Whether an option that takes a directory or a name on the hub means a path, whether or not it exists.

    The hub knows ``name`` and ``owner/name``, of letters, digits, ``-``, ``_`` and ``.``. A path is everything that
    has another form (absolute; beginning with ``.`` or ``~``; with ``\``, spaces, or more than one ``/``), what ends
    as a file does, and ``first/second`` where ``first`` is a directory here or has the usual name of a local folder,
    such as ``data`` or ``models``.

    >>> is_path_like("./mnli"), is_path_like("data/MNLI"), is_path_like("glue/mnli"), is_path_like("bert-base-uncased")
    (True, True, False, False)
    """
    parts = name.split("/")
    if len(parts) > 2 or not all(_HUB_NAME.fullmatch(part) for part in parts) or "--" in name or ".." in name:
        return True
    if name.lower().endswith(_FILES):
        return True
    return len(parts) == 2 and (parts[0].lower() in _FOLDERS or os.path.isdir(parts[0]))


def directory_problem(name: str, what: str, key: tuple[str | int, ...] = ()) -> FileProblem | None:
    """What is wrong with the value of an option that takes a local directory or a name on the hub.

    Args:
        name: The value.
        what: What should be there, for the message: ``"Data set"``, ``"Model"``.
        key: The option.

    Returns:
        None for a directory that can be read, and for a name that may be on the hub. A path that is not there is a
        problem: it is not looked up on the hub.
    """

    def problem(reason: str, near: str | None = None) -> FileProblem:
        return FileProblem(key, f"{what} not found: {shorten(name, 200)} {reason}", near)

    try:
        if os.path.isdir(name):
            readable = os.access(name, os.R_OK | os.X_OK)
            return None if readable else problem("is a directory that cannot be read: Permission denied.")
        if os.path.lexists(name):
            kind = "a broken link" if os.path.islink(name) and not os.path.exists(name) else "not a directory"
            return problem(f"is {kind} (relative to {os.getcwd()}).")
        if not is_path_like(name):
            return None
    except (OSError, ValueError) as error:  # a name that no file can have
        return problem(f"is not the name of a directory: {getattr(error, 'strerror', None) or error}.")
    if not name.strip():
        return problem("is empty; expected a local directory or a name on the hub.")
    if name.startswith("~"):
        return problem("is not a local directory: '~' has no special meaning here; write the whole path.")
    where = "" if os.path.isabs(name) else f" (relative to {os.getcwd()})"
    return problem(f"is not a local directory{where}, and a path is not looked up on the hub.", _beside(name))


def _beside(name: str) -> str | None:
    """The directory that is there, and has most nearly this path."""
    path = Path(name)
    try:
        with os.scandir(path.parent) as entries:
            names = [entry.name for _, entry in zip(range(1000), entries, strict=False) if entry.is_dir()]
    except OSError:
        return None
    same = next((each for each in names if each.casefold() == path.name.casefold()), None)
    found = same or nearest(path.name, names)
    return None if found is None else str(path.with_name(found))
