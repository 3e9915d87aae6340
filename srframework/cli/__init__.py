"""The command line. Results on stdout, everything else on stderr."""

from __future__ import annotations

import io
import sys
from typing import Any

import click

from srframework.cli import completion, shells, streams
from srframework.cli.audit import audit
from srframework.cli.check import check
from srframework.cli.claims import claims
from srframework.cli.compare import compare
from srframework.cli.context import Commands
from srframework.cli.data import data_group
from srframework.cli.evaluate import evaluate
from srframework.cli.export import export
from srframework.cli.gate import gate
from srframework.cli.import_mask import import_command
from srframework.cli.init import init
from srframework.cli.listing import list_components, list_plugins, list_recipes
from srframework.cli.new import new
from srframework.cli.paper import paper
from srframework.cli.plot import plot
from srframework.cli.probe import probe
from srframework.cli.report import report
from srframework.cli.results import results
from srframework.cli.run import run
from srframework.cli.schema import schema
from srframework.cli.show import show
from srframework.cli.store import store_group
from srframework.cli.sweep import sweep
from srframework.cli.validate import validate
from srframework.errors import SRFrameworkError
from srframework.run.crash import formatted, sentence
from srframework.training.signals import terminable


class _Names(click.ParamType[str]):
    """Names; in the environment variable, commas or spaces separate them."""

    name = "name"

    def split_envvar_value(self, rv: str) -> list[str]:
        """Split the value of the environment variable."""
        return rv.replace(",", " ").split()


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="srframework")
@click.option(
    "--disable",
    multiple=True,
    is_eager=True,
    type=_Names(),
    metavar="NAME",
    shell_complete=completion.plugins,
    envvar="SRFRAMEWORK_DISABLE_PLUGINS",
    help="Do not load this plugin: a distribution or an entry point. Repeatable; also $SRFRAMEWORK_DISABLE_PLUGINS.",
)
@click.option(
    "--plugin",
    multiple=True,
    is_eager=True,
    type=click.Path(exists=True, dir_okay=False, resolve_path=True),
    metavar="FILE",
    help="Load a plugin from this Python file, without installing it. Repeatable.",
)
@click.option("--debug", is_flag=True, help="Show the traceback of an error on stderr.")
@click.pass_context
def cli(
    context: click.Context,
    disable: tuple[str, ...],  # noqa: ARG001 -- Commands.app reads it
    plugin: tuple[str, ...],  # noqa: ARG001 -- Commands.app reads it
    debug: bool,
) -> None:
    """Find subnetworks of pre-trained language models that are sparse and robust.

    A recipe (TOML) names a backbone, a data set and stages that train or prune. Start with
    `srframework run quickstart`.

    Exit codes: 0 done, 1 the run failed, 2 bad usage or recipe, 3 a plugin is missing or
    broken, 130 interrupted.
    """
    if context.obj is not None:
        context.obj["debug"] = debug
    context.obj = cli.app(context)


for command in (
    list_components,
    show,
    list_plugins,
    list_recipes,
    init,
    validate,
    check,
    data_group,
    schema,
    new,
    run,
    sweep,
    results,
    compare,
    evaluate,
    audit,
    probe,
    gate,
    export,
    import_command,
    plot,
    paper,
    report,
    claims,
    store_group,
):
    cli.add_command(command)


def main() -> None:
    """Entry point: every error becomes a sentence on stderr and an exit code."""
    streams.prepare()
    threads = streams.watch_threads()
    settings: dict[str, Any] = {}
    try:
        with terminable():
            code = shells.respond(cli)
            if code is None:
                code = cli.main(standalone_mode=False, obj=settings)
        code = code if isinstance(code, int) else 0
        sys.stdout.flush()
    except BaseException as error:  # noqa: BLE001 -- the last handler
        code = _told(error, debug=bool(settings.get("debug")))
    code = streams.finish(code)
    streams.leave_threads(threads, code)
    sys.exit(code)


def _told(error: BaseException, debug: bool) -> int:
    """Print an error as a sentence; return the exit code."""
    if streams.is_broken_pipe(error):
        return 1  # nobody reads what else there is to say
    try:
        if debug and not isinstance(error, click.exceptions.ClickException | click.Abort):
            streams.tell(formatted(error).rstrip())
        if isinstance(error, click.ClickException):
            streams.tell(
                f"Error: {error.format_message()}" if not isinstance(error, click.UsageError) else _usage(error)
            )
            return error.exit_code
        if isinstance(error, click.Abort | KeyboardInterrupt):
            streams.tell(str(error.__cause__ or error) or "Interrupted.")  # click raises Abort from the interrupt
            return 130
        text = sentence(error)
        streams.tell(f"error: {text}" if "\n" not in text else f"errors:\n{text}")
        return error.exit_code if isinstance(error, SRFrameworkError) else 1
    except KeyboardInterrupt:
        streams.tell("Interrupted.")
        return 130


def _usage(error: click.UsageError) -> str:
    """Click's message for wrong usage: the usage, a hint, the error."""
    shown = io.StringIO()
    error.show(shown)
    return shown.getvalue().rstrip()
