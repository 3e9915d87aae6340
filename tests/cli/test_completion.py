"""Completion, as the scripts that click makes ask for it."""

from __future__ import annotations

import contextlib
import io
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from srframework.cli import main

SCRIPT = str(Path(sys.executable).parent / "srframework")


@pytest.fixture
def answer(tmp_path, monkeypatch):
    """What the entry point prints as bytes, without an error."""

    def answer() -> str:
        out, err = io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True), io.StringIO()
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["srframework"])
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as caught:
            main()
        assert (caught.value.code, err.getvalue()) == (0, "")
        return out.buffer.getvalue().decode()

    return answer


@pytest.fixture
def complete(tmp_path, monkeypatch, answer):
    """The completions of the last word of a command line, in a directory with a recipe, a text and a folder."""
    (tmp_path / "mine.toml").touch()
    (tmp_path / "notes.txt").touch()
    (tmp_path / "models").mkdir()

    def complete(line: str, shell: str = "bash") -> list[str]:
        words = line.split(" ")
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(len(words) - 1) if shell != "fish" else words[-1])
        monkeypatch.setenv("_SRFRAMEWORK_COMPLETE", f"{shell}_complete")
        return answer().splitlines()

    return complete


@pytest.mark.parametrize(
    ("line", "completions"),
    [
        ("srframework valid", ["plain,validate"]),
        ("srframework run q", ["plain,quickstart"]),
        ("srframework run m", ["plain,mine.toml", "plain,models/"]),
        ("srframework validate quickstart m", ["plain,mine.toml", "plain,models/"]),
        ("srframework run paper/table", ["plain,paper/table-6"]),
        ("srframework claims 01", ["plain,01-biased"]),
        ("srframework show imp-", ["plain,imp-rw"]),
        ("srframework show pruner/im", ["plain,pruner/imp", "plain,pruner/imp-rw"]),
        ("srframework show trai", ["plain,training"]),
        ("srframework list prun", ["plain,pruner"]),
        ("srframework init --task p", ["plain,pairs", "plain,paraphrase"]),
        ("srframework init --from st", ["plain,starter"]),
        ("srframework sweep quickstart --launcher l", ["plain,local"]),
        ("srframework run quickstart --set see", ["plain,seed="]),
        ("srframework run quickstart --set stages.srnet.pruner.sp", ["plain,stages.srnet.pruner.sparsity="]),
        ("srframework run quickstart --set stages.srnet.pruner.sco", ["plain,stages.srnet.pruner.scope="]),
        (
            "srframework run quickstart --set stages.srnet.pruner.scope=",
            ["plain,stages.srnet.pruner.scope=local", "plain,stages.srnet.pruner.scope=global"],
        ),
        ("srframework run quickstart --set training.eval_ood=t", ["plain,training.eval_ood=true"]),
        ("srframework sweep quickstart --grid backbone.hea", ["plain,backbone.heads="]),
        ("srframework run --set training.prec", ["plain,training.precision="]),
        ("srframework run mine.toml --set stages.", [""]),  # an empty recipe: no stages, and no error
        ("srframework results ru", ["file,ru"]),
        ("srframework compare runs/a ru", ["file,ru"]),
        ("srframework --plugin x", ["file,x"]),
    ],
)
def test_what_is_completed(complete, line, completions):
    assert complete(line) == completions


def test_zsh_and_fish_show_what_a_component_is(complete):
    assert complete("srframework show imp-", "zsh")[:2] == ["plain", "imp-rw"]
    [line] = complete("srframework show imp-", "fish")
    assert line.startswith("plain,imp-rw\t")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_scripts(answer, monkeypatch, shell):
    monkeypatch.setenv("_SRFRAMEWORK_COMPLETE", f"{shell}_source")
    assert f"_SRFRAMEWORK_COMPLETE={shell}_complete" in answer()


def test_bash_accepts_the_script_and_adds_no_space_after_a_key(tmp_path):
    bash = shutil.which("bash")
    assert bash is not None, "the tests run where there is bash"
    program = f"""
        eval "$(_SRFRAMEWORK_COMPLETE=bash_source {SCRIPT})"
        compopt() {{ echo compopt "$1" "$2"; }}
        COMP_WORDS=(srframework run quickstart --set see) COMP_CWORD=4
        _srframework_completion {SCRIPT}
        echo "${{COMPREPLY[@]}}"
    """
    done = subprocess.run([bash, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("compopt -o nospace\nseed=\n", "")
