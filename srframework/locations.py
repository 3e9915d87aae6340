"""Sources that options name: a local directory or a name on the hub. Imports nothing heavy, for `validate`."""

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
"""Extensions of files; no name of a data set or model on the hub ends with one."""

_FOLDERS = frozenset(
    "cache checkpoint checkpoints corpora corpus data dataset datasets download downloads experiments files home input "
    "inputs local mnt model models output outputs pretrained results root runs scratch shared store tmp usr var "
    "weights work workspace".split()
)
"""Usual names of local folders. The hub reserves some of them, and no owner of a known data set or model has such a
name."""


@dataclass(frozen=True)
class FileProblem:
    """One problem with a file or a directory that an option names.

    Attributes:
        key: The option, relative to the component's table: ``("train", "path")``.
        message: A sentence: expected, place, found.
        nearest: The nearest valid name, if one is similar.
    """

    key: tuple[str | int, ...]
    message: str
    nearest: str | None = None


def is_path_like(name: str) -> bool:
    r"""Whether an option that accepts a directory or a name on the hub means a path; the path need not exist.

    Names on the hub are ``name`` and ``owner/name``, of letters, digits, ``-``, ``_`` and ``.``. These are paths: any
    other form (absolute; beginning with ``.`` or ``~``; with ``\``, spaces, or more than one ``/``), a name with the
    extension of a file, and ``first/second`` if ``first`` is a local directory or a usual name of a local folder,
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


def directory_problem(name: str, expected: str, key: tuple[str | int, ...] = ()) -> FileProblem | None:
    """Check the value of an option that accepts a local directory or a name on the hub.

    Args:
        name: The value.
        expected: The expected content, for the message: ``"Data set"``, ``"Model"``.
        key: The option.

    Returns:
        None for a readable directory, and for a name that may be on the hub. A path that does not exist is a
        problem: it is not looked up on the hub.
    """

    def problem(reason: str, near: str | None = None) -> FileProblem:
        return FileProblem(key, f"{expected} not found: {shorten(name, 200)} {reason}", near)

    try:
        if os.path.isdir(name):
            readable = os.access(name, os.R_OK | os.X_OK)
            return None if readable else problem("is a directory that cannot be read: Permission denied.")
        if os.path.lexists(name):
            kind = "a broken link" if os.path.islink(name) and not os.path.exists(name) else "not a directory"
            return problem(f"is {kind} (relative to {os.getcwd()}).")
        if not is_path_like(name):
            return None
    except (OSError, ValueError) as error:  # no file can have this name
        return problem(f"is not the name of a directory: {getattr(error, 'strerror', None) or error}.")
    if not name.strip():
        return problem("is empty; expected a local directory or a name on the hub.")
    if name.startswith("~"):
        return problem("is not a local directory: '~' has no special meaning here; write the complete path.")
    where = "" if os.path.isabs(name) else f" (relative to {os.getcwd()})"
    return problem(f"is not a local directory{where}, and a path is not looked up on the hub.", _beside(name))


def _beside(name: str) -> str | None:
    """Return the existing directory with the most similar name."""
    path = Path(name)
    try:
        with os.scandir(path.parent) as entries:
            names = [entry.name for _, entry in zip(range(1000), entries, strict=False) if entry.is_dir()]
    except OSError:
        return None
    same = next((each for each in names if each.casefold() == path.name.casefold()), None)
    found = same or nearest(path.name, names)
    return None if found is None else str(path.with_name(found))
