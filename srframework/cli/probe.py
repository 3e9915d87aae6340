"""``probe``: what a sparse model gives on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from rich.table import Table

from srframework.cli import completion
from srframework.cli.context import App, json_option, output, print_json, print_table, print_text

if TYPE_CHECKING:
    from srframework.models.probe import Probe


@click.command()
@click.argument("model", shell_complete=completion.paths)
@click.option(
    "--rounds",
    type=click.IntRange(min=1),
    metavar="N",
    default=15,
    show_default=True,
    help="Turns of each kernel; the median counts.",
)
@json_option
@click.pass_obj
def probe(app: App, model: str, rounds: int, as_json: bool) -> None:
    """Measure what a sparse model gives on this machine.

    MODEL is the directory of any sequence classifier in the format of transformers, the directory of a stage, or
    RUN@STAGE.

    Runs the model with every kernel that this machine has: dense in fp32, int8 and bf16, sparse in compressed rows
    (CSR), and 2:4 on a GPU. The kernels take turns, so that all of them see the same load. Their outputs are compared
    with dense fp32.
    """
    from srframework.models.probe import probe as probed
    from srframework.run.api import one_process_only, quieten

    one_process_only("srframework probe")
    quieten()
    found = probed(model, app.registry, rounds)
    if as_json:
        print_json(found.to_json())
    else:
        _print(found)


def _print(found: Probe) -> None:
    from srframework.models.timing import LENGTH

    console = output()
    print_text(console, f"model: {found.model}; {100 * found.sparsity:.2f} % zeros in encoder and classifier")
    table = Table(box=None, header_style="bold", pad_edge=False)
    sizes = list(found.measured[0].seconds)
    largest = max(sizes)
    heads = [*(f"batch {size} ms" for size in sizes), "examples/s", "weights MB", "max difference", "other labels"]
    for place, title in enumerate(("kernel", *heads)):
        table.add_column(title, justify="right" if place else "left", overflow="fold")
    for each in found.measured:
        cells = [f"{1000 * each.seconds[size]:.1f}" for size in sizes]
        cells += [f"{largest / each.seconds[largest]:.1f}", f"{each.bytes / 1e6:.2f}"]
        wrong = "" if each.is_right else " WRONG"
        table.add_row(each.name, *cells, f"{each.difference:.2g}{wrong}", f"{each.changed}/{largest}")
    for absent in found.missing:
        table.add_row(absent.name, *("" for _ in heads[:-1]), "not available here")
    print_table(table)
    for absent in found.missing:
        print_text(console, f"{absent.name} is not available here: {absent.reason}.")
    for sentence in found.sentences():
        print_text(console, sentence)
    facts = found.machine
    where = f"{facts['cpu']}, threads: {facts['threads']}, PyTorch {facts['torch']}"
    print_text(console, f"Medians of {found.rounds} turns of {LENGTH} tokens on this machine: {where}.")
