"""Compute results again in a temporary store and compare them bit by bit with the store.

Checksums know damage to a file; this knows a result that was wrong when it was written, or that is served for a stage
whose key does not hold all that it depends on.
"""

from __future__ import annotations

import itertools
import json
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from srframework.errors import SRFrameworkError, StoreError
from srframework.hashing import sha256
from srframework.recipe.check import load_recipe
from srframework.recipe.dotted_keys import differences
from srframework.recipe.model import Recipe
from srframework.registry.registry import Registry
from srframework.run.api import quieten
from srframework.run.machine import MACHINE, Machine, read, this_machine
from srframework.run.options import RunOptions
from srframework.run.origin import PRETRAINED_KIND
from srframework.run.paths import LOG, PACKED, part_of, points_kept
from srframework.run.pipeline import Pipeline
from srframework.run.results import FIGURES
from srframework.run.saved_model import SavedModel
from srframework.run.shared_materials import clear_shared_materials
from srframework.store.content import BASE
from srframework.store.manifest import Entry
from srframework.store.store import Store

_NOT_COMPARED = (MACHINE, LOG)
"""Files that may differ: the machine, and the log, whose detail the recipe of the run chooses."""

_KINDS = ("trained", "measured", "taught")


@dataclass(frozen=True)
class Recomputed:
    """The result for one entry.

    Attributes:
        entry: The entry, which stays as it is.
        state: ``equal``, ``differs`` or ``not recomputed``.
        why: Which file differs, or why it could not be recomputed; empty for an equal one.
        run: The run directory that says how it was computed; None where there is none.
        stage: The stage in that run.
        seconds: What the recomputation took.
    """

    entry: Entry
    state: str
    why: str = ""
    run: Path | None = None
    stage: str = ""
    seconds: float = 0.0


class _Done(Exception):
    def __init__(self, entry: Entry) -> None:
        self.entry = entry


class _NotRecomputed(SRFrameworkError):
    """The message says why."""


def choose(entries: Iterable[Entry], count: int) -> list[Entry]:
    """Choose the entries to compute again; the same store gives the same entries.

    First those that an existing run directory uses. In turn one of each kind, and of a kind one of each stage (by its
    formula); of one stage the smallest key first.

    Args:
        entries: All entries.
        count: How many, at least 1.
    """
    groups: dict[bool, dict[str, dict[str, list[Entry]]]] = {True: {}, False: {}}
    computed = (entry for entry in entries if entry.kind != PRETRAINED_KIND)
    for entry in sorted(computed, key=lambda entry: (_kind(entry), entry.what, entry.key)):
        kinds = groups[bool(entry.users())]
        kinds.setdefault(entry.kind, {}).setdefault(entry.what, []).append(entry)
    ordered = [
        _in_turn([_in_turn(list(stages.values())) for stages in groups[used].values()]) for used in (True, False)
    ]
    return [*itertools.chain(*ordered)][:count]


def _kind(entry: Entry) -> int:
    return _KINDS.index(entry.kind) if entry.kind in _KINDS else len(_KINDS)


def _in_turn(groups: Sequence[Sequence[Entry]]) -> list[Entry]:
    turns = itertools.zip_longest(*groups)
    return [entry for turn in turns for entry in turn if entry is not None]


def recompute(
    store: Store, entries: Iterable[Entry], registry: Registry, note: Callable[[str], None] = lambda _: None
) -> Iterator[Recomputed]:
    """Compute each entry again; the results that it builds on come from the store.

    A temporary store beside the store is made and removed. Nothing in ``store`` is changed. Relative paths in recipes
    are relative to the current directory, as they were for the run.

    Args:
        store: The store.
        entries: Entries of it.
        registry: The components.
        note: Given a sentence before each.

    Raises:
        StoreError: The temporary store cannot be made.
    """
    quieten()
    try:
        scratch = tempfile.TemporaryDirectory(prefix=".srframework-recompute-", dir=store.root.absolute().parent)
    except OSError as error:
        raise StoreError(
            f"store {store.root}: a temporary store cannot be made beside it: {error.strerror}; nothing was recomputed"
        ) from error
    with scratch as place:
        try:
            for number, entry in enumerate(entries):
                note(f"recomputing {entry.kind} {entry.what} ({entry.key[:12]})")
                yield _recomputed(store, entry, registry, Path(place, str(number)))
        finally:
            clear_shared_materials()


def _recomputed(store: Store, entry: Entry, registry: Registry, scratch: Path) -> Recomputed:
    runs = entry.users()
    found = Recomputed(entry, "not recomputed", "no run directory that uses it is left")
    for run in runs:
        started = time.monotonic()
        try:
            stage, keys = _stage_of(run, entry)
            found = replace(found, run=run, stage=stage)
            threads = _threads(entry)
            recipe = load_recipe(run / "recipe.toml", registry).only(stage)
            new = _again(_Beside(scratch, store, entry, keys), recipe, entry, threads)
            why = _difference(entry.files, new.files)
        except SRFrameworkError as error:
            found = replace(found, why=str(error))
            continue
        seconds = time.monotonic() - started
        return replace(found, state="differs" if why else "equal", why=why, seconds=seconds)
    return found


def _stage_of(run: Path, entry: Entry) -> tuple[str, set[str]]:
    """The stage of a run that an entry belongs to, and the keys of all results of that run."""
    try:
        stages = json.loads((run / "run.json").read_text(encoding="utf-8"))["stages"]
        keys = {key for kinds in stages.values() for key in kinds.values()}
        return next(name for name, kinds in stages.items() if entry.key in kinds.values()), keys
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, StopIteration) as error:
        raise _NotRecomputed(f"run directory {run}: run.json does not name the stage") from error


def _threads(entry: Entry) -> int:
    was = read(entry.files)
    if was is None:
        raise _NotRecomputed("its machine.json cannot be read, so its number of threads is not known")
    now = this_machine(str(Accelerator().device))
    if (was.device, was.capability) != (now.device, now.capability):
        raise _NotRecomputed(f"it was computed on {_said(was)}; this is {_said(now)}, where the last bits may differ")
    if len(was.threads) > 1:
        several = ", then ".join(map(str, was.threads))
        raise _NotRecomputed(f"it was computed in several attempts, with {several} threads")
    return was.threads[0]


def _said(machine: Machine) -> str:
    return f"{machine.device} ({machine.capability})"


def _again(store: _Beside, recipe: Recipe, entry: Entry, threads: int) -> Entry:
    stage = recipe.stages[-1]
    keep = {stage.name: points_kept(entry.files)}
    with _with_threads(threads):
        try:
            Pipeline(recipe, store, RunOptions(keep=keep, shared=True)).recompute(entry.kind)
        except _Done as done:
            return done.entry
    raise _NotRecomputed("the recipe of its run no longer uses it")


@contextmanager
def _with_threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _Beside(Store):
    """A store for one entry; all other entries come from another store, which is not changed.

    Args:
        root: Where the one entry is computed.
        kept: The other store.
        wanted: The entry of it that is to be computed once more.
        keys: The keys that its run has.
    """

    def __init__(self, root: Path, kept: Store, wanted: Entry, keys: set[str]) -> None:
        super().__init__(root)
        self._kept, self._wanted, self._keys = kept, wanted, keys

    def get(self, key: str) -> Entry | None:
        """As in a store; the wanted entry exists only after it was computed here."""
        return super().get(key) if key == self._wanted.key else self._kept.get(key)

    def get_or_compute(
        self,
        key: str,
        kind: str,
        what: str,
        identity: Mapping[str, Any],
        compute: Callable[[Path], object],
        enough: Callable[[Path], bool] = lambda _: True,
        users: Sequence[Path] = (),
        about: Mapping[str, str] | None = None,
    ) -> tuple[Entry, bool]:
        """As in a store; raises :class:`_Done` after the wanted entry was computed."""
        if key == self._wanted.key:
            entry, _ = super().get_or_compute(key, kind, what, identity, compute)
            raise _Done(entry)
        found = self._kept.get(key)
        if found is None and kind == PRETRAINED_KIND:
            return super().get_or_compute(key, kind, what, identity, compute)
        if found is None or not enough(found.files):
            raise _NotRecomputed(self._why_not(key, kind, what, identity))
        return found, True

    def _why_not(self, key: str, kind: str, what: str, identity: Mapping[str, Any]) -> str:
        if key in self._keys:
            return f"it builds on {kind} {what}, which is not in the store"
        now = json.loads(json.dumps(identity))
        for known in sorted(self._keys):
            before = self._kept.get(known)
            if before is not None and (before.kind, before.what) == (kind, what):
                changed = differences(before.identity, now)
                more = f"; and {len(changed) - 3} more" if len(changed) > 3 else ""
                return f"the key of {kind} {what} has changed: {'; '.join(changed[:3])}{more}"
        return f"the key of {kind} {what} has changed"


# -- bits ------------------------------------------------------------------------------------------


def _difference(stored: Path, new: Path) -> str:
    """A sentence about the first file that differs; empty if none differs."""
    there, here_ = _files(stored), _files(new)
    for name, sha in there.items():
        if name not in here_:
            return f"{name} is in the store, but the recomputed result lacks it"
        if here_[name] != sha and not (name == FIGURES and _same_figures(stored / name, new / name)):
            return f"{name} differs"
    # An entry may lack a point inside its stage that was asked for later.
    extra = [name for name in here_ if name not in there and not name.startswith("points/")]
    return f"{extra[0]} is in the recomputed result, but not in the store" if extra else ""


def _files(root: Path) -> dict[str, str]:
    """SHA-256 of each file that is compared, by its path; packed models count as models in full."""
    found: dict[str, str] = {}
    for path in sorted(each for each in root.rglob("*") if each.is_file()):
        name = path.relative_to(root)
        if (
            name.as_posix() not in _NOT_COMPARED
            and not name.name.startswith(".")
            and part_of(name) not in (PACKED, BASE)
        ):
            found[name.as_posix()] = sha256(path)
    for packed in root.rglob(PACKED):
        place = packed.parent.relative_to(root)
        found |= {(place / name).as_posix(): sha for name, sha in SavedModel(packed.parent).sums().items()}
    return dict(sorted(found.items()))


def _same_figures(stored: Path, new: Path) -> bool:
    """Whether the second has all figures of the first; it may have more points inside the stage."""
    try:
        before, now = (json.loads(path.read_text(encoding="utf-8")) for path in (stored, new))
        points = {name: now["points"].get(name) for name in before["points"]}
        return len(points) < len(now["points"]) and bool(before == {**now, "points": points})
    except (ValueError, KeyError, AttributeError, TypeError):
        return False
