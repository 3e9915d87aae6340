"""The command line: in this process where that is enough, and as users start it where it is not."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from broken_plugin import BASES, CONTRACTS, DEFAULTS, HEAD, NUMBERS, PLUGIN_RECIPE
from log_lines import without_times
from small_sweep import RECIPE

from srframework.cli import main
from srframework.component import KINDS
from srframework.contracts import Predictions
from srframework.run import predictions_file
from srframework.sweeps.worker import _registry

ROOT = Path(__file__).resolve().parents[2]

PAUSE = """
import os
import sys
import time
from pathlib import Path

def pause(event, arguments):
    if event == "os.rename" and (place := Path(os.fsdecode(arguments[1]))).parent.name == "checkpoints":
        earlier = [name for name in os.listdir(place.parent) if name.isdecimal()]
        while earlier and os.path.exists(os.environ["PAUSE_FILE"]):
            time.sleep(0.01)

sys.addaudithook(pause)
"""
"""What each process runs first: while the file is there, no stage gets past its second checkpoint."""


class Pause:
    """Stops commands in the middle of a stage, so that a test can kill them there however busy the machine is.

    Attributes:
        variables: For the environment of the command; the processes that it starts have them too.
    """

    def __init__(self, place: Path) -> None:
        self._file = place / "pause"
        self._file.touch()
        (place / "sitecustomize.py").write_text(PAUSE)
        paths = [str(place), *filter(None, [os.environ.get("PYTHONPATH")])]
        self.variables = {"PYTHONPATH": os.pathsep.join(paths), "PAUSE_FILE": str(self._file)}

    def end(self) -> None:
        """Let every process go on."""
        self._file.unlink()


@dataclass(frozen=True)
class Done:
    """What a command left."""

    code: int
    out: str
    err: str


@pytest.fixture
def work(tmp_path, monkeypatch) -> Path:
    """An empty working directory."""
    path = tmp_path / "work"
    path.mkdir()
    monkeypatch.chdir(path)
    return path


@pytest.fixture
def pause(tmp_path_factory) -> Pause:
    """Stop the commands that are started with its ``variables`` at the second checkpoint of a stage."""
    return Pause(tmp_path_factory.mktemp("pause"))


@pytest.fixture(scope="session")
def wait_until() -> Callable[..., None]:
    """Wait until something has happened, however long that takes on a busy machine, while a process runs."""

    def wait_until(happened: Callable[[], object], process: subprocess.Popen[str]) -> None:
        while not happened():
            assert process.poll() is None, process.communicate()
            time.sleep(0.01)

    return wait_until


@pytest.fixture
def call(work, monkeypatch, capsys) -> Callable[..., Done]:
    """Call the entry point in this process, with arguments; it must write nothing."""

    def call(*args: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["srframework", *args])
        before = sorted(work.iterdir())
        with pytest.raises(SystemExit) as caught:
            main()
        captured = capsys.readouterr()
        assert sorted(work.iterdir()) == before
        return Done(int(caught.value.code or 0), captured.out, captured.err)

    return call


@pytest.fixture
def start(work) -> Callable[..., Done]:
    """Start the command in a process of its own: the script, or, with ``module=True``, ``python -m srframework``.

    It must write nothing, and never show a traceback.
    """

    def start(*args: str, module: bool = False, **variables: str) -> Done:
        script = [str(Path(sys.executable).parent / "srframework")]
        environment = {key: value for key, value in os.environ.items() if not key.startswith("SRFRAMEWORK_")}
        before = sorted(work.iterdir())
        done = subprocess.run(
            [*([sys.executable, "-m", "srframework"] if module else script), *args],
            cwd=work,
            env=environment | {"PYTHONDONTWRITEBYTECODE": "1", **variables},
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        assert "Traceback" not in done.stderr
        assert sorted(work.iterdir()) == before
        return Done(done.returncode, done.stdout, done.stderr)

    return start


@pytest.fixture(scope="session")
def perform() -> Callable[..., Done]:
    """Call the entry point in this process, with arguments, in the directory ``cwd``; it may write there."""

    def perform(*args: str, cwd: Path) -> Done:
        out, err, known = io.StringIO(), io.StringIO(), set(sys.modules)
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(cwd)
            patch.setattr(sys, "argv", ["srframework", *args])
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as caught:
                main()
        for name in set(sys.modules) - known:  # a plugin file of the same name would not be loaded after this one
            if str(getattr(sys.modules[name], "__file__", None) or "").startswith(f"{cwd}{os.sep}"):
                del sys.modules[name]
        return Done(int(caught.value.code or 0), out.getvalue(), err.getvalue())

    return perform


@pytest.fixture
def make_run(work) -> Callable[..., Path]:
    """Write a finished run of two stages by hand, ``srnet`` started from ``full``; other settings by dotted key.

    ``figures``: stage -> ID and OOD figure; ``points``: level -> the same, inside ``srnet``;
    ``said``: stage or ``srnet@LEVEL`` -> split -> true and predicted labels.
    """

    def make(
        path,
        seed=1,
        figures=None,
        points=None,
        said=None,
        metric="accuracy",
        versions="0.1.0",
        data=None,
        id_split="dev",
        unit="fraction",
        **more,
    ):
        settings = {"name": "hand", "schema": 1, "seed": seed, "backbone": {"use": "srframework/tiny", "layers": 2}}
        settings |= {"dataset": {"use": "srframework/synthetic"}, "evaluators": [{"use": "srframework/accuracy"}]}
        loss = {"use": "srframework/std"}
        full = {"name": "full", "op": "train", "weights": "pretrained", "loss": dict(loss), "epochs": 3}
        pruner = {"use": "srframework/mask", "sparsity": 0.5}
        srnet = {"name": "srnet", "op": "prune", "weights": "full", "pruner": pruner, "loss": dict(loss), "epochs": 3}
        settings["stages"] = [full, srnet]
        for key, value in more.items():
            *tables, last = key.split("__")
            table = settings if tables[:1] not in (["full"], ["srnet"]) else {"full": full, "srnet": srnet}
            for name in tables:
                table = table[name]
            table[last] = value

        def measured(sparsity, id_figure, ood):
            evaluations = {id_split: {metric: id_figure, "nll": 1 - id_figure}, "hans": {metric: ood}}
            evaluations["model"] = {"entries": 1000.0, "sparsity/classifier": sparsity}
            shares = {"sparsity": sparsity, "id": id_figure, "ood": {"hans": ood}, "also": {}}
            return {**shares, "evaluations": evaluations}

        figures = figures or {"full": (0.9, 0.5), "srnet": (0.8, 0.7)}
        rows = [
            {"name": each["name"], "op": each["op"], "metric": metric, "unit": unit, "better": "higher"}
            | measured(0.0 if each is full else pruner["sparsity"], *figures[each["name"]])
            for each in (full, srnet)
            if each["name"] in figures
        ]
        if points:
            rows[-1]["levels"] = [{"level": level, **measured(level, *each)} for level, each in points.items()]
        place = work / path
        place.mkdir(parents=True)
        report = {"run": str(path), "recipe": settings["name"], "seed": seed, "stages": rows, "settings": settings}
        summary = report | {"id_split": id_split}
        facts = {"state": "finished", "versions": {"srframework": versions, "torch": "2.13.0"}, "data": data or {}}
        declared = [
            (metric, unit, "higher"),
            ("entries", "count", None),
            ("sparsity/*", "fraction", None),
            ("nll", "nats", "lower"),
        ]
        keys = ("name", "unit", "better", "description")
        facts["figures"] = [dict(zip(keys, (*each, "A figure."), strict=True)) for each in declared]
        for name, content in (("results.json", report), ("summary.json", summary)):
            (place / name).write_text(json.dumps(content, indent=2) + "\n")
        (place / "run.json").write_text(json.dumps(facts))
        for name, splits in (said or {}).items():
            stage, at, level = name.partition("@")
            for split, (label, predicted) in splits.items():
                file = (
                    place
                    / "stages"
                    / stage
                    / (f"points/{level}" if at else "")
                    / "predictions"
                    / f"{split}.safetensors"
                )
                file.parent.mkdir(parents=True, exist_ok=True)
                arrays = [np.asarray(each, dtype=np.int64) for each in (predicted, label)]
                logits = np.eye(2, dtype=np.float32)[arrays[0]]
                predictions_file.save(Predictions(split, ("no", "yes"), logits, *arrays), file)
        for row in rows:
            points = {f"{each['level']:g}": each for each in row.get("levels", [])}
            content = {"final": row, "points": points}
            file = place / "stages" / row["name"] / "figures.json"
            file.parent.mkdir(parents=True, exist_ok=True)
            keys = ("sparsity", "id", "ood", "also", "evaluations")
            brief = {point: {key: each[key] for key in keys} for point, each in {"": row, **points}.items()}
            content = {"final": brief.pop(""), "points": brief}
            file.write_text(json.dumps(content))
        return place

    return make


@pytest.fixture
def zoo(tmp_path, monkeypatch, perform) -> Callable[..., object]:
    """Install a distribution with one component, ``mine``, and run a recipe that uses it."""
    site = tmp_path / "site"
    work = tmp_path / "work"
    site.mkdir()
    work.mkdir()
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def install(kind: str, body: str = "pass", more="", fields="", options="", contract=None, code=None) -> str:
        _registry.cache_clear()  # a process of its own would not have it yet
        module = f"zoo_animal_{next(NUMBERS)}"
        slots = {
            "body": textwrap.indent(body, "    ").strip(),
            "more": more,
            "fields": fields,
            "options": textwrap.indent(options, "    ").strip(),
            "contract": contract or CONTRACTS[kind],
            "base": BASES.get(kind, "Options"),
            "hook": KINDS[kind].replace(" ", "_"),
        }
        text = HEAD
        for name, value in slots.items():
            text = text.replace(f"{{{name}}}", value)
        (site / f"{module}.py").write_text(text if code is None else code)
        info = site / f"{module}-1.2.dist-info"
        info.mkdir()
        info.joinpath("entry_points.txt").write_text(f"[srframework]\nmine = {module}\n")
        info.joinpath("METADATA").write_text("Metadata-Version: 2.1\nName: zoo\nVersion: 1.2\n")
        return module

    def write(kind: str, name: str = "mine", **others: str) -> Path:
        text = PLUGIN_RECIPE
        value = {"evaluator": f'"{name}"', "bias": f'bias = "{name}"'}.get(kind, name)
        for each, default in {**DEFAULTS, **others, kind: value}.items():
            text = text.replace(each.upper(), default)
        (work / "zoo.toml").write_text(text)
        return work / "zoo.toml"

    def run(kind: str, use="mine", command=("run",), args=(), others=None, recipe=True, **code):
        install(kind, **code)
        write(kind, use, **({"debiaser": "poe"} if kind == "bias" else {}), **(others or {}))
        file = ("zoo.toml",) if recipe else ()
        out = ("--out", "out") if command[0] in ("run", "sweep") else ()
        return perform(*command, *file, *out, *args, cwd=work)

    run.install, run.recipe, run.work, run.perform = install, write, work, perform
    return run


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("sweep")
    (path / "recipe.toml").write_text(RECIPE)
    return path


@pytest.fixture(scope="module")
def sweep(perform, home):
    """Sweep the recipe in this process; ``jobs`` work elsewhere."""

    def sweep(*args: str) -> SimpleNamespace:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("OMP_NUM_THREADS", "1")
            done = perform("sweep", "recipe.toml", *args, cwd=home)
        return SimpleNamespace(code=done.code, out=done.out, err=done.err, lines=without_times(done.err))

    return sweep


@pytest.fixture
def rows(call):
    """Call the command with --json; its rows, by stage and what varies."""

    def rows(*args):
        done = call("results", *args, "--json")
        assert done.code == 0, done.err
        return {(row["stage"], *row["settings"].values()): row for row in json.loads(done.out)}

    return rows


@pytest.fixture
def swept(make_run):
    """Two sparsities × three seeds; ``full`` is the same for both sparsities."""
    for seed in (1, 2, 3):
        for sparsity, srnet in ((0.5, 0.8), (0.7, 0.7)):
            figures = {"full": (0.9, 0.1 * seed), "srnet": (srnet, srnet + 0.01 * seed)}
            make_run(f"runs/s/seed={seed},sparsity={sparsity}", seed, figures, srnet__pruner__sparsity=sparsity)


@pytest.fixture(scope="session")
def environment(tmp_path_factory) -> Path:
    """A clean virtual environment with srframework, installed as the README says, but not editable."""
    place = tmp_path_factory.mktemp("clean")
    ignored = shutil.ignore_patterns(".*", "runs", "build", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, place / "source", symlinks=True, ignore=ignored)  # pip builds in the source directory
    subprocess.run([sys.executable, "-m", "venv", place / "venv"], check=True)
    pip_install(place / "venv", place / "source")
    return place / "venv"


def pip_install(environment: Path, *arguments: str | Path) -> None:
    pip = [environment / "bin" / "python", "-m", "pip", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--quiet", "--constraint", ROOT / "constraints.txt", *arguments], check=True)


@pytest.fixture
def install(environment) -> Callable[[Path], Callable[..., str]]:
    """Install a distribution; return a function that runs a Python module in its directory and returns the output."""

    def install(place: Path) -> Callable[..., str]:
        python = environment / "bin" / "python"
        pip_install(environment, "--editable", f"{place}[test]")

        def call(*args: str) -> str:
            variables = {**os.environ, "PYTHONWARNINGS": "error", "OMP_NUM_THREADS": "1"}
            done = subprocess.run(
                [python, "-m", *args], cwd=place, env=variables, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stdout + done.stderr
            return done.stdout

        return call

    return install
