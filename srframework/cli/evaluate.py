"""``evaluate``: the accuracy of a model on disk on a file of labelled texts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from srframework.cli import completion
from srframework.cli.context import App, Folder, json_option, output, print_json, print_table, print_text
from srframework.cli.streams import echo_error
from srframework.units import heading, number

if TYPE_CHECKING:
    from srframework.models.evaluate import Evaluation

_TEXT = "the first usual name that the file has, see docs/models.md"


class Pair(click.ParamType[tuple[str, str]]):
    """An assignment ``KEY=VALUE``."""

    name = "pair"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Return both sides; the value may contain an equals sign."""
        key, equals, text = str(value).partition("=")
        if not equals or not key:
            self.fail(f"expected KEY=VALUE, got {value!r}", param, ctx)
        return key, text


@click.command()
@click.argument("model", shell_complete=completion.paths)
@click.option("--data", "path", metavar="FILE", required=True, help="A TSV, CSV or JSON lines file of labelled texts.")
@click.option("--split-by", metavar="COLUMN", help="Also show the accuracy for each value of this column.")
@click.option("--text-a", metavar="COLUMN", help=f"Column of the first text. Default: {_TEXT}.")
@click.option("--text-b", metavar="COLUMN", help="Column of the second text; '' for one text. Default: the same.")
@click.option("--label", metavar="COLUMN", help="Column of the label. Default: the same.")
@click.option("--id", "of_ids", metavar="COLUMN", help="Column of the ids of the examples. Default: the same, if any.")
@click.option("--keep", multiple=True, metavar="COLUMN", help="A column to write into the file of --out. Repeatable.")
@click.option(
    "--label-name",
    "label_names",
    multiple=True,
    type=Pair(),
    metavar="WORD=LABEL",
    help="The label of a word in the label column; - skips its rows. Repeatable.",
)
@click.option(
    "--collapse",
    multiple=True,
    type=Pair(),
    metavar="LABEL=WORD",
    help="A label of the model, and the label of the file that it counts as. Repeatable.",
)
@click.option(
    "--where",
    multiple=True,
    type=Pair(),
    metavar="COLUMN=VALUE",
    help="Use only the rows with this value. Repeatable.",
)
@click.option("--format", "form", type=click.Choice(["tsv", "csv", "jsonl"]), help="Default: by the extension.")
@click.option("--encoding", metavar="NAME", default="utf-8", show_default=True, help="Encoding of the file.")
@click.option(
    "--max-length",
    type=click.IntRange(min=8),
    metavar="TOKENS",
    help="Cut longer examples. Default: 128, or fewer if the model has fewer positions.",
)
@click.option(
    "--batch-size", type=click.IntRange(min=1), metavar="N", default=128, show_default=True, help="Examples of a batch."
)
@click.option(
    "--out",
    type=Folder(),
    help="Write the predictions into this new file, in the format of the predictions of runs (safetensors).",
)
@json_option
@click.pass_obj
def evaluate(
    app: App,
    model: str,
    path: str,
    split_by: str | None,
    text_a: str | None,
    text_b: str | None,
    label: str | None,
    of_ids: str | None,
    keep: tuple[str, ...],
    label_names: tuple[tuple[str, str], ...],
    collapse: tuple[tuple[str, str], ...],
    where: tuple[tuple[str, str], ...],
    form: str | None,
    encoding: str,
    max_length: int | None,
    batch_size: int,
    out: Path | None,
    as_json: bool,
) -> None:
    """Evaluate a saved model on a file.

    MODEL is the directory of any sequence classifier in the format of transformers, the directory of a stage, or
    RUN@STAGE. It needs neither a recipe nor a store.

    Prints the accuracy with its 95 % interval over resampled examples, and the accuracy of always predicting the most
    frequent label. A model that predicts one label only is marked.
    """
    from srframework.models.data_file import DataFile
    from srframework.models.evaluate import evaluate as evaluated
    from srframework.run.api import one_process_only, quieten

    one_process_only("srframework evaluate")
    quieten()
    kept = (*keep, *([split_by] if split_by is not None else []))
    columns = (text_a, text_b, label, of_ids)
    file = DataFile(path, form, encoding, *columns, dict(label_names), dict(collapse), dict(where), kept)
    found = evaluated(model, file, app.registry, split_by, out, max_length, batch_size)
    for note in found.notes:
        echo_error(note)
    if as_json:
        print_json(found.to_json())
        return
    _print(found, split_by)
    if out is not None:
        click.echo(f"predictions: {out}")


def _print(found: Evaluation, split_by: str | None) -> None:
    from srframework.report.tables import COLLAPSED_MARK, COLLAPSED_NOTE

    console, read = output(), found.read
    texts = " and ".join(filter(None, (read.text_a, read.text_b)))
    print_text(console, f"model: {found.model}; labels {', '.join(found.labels)}")
    print_text(console, f"data: {found.data}; texts {texts}; labels in {read.label}")
    for label, own in read.labels.collapse.items():
        print_text(console, f"{label} counts as {own}")
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column(split_by or "examples", overflow="fold")
    for title in ("number", heading("accuracy", "fraction", "higher"), "95 %, examples", "majority class %"):
        table.add_column(title, justify="right", no_wrap=True)
    for row in found.rows:
        mark = COLLAPSED_MARK if row.collapsed else ""
        cells = [f"{row.examples:,}", f"{_percent(row.accuracy)}{mark}", _interval(row.interval)]
        table.add_row("all" if row.value is None else row.value, *cells, _percent(row.majority))
    print_table(table)
    if any(row.collapsed for row in found.rows):
        print_text(console, f"{COLLAPSED_MARK} collapsed: {COLLAPSED_NOTE}.")


def _percent(value: float) -> str:
    return number(value, "fraction", 2)


def _interval(interval: Sequence[float]) -> str:
    return f"[{', '.join(map(_percent, interval))}]"
