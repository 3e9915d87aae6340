"""Small files in the layouts of the tasks, for the checks of the data sets."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

_NAMES = ("cat", "dog", "bird", "horse", "fish", "sheep")


def _tsv(path: Path, header: str, rows: Iterable[Sequence[object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["\t".join(header.split()), *("\t".join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _jsonl(path: Path, rows: Iterable[dict[str, object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def _rows(tag: str, labels: Sequence[object], count: int) -> list[tuple[str, str, object]]:
    return [
        (f"the {_NAMES[i % 6]} {tag}{i} sat", f"the {_NAMES[i % 5]} sat", labels[i % len(labels)]) for i in range(count)
    ]


def pairs(directory: Path) -> dict[str, object]:
    """Write train, dev and OOD files; return the options of ``pairs``."""
    for name, count in (("train", 8), ("dev", 4), ("far", 4)):
        _tsv(directory / f"{name}.tsv", "a b label", _rows(name, ("yes", "no"), count))
    files = {name: {"path": f"{name}.tsv"} for name in ("train", "dev")}
    columns = {"labels": ["no", "yes"], "text_a": "a", "text_b": "b", "features": "overlap"}
    return {"root": str(directory), **columns, **files, "ood": {"far": {"path": "far.tsv"}}}


def nli(directory: Path) -> dict[str, object]:
    """Write files of MNLI and HANS; return the options of ``nli``."""
    labels = ("entailment", "neutral", "contradiction")
    for name, count in (("train", 12), ("dev_matched", 6)):
        _tsv(directory / f"{name}.tsv", "sentence1 sentence2 gold_label", _rows(name, labels, count))
    hans = _rows("hans", ("entailment", "non-entailment"), 6)
    header = "gold_label sentence1 sentence2 pairID heuristic subcase template"
    rows = [(label, a, b, f"ex{i}", "subsequence", "s", "t") for i, (a, b, label) in enumerate(hans)]
    _tsv(directory / "hans" / "heuristics_evaluation_set.txt", header, rows)
    return {"path": str(directory)}


def paraphrase(directory: Path) -> dict[str, object]:
    """Write files of QQP and PAWS; return the options of ``paraphrase``."""
    for name, count in (("train", 12), ("dev", 6)):
        _tsv(directory / f"{name}.tsv", "question1 question2 is_duplicate", _rows(name, (0, 1), count))
    _tsv(directory / "paws_wiki" / "test.tsv", "sentence1 sentence2 label", _rows("wiki", (0, 1), 4))
    qqp = [(repr(a.encode()), repr(b.encode()), label) for a, b, label in _rows("qqp", (0, 1), 4)]
    _tsv(directory / "paws_qqp" / "dev.tsv", "sentence1 sentence2 label", qqp)
    return {"path": str(directory)}


def fact_verification(directory: Path) -> dict[str, object]:
    """Write files of FEVER and Fever-Symmetric; return the options of ``fact-verification``."""
    labels = ("SUPPORTS", "REFUTES", "NOT ENOUGH INFO")
    for name, count in (("fever.train", 12), ("fever.dev", 6), ("sym1/test", 4), ("sym2/test", 4)):
        rows = _rows(name, labels if name.startswith("fever") else labels[:2], count)
        table = [{"claim": a, "evidence": b, "label": label} for a, b, label in rows]
        _jsonl(directory / f"{name}.jsonl", table)
    return {"path": str(directory)}
