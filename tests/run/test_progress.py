from __future__ import annotations

import io

import pytest
from rich.console import Console

from srframework.run.progress import LineReporter, LiveReporter, _display, reporter
from srframework.run.reporter import Reporter


class Clock:
    """Stands still until it is told to go on."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("srframework.run.progress.time.monotonic", clock.monotonic)
    return clock


@pytest.fixture
def lines(clock, capsys):
    """A line reporter in a stage of 100 steps, and what it has said since the last look."""
    reports = LineReporter()
    reports.stage_started("full", "A_std(f(θ_pt))", 1, 4, 100)

    def said() -> list[str]:
        captured = capsys.readouterr()
        assert captured.out == ""
        return captured.err.splitlines()

    assert said() == ["[1/4] full: A_std(f(θ_pt)), 100 steps"]
    return reports, said


def test_where_stderr_is_no_terminal_progress_is_lines(capsys):
    with reporter() as reports:
        reports.note("3 rows were skipped")
    assert isinstance(reports, LineReporter)
    assert capsys.readouterr().err == "3 rows were skipped\n"


def test_steps_are_said_at_most_every_ten_seconds(clock, lines):
    reports, said = lines
    clock.now += 9.9
    reports.step(10, 0.5, 1e-3)
    assert said() == []
    clock.now += 0.1
    reports.step(20, 0.25, 1e-3)
    assert said() == ["[1/4] full: step 20/100, loss 0.250, 2.0 steps/s, 0:00:40 left"]
    reports.step(30, 0.25, 1e-3)
    assert said() == []


def test_every_evaluation_is_said_with_its_figures(clock, lines):
    reports, said = lines
    clock.now += 5
    reports.step(50, 0.125, 1e-3)
    reports.evaluated(50, 0.9, {"hans": 0.5})
    assert said() == ["[1/4] full: step 50/100, loss 0.125, 10.0 steps/s, 0:00:05 left, ID 0.900, hans 0.500"]


def test_an_evaluation_may_come_before_the_first_loss(clock, lines):
    reports, said = lines
    clock.now += 1
    reports.evaluated(5, 0.5, {})
    assert said() == ["[1/4] full: step 5/100, 5.0 steps/s, 0:00:19 left, ID 0.500"]


def test_the_loss_of_one_stage_is_not_said_of_the_next(clock, lines):
    reports, said = lines
    reports.step(100, 0.125, 1e-3)
    reports.stage_finished("full")
    reports.stage_started("srnet", "P", 2, 4, 10)
    said()
    reports.evaluated(1, 0.5, {})
    assert "0.125" not in said()[0]


def test_more_than_a_day_is_not_said_as_less(clock, lines):
    reports, said = lines
    clock.now += 100_000
    reports.step(50, 0.5, 1e-3)
    (line,) = said()
    assert line.endswith(", 1 day, 3:46:40 left")


def test_a_live_display_shows_stage_loss_speed_and_figures():
    text = io.StringIO()
    with _display(Console(file=text, force_terminal=True, width=160, color_system=None)) as progress:
        reports = LiveReporter(progress)
        reports.step(1, 0.5, 1e-3)
        reports.evaluated(1, 0.5, {})
        reports.stage_started("full", "A", 1, 4, 100)
        reports.note("[3] rows were skipped")
        reports.step(20, 0.25, 1e-3)
        reports.evaluated(20, 0.9, {"hans": 0.5})
    last = next(line for line in reversed(text.getvalue().splitlines()) if "full" in line)
    assert "[3] rows were skipped" in text.getvalue()
    for part in ("[1/4] full", "20/100", "steps/s", "loss 0.250", "ID 0.900, hans 0.500"):
        assert part in last


def test_the_base_reporter_says_nothing(capsys):
    reports = Reporter()
    reports.note("x")
    reports.stage_started("a", "A", 1, 1, 1)
    reports.step(1, 0.0, 0.0)
    reports.evaluated(1, 0.0, {})
    reports.stage_finished("a")
    assert capsys.readouterr() == ("", "")
