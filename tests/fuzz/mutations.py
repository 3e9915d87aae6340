"""Mutations of the shipped recipes and of the arguments of the command line, as hypothesis strategies."""

from __future__ import annotations

import copy
import datetime
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import tomli
import tomli_w
from hypothesis import strategies as st

from srframework.recipe.model import shipped

RECIPES = {name: path.read_text(encoding="utf-8") for name, path in shipped().items()}

WORDS = [
    "",
    " ",
    "x",
    "full",
    "FULL",
    "pretrained",
    "full@1",
    "full@0.5",
    "full@",
    "@",
    "a@b@c",
    "full@99999999999999999",
]
WORDS += [
    "[key]",
    "a.b",
    "../../x",
    "/dev/null",
    "NUL",
    "con.txt",
    "é",
    "日本語",
    "\u202e",
    "\x1b[31mred",
    "a\nb",
    "\t",
    "\0",
]
WORDS += [
    "x" * 300,
    "x" * 5000,
    "true",
    "1",
    "std",
    "poe",
    "mask",
    "srframework/tiny",
    "other/tiny",
    "'",
    '"',
    "\\",
    "{",
    "[bold]",
]
KEYS = [
    *WORDS,
    "use",
    "name",
    "op",
    "weights",
    "mask",
    "loss",
    "seed",
    "training",
    "stages",
    "sweep",
    "zip",
    "variant",
    "variants",
]
NUMBERS = [0, 1, -1, 2, 3, 7, 100, 2**31, 2**32, 2**53, 2**63 - 1, -(2**63), 2**63, 10**30, 10**400]
NUMBERS += [0.0, -0.0, 0.5, 1.0, 1.5, 1e-320, 1e308, float("inf"), float("-inf"), float("nan")]
DATES = [datetime.date(2024, 1, 1), datetime.time(1, 2), datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)]
DEEP: list[Any] = []
for _ in range(60):
    DEEP = [DEEP]
SNIPPETS = [
    "\0",
    "\r",
    "\x1b",
    "\ufeff",
    "\ud7ff",
    '"',
    "'",
    '"""',
    "[",
    "]",
    "[[",
    "{",
    "}",
    "=",
    "#",
    "\n",
    ".",
    ",",
    "@",
]
SNIPPETS += [
    "9" * 5000,
    "0x" + "f" * 5000,
    "1e999",
    "nan",
    "[" * 3000,
    "a." * 2000 + "a = 1\n",
    "2024-02-30",
    "\\ud800",
    "\\u0000",
]
SNIPPETS += [
    "x = 1\n" * 2,
    "[sweep]\nseed = [1, 2]\n",
    "[[stages]]\n",
    "[variants.x]\nseed = 2\n",
    "[[sweep.zip]]\nseed = [1, 2]\n",
]
SNIPPETS += [f'"{key}" = 1\n' for key in ("[key]", "", "a\\nb", "é", "x" * 3000)]

scalars = st.one_of(st.sampled_from(WORDS), st.sampled_from(NUMBERS), st.booleans(), st.sampled_from(DATES))
values = st.one_of(
    scalars,
    st.integers(-3, 10**6),
    st.floats(),
    st.text(max_size=20).filter(lambda text: text.isprintable()),
    st.lists(scalars, max_size=4),
    st.dictionaries(st.sampled_from(KEYS), scalars, max_size=3),
    st.just(DEEP),
    st.lists(st.integers(0, 9), min_size=20, max_size=200),
    st.builds(
        lambda name, more: {"use": name, **more},
        st.sampled_from(WORDS),
        st.dictionaries(st.sampled_from(KEYS), scalars, max_size=2),
    ),
)


@dataclass(frozen=True)
class Example:
    """One recipe file and what is called with it.

    Attributes:
        text: The file.
        overrides: Of ``--set``.
        grid: Of ``--grid``; where there are any, it is a sweep.
    """

    text: bytes
    overrides: tuple[str, ...]
    grid: tuple[str, ...]


@st.composite
def examples(draw: st.DrawFn) -> Example:
    """A shipped recipe with some mutations, and arguments with some."""
    text = RECIPES[draw(st.sampled_from(sorted(RECIPES)))]
    data = tomli.loads(text)
    kind = draw(st.sampled_from(["tables", "tables", "tables", "text", "both", "arguments", "arguments"]))
    if kind in ("tables", "both"):
        for _ in range(draw(st.integers(1, 3))):
            _mutate(draw, data)
        text = _dumped(data)
    raw = text.encode("utf-8", "surrogatepass")
    if kind in ("text", "both"):
        for _ in range(draw(st.integers(1, 3))):
            raw = _mutate_text(draw, raw)
    overrides, grid = (), ()
    if kind == "arguments" or draw(st.integers(0, 3)) == 0:
        overrides = tuple(draw(st.lists(arguments(data), max_size=3)))
        wild = arguments(data, several=True)
        tame = st.sampled_from(
            ["seed=1,2", "training.max_steps=3,4,5", "training.learning_rate=1e-3,1e-2", "name=a,'b c',\"d\""]
        )
        grid = tuple(draw(st.lists(st.one_of(tame, tame, wild), max_size=2)))
    return Example(raw, overrides, grid)


@st.composite
def arguments(draw: st.DrawFn, data: dict[str, Any], several: bool = False) -> str:
    """``KEY=VALUE`` of a key of the recipe, or of something else."""
    keys = list(_dotted(data))
    key = draw(
        st.one_of(
            st.sampled_from(keys),
            st.sampled_from(keys),
            st.sampled_from(
                [
                    "a..b",
                    ".",
                    "",
                    "stages.",
                    "stages.0.name",
                    "stages.99.op",
                    "stages",
                    "sweep",
                    "sweep.seed",
                    "variant",
                    "variants.x.seed",
                    "training.epochs.x",
                    "a." * 50 + "a",
                    "x" * 3000,
                    "\udc80",
                ]
            ),
        )
    )
    texts = [
        draw(st.one_of(values.map(_written), st.sampled_from(SNIPPETS)))
        for _ in range(draw(st.integers(1, 4)) if several else 1)
    ]
    return f"{key}{draw(st.sampled_from(['=', '=', '=', '=', '', '==']))}{','.join(texts)}"


def _written(value: Any) -> str:
    try:
        return (
            tomli_w.dumps({"v": value}).partition("= ")[2].strip()
            if not isinstance(value, dict)
            else json.dumps(value, default=str)
        )
    except ValueError:
        return "9" * 5000


def _dumped(data: dict[str, Any]) -> str:
    try:
        return tomli_w.dumps(data)
    except ValueError:  # Python writes no integers of thousands of digits
        return "x = " + "9" * 5000


def _places(table: Any) -> Iterator[tuple[Any, Any]]:
    """Every table or array with each of its keys."""
    waiting = [table]
    while waiting:
        table = waiting.pop()
        for key in list(table if isinstance(table, dict) else range(len(table))):
            yield table, key
            if isinstance(table[key], dict | list):
                waiting.append(table[key])


def _dotted(table: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    items = table.items() if isinstance(table, dict) else enumerate(table)
    for key, value in items:
        name = value.get("name", key) if path == ("stages",) and isinstance(value, dict) else key
        yield ".".join((*path, str(name)))
        if isinstance(value, dict) or (isinstance(value, list) and key == "stages"):
            yield from _dotted(value, (*path, str(name)))


def _mutate(draw: st.DrawFn, data: dict[str, Any]) -> None:
    places = list(_places(data))
    if not places:
        return
    table, key = places[draw(st.integers(0, len(places) - 1))]
    other_table, other_key = places[draw(st.integers(0, len(places) - 1))]
    how = draw(
        st.sampled_from(
            ["delete", "value", "value", "value", "rename", "swap", "copy", "add", "case", "repeat", "wrap", "sweep"]
        )
    )
    if how == "delete":
        del table[key]
    elif how == "value":
        table[key] = copy.deepcopy(draw(values))
    elif how == "rename" and isinstance(table, dict):
        table[draw(st.sampled_from(KEYS))] = table.pop(key)
    elif how == "swap":
        table[key], other_table[other_key] = copy.deepcopy(other_table[other_key]), copy.deepcopy(table[key])
    elif how == "copy":
        table[key] = copy.deepcopy(other_table[other_key])
    elif how == "add" and isinstance(table, dict):
        table[draw(st.sampled_from(KEYS))] = copy.deepcopy(draw(values))
    elif how == "case" and isinstance(table[key], str):
        table[key] = table[key].swapcase()
    elif how == "repeat" and isinstance(table, list):
        table.extend(copy.deepcopy(table[key]) for _ in range(draw(st.sampled_from([1, 2, 30]))))
    elif how == "wrap":
        table[key] = [table[key]]
    elif how == "sweep":
        sizes = draw(st.lists(st.sampled_from([1, 2, 5, 10, 20_000]), min_size=1, max_size=3))
        keys = [draw(st.sampled_from(list(_dotted(data)))) for _ in sizes]
        data["sweep"] = {key: list(range(size)) for key, size in zip(keys, sizes, strict=True)}


def _mutate_text(draw: st.DrawFn, raw: bytes) -> bytes:
    place = draw(st.integers(0, len(raw)))
    how = draw(st.sampled_from(["flip", "insert", "insert", "delete", "line", "cut", "crlf"]))
    if how == "flip" and raw:
        place = min(place, len(raw) - 1)
        return raw[:place] + bytes([raw[place] ^ (1 << draw(st.integers(0, 7)))]) + raw[place + 1 :]
    if how == "insert":
        return raw[:place] + draw(st.sampled_from(SNIPPETS)).encode() + raw[place:]
    if how == "delete":
        return raw[:place] + raw[place + draw(st.integers(1, 40)) :]
    if how == "cut":
        return raw[:place]
    if how == "crlf":
        return raw.replace(b"\n", b"\r\n")
    lines = raw.split(b"\n")
    first, second = (draw(st.integers(0, len(lines) - 1)) for _ in range(2))
    lines.insert(first, lines[second])
    return b"\n".join(lines)
