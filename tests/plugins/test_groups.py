"""group_by: the column ``group``."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from srf_datasets.options import PairsOptions
from srf_datasets.pairs import Pairs
from srf_datasets.synthetic import FILLER, Synthetic
from srf_datasets.synthetic_options import SyntheticOptions

ROWS = "a\tb\tlabel\ttopic\nx\ty\tyes\tart\nz\ty\tno\tlaw\n"


@pytest.fixture
def pairs(tmp_path):
    def make(group_by, keep=()):
        (tmp_path / "x.tsv").write_text(ROWS)
        source = {"path": "x.tsv"}
        ood = {"far": {**source, "keep": list(keep)}}
        fields = {"root": str(tmp_path), "labels": ["no", "yes"], "text_a": "a", "text_b": "b"}
        return PairsOptions(**fields, train=source, dev=source, ood=ood, group_by=group_by)

    return make


def test_groups_of_the_label_and_a_column(pairs):
    task = Pairs(pairs(["label", "topic"])).load(1)
    for split in (task.train, task.dev):
        assert split.examples["group"][:] == ["label=yes, topic=art", "label=no, topic=law"]
    assert "group" not in task.ood[0].examples.column_names


def test_an_ood_split_with_the_columns_has_groups(pairs):
    task = Pairs(pairs(["topic"], keep=["topic"])).load(1)
    assert task.ood[0].examples["group"][:] == ["topic=art", "topic=law"]


def test_without_the_option_there_are_none(pairs):
    assert "group" not in Pairs(pairs([])).load(1).train.examples.column_names


def test_a_column_that_is_not_in_the_file_is_reported_at_the_option(pairs):
    (problem, *_) = pairs(["topik"]).check_files()
    assert problem.key == ("group_by",)
    assert "expected a column 'topik'" in problem.message


@pytest.mark.parametrize("names", [["label", "label"], ["text_a"], ["group"]])
def test_names_that_cannot_make_groups_are_refused(pairs, names):
    with pytest.raises(ValidationError, match="columns other than text_a, text_b and group, each once"):
        pairs(names)


def cue_of(claim):
    first, *_, last = claim.split()
    return last if first == FILLER else first


def test_the_groups_of_synthetic_are_made_of_the_label_and_the_cue():
    task = Synthetic(SyntheticOptions(train_size=3, dev_size=3, ood_size=3, group_by=["label", "cue"])).load(1)
    names, cues = task.dev.labels, [*map(cue_of, task.dev.examples["text_b"])]
    expected = [f"label={names[y]}, cue={cue}" for y, cue in zip(task.dev.examples["label"], cues, strict=True)]
    assert task.dev.examples["group"][:] == expected
