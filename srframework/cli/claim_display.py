"""The progress of ``claims`` on stderr."""

from __future__ import annotations

from srframework.claims.run import ClaimEvents
from srframework.cli.streams import echo_error
from srframework.cli.sweep_display import SweepDisplay


class ClaimDisplay(SweepDisplay, ClaimEvents):
    """Shows the events of a sweep, and the claims that are refused."""

    def refused(self, name: str, why: str) -> None:
        with self._on.paused():
            echo_error(f"error: {name}: {why}")
