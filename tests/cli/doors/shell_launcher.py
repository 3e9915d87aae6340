"""A launcher that starts each job by a command of the user's, such as ``srun --mem=16G``."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pydantic import Field, TypeAdapter

from srframework import Component, Job, JobResult, Launcher, Options, WorkerDied, hookimpl


class ShellOptions(Options):
    command: str = Field("env", min_length=1, description="What starts a job: a command that is given another one.")


class ShellLauncher(Launcher):
    def __init__(self, options):
        super().__init__(options)
        self._place = tempfile.TemporaryDirectory()
        self._processes = {}

    def start(self, jobs, threads):
        self.slots = jobs
        self._environment = os.environ | ({"OMP_NUM_THREADS": str(threads)} if threads else {})

    def submit(self, name, job):
        path = Path(self._place.name, name)
        path.write_bytes(TypeAdapter(Job).dump_json(job))
        command = [*shlex.split(self.options.command), sys.executable, "-m", __name__, str(path)]
        self._processes[name] = subprocess.Popen(command, env=self._environment)

    def wait(self):
        while not (ended := [name for name, process in self._processes.items() if process.poll() is not None]):
            time.sleep(0.1)
        return [(name, self._result(name, self._processes.pop(name).returncode)) for name in ended]

    def _result(self, name, code):
        path = Path(self._place.name, f"{name}.result")
        if code != 0:
            return WorkerDied(f"the worker process ended with exit code {code}")
        return TypeAdapter(JobResult).validate_json(path.read_bytes())

    def close(self):
        for process in self._processes.values():
            process.terminate()
            process.wait()
        self._place.cleanup()


@hookimpl
def srframework_launchers():
    return [
        Component("shell", ShellOptions, ShellLauncher, "Jobs by a command of your own.", "https://slurm.schedmd.com")
    ]


if __name__ == "__main__":
    from srframework import run_job

    result = run_job(TypeAdapter(Job).validate_json(Path(sys.argv[1]).read_bytes()))
    Path(f"{sys.argv[1]}.result").write_bytes(TypeAdapter(JobResult).dump_json(result))
