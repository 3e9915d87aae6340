"""Options of the data sets of the paper's three tasks."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from srf_datasets.groups import keys_of, with_groups
from srf_datasets.label_tests import HANS_HINT, MNLI_HINT, SUPPORTS_OVER_NEI, SUPPORTS_OVER_REFUTES, nli_orderings
from srf_datasets.parsing import Columns, FileToCheck, Key, Parser, one_of, text_of_literal
from srf_datasets.text_options import TextOptions
from srframework import FileProblem, RowFile, directory_problem

NLI_LABELS = ("contradiction", "entailment", "neutral")
HANS_LABELS = ("non-entailment", "entailment")
MNLI = Columns("sentence1", "sentence2", "gold_label", id="pairID")
HEURISTICS = ("heuristic", "subcase", "template")
HANS = Columns("sentence1", "sentence2", "gold_label", HEURISTICS, "pairID")
NLI_FILES = {"train": "train.tsv", "dev": "dev_matched.tsv", "mismatched": "dev_mismatched.tsv"}
HANS_FILE = "heuristics_evaluation_set.txt"
HANS_TRAIN_FILE = "heuristics_train_set.txt"
HANS_HUB = "jhu-cogsci/hans"

PARAPHRASE_LABELS = ("0", "1")
"""Not a paraphrase, a paraphrase."""

QQP = Columns("question1", "question2", "is_duplicate", id="id")
PAWS = Columns("sentence1", "sentence2", "label")
QQP_FILES = {"train": "train.tsv", "dev": "dev.tsv"}
PAWS_HUB = "google-research-datasets/paws"

FACT_LABELS = ("SUPPORTS", "REFUTES", "NOT ENOUGH INFO")
FEVER_FILES = {"train": "fever.train.jsonl", "dev": "fever.dev.jsonl"}
SYMMETRIC_FILES = {"symmetric-v1": "sym1/test.jsonl", "symmetric-v2": "sym2/test.jsonl"}
SYMMETRIC_TRAIN_FILE = "sym2/dev.jsonl"


class NliOptions(TextOptions):
    """Options of ``nli``."""

    corpora: ClassVar[Mapping[str, str]] = {"path": "mnli", "hans": "hans"}

    path: str = Field(
        "glue/mnli",
        description="A directory with MNLI's train.tsv and dev_matched.tsv (GLUE), or a data set on the hub.",
    )
    mismatched: bool = Field(False, description="Also report MNLI's mismatched dev set.")
    hans: str | None = Field(
        None,
        description=f"A directory with HANS's {HANS_FILE}, or a data set on the hub; "
        f"unset: <path>/hans, or {HANS_HUB} if path is on the hub.",
    )
    hans_train: bool = Field(
        True, description=f"Use HANS's training set ({HANS_TRAIN_FILE}), if it exists, as OOD training data."
    )
    hans_non_entailment: Literal["either", "contradiction", "neutral"] = Field(
        "contradiction",
        json_schema_extra={"source": "released code; not specified in the paper"},
        description="The label that replaces non-entailment in HANS's training set; "
        "either: contradiction or neutral, drawn for each example by the recipe's seed.",
    )

    def sources_not_here(self) -> Iterator[FileProblem]:
        """Report the options for MNLI and HANS that name a missing directory."""
        return self.missing({"path": self.path, "hans": self.hans})

    def files(self) -> Iterator[FileToCheck]:
        """List the files of MNLI and HANS, if they are local."""
        if os.path.isdir(self.path):
            for name in ("train", "dev", *(["mismatched"] if self.mismatched else [])):
                file, columns = Path(self.path, NLI_FILES[name]), with_groups(MNLI, self.group_by)
                yield self._file("path", file, name, NLI_LABELS, columns, f"mnli/{name}")
        hans = Path(self.hans_source())
        if os.path.isdir(hans) or (os.path.isdir(self.path) and self.hans is None):
            key = "path" if self.hans is None else "hans"
            yield self._file(key, hans / HANS_FILE, "hans", HANS_LABELS, HANS, "hans/evaluation")
            if os.path.isdir(hans) and "ood-train" in self.provided():
                columns = Columns(HANS.text_a, HANS.text_b, HANS.label, id=HANS.id)
                yield self._file(key, hans / HANS_TRAIN_FILE, "ood_train", HANS_LABELS, columns, "hans/train")

    def _file(
        self, key: str, file: Path, name: str, labels: tuple[str, ...], columns: Columns, known: str
    ) -> FileToCheck:
        parser = partial(Parser, name, labels, columns, encoding=self.encoding)
        of_mnli = known.startswith("mnli")
        hint, orderings = (MNLI_HINT, nli_orderings({each: each for each in labels})) if of_mnli else (HANS_HINT, ())
        return FileToCheck((key,), str(file), "tsv", parser, keys_of(self.group_by), name, known, hint, orderings)

    def hans_source(self) -> str:
        """Give the directory or hub data set of HANS."""
        if self.hans is not None:
            return self.hans
        return str(Path(self.path, "hans")) if os.path.isdir(self.path) else HANS_HUB

    def provided(self) -> list[str]:
        """List features, and OOD training examples if they are wanted and exist."""
        source = Path(self.hans_source())
        train = self.hans_train and (not os.path.isdir(source) or os.path.isfile(Path(source, HANS_TRAIN_FILE)))
        return ["spurious-features", *self.of_backbone(), *(["ood-train"] if train else [])]


class ParaphraseOptions(TextOptions):
    """Options of ``paraphrase``."""

    corpora: ClassVar[Mapping[str, str]] = {"path": "qqp", "paws_qqp": "paws-qqp", "paws_wiki": "paws-wiki"}

    path: str = Field(
        "glue/qqp", description="A directory with QQP's train.tsv and dev.tsv (GLUE), or a data set on the hub."
    )
    paws_qqp: str | None = Field(
        None,
        description="A directory with PAWS-qqp's train.tsv, dev.tsv and test.tsv; unset: <path>/paws_qqp, "
        "or no PAWS-qqp if path is on the hub.",
    )
    paws_qqp_split: Literal["dev", "test"] = Field("dev", description="Split of PAWS-qqp to use as the OOD split.")
    paws_wiki: str | None = Field(
        None,
        description="A directory with PAWS-wiki's train.tsv, dev.tsv and test.tsv, or a data set on the hub; "
        f"unset: <path>/paws_wiki, or {PAWS_HUB} if path is on the hub.",
    )
    paws_wiki_split: Literal["dev", "test"] = Field("test", description="Split of PAWS-wiki to use as the OOD split.")

    def sources_not_here(self) -> Iterator[FileProblem]:
        """Report the options for QQP and PAWS that name a missing directory."""
        return self.missing({"path": self.path, "paws_qqp": self.paws_qqp, "paws_wiki": self.paws_wiki})

    def files(self) -> Iterator[FileToCheck]:
        """List the files of QQP and PAWS, if they are local."""
        if os.path.isdir(self.path):
            for name, file in QQP_FILES.items():
                columns = with_groups(QQP, self.group_by)
                parser = partial(Parser, name, PARAPHRASE_LABELS, columns, skip_empty=True, encoding=self.encoding)
                yield FileToCheck(
                    ("path",),
                    str(Path(self.path, file)),
                    "tsv",
                    parser,
                    keys_of(self.group_by),
                    name,
                    f"qqp/{name}",
                    may_have_short_rows=True,
                )
        train = self.paws_train()
        wanted = {"paws-qqp": (self.paws_qqp_split, "paws_qqp"), "paws-wiki": (self.paws_wiki_split, "paws_wiki")}
        for name, source in {"paws-qqp": self.paws_qqp_source(), "paws-wiki": self.paws_wiki_source()}.items():
            split, option = wanted[name]
            key: Key = ("path",) if getattr(self, option) is None else (option,)
            text = text_of_literal if name == "paws-qqp" else str
            parser = partial(Parser, name, PARAPHRASE_LABELS, PAWS, text=text, encoding=self.encoding)
            # The hub has no PAWS-qqp, and a missing directory is reported by itself.
            expected = key == ("path",) and os.path.isdir(self.path)
            expected |= name == "paws-qqp" and source is not None and not directory_problem(source, "Data set")
            if source is not None and (os.path.isdir(source) or expected):
                for each in (split, *(["train"] if name in train else [])):
                    file = str(Path(source, f"{each}.tsv"))
                    yield FileToCheck(key, file, "tsv", parser, split=f"{name} {each}", known=f"{name}/{each}")

    def paws_qqp_source(self) -> str | None:
        """Give the directory of PAWS-qqp, or None."""
        if self.paws_qqp is not None:
            return self.paws_qqp
        return str(Path(self.path, "paws_qqp")) if os.path.isdir(self.path) else None

    def paws_wiki_source(self) -> str:
        """Give the directory or hub data set of PAWS-wiki."""
        if self.paws_wiki is not None:
            return self.paws_wiki
        return str(Path(self.path, "paws_wiki")) if os.path.isdir(self.path) else PAWS_HUB

    def paws_train(self) -> dict[str, str]:
        """Give the sources of OOD training examples: ``"paws-qqp"``, ``"paws-wiki"`` -> a directory with train.tsv,
        or a hub data set."""
        qqp, wiki = self.paws_qqp_source(), self.paws_wiki_source()
        sources = {"paws-qqp": qqp} if qqp is not None and os.path.isfile(Path(qqp, "train.tsv")) else {}
        if not os.path.isdir(wiki) or os.path.isfile(Path(wiki, "train.tsv")):
            sources["paws-wiki"] = wiki
        return sources

    def provided(self) -> list[str]:
        """List features, and OOD training examples if they exist."""
        return ["spurious-features", *self.of_backbone(), *(["ood-train"] if self.paws_train() else [])]


class FactVerificationOptions(TextOptions):
    """Options of ``fact-verification``."""

    corpora: ClassVar[Mapping[str, str]] = {"path": "fever", "symmetric": "symmetric-v2"}

    path: str = Field(
        description=f"A directory with FEVER's {FEVER_FILES['train']} and {FEVER_FILES['dev']}, "
        "or a data set on the hub with the splits train and validation."
    )
    symmetric: str | None = Field(
        None,
        description="A directory with Fever-Symmetric's sym1/test.jsonl, sym2/test.jsonl and, for OOD training data, "
        "sym2/dev.jsonl; unset: path, or no Fever-Symmetric if path is on the hub.",
    )

    def sources_not_here(self) -> Iterator[FileProblem]:
        """Report the options for FEVER and Fever-Symmetric that name a missing directory."""
        return self.missing({"path": self.path, "symmetric": self.symmetric})

    def files(self) -> Iterator[FileToCheck]:
        """List the files of FEVER and Fever-Symmetric, if they are local."""
        if os.path.isdir(self.path):
            for name, file in FEVER_FILES.items():
                yield self._file("path", Path(self.path, file), name, f"fever/{name}", skip_empty=True)
        symmetric, ood_train = self.symmetric_source(), self.symmetric_train()
        key = "path" if self.symmetric is None else "symmetric"
        # The hub has no Fever-Symmetric, and a missing directory is reported by itself.
        if symmetric is not None and not directory_problem(symmetric, "Data set"):
            for name, file in SYMMETRIC_FILES.items():
                yield self._file(key, Path(symmetric, file), name, f"{name}/test")
        if ood_train is not None:
            yield self._file(key, Path(ood_train), "ood_train", "symmetric-v2/dev")

    def _file(self, key: str, file: Path, name: str, known: str, skip_empty: bool = False) -> FileToCheck:
        def parser() -> Parser:
            columns = fever_columns(str(file), self.encoding)
            if skip_empty:  # FEVER itself
                columns = with_groups(columns, self.group_by)
            return Parser(name, FACT_LABELS, columns, skip_empty=skip_empty, encoding=self.encoding)

        keys = keys_of(self.group_by) if skip_empty else {}
        orderings = (SUPPORTS_OVER_REFUTES, *([SUPPORTS_OVER_NEI] if skip_empty else []))
        return FileToCheck((key,), str(file), "jsonl", parser, keys, name, known, orderings=orderings)

    def symmetric_source(self) -> str | None:
        """Give the directory of Fever-Symmetric, or None."""
        if self.symmetric is not None:
            return self.symmetric
        return self.path if os.path.isdir(self.path) else None

    def symmetric_train(self) -> str | None:
        """Give the file with OOD training examples, or None."""
        source = self.symmetric_source()
        file = Path(source, SYMMETRIC_TRAIN_FILE) if source is not None else None
        return str(file) if file is not None and os.path.isfile(file) else None

    def provided(self) -> list[str]:
        """List features, and OOD training examples if they exist, or may exist while path is not found."""
        perhaps = self.symmetric is None and not os.path.isdir(self.path)
        return ["spurious-features", *self.of_backbone(), *(["ood-train"] if perhaps or self.symmetric_train() else [])]


def fever_columns(path: str, encoding: str) -> Columns:
    """Find the columns of a file of FEVER or Fever-Symmetric by its first row; their names differ between files.

    Raises:
        DataError: The file cannot be read, or a column is missing.
    """
    given = RowFile(path, "jsonl", (), encoding).header()
    evidence = one_of(path, given, ("evidence", "evidence_sentence"))
    return Columns("claim", evidence, one_of(path, given, ("gold_label", "label")), id="id")
