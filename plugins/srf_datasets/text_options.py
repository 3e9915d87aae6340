"""Options of all data sets of texts."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import ClassVar

from pydantic import Field

from srf_datasets.complete_check import findings, vector_findings
from srf_datasets.groups import DESCRIPTION, GroupBy
from srf_datasets.parsing import FileToCheck, check_all
from srf_datasets.published import address, not_found
from srf_datasets.vector_files import check_vectors
from srframework import Encoding, FileProblem, Finding, LaterFile, Options, directory_problem

BACKBONE = "backbone"
"""Value of ``word_vectors``: the input embeddings of the backbone."""


class TextOptions(Options):
    """Options of all data sets of texts."""

    corpora: ClassVar[Mapping[str, str]] = {}
    """Option that names a directory -> the corpus in it, as in ``published.json``."""

    max_train: int | None = Field(
        None,
        ge=1,
        description="Number of training examples, at least 1, drawn at random by the recipe's seed; unset: all.",
    )
    max_eval: int | None = Field(
        None,
        ge=1,
        description="Number of examples of each split that is evaluated (dev, test, every OOD split), at least 1, "
        "drawn at random by the recipe's seed; unset: all.",
    )
    word_vectors: LaterFile = Field(
        BACKBONE,
        min_length=1,
        description="A fastText .vec text file with word vectors for the spurious features, as in the paper; "
        f'"{BACKBONE}": the input embeddings of the backbone instead.',
    )
    encoding: Encoding = Field(
        "utf-8", description='Encoding of the data files, as in Python: "utf-8", "latin-1", "cp1252", "utf-16".'
    )
    group_by: GroupBy = Field((), description=DESCRIPTION)

    def input_paths(self) -> list[str] | None:
        """Return the local directories and the word vectors, if no source is on the hub."""
        sources = [getattr(self, option) for option in self.corpora]
        named = [source for source in sources if source is not None]
        if not named or not all(map(os.path.isdir, named)):
            return None
        return [*named, *filter(None, [self.vector_file()])]

    def check_files(self) -> Iterator[FileProblem]:
        """Check the header and the first rows of every local file."""
        yield from self.sources_not_here()
        yield from check_all(self.files())
        if (path := self.vector_file()) is not None:
            message = check_vectors(path) if os.path.lexists(path) else not_found(path, "word-vectors")
            if message:
                instead = f'or set word_vectors = "{BACKBONE}", which gives another p_b'
                yield FileProblem(("word_vectors",), f"{message}; {instead}")

    def check_data(self) -> Iterator[Finding]:
        """Check all rows of every local file; compare sizes and class shares with the published ones."""
        for problem in self.sources_not_here():
            key = ".".join(map(str, problem.key))
            source = address(self.corpora.get(key, ""))
            get = f" Get it from {source}." if source else ""
            yield Finding("problem", key, "file", f"{problem.message}{get}")
        yield from findings(self.files())
        if (path := self.vector_file()) is not None:
            yield from vector_findings(path)

    def vector_file(self) -> str | None:
        """Give the file of word vectors; None for the input embeddings of the backbone."""
        return None if self.word_vectors == BACKBONE else self.word_vectors

    def of_backbone(self) -> list[str]:
        """List what the data set provides if its features use the backbone's embeddings."""
        return ["backbone-vectors"] if self.vector_file() is None else []

    def sources_not_here(self) -> Iterator[FileProblem]:
        """Report the options that name a local directory that does not exist."""
        yield from ()

    def files(self) -> Iterator[FileToCheck]:
        """List the local files of the data set, with their parsers."""
        yield from ()

    @staticmethod
    def missing(sources: Mapping[str, str | None]) -> Iterator[FileProblem]:
        """Report the options that name a local directory that does not exist; ``sources``: option -> value."""
        for option, source in sources.items():
            if source is not None and (problem := directory_problem(source, "Data set", (option,))):
                yield problem
