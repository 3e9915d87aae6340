"""Call `validate`, `run --dry-run` and `sweep --dry-run` with mutated recipes and arguments; see what they answer.

By hand: `make fuzz`. Exit code 0 only if there was no traceback, no wrong exit code, no wrong line, no slow answer.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import re
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ |= {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}

sys.path.append(str(Path(__file__).parents[1]))

from hypothesis import HealthCheck, Phase, given, seed, settings
from mutations import Example, examples
from small_data import fever, mnli, qqp

from srframework.cli import context, main
from srframework.registry.discovery import discover

LONGEST_LINE = 4000
"""Characters of a line on stderr."""

DATA = {"MNLI": mnli, "QQP": qqp, "fever": fever}
"""Directories under ``data`` that the paper's recipes name: `validate` looks into their files."""

_PLACE = re.compile(r"recipe\.toml:\d+: |--set |warning: |and \d+ more problems|error: expected arguments in UTF-8")
"""The beginning of a line of `validate`: the line in the file, or the argument."""

OF_POINTS = ("a step of", "a sparsity level that")
"""What `run` refuses and `validate` cannot: how far a stage gets is known when its pruner is built, with torch."""


@dataclass(frozen=True)
class Answer:
    """What a command gave: its exit code, None for a traceback; CPU seconds."""

    arguments: tuple[str, ...]
    code: int | None
    out: str
    err: str
    seconds: float


@dataclass
class Report:
    """What came of all examples."""

    examples: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    findings: list[dict[str, Any]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        kinds = Counter(each["kind"] for each in self.findings)
        return {
            "examples": self.examples,
            "answers": dict(sorted(self.codes.items())),
            "slowest": round(self.slowest, 2),
            "tracebacks": kinds["traceback"],
            "findings": dict(kinds),
        }


def call(*arguments: str) -> Answer:
    """Call the entry point in this process."""
    sys.argv = ["srframework", *arguments]
    out, err = io.StringIO(), io.StringIO()
    started = time.process_time()
    code: int | None = None
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 0 if error.code is None else 1
        except BaseException:  # noqa: BLE001  (whatever it is, it is a finding)
            err.write(traceback.format_exc())
    if "internal error" in err.getvalue():
        code = None
    return Answer(arguments, code, out.getvalue(), err.getvalue(), time.process_time() - started)


def answers(example: Example) -> list[Answer]:
    """What the commands answer of an example: `validate` first."""
    Path("recipe.toml").write_bytes(example.text)
    chosen = [part for each in example.overrides for part in ("--set", each)]
    grid = [part for each in example.grid for part in ("--grid", each)]
    given = [call("validate", "recipe.toml", *chosen), call("run", "recipe.toml", "--dry-run", *chosen)]
    return [*given, call("sweep", "recipe.toml", "--dry-run", *chosen, *grid)] if grid else given


def wrong(given: list[Answer], limit: float) -> Iterator[tuple[str, Answer]]:
    """The kind of each thing that is wrong."""
    for each in given:
        if each.code is None:
            yield "traceback", each
            continue
        if each.code not in (0, 2, 3):
            yield "exit code", each
        refused = any(line.startswith(("error", "Error")) for line in each.err.splitlines())
        if (each.code == 0) == refused and each.arguments[0] != "validate":
            yield "exit code and message", each
        if each.seconds > limit:
            yield "slow", each
        for line in each.err.split("\n"):
            if len(line) > LONGEST_LINE:
                yield "long line", each
            if not line.isprintable():
                yield "control character", each
    validate, run, *_ = given
    for line in validate.err.splitlines() if validate.code == 2 else ():
        if not _PLACE.match(line):
            yield "no place", validate
    if (validate.code == 0) != validate.out.endswith(": valid\n"):
        yield "exit code and message", validate
    if validate.code == 0 and run.code == 2 and not any(each in run.err for each in OF_POINTS):
        yield "valid, and refused by run", run


def fuzz(count: int, start: int, limit: float) -> Report:
    """Try that many examples.

    Args:
        count: How many.
        start: Of the random numbers.
        limit: CPU seconds that an answer may take.
    """
    report = Report()
    for name, write in DATA.items():
        write(Path("data", name))
    plugins = discover()
    context.discover = lambda *_: plugins
    call("run", "quickstart", "--dry-run")  # imports what only a run needs

    @seed(start)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(examples())
    def attempt(example: Example) -> None:
        report.examples += 1
        given = answers(example)
        for each in given:
            report.codes[f"{each.arguments[0]}: {'traceback' if each.code is None else each.code}"] += 1
            report.slowest = max(report.slowest, each.seconds)
        for kind, answer in {(kind, answer.arguments): (kind, answer) for kind, answer in wrong(given, limit)}.values():
            print(f"{kind}: {answer.arguments!a}: {answer.err[-400:]!a}", file=sys.stderr, flush=True)
            report.findings.append(
                {"kind": kind, "arguments": answer.arguments, "seconds": answer.seconds, "code": answer.code}
                | {"err": answer.err[-3000:], "text": example.text.decode("utf-8", "backslashreplace")}
            )

    attempt()
    return report


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=float, default=2.0, help="CPU seconds that an answer may take.")
    parser.add_argument("--json", type=Path, help="Where to write the counts and the findings.")
    return parser.parse_args()


if __name__ == "__main__":
    options = _arguments()
    place = options.json.absolute() if options.json else None
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        report = fuzz(options.examples, options.seed, options.limit)
        remains = sorted(path.name for path in Path().iterdir() if path.name not in ("recipe.toml", "data"))
    if remains:
        report.findings.append({"kind": "files left", "err": ", ".join(remains)})
    print(json.dumps(report.to_json(), indent=2))
    if place:
        place.write_text(json.dumps(report.to_json() | {"all": report.findings}, indent=2))
    sys.exit(1 if report.findings else 0)
