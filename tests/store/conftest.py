"""Stores for tests, and processes that work on one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from small_store import Notes

from srframework.store.store import Store


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
def store(tmp_path, notes) -> Store:
    return Store(tmp_path / "store", notes)


SCRIPT = """
import os, sys, time
from pathlib import Path
from srframework.store.store import Store
root, mode = Path(sys.argv[1]), sys.argv[2]

def compute(draft):
    with (root.parent / "calls").open("a") as calls:
        calls.write("x")
    (draft / "a").write_text("half")
    print("computing", flush=True)
    while mode == "hang" or not (root.parent / "go").exists():
        time.sleep(0.01)
    (draft / "a").write_text("whole")

store = Store(root, lambda text: print("note:", text, flush=True))
entry, was_there = store.get_or_compute("ab" * 32, "trained", "SRNet", {}, compute)
print(was_there, (entry.files / "a").read_text(), flush=True)
"""


@pytest.fixture
def start() -> Iterator:
    """Start a process that obtains the key; ended with the test."""
    started = []

    def start(store: Store, mode: str = "work") -> subprocess.Popen[str]:
        command = [sys.executable, "-c", SCRIPT, str(store.root), mode]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for process in started:
        with process:
            process.kill()
