from __future__ import annotations

from pathlib import Path

import pytest
from log_lines import TIME

from srframework.run.progress import LineReporter, RunLog
from srframework.run.reporter import Reporter, RunStart


def start(directory: Path | None = None, **pending: int) -> RunStart:
    """A run of four stages on two threads."""
    return RunStart("small", 1, "cpu", 1, 2, 400, 4, pending, directory)


class Clock:
    """Stands still until it is moved."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("srframework.run.progress.time.monotonic", clock.monotonic)
    return clock


def unstamped(text: str) -> list[str]:
    """The lines of a log without the time, which each of them has."""
    lines = text.splitlines()
    assert all(TIME.match(line) for line in lines)
    return [TIME.sub("", line) for line in lines]


@pytest.fixture
def lines(clock, capsys):
    """A line reporter in a stage of 100 steps, and its lines since the last look."""
    reports = LineReporter()
    reports.stage_started("full", "A_std(f(θ_pt))", 1, 4, 100)

    def said() -> list[str]:
        captured = capsys.readouterr()
        assert captured.out == ""
        return unstamped(captured.err)

    assert said() == ["[1/4] full: A_std(f(θ_pt)), 100 steps"]
    return reports, said


def test_the_start_says_what_is_run_on_what_and_where(clock, capsys):
    LineReporter().run_started(start(Path("runs/small-1"), srnet=30, imp=20))
    assert unstamped(capsys.readouterr().err) == [
        "small, seed 1: 4 stages (2 cached), 50 steps, 400 training examples",
        "device: cpu, 2 threads",
        "run directory: runs/small-1",
    ]


def test_steps_have_a_line_at_most_every_ten_seconds(clock, lines):
    reports, said = lines
    clock.now += 9.9
    reports.step(10, 0.5, 1e-3)
    assert said() == []
    clock.now += 0.1
    reports.step(20, 0.25, 1e-3)
    assert said() == ["[1/4] full: step 20/100, loss 0.250, 2.0 steps/s, 0:00:40 left"]
    reports.step(30, 0.25, 1e-3)
    assert said() == []


def test_with_verbose_each_reported_step_has_a_line(clock, capsys):
    reports = LineReporter(verbose=True)
    reports.doing("reading the data and the model")
    reports.stage_started("full", "A", 1, 1, 100)
    clock.now += 1
    reports.step(10, 0.5, 1e-3)
    assert unstamped(capsys.readouterr().err) == [
        "reading the data and the model",
        "[1/1] full: A, 100 steps",
        "[1/1] full: step 10/100, loss 0.500, 10.0 steps/s, 0:00:09 left",
    ]


def test_every_evaluation_has_a_line_with_its_figures_in_per_cent(clock, lines):
    reports, said = lines
    clock.now += 5
    reports.step(50, 0.125, 1e-3)
    reports.evaluated(50, 0.9, {"hans": 0.5})
    assert said() == ["[1/4] full: step 50/100, loss 0.125, 10.0 steps/s, 0:00:05 left, ID 90.0 %, OOD hans 50.0 %"]


def test_with_v_the_line_has_every_figure_of_the_evaluators():
    lines: list[str] = []
    reports = LineReporter(verbose=True)
    reports.note = lines.append
    reports.stage_started("full", "A", 1, 1, 10)
    reports.evaluated(5, 0.5, {}, {"accuracy": {"dev": 0.5}, "nll": {"dev": 0.71925}})
    assert lines[-1].endswith(", ID 50.0 %, accuracy/dev 0.5, nll/dev 0.7192")


def test_an_evaluation_may_come_before_the_first_loss(clock, lines):
    reports, said = lines
    clock.now += 1
    reports.evaluated(5, 0.5, {})
    assert said() == ["[1/4] full: step 5/100, 5.0 steps/s, 0:00:19 left, ID 50.0 %"]


def test_the_loss_of_one_stage_is_not_that_of_the_next(clock, lines):
    reports, said = lines
    reports.step(100, 0.125, 1e-3)
    clock.now += 61
    reports.stage_finished("full")
    reports.stage_started("srnet", "P", 2, 4, 10)
    assert said() == ["[1/4] full: done in 1 min 1 s", "[2/4] srnet: P, 10 steps"]
    reports.evaluated(1, 0.5, {})
    assert "0.125" not in said()[0]


def test_more_than_a_day_has_all_its_hours(clock, lines):
    reports, said = lines
    clock.now += 100_000
    reports.step(50, 0.5, 1e-3)
    (line,) = said()
    assert line.endswith(", 27:46:40 left")


def test_the_time_left_in_all_stages_is_that_of_the_stage_and_of_those_to_come(clock, lines):
    reports, said = lines
    reports.run_started(start(full=100, srnet=50))
    said()
    clock.now += 10
    reports.step(20, 0.5, 1e-3)
    assert said() == ["[1/4] full: step 20/100, loss 0.500, 2.0 steps/s, 0:00:40 left, 0:01:05 left in all stages"]
    clock.now += 40
    reports.step(100, 0.5, 1e-3)
    reports.stage_finished("full")
    reports.stage_started("srnet", "P", 2, 4, 50)
    said()
    clock.now += 10
    reports.resumed(30)
    clock.now += 10
    reports.step(40, 0.5, 1e-3)
    assert said() == [
        "[2/4] srnet: resumes from the checkpoint at step 30",
        "[2/4] srnet: step 40/50, loss 0.500, 1.0 steps/s, 0:00:10 left, 0:00:10 left in all stages",
    ]
    assert (reports.done, reports.total) == (140, 150)


def test_a_cached_stage_says_what_it_took(clock, capsys):
    LineReporter().stage_reused("full", "A", 1, 4, 61.2)
    assert unstamped(capsys.readouterr().err) == ["[1/4] full: reused cached result (1 min 1 s when computed)"]


def test_the_log_of_a_run_has_its_lines_from_the_first_on_and_is_added_to(clock, tmp_path):
    for end in ("Interrupted.", "finished"):
        log = RunLog()
        log.note("3 rows were skipped")
        log.run_started(start(tmp_path, full=100))
        log.stage_started("full", "A", 1, 4, 100)
        log.close(end)
    once = [
        "3 rows were skipped",
        "small, seed 1: 4 stages (3 cached), 100 steps, 400 training examples",
        "device: cpu, 2 threads",
        f"run directory: {tmp_path}",
        "[1/4] full: A, 100 steps",
    ]
    written = unstamped((tmp_path / "run.log").read_text(encoding="utf-8"))
    assert written == [*once, "Interrupted.", *once, "finished"]


def test_a_log_without_a_directory_is_not_written(clock, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    log = RunLog()
    log.run_started(start(None, full=100))
    log.close("finished")
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_says_where_it_was_and_how_to_resume(clock):
    reports = LineReporter()
    assert reports.interrupted() == (
        "Interrupted before the first stage; earlier results are kept. Run the same command to resume."
    )
    reports.run_started(start(Path("runs/small-1"), full=1500))
    assert reports.interrupted() == "Interrupted. Run the same command to resume (runs/small-1)."
    reports.stage_started("full", "A", 1, 4, 1500)
    assert reports.interrupted() == "Interrupted in 'full'. Run the same command to resume (runs/small-1)."
    reports.stopped(580)
    assert reports.interrupted() == (
        "Interrupted at step 580/1500 of 'full'. Run the same command to resume (runs/small-1)."
    )


def test_the_base_reporter_shows_nothing(capsys):
    reports = Reporter()
    reports.note("x")
    reports.doing("x")
    reports.run_started(start(full=1))
    reports.stage_started("a", "A", 1, 1, 1)
    reports.step(1, 0.0, 0.0)
    reports.evaluated(1, 0.0, {})
    reports.stopped(1)
    reports.stage_finished("a")
    assert capsys.readouterr() == ("", "")
