"""The command line. Results on stdout, everything else on stderr."""

from __future__ import annotations

import io
import sys

import click

from srframework.cli.claims import claims
from srframework.cli.compare import compare
from srframework.cli.context import App, Commands
from srframework.cli.listing import list_components, list_plugins, list_recipes
from srframework.cli.results import results
from srframework.cli.run import run
from srframework.cli.show import show
from srframework.cli.store import store_group
from srframework.cli.sweep import sweep
from srframework.cli.validate import validate
from srframework.errors import OF_THE_MACHINE, SRFrameworkError, refused
from srframework.signals import terminable


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="srframework")
@click.option(
    "--block",
    multiple=True,
    metavar="NAME",
    envvar="SRFRAMEWORK_BLOCK",
    help="Do not load this plugin: a distribution or an entry point. Repeatable; also $SRFRAMEWORK_BLOCK.",
)
@click.pass_context
def cli(context: click.Context, block: tuple[str, ...]) -> None:
    """Find subnetworks of pre-trained language models that are sparse and robust.

    A recipe (TOML) names a backbone, a data set and stages that train or prune; every noun in
    it is a plugin.

    Exit codes: 0 done, 1 the run failed, 2 bad usage or recipe, 3 a plugin is missing or
    broken, 130 interrupted.
    """
    context.obj = App(blocked=block)


for command in (
    list_components,
    show,
    list_plugins,
    list_recipes,
    validate,
    run,
    sweep,
    results,
    compare,
    claims,
    store_group,
):
    cli.add_command(command)


def main() -> None:
    """Entry point: every error that a user can cause is a sentence and an exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # the paper's notation, on a terminal that has no θ
    try:
        with terminable():
            code = cli.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        code = 130
    except SRFrameworkError as error:
        click.echo(f"error: {error}" if "\n" not in str(error) else f"errors:\n{error}", err=True)
        code = error.exit_code
    except OSError as error:
        if error.errno not in OF_THE_MACHINE:
            raise
        click.echo(f"error: {refused(error)}", err=True)
        code = 1
    sys.exit(code if isinstance(code, int) else 0)
