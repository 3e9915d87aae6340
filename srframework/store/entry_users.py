"""The runs that use an entry or wait for it; one file for each run contains the path of its directory."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from srframework.errors import NoFile
from srframework.files import parse_json, read_text


def users_place(root: Path, key: str) -> Path:
    """Return the directory with a file for each run that uses or waits for an entry."""
    return root / "users" / key[:2] / key


def user_record(root: Path, key: str, run: str) -> Path:
    """Return the path of the file for one run directory."""
    return users_place(root, key) / hashlib.sha256(os.fsencode(run)).hexdigest()[:16]


def users(root: Path, key: str) -> list[Path]:
    """Return the existing run directories whose run.json names the entry or is of an unfinished run.

    A damaged record does not tell its run. The record itself is returned instead, so that the entry counts as used.
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
        return True  # perhaps another user's directory; rather keep too much
    except (ValueError, AttributeError, TypeError):
        return False
