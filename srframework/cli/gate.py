"""``gate``: accept or reject a sparse stage by its drop on ID and its gain on OOD sets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from srframework.cli import completion
from srframework.cli.compare import metric_option, resamples_option, shown_interval
from srframework.cli.context import App, json_option, output, print_json, print_text
from srframework.cli.points import Points
from srframework.cli.streams import echo_error
from srframework.units import heading, number

if TYPE_CHECKING:
    from srframework.report.gate import Gate, GateCheck


@click.command()
@click.argument("directories", metavar="[DIR]...", nargs=-1, shell_complete=completion.paths)
@click.option(
    "--id-drop",
    type=Points(-100, 100),
    default=1.0,
    show_default=True,
    metavar="POINTS",
    help="The largest drop on the ID set that passes, in percentage points.",
)
@click.option(
    "--ood-gain",
    type=Points(-100, 100),
    default=3.0,
    show_default=True,
    metavar="POINTS",
    help="The least gain on each OOD set that passes, in percentage points.",
)
@click.option("--baseline", metavar="STAGE", help="The stage to compare with. Default: the only full model.")
@click.option(
    "--stage", metavar="STAGE", help="The stage to judge, or a level, such as imp@0.5. Default: the only sparse stage."
)
@click.option("--ood", multiple=True, metavar="NAME", help="An OOD set. Repeatable. Default: the only one.")
@click.option(
    "--where",
    multiple=True,
    metavar="KEY=VALUE",
    help="Use only the runs with this setting, recipe or seed; see `results --where`. Repeatable.",
)
@metric_option
@resamples_option
@json_option
@click.pass_obj
def gate(
    app: App,
    directories: tuple[str, ...],
    id_drop: float,
    ood_gain: float,
    baseline: str | None,
    stage: str | None,
    ood: tuple[str, ...],
    where: tuple[str, ...],
    metric: str | None,
    resamples: int,
    as_json: bool,
) -> None:
    """Accept a sparse model, or not, by the runs under each DIR.

    Default DIR: runs. The runs must differ only in their seed. A stage passes if, compared with the baseline of the
    same runs, its ID metric falls by at most --id-drop, and its metric on each OOD set rises by at least --ood-gain.
    The means are not enough: each 95 % interval of the drop and of the gain must be on the good side, the interval
    over seeds (Student's t) and the interval over examples (paired bootstrap). With fewer than three seeds the result
    is "not decided". A model that has collapsed (it predicts one label only) never passes.

    Exit codes for scripts: 0 pass; 1 fail, or not decided; 2 bad usage.
    """
    from srframework.report.comparison_side import Side
    from srframework.report.gate import PASS, Bars, judge_gate

    places = directories or ("runs",)
    side = Side.read(places, where, "--where", metric)
    for sentence in side.warnings:
        echo_error(f"warning: {sentence}")
    found = judge_gate(side, Bars(id_drop, ood_gain), (baseline, stage), ood, resamples, app.registry)
    if as_json:
        runs = [run.record() for run in side.runs.values()]
        print_json({**found.to_json(), "level": 0.95, "resamples": resamples, "runs": runs})
    else:
        _print(found, " ".join([*places, *where]), side.first.settings.recipe)
    click.get_current_context().exit(0 if found.verdict == PASS else 1)


def _print(gate: Gate, place: str, recipe: str) -> None:
    from srframework.report.chosen_on import chosen_note

    seeds = f"seed{'s' if len(gate.seeds) > 1 else ''} {', '.join(map(str, gate.seeds))}"
    console, first = output(), gate.checks[0]
    figure = heading(first.metric, first.unit, first.better)
    print_text(console, f"{gate.stage} against {gate.baseline}, {figure}: {place} ({recipe}; {seeds})", hanging=4)
    for check in gate.checks:
        print_text(console, _change(check, gate.baseline, gate.stage), hanging=4)
        seen = [shown_interval(each, check.unit) for each in (check.seeds_interval, check.examples_interval)]
        print_text(console, f"95 % intervals: {seen[0]} over seeds, {seen[1]} over examples", indent=4)
    over = f"Student's t over {len(gate.seeds)} seeds; " if len(gate.seeds) > 1 else ""
    print_text(console, f"Intervals of the change: {over}paired bootstrap over examples.")
    print_text(console, chosen_note(gate.chosen))
    for check in gate.checks:
        for reason in check.reasons:
            print_text(console, f"{_name(check)}: {reason}.", hanging=4)
    print_text(console, f"Verdict: {gate.verdict}")


def _name(check: GateCheck) -> str:
    return f"ID {check.split}: drop" if check.kind == "id" else f"OOD {check.split}: gain"


def _change(check: GateCheck, baseline: str, stage: str) -> str:
    """``ID dev: drop +1.27 (full 88.43, srnet 87.17), bar ≤ 1.00: not decided``."""
    before, after = (number(each, check.unit, 2) for each in (check.baseline, check.stage))
    bar = f"{'≤' if check.kind == 'id' else '≥'} {number(check.bar, check.unit, 2)}"
    change = number(check.change, check.unit, 2, sign=True)
    return f"{_name(check)} {change} ({baseline} {before}, {stage} {after}), bar {bar}: {check.verdict}"
