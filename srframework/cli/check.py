"""``check``: run the conformance checks of a component."""

from __future__ import annotations

from collections import Counter

import click

from srframework.cli import completion
from srframework.cli.context import App, json_option, output, print_json, print_text


@click.command()
@click.argument("component", metavar="NAME", shell_complete=completion.components)
@json_option
@click.pass_context
def check(context: click.Context, component: str, as_json: bool) -> None:
    """Check that a component does what its contract promises.

    NAME is the name of a component, such as mask, or KIND/NAME. The checks use the component's example options, and a
    small model and small data of their own. Exit code 1: a check failed.
    """
    app: App = context.obj
    registered = app.registry.find(component)
    # Imported here, because the checks need torch and other commands must start fast.
    from srframework.run.api import quieten
    from srframework.testing.kit import check_component

    quieten()
    rows = []
    for result in check_component(registered.component, registered.kind, app.registry):
        sentence = result.reason if result.outcome != "passed" else result.check.sentence
        rows.append({"check": result.check.name, "outcome": result.outcome, "sentence": sentence})
        if not as_json:
            shown = "" if result.outcome == "passed" else f": {sentence}"
            text = f"{registered.kind}/{registered.name} {result.check.name}: {result.outcome}{shown}"
            print_text(output(), text, hanging=2)
    if as_json:
        print_json(rows)
    else:
        outcomes = Counter(row["outcome"] for row in rows)
        counts = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.items())
        click.echo(f"{len(rows)} checks: {counts}")
    if any(row["outcome"] == "failed" for row in rows):
        context.exit(1)
