"""``store``: list, check and clean up the cached results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.text import Text

from srframework.cli.context import App, json_option, output, print_json, print_rows, print_text, store_option
from srframework.cli.entry_settings import parents, settings_of
from srframework.cli.quantities import AGES, SIZES, measure, size_text, time_text
from srframework.cli.streams import echo_error
from srframework.errors import UsageError

if TYPE_CHECKING:
    from srframework.run.recomputing import Recomputed
    from srframework.store.gc import Item
    from srframework.store.manifest import Entry
    from srframework.store.store import Store


@click.group("store")
def store_group() -> None:
    """List, check and clean up the cached results of stages."""


@store_group.command("list")
@store_option
@json_option
def list_entries(store: Path, as_json: bool) -> None:
    """List the cached results and the runs that use them.

    Each entry is listed with its stage, recipe and settings, its size, age and computing time, and with the size of the
    weights of other entries that it refers to. After these, drafts, damaged entries and entries of other versions of
    srframework are listed.
    """
    if not store.exists():
        click.echo("[]" if as_json else f"{store}: this store does not exist yet")
        return
    from srframework.store.sharing import Sharing

    kept = _open(store)
    entries = sorted(kept.entries(), key=lambda entry: entry.created)
    trained, settings = parents(entries), settings_of(entries)
    rows: list[dict[str, Any]] = [
        {
            "state": "entry",
            "key": each.key,
            "kind": each.kind,
            "what": each.what,
            "recipe": each.about.get("recipe"),
            "stage": each.about.get("stage"),
            "seed": trained[each.key].identity["seed"] if each.key in trained else None,
            "settings": settings[each.key],
            "bytes": each.bytes,
            "base_bytes": sum(each.base.values()),
            "created": each.created.isoformat(),
            "seconds": each.seconds,
            "runs": [str(run) for run in each.users()],
            "path": str(each.path),
        }
        for each in entries
    ]
    for state, found in (("draft", kept.drafts()), ("damaged", kept.damaged()), ("foreign", kept.foreign())):
        rows += [
            {
                "state": state,
                "key": each.key,
                "kind": each.kind,
                "what": each.what,
                "recipe": None,
                "stage": None,
                "seed": None,
                "settings": {},
                "bytes": each.bytes,
                "base_bytes": 0,
                "created": each.changed.isoformat(),
                "seconds": each.seconds,
                "runs": [],
                "path": str(each.path),
            }
            for each in found
        ]
    if as_json:
        print_json(rows)
        return
    console = output()
    for row in rows:
        _print_entry(console, row)
    size = Sharing(entries).bytes + sum(row["bytes"] for row in rows if row["state"] != "entry")
    total = f"{size_text(size)}, computed in {time_text(sum(r['seconds'] for r in rows))}"
    summary = f"{_count(len(entries), 'entry', 'entries')}, {total}" if rows else "empty"
    print_text(console, f"{kept.root}: {summary}", hanging=4)


def _print_entry(console: Console, row: Mapping[str, Any]) -> None:
    """Print a card: key, stage, the settings in which it differs, size, age, time, and runs."""
    state = "" if row["state"] == "entry" else f"{row['state']}  "
    stage = f"{row['recipe']}: {row['stage']}  " if row["stage"] else ""
    seed = "" if row["seed"] is None else f"  seed {row['seed']}"
    head = (row["key"][:12], "bold cyan"), f"  {state}{row['kind']}  {stage}{row['what']}{seed}"
    print_text(console, Text.assemble(*head), hanging=4)
    facts = [f"{key} {value}" for key, value in row["settings"].items()]
    facts += [size_text(row["bytes"])]
    facts += [f"{size_text(row['base_bytes'])} in other entries"] if row["base_bytes"] else []
    facts += [f"{_age(row['created'])} old", f"computed in {time_text(row['seconds'])}"]
    print_text(console, ", ".join(facts), indent=4)
    for run in row["runs"]:
        print_text(console, _from_here(run), indent=4)


@store_group.command()
@store_option
@click.option(
    "--recompute",
    type=click.IntRange(min=1),
    metavar="N",
    help="Also compute N entries again, in a temporary store, and compare all bits.",
)
@json_option
@click.pass_obj
def verify(app: App, store: Path, recompute: int | None, as_json: bool) -> None:
    """Check every file in the store.

    Entries whose files have changed are moved aside; the exit code is then 1.

    With --recompute N, N entries are computed again and compared bit by bit; the exit code is 1 if one differs.
    Entries that existing runs use are chosen first, one of each kind and stage in turn; the choice is not random. Run
    this in the directory where you started the runs.
    """
    if recompute is not None:
        from srframework.run.api import one_process_only

        one_process_only("store verify --recompute")
    kept = _open(store)
    from srframework.store.verify import verify as read_all

    checked = read_all(kept)
    again = [] if recompute is None else _recomputed(app, kept, checked.intact, recompute, quiet=as_json)
    if as_json:
        damaged = [{"key": key, "error": sentence} for key, sentence in checked.damaged]
        found = {"intact": [entry.key for entry in checked.intact], "damaged": damaged}
        print_json(found | ({} if recompute is None else {"recomputed": [_again_row(each) for each in again]}))
    else:
        if again:
            rows = [{**_again_row(each), "key": each.entry.key[:12]} for each in again]
            shown = [{**row, "took": time_text(row["seconds"])} for row in rows]
            print_rows(shown, False, ("key", "kind", "what", "result", "took", "why"))
        intact = _count(len(checked.intact), "entry is", "entries are")
        click.echo(f"{kept.root}: {intact} intact, {len(checked.damaged)} damaged{_again_line(again)}")
    differs = any(each.state == "differs" for each in again)
    click.get_current_context().exit(1 if checked.damaged or differs else 0)


def _recomputed(app: App, kept: Store, entries: Sequence[Entry], count: int, quiet: bool) -> list[Recomputed]:
    from srframework.run.recomputing import choose, recompute

    note = (lambda _: None) if quiet else (lambda text: click.echo(text, err=True))
    return list(recompute(kept, choose(entries, count), app.registry, note))


def _again_row(each: Recomputed) -> dict[str, Any]:
    return {
        "key": each.entry.key,
        "kind": each.entry.kind,
        "what": each.entry.what,
        "result": each.state,
        "why": each.why,
        "run": None if each.run is None else str(each.run),
        "stage": each.stage or None,
        "seconds": each.seconds,
    }


def _again_line(again: Sequence[Recomputed]) -> str:
    if not again:
        return ""
    counts = {state: sum(each.state == state for each in again) for state in ("equal", "differs", "not recomputed")}
    return (
        f"; recomputed: {counts['equal']} equal, {counts['differs']} different, {counts['not recomputed']} not possible"
    )


@store_group.command("gc")
@store_option
@click.option("--older-than", metavar="AGE", help="Remove entries older than AGE: 12h, 30d, 4w.")
@click.option(
    "--max-size", metavar="SIZE", help="Remove the oldest entries until the store has at most SIZE: 500MB, 20GB."
)
@click.option("--dry-run", is_flag=True, help="Print what would be removed; remove nothing.")
@json_option
def collect(store: Path, older_than: str | None, max_size: str | None, dry_run: bool, as_json: bool) -> None:
    """Remove old results (garbage collection).

    Removes what --older-than or --max-size selects: entries, unfinished results, damaged entries that `store verify`
    has moved aside, and entries of other versions of srframework. Entries that an existing run uses, or that are being
    computed, stay; so do entries to whose weights other entries refer. Run directories keep their own files.
    """
    from srframework.store.gc import collect_garbage

    if older_than is None and max_size is None:
        raise UsageError("expected --older-than AGE, --max-size SIZE or both, got neither")
    age = None if older_than is None else measure("--older-than", older_than, AGES, "30d")
    size = None if max_size is None else int(measure("--max-size", max_size, SIZES, "20GB"))
    kept = _open(store)
    done = collect_garbage(kept, age, size, dry_run)
    if as_json:
        lists = {"removed": [_row(item) for item in done.removed], "kept": [_row(item) for item in done.kept]}
        print_json({**lists, "bytes": done.bytes, "dry_run": dry_run})
        return
    for item in done.removed:
        click.echo(f"{'would remove' if dry_run else 'removed'} {_said(item)}, for its {item.why}")
    _tell_kept(done.kept)
    freed = size_text(sum(item.bytes for item in done.removed))
    verb = "would be removed" if dry_run else "removed"
    count = _count(len(done.removed), "entry", "entries")
    click.echo(f"{kept.root}: {count} {verb} ({freed}); {size_text(done.bytes)} left in the store")
    if size is not None and done.bytes > size:
        click.echo(f"{size_text(done.bytes)} is more than {max_size}: the rest is in use", err=True)


def _open(root: Path) -> Store:
    from srframework.store.store import Store

    if not root.is_dir():
        raise UsageError(f"store {root}: no such directory; choose another store with --store or $SRFRAMEWORK_STORE")
    try:
        here = [each.name for each in root.iterdir()]
    except OSError as error:
        raise UsageError(f"store {root}: the directory cannot be read: {error.strerror}") from error
    # A store has locks/ as soon as there is anything in it; work/ alone is what many a directory has.
    if here and not {"entries", "locks"} & set(here):
        raise UsageError(
            f"store {root}: expected a store, with entries/ and locks/, got a directory without; "
            "name another with --store or $SRFRAMEWORK_STORE"
        )
    return Store(root, note=lambda text: echo_error(f"warning: {text}"))


def _from_here(run: str) -> str:
    """The path, relative to the current directory if it is below that."""
    path, here = Path(run), Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else run


def _tell_kept(items: Sequence[Item]) -> None:
    """The number of kept entries, and what needs them; the JSON lists them."""
    used = [item for item in items if item.runs]
    referred = [item for item in items if item.entries]
    busy = [item for item in items if not item.runs and not item.entries]
    runs = len({run for item in used for run in item.runs})
    reasons = (
        (used, f"in use by {_count(runs, 'run', 'runs')}"),
        (referred, "other entries refer to their weights"),
        (busy, "in use by another process"),
    )
    for each, why in reasons:
        if each:
            size = size_text(sum(item.bytes for item in each))
            click.echo(f"kept {_count(len(each), 'entry', 'entries')} ({size}): {why}; --json lists them")


def _row(item: Item) -> dict[str, Any]:
    paths = {"path": str(item.path), "runs": [str(run) for run in item.runs]}
    return asdict(item) | {"since": item.since.isoformat()} | paths


def _said(item: Item) -> str:
    state = "" if item.state == "entry" else f"{item.state} "
    return f"{state}{item.key[:12]} {item.kind} {item.what} ({size_text(item.bytes)})".replace("  ", " ")


def _age(created: str) -> str:
    return time_text((datetime.now(UTC) - datetime.fromisoformat(created)).total_seconds())


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
