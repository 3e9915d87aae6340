"""Completion, as the scripts that click makes ask for it."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import pty
import re
import shutil
import signal
import struct
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from srframework.cli import main

PAIRS = """
name = "pairs"
schema = 1
backbone = "tiny"
dataset = { use = "pairs", labels = ["no", "yes"], train.path = "a.tsv", dev.path = "b.tsv" }
stages = [{ name = "full", op = "train", loss = "std" }]
"""
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
    (tmp_path / "pairs.toml").write_text(PAIRS)
    for name in ("a.tsv", "b.tsv"):
        (tmp_path / name).write_text("sentence1\tsentence2\tlabel\nx\ty\tno\n")
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
        ("srframework sweep quickstart --grid dataset.ood_cue=reversed,a", ["plain,dataset.ood_cue=reversed,absent"]),
        ("srframework run quickstart --set backbone=bert-b", ["plain,backbone=bert-base"]),
        ("srframework run quickstart --set stages.srnet.pruner=imp-", ["plain,stages.srnet.pruner=imp-rw"]),
        ("srframework run quickstart --set stages.srnet.weights=p", ["plain,stages.srnet.weights=pretrained"]),
        ("srframework run quickstart --set stages.srnet.mask=i", ["plain,stages.srnet.mask=imp"]),
        (
            "srframework run groups --set stages.jtt.loss.identified_by=i",
            ["plain,stages.jtt.loss.identified_by=identify"],
        ),
        ("srframework run pairs.toml --set dataset.dev.form", ["plain,dataset.dev.format="]),  # an option of a table
        ("srframework run pairs.toml --set dataset.dev.format=t", ["plain,dataset.dev.format=tsv"]),  # or unset
        ("srframework sweep quickstart --launcher ray --launcher-option addr", ["plain,address="]),
        ("srframework --disable prun", ["plain,pruners"]),
        ("srframework plugins --disable srf", ["plain,srframework"]),
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


SHELLS = {
    "bash": (["bash", "--norc", "-i"], 'eval "$(_SRFRAMEWORK_COMPLETE=bash_source srframework)"'),
    "zsh": (
        ["zsh", "-f", "-i"],
        'autoload -U compinit && compinit -u && eval "$(_SRFRAMEWORK_COMPLETE=zsh_source srframework)"',
    ),
    "fish": (["fish", "--no-config", "-i"], "_SRFRAMEWORK_COMPLETE=fish_source srframework | source"),
}
"""Shell -> how it starts, without the user's settings, and the line that loads the script."""


class Terminal:
    """A shell in a terminal of its own. Every wait ends with the event, however busy the machine is."""

    def __init__(self, shell: str, folder: Path) -> None:
        command, self.load = SHELLS[shell]
        path = f"{Path(SCRIPT).parent}:{os.environ['PATH']}"
        here = {"HOME": str(folder), "PATH": path, "TERM": "xterm", "PS1": "$ ", "LANG": "C.UTF-8"}
        keep = {key: value for key, value in os.environ.items() if key == "PYTHONPATH"}
        self.process, self.descriptor = pty.fork()
        if not self.process:
            os.chdir(folder)
            os.execvpe(command[0], command, here | keep)
        self.shown = b""
        fcntl.ioctl(self.descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 200, 0, 0))

    def write(self, text: str) -> None:
        self.shown = self.shown[:0] if text[-1:] in "\t\n" else self.shown
        os.write(self.descriptor, text.encode())

    def until(self, text: str) -> str:
        """What the terminal shows until the text is there, without escape sequences."""
        while text not in (plain := self._plain(self.shown)):
            self.shown += os.read(self.descriptor, 65_536)
        return plain

    def _plain(self, shown: bytes) -> str:
        text = shown.decode("utf-8", "replace")
        text = re.sub(r"\x1b\[[0-9;?=>]*[a-zA-Z]|\x1b\].*?(\x07|\x1b\\\\)|\x1b[=>]|\x1b[()][0B]|[\r\a]", "", text)
        while "\b" in text:  # the next character is written over the last one
            text = re.sub(r"[^\b]?\x08", "", text, count=1)
        return text

    def close(self) -> None:
        os.kill(self.process, signal.SIGKILL)
        os.waitpid(self.process, 0)
        os.close(self.descriptor)


@pytest.fixture(params=SHELLS)
def terminal(request, tmp_path) -> Iterator[Terminal]:
    if shutil.which(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    (tmp_path / "notes.txt").touch()
    (tmp_path / "models").mkdir()
    opened = Terminal(request.param, tmp_path)
    yield opened
    opened.close()


@pytest.mark.long
def test_a_shell_completes_what_is_typed(terminal):
    terminal.write(f"{terminal.load}; echo lo''aded\n")
    terminal.until("loaded")
    lines = {
        "srframework run quicks": "srframework run quickstart ",
        "srframework show pruner/imp-": "srframework show pruner/imp-rw ",
        "srframework run quickstart --set stages.srnet.pruner.sp": " --set stages.srnet.pruner.sparsity=",
        "srframework run quickstart --set stages.srnet.pruner.scope=lo": " stages.srnet.pruner.scope=local ",
        "srframework sweep quickstart --grid=dataset.ood_cue=reversed,a": " --grid=dataset.ood_cue=reversed,absent ",
        "srframework run quickstart --out mod": " --out models/",
        "srframework compare not": "srframework compare notes.txt ",
    }
    for number, (line, completed) in enumerate(lines.items()):
        terminal.write(f"{line}\t")
        terminal.until(completed.rstrip())
        terminal.write(end := f"END{number}")
        assert f"{completed}{end}" in terminal.until(end)
        terminal.write("\x15")  # ^U empties the line
