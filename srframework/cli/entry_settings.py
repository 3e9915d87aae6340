"""The settings in which the store entries of one stage differ."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from srframework.store.manifest import Entry
from srframework.text import shorten

_ALWAYS = "pruner.options.sparsity"
_HASH = re.compile(r"[0-9a-f]{64}")
_APART = ("seed", "format")
"""Settings that have their own column or do not interest people."""


def parents(entries: Sequence[Entry]) -> dict[str, Entry]:
    """Key -> the training of an entry, or the one that it was computed from; skips entries without one."""
    found = {each.key: each for each in entries if "seed" in each.identity}
    for each in entries:
        parent = each.identity.get("trained", each.identity.get("teacher"))
        parent = parent[0] if isinstance(parent, list) and parent else parent
        if isinstance(parent, str) and parent in found:
            found[each.key] = found[parent]
    return found


def settings_of(entries: Sequence[Entry]) -> dict[str, dict[str, str]]:
    """Key -> the settings in which an entry differs from others of its recipe and stage, by short names.

    The sparsity is there in any case. Hashes of files and code count only where nothing else tells two entries apart.
    """
    trained = parents(entries)
    groups: dict[tuple[str, ...], dict[str, dict[str, Any]]] = {}
    for each in entries:
        of = trained.get(each.key, each)
        group = (each.kind, each.what, each.about.get("recipe", ""), each.about.get("stage", ""))
        groups.setdefault(group, {})[each.key] = dict(_flat(of.identity))
    found: dict[str, dict[str, str]] = {}
    for tables in groups.values():
        found.update(_apart(tables))
    return found


def _apart(tables: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, str]]:
    keys = dict.fromkeys(key for table in tables.values() for key in table)
    differing = [key for key in keys if len({repr(table.get(key)) for table in tables.values()}) > 1]
    hashes = [key for key in differing if any(_is_hash(table.get(key)) for table in tables.values())]
    plain = [key for key in differing if key not in hashes]
    marks = [repr([table.get(key) for key in plain]) for table in tables.values()]
    if len(set(marks)) < len(marks):
        plain += hashes
    shown = [key for key in keys if (key in plain or key == _ALWAYS) and key not in _APART]
    names = {key: _short(key, shown) for key in shown}
    return {
        entry: {names[key]: _text(table[key]) for key in shown if table.get(key) is not None}
        for entry, table in tables.items()
    }


def _flat(table: Mapping[str, Any], at: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{at}{key}.")
        else:
            yield f"{at}{key}", value


def _is_hash(value: Any) -> bool:
    return _HASH.search(str(value)) is not None


def _short(key: str, among: Sequence[str]) -> str:
    """``pruner.options.sparsity`` -> ``sparsity``, if no other setting ends so; ``loss.use`` -> ``loss``."""
    plain = key.replace(".options.", ".").removesuffix(".use")
    last = plain.rpartition(".")[2]
    ends = [each.replace(".options.", ".").removesuffix(".use").rpartition(".")[2] for each in among]
    return last if ends.count(last) == 1 else plain


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else shorten(value, 400)
    return _HASH.sub(lambda found: found[0][:12], text)
