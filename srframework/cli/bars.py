"""The bars of a live display, which stay complete in narrow terminals."""

from __future__ import annotations

import time
from collections.abc import Iterator

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.spinner import Spinner
from rich.text import Text

from srframework.run.progress import (
    clock_text,
)


class Bars(Progress):
    """Bars of one layout, with a spinner above or text below."""

    hidden: bool = False
    spinner: Spinner | None = None
    below: str = ""

    def __init__(self, console: Console) -> None:
        super().__init__(
            TextColumn("{task.description}"),
            BarColumn(bar_width=min(max(console.width - 60, 5), 40)),
            TextColumn("{task.fields[count]}/{task.total:.0f} {task.fields[unit]}", justify="right"),
            Times(),
            console=console,
            transient=True,
            refresh_per_second=5,
        )

    def get_renderables(self) -> Iterator[RenderableType]:
        if self.hidden:
            return
        if self.tasks:
            yield self.make_tasks_table(self.tasks)
        if self.below:
            yield Text(self.below)
        if self.spinner is not None:
            yield self.spinner


class Times(ProgressColumn):
    """Elapsed time, and time left."""

    def render(self, task: Task) -> Text:
        end, elapsed, done = task.fields["end"], task.elapsed or 0.0, task.completed
        left = None if end is None else end - time.monotonic()
        if task.fields["by_mean"] and done and task.total:
            left = elapsed * (task.total - done) / done
        if done == task.total:
            left = 0.0
        shown = "-:--:--" if left is None or left < 0 else clock_text(left)
        return Text(f"{clock_text(elapsed)}, {shown} left")


class Bar:
    """One bar.

    Args:
        bars: The display.
        label: A short name.
        total: How much is to be done.
        unit: Of ``total``, in the plural.
        by_mean: Estimate the time left by the mean speed; else it is that of the last update, and counts down.
    """

    def __init__(self, bars: Bars, label: str, total: int, unit: str, by_mean: bool = False) -> None:
        self._bars = bars
        self.task: TaskID = bars.add_task(label, total=total, unit=unit, count=0, end=None, by_mean=by_mean)

    def update(self, done: float, total: int, left: float | None = None) -> None:
        """Set the progress; ``left``: seconds until the end, None if unknown."""
        end = None if left is None else time.monotonic() + left
        self._bars.update(self.task, completed=done, total=total, count=int(done), end=end)

    def remove(self) -> None:
        self._bars.remove_task(self.task)
