"""What ``claims`` prints on stderr while it works."""

from __future__ import annotations

import click

from srframework.claims.run import ClaimEvents
from srframework.cli.sweep_display import SweepDisplay


class ClaimDisplay(SweepDisplay, ClaimEvents):
    """Prints the events of a sweep, and which claims are refused."""

    def refused(self, name: str, why: str) -> None:
        click.echo(f"error: {name}: {why}", err=True)
