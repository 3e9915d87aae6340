"""The three tasks on a handful of rows, in the layouts in which users have them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

TOPICS = ("cat", "dog", "bird", "horse", "fish", "sheep")


def tsv(path: Path, header: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["\t".join(header), *("\t".join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def jsonl(path: Path, rows: Iterable[dict[str, object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def mnli(folder: Path) -> None:
    labels = ("entailment", "neutral", "contradiction")
    header = ["index", *(f"c{k}" for k in range(2, 9)), "sentence1", "sentence2", "label1", "gold_label"]
    for name, count in (("train", 12), ("dev_matched", 6), ("dev_mismatched", 6)):
        rows = [
            [i, *["x"] * 7, f'the {TOPICS[i % 6]} said "yes"', f"the {TOPICS[i % 5]} sat", "-", labels[i % 3]]
            for i in range(count)
        ]
        tsv(folder / f"{name}.tsv", header, rows)
    header = [
        "gold_label",
        "b1",
        "b2",
        "p1",
        "p2",
        "sentence1",
        "sentence2",
        "pairID",
        "heuristic",
        "subcase",
        "template",
    ]
    for name in ("train", "evaluation"):
        rows = [
            [gold, *["x"] * 4, f"the {topic} saw the cow .", "the cow sat .", f"ex{topic}", heuristic, "s", "t"]
            for gold, topic, heuristic in zip(
                ("entailment", "non-entailment") * 3,
                TOPICS,
                ("lexical_overlap", "subsequence", "constituent") * 2,
                strict=True,
            )
        ]
        tsv(folder / "hans" / f"heuristics_{name}_set.txt", header, rows)


def qqp(folder: Path) -> None:
    header = ["id", "qid1", "qid2", "question1", "question2", "is_duplicate"]
    for name, count in (("train", 12), ("dev", 6)):
        rows: list[list[object]] = [
            [i, 2 * i, 2 * i + 1, f"what is a {TOPICS[i % 6]} ?", f"who has a {TOPICS[i % 4]} ?", i % 2]
            for i in range(count)
        ]
        tsv(folder / f"{name}.tsv", header, [*rows, [count, 1, 2, "a short row"]])
    header = ["id", "sentence1", "sentence2", "label"]
    for name in ("train", "dev", "test"):
        wiki = [[i, f"the {TOPICS[i]} from here", f"from here the {TOPICS[i]}", i % 2] for i in range(4)]
        tsv(folder / "paws_wiki" / f"{name}.tsv", header, wiki)
        literals = [[i, repr(f"is the {TOPICS[i]} « old » ?".encode()), repr(b"it's old"), i % 2] for i in range(4)]
        tsv(folder / "paws_qqp" / f"{name}.tsv", header, literals)


def fever(folder: Path) -> None:
    labels = ("SUPPORTS", "REFUTES", "NOT ENOUGH INFO")
    for name, count in (("train", 12), ("dev", 6)):
        rows = [
            {
                "id": i,
                "claim": f"a {TOPICS[i % 6]} is old .",
                "evidence": f"{TOPICS[i % 4]} s are old .",
                "gold_label": labels[i % 3],
            }
            for i in range(count)
        ]
        jsonl(folder / f"fever.{name}.jsonl", rows)
    for place in ("sym1/test", "sym2/dev", "sym2/test"):
        column = "evidence_sentence" if place.startswith("sym1") else "evidence"
        rows = [
            {"id": i, "claim": f"a {TOPICS[i]} is new .", column: f"{TOPICS[i]} s are old .", "label": labels[i % 2]}
            for i in range(4)
        ]
        jsonl(folder / f"{place}.jsonl", rows)
