"""What a terminal shows while `run` and `sweep` work: bar, counter and time are there at any width of 60 or more."""

from __future__ import annotations

import io
import re
from contextlib import nullcontext
from pathlib import Path

import pytest
from rich.console import Console

from srframework.cli.live_screen import LiveScreen
from srframework.cli.plain_screen import LineScreen, Screen
from srframework.cli.screen import resumable, screen, single_run
from srframework.cli.streams import wrapped
from srframework.run.reporter import RunStart

STAGE = "a-fine-tuned-network-with-a-rather-long-name"
OOD = {"paws-qqp-with-a-long-name": 0.3333, "paws-wiki-with-a-long-name": 0.75}


def start(directory: Path | None = None) -> RunStart:
    return RunStart("QQP", 1, "cuda:0", 1, 16, 363_846, 2, {STAGE: 1_136_000, "srnet": 568_000}, directory)


@pytest.fixture
def shown():
    """A live screen of some width, and the lines that it shows now."""

    def shown(width: int, verbose: bool = False):
        text = io.StringIO()
        console = Console(file=text, force_terminal=True, width=width, height=24, color_system=None)
        on = LiveScreen(console, verbose)

        def now() -> list[str]:
            other = Console(file=io.StringIO(), force_terminal=True, width=width, color_system=None)
            with other.capture() as captured:
                other.print(on._bars.get_renderable())
            return [line.rstrip() for line in captured.get().splitlines()]

        return on, now, text

    return shown


@pytest.mark.parametrize("width", [60, 80, 100, 120])
def test_bar_counter_and_time_left_stay_with_long_names_and_two_ood_sets(shown, width):
    on, now, _ = shown(width)
    with on, on.reporter() as reports:
        reports.run_started(start())
        reports.stage_started(STAGE, "A_std(f(θ_pt))", 1, 2, 1_136_000)
        reports.step(1_000, 0.25, 1e-3)
        reports.evaluated(1_000, 0.9, OOD)
        every, stage, *below = now()
    times = r" \d:\d\d:\d\d, \d+:\d\d:\d\d left$"
    bar = f" [━╸╺ ]{{{min(max(width - 60, 5), 40)}}}"
    assert re.search(rf"^all stages{bar} 1000/1704000 steps{times}", every)
    assert re.search(rf"^stage 1/2 {bar} 1000/1136000 steps{times}", stage)
    text = " ".join(below)
    for part in (
        f"{STAGE}: loss 0.250, ",
        "ID 90.0 %",
        *(f"{name} {100 * value:.1f} %" for name, value in OOD.items()),
    ):
        assert part in text
    assert "…" not in "".join([every, stage, *below])


def test_a_spinner_says_what_is_being_done_until_the_first_stage(shown):
    on, now, _ = shown(80)
    with on:
        on.doing("loading PyTorch")
        assert now()[0].endswith(" loading PyTorch …")
        with on.reporter() as reports:
            reports.run_started(start())
            assert now() == []


def test_what_is_done_stays_above_the_bars_and_they_leave_nothing(shown):
    on, now, text = shown(80)
    with on, on.reporter() as reports:
        reports.run_started(start(Path("runs/x")))
        reports.stage_started(STAGE, "A", 1, 2, 10)
        reports.note("[3] rows were skipped")
        reports.step(10, 0.5, 1e-3)
        reports.stage_finished(STAGE)
        assert [line.split()[:2] for line in now()] == [["all", "stages"]]
    for line in ("run directory: runs/x", f"[1/2] {STAGE}: A, 10 steps, done", "[3] rows were skipped"):
        assert line in text.getvalue()
    assert now() == []


def test_with_verbose_each_evaluation_has_a_line(shown):
    for verbose in (True, False):
        on, _, text = shown(80, verbose)
        with on, on.reporter() as reports:
            reports.stage_started("full", "A", 1, 1, 10)
            reports.evaluated(5, 0.9, {})
        assert ("[1/1] full: step 5/10: ID 90.0 %" in text.getvalue()) == verbose


def test_a_sweep_has_one_bar_over_the_stage_that_runs(shown):
    on, now, _ = shown(80)
    with on:
        on.jobs(0, 12)
        on.jobs(3, 12)
        with on.reporter() as reports:
            reports.run_started(start())
            reports.stage_started("full", "A", 1, 4, 100)
            reports.step(10, 0.5, 1e-3)
            first, second, *_ = now()
        assert re.search(r"^sweep +[━╸╺ ]{20} +3/12 jobs", first)
        assert re.search(r"^stage 1/4 +[━╸╺ ]{20} +10/100 steps", second)
        on.running(["full-1", "srnet-2"])
        assert now()[1:] == ["running: full-1, srnet-2"]


def test_the_screen_is_that_of_stderr():
    assert type(screen()) is LineScreen
    assert type(screen(quiet=True)) is Screen


def test_a_quiet_screen_shows_warnings_and_no_progress(capsys):
    with screen(quiet=True) as on, on.reporter() as reports:
        on.doing("progress")
        on.event("progress")
        on.line("a last message")
        on.next_steps("a command")
        on.jobs(0, 1)
        reports.run_started(start())
        reports.stage_started("full", "A", 1, 4, 100)
        reports.info("train: 3 examples")
        reports.note("3 rows were skipped")
        on.warning("warning: a launcher failed")
    assert capsys.readouterr() == ("", "3 rows were skipped\nwarning: a launcher failed\n")


def test_commands_and_paths_to_copy_have_no_line_ends(shown):
    path = f"runs/{'long' * 20}"
    on, _, text = shown(60)
    with on:
        on.next_steps(f"srframework results {path}", f"srframework compare {path} OTHER_RUN")
        on.line(f"run directory: {path}")
        on.warning("warning: " + "several words " * 10)
    for line in (f"Next: srframework results {path}", f"      srframework compare {path} OTHER_RUN", path):
        assert line in text.getvalue()
    lines = re.sub(r"\x1b\[[?\d;]*[a-zA-Z]", "", text.getvalue()).splitlines()
    assert max(len(line) for line in lines if "several" in line) <= 60


def test_the_bar_of_a_sweep_in_this_process_moves_within_a_run(shown):
    on, now, _ = shown(80)
    with on:
        on.jobs(1, 4)
        with on.reporter() as reports:
            reports.run_started(RunStart("r", 1, "cpu", 1, 1, 3, 1, {"full": 100}, None))
            reports.stage_started("full", "A", 1, 1, 100)
            reports.step(50, 0.5, 1e-3)
            assert " 1/4 jobs " in now()[0]
            assert on._bars.tasks[0].completed == 1.5
            reports.step(100, 0.5, 1e-3)  # its evaluation is not done
            assert any(" 1/4 jobs " in line for line in now())


def test_what_is_printed_between_two_displays_stays(shown):
    on, _, text = shown(80)
    with on:
        on.jobs(0, 12)
        on.running(["full-1", "srnet-2"])
        with on.paused():
            text.write("the last line\n")
        on.jobs(1, 12)
        after = text.getvalue().partition("the last line\n")[2]
    up = "\x1b[1A"
    assert "/12 jobs" in after.partition(up)[0]


@pytest.mark.parametrize("where", [nullcontext, resumable], ids=["reading the data", "loading"])
def test_an_interrupt_before_the_first_stage_says_what_is_kept(where):
    def interrupted() -> None:
        with where(), single_run(Screen()) if where is nullcontext else nullcontext():
            raise KeyboardInterrupt

    expected = "Interrupted before the first stage; earlier results are kept. Run the same command to resume."
    with pytest.raises(KeyboardInterrupt, match=f"^{expected}$"):
        interrupted()


def test_an_interrupt_of_a_run_says_how_to_resume_and_so_does_its_log(tmp_path):
    def interrupted() -> None:
        with single_run(Screen()) as reports:
            reports.run_started(start(tmp_path))
            reports.stage_started("full", "A", 1, 2, 10)
            reports.stopped(5)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match="Interrupted at step 5/10 of 'full'"):
        interrupted()
    last = (tmp_path / "run.log").read_text(encoding="utf-8").splitlines()[-1]
    assert last.endswith(f"Interrupted at step 5/10 of 'full'. Run the same command to resume ({tmp_path}).")


def test_an_error_is_wrapped_between_words_and_not_inside_a_command():
    text = "error: no component is named 'bert' (see `srframework list`); did you mean 'bert-base'?"
    assert wrapped(text, 90) == text
    assert wrapped(text, 55).splitlines() == [
        "error: no component is named 'bert' (see",
        "`srframework list`); did you mean 'bert-base'?",
    ]
    assert (
        wrapped(f"error: runs/{'long' * 20}: no such directory", 60) == f"error: runs/{'long' * 20}: no such directory"
    )
