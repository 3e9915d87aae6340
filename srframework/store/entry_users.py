"""The runs that use an entry, or wait for it: a file for each, with the run's directory in it."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from srframework.errors import NoFile
from srframework.files import parse_json, read_text


def users_place(root: Path, key: str) -> Path:
    """Where a store keeps a file for each run that uses, or waits for, an entry: with the run's directory in it."""
    return root / "users" / key[:2] / key


def user_record(root: Path, key: str, run: str) -> Path:
    """The file for one run directory."""
    return users_place(root, key) / hashlib.sha256(os.fsencode(run)).hexdigest()[:16]


def users(root: Path, key: str) -> list[Path]:
    """The directories of the runs that use an entry: still there, and run.json says so, or that the run goes on.

    A record that is damaged stands for itself: of which run it is cannot be told, so that one counts as there.
    """
    found = []
    for record in users_place(root, key).glob("[!.]*"):
        try:
            run = read_text(record).removesuffix("\n")
        except FileNotFoundError:
            continue
        except (OSError, ValueError):
            found.append(record)
            continue
        if user_record(root, key, run).name != record.name:
            found.append(record)
        elif _refers(Path(run), key):
            found.append(Path(run))
    return sorted(found)


def _refers(run: Path, key: str) -> bool:
    try:
        text = read_text(run / "run.json")
        return key in text or parse_json(text).get("state") in ("waiting", "running")
    except (FileNotFoundError, NotADirectoryError, NoFile):
        return False
    except OSError:
        return True  # of somebody else: rather keep too much
    except (ValueError, AttributeError, TypeError):
        return False
