"""A command in a terminal of its own."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import sys
import termios
from pathlib import Path


def screen(*args: str, columns: int = 80, cwd: Path | None = None, **variables: str) -> tuple[list[str], bool]:
    """The lines that a command prints in a terminal of that width, and whether any of them has colour."""
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(cwd or Path.cwd())
        fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        kept = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS")}
        words = [sys.executable, "-m", "srframework", *args]
        os.execve(sys.executable, words, {**kept, "TERM": "xterm-256color", **variables})
    output = b""
    while part := _read(terminal):
        output += part
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0, output.decode()
    text = output.decode()
    lines = re.sub(r"\x1b\[[0-9;]*m", "", text).replace("\r\n", "\n").splitlines()
    return lines, re.search(r"\x1b\[[0-9;]*3[0-7]m", text) is not None


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # so Linux has it when the last process has closed the terminal
        return b""
