"""How many examples there are, counted and not read."""

from __future__ import annotations

import pytest

from srf_datasets.sizes import known_sizes, published, rows_of


@pytest.fixture
def file(tmp_path):
    def write(content: str) -> str:
        (tmp_path / "rows").write_text(content)
        return str(tmp_path / "rows")

    return write


@pytest.mark.parametrize(
    ("kind", "content", "where", "expected"),
    [
        ("tsv", "a\tb\n1\t2\n3\t4\n", None, 2),
        ("tsv", "a\tb\n1\t2\n3\t4", None, 2),
        ("tsv", "a\tb\n1\t2\nshort\n", None, 2),
        ("tsv", "a\tb\n", None, 0),
        ("tsv", "", None, 0),
        ("tsv", "a\tb\n1\tx\n2\ty \n3\ty\n", {"b": "y"}, 2),
        ("tsv", "a\tb\n1\tx\n", {"c": "y"}, None),
        ("csv", 'a,b\n"two\nlines",1\nx,2\n', None, 2),
        ("csv", 'a,b\n"unclosed,1\n', None, None),
        ("csv", "a,b\nx,1\ny,2\n", {"b": "2"}, 1),
        ("jsonl", '{"a": 1}\n{"a": 2}\n', None, 2),
        ("jsonl", '{"a": 1}\n{"a": 2}', None, 2),
        ("jsonl", '{"a": 1}\n{"a": 2}\n', {"a": "2"}, 1),
        ("jsonl", "no JSON\n", {"a": "2"}, None),
    ],
)
def test_rows_are_counted(file, kind, content, where, expected):
    assert rows_of(file(content), kind, where) == expected


def test_rows_of_a_large_file_are_counted_over_its_pieces(file):
    assert rows_of(file("header\n" + "x" * 99 + "\n" + ("y" * 99 + "\n") * 30_000), "tsv") == 30_001


@pytest.mark.parametrize("name", ["missing", "."])
@pytest.mark.parametrize("kind", ["tsv", "csv"])
def test_a_file_that_cannot_be_read_has_no_count(tmp_path, name, kind):
    assert rows_of(tmp_path / name, kind) is None


@pytest.mark.parametrize(
    ("source", "split", "expected"),
    [
        ("glue/mnli", "train", 392_702),
        ("glue/qqp", "dev", 40_432),
        ("glue/qqp", "test", None),
        ("other/mnli", "train", None),
    ],
)
def test_published_sizes_are_of_the_named_data_sets_alone(source, split, expected):
    assert published(source, split) == expected


COUNTS = {"train": 9, "dev": 7, "hans": 3, "ood": None, "ood_train": 8}


@pytest.mark.parametrize(("max_train", "train"), [(None, 9), (5, 5), (9, 9), (10, 9)])
def test_what_is_told_is_what_is_known_and_max_train_holds_for_train_alone(max_train, train):
    assert known_sizes(COUNTS, max_train) == {"train": train, "dev": 7, "hans": 3, "ood_train": 8}
    assert known_sizes({"dev": 7}, max_train) == {"dev": 7}


@pytest.mark.parametrize(("max_eval", "dev", "hans"), [(None, 7, 3), (8, 7, 3), (5, 5, 3), (2, 2, 2)])
def test_max_eval_holds_for_all_splits_but_the_training_examples(max_eval, dev, hans):
    assert known_sizes(COUNTS, None, max_eval) == {"train": 9, "dev": dev, "hans": hans, "ood_train": 8}
