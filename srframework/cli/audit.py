"""``audit``: what a model on disk has and gives up, and whether claims about it are true."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import click
from rich.table import Table

from srframework.cli import completion
from srframework.cli.context import App, json_option, output, print_json, print_table, print_text, set_option
from srframework.cli.streams import echo_error
from srframework.units import heading, number

if TYPE_CHECKING:
    from srframework.models.audit import Audit
    from srframework.models.predictions import Estimate

_KINDS = {"id": "ID ", "also": "", "ood": "OOD "}


@click.command()
@click.argument("model", shell_complete=completion.paths)
@click.option("--against", metavar="DENSE", help="The dense model, to compare with; in the same forms.")
@click.option("--recipe", metavar="RECIPE", help="Evaluate on the data of this recipe.")
@set_option
@click.option(
    "--expect-sparsity",
    type=click.FloatRange(0, 1),
    metavar="FRACTION",
    help="Check that at least this fraction of the weights is exactly 0.",
)
@click.option(
    "--of",
    type=click.Choice(["prunable", "encoder", "model"]),
    default="prunable",
    show_default=True,
    help="The weights that count: the matrices of encoder and classifier, those of the Transformer layers, or all.",
)
@click.option(
    "--expect-pattern", type=click.Choice(["2:4", "1x4", "row"]), help="Check that the zeros have this pattern."
)
@click.option("--matrices", is_flag=True, help="Also print a line for each matrix.")
@json_option
@click.pass_context
def audit(
    context: click.Context,
    model: str,
    against: str | None,
    recipe: str | None,
    overrides: tuple[str, ...],
    expect_sparsity: float | None,
    of: Literal["prunable", "encoder", "model"],
    expect_pattern: str | None,
    matrices: bool,
    as_json: bool,
) -> None:
    """Audit a saved model.

    MODEL is the directory of any sequence classifier in the format of transformers, the directory of a stage, or
    RUN@STAGE. Everything is counted in its files.

    With --recipe it is evaluated; with --against too, it is compared with a dense model. Exit code 1: a check fails.
    """
    from srframework.models.audit import Claims
    from srframework.models.audit import audit as audited
    from srframework.run.api import one_process_only, quieten

    one_process_only("srframework audit")
    quieten()
    app: App = context.obj
    claims = Claims(expect_sparsity, of, expect_pattern)
    found = audited(model, app.registry, against, recipe, overrides, claims)
    for note in found.notes:
        echo_error(note)
    if as_json:
        print_json(found.to_json())
    else:
        _print(found, matrices)
    if not found.holds:
        context.exit(1)


def _print(found: Audit, matrices: bool) -> None:
    print_text(output(), f"model: {found.model}" + (f"; dense: {found.against}" if found.against else ""))
    _print_counts(found, matrices)
    if found.figures:
        _print_figures(found)
    if found.flips:
        _print_flips(found)
    if found.seconds:
        _print_seconds(found)
    for check in found.checks:
        click.echo(f"{'ok  ' if check.holds else 'FAIL'} {check.claim}: {check.got}")


def _table(*headings: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for place, title in enumerate(headings):
        table.add_column(title, justify="right" if place else "left", overflow="fold")
    return table


def _print_counts(found: Audit, matrices: bool) -> None:
    from srframework.models.counts import DENOMINATORS, PATTERNS

    counts = found.counts
    table = _table("zeros among the", "zeros", "entries", "sparsity %")
    for name, share in counts.shares.items():
        cells = (f"{share.zeros:,}", f"{share.entries:,}", number(share.sparsity, "fraction", 2))
        table.add_row(f"{DENOMINATORS[name]} ({name})", *cells)
    print_table(table)
    table = _table("pattern of encoder and classifier", "units", "conforming", "entirely zero")
    for pattern in PATTERNS:
        units = [each.patterns[pattern] for each in counts.counted if pattern in each.patterns]
        sums = (sum(getattr(each, name) for each in units) for name in ("units", "conforming", "zero"))
        table.add_row(pattern, *(f"{each:,}" for each in sums))
    print_table(table)
    if matrices:
        table = _table("matrix", "shape", "zeros", "sparsity %", *(f"{each} conforming" for each in PATTERNS))
        for each in counts.matrices:
            shares = [
                f"{each.patterns[name].conforming:,}/{each.patterns[name].units:,}" if name in each.patterns else ""
                for name in PATTERNS
            ]
            percent = number(each.zeros / each.entries, "fraction", 2)
            table.add_row(each.name, "×".join(map(str, each.shape)), f"{each.zeros:,}", percent, *shares)
        print_table(table)
    table = _table("size", "bytes")
    if found.bytes_against is not None:
        table.add_row("files of the dense model", f"{found.bytes_against:,}")
    table.add_row("files", f"{counts.sizes.dense:,}")
    table.add_row("with one bit for each entry, and the values that are not 0", f"{counts.sizes.packed:,}")
    table.add_row("bound: entropy of the mask, and these values", f"{counts.sizes.bound:,}")
    print_table(table)


def _print_figures(found: Audit) -> None:
    dense = ("dense", "95 %", "model − dense, 95 %") if found.against else ()
    table = _table("figure", "model", "95 %", *dense)
    for row in found.figures:
        cells = _estimate(row.model, row.unit)
        if row.against is not None and row.difference is not None:
            difference = number(row.model.value - row.against.value, row.unit, 2, sign=True)
            cells += [*_estimate(row.against, row.unit), f"{difference} {_interval(row.difference, row.unit, True)}"]
        name = f"{_KINDS[row.kind]}{row.split} {heading(row.figure, row.unit, row.better)}"
        table.add_row(name, *cells)
    print_table(table)
    print_text(output(), "95 %: bootstrap over the examples; of the difference, paired.")


def _print_flips(found: Audit) -> None:
    table = _table("predictions against the dense model", "examples", "right → wrong", "wrong → right", "both wrong")
    for each in found.flips:
        counts = (each.examples, each.right_to_wrong, each.wrong_to_right, each.wrong_to_wrong)
        table.add_row(each.split, *(f"{count:,}" for count in counts))
    print_table(table)


def _print_seconds(found: Audit) -> None:
    from srframework.models.timing import LENGTH, ROUNDS

    table = _table("latency, ordinary dense kernels", "model ms", "dense ms")
    for size, each in found.seconds.items():
        cells = (f"{1000 * each[name]:.1f}" for name in ("model", "against"))
        table.add_row(f"batch {size}, {LENGTH} tokens", *cells)
    print_table(table)
    facts = found.machine
    where = f"{facts['cpu']}, threads: {facts['threads']}, PyTorch {facts['torch']}"
    print_text(
        output(), f"Medians of {ROUNDS} turns on this machine: {where}. `srframework probe` tries other kernels."
    )


def _estimate(found: Estimate, unit: str) -> list[str]:
    return [number(found.value, unit, 2), _interval(found.interval, unit)]


def _interval(interval: Sequence[float], unit: str, sign: bool = False) -> str:
    return f"[{', '.join(number(each, unit, 2, sign=sign) for each in interval)}]"
