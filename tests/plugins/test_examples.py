"""Rows as examples: labels looked up, texts checked, what was left out told; files and hub alike."""

from __future__ import annotations

import datasets
import huggingface_hub.constants
import pytest

from srf_datasets.examples import Columns, Reader, collapse_to, hub_name
from srframework import DataError

COLUMNS = Columns("premise", "hypothesis", "label")
LABELS = ("no", "yes")


@pytest.fixture
def tsv(tmp_path):
    def write(*rows: str, header: str = "premise|hypothesis|label") -> str:
        path = tmp_path / "rows.tsv"
        path.write_text("\n".join([header, *rows, ""]).replace("|", "\t"), encoding="utf-8")
        return str(path)

    return write


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """Saves data sets as directories of parquet files, which are read as the hub's are."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))

    def save(**splits: datasets.Dataset) -> str:
        for name, data in splits.items():
            data.to_parquet(tmp_path / "copy" / f"{name}.parquet")
        return str(tmp_path / "copy")

    (tmp_path / "copy").mkdir()
    return save


def refused(act) -> str:
    with pytest.raises(DataError) as caught:
        act()
    return str(caught.value)


# -- files ---------------------------------------------------------------------------------------


def test_rows_become_texts_and_label_indices(tsv):
    reader = Reader("train", LABELS, COLUMNS)
    split = reader.from_file(tsv("a b|c|yes", "d|e|no"), "tsv")
    assert split.name == "train"
    assert split.labels == LABELS
    assert split.collapse is None
    assert split.examples.to_dict() == {"text_a": ["a b", "d"], "text_b": ["c", "e"], "label": [1, 0]}
    assert reader.notes == []


def test_one_text_gives_no_second_column(tsv):
    split = Reader("train", LABELS, Columns("premise", "", "label")).from_file(tsv("a|b|yes"), "tsv")
    assert split.examples.to_dict() == {"text_a": ["a"], "label": [1]}


def test_kept_columns_go_along(tsv):
    columns = Columns("premise", "hypothesis", "label", keep=("heuristic",))
    path = tsv("a|b|yes|overlap", "c|d|no|", header="premise|hypothesis|label|heuristic")
    assert Reader("ood", LABELS, columns).from_file(path, "tsv").examples["heuristic"][:] == ["overlap", ""]


def test_where_takes_only_rows_with_these_values_and_checks_no_other(tsv):
    columns = Columns("premise", "hypothesis", "label", where={"set": "TEST"})
    path = tsv("a|b|yes|TEST", "|d|zork|TRAIN", "e|f|no|TEST ", header="premise|hypothesis|label|set")
    split = Reader("test", LABELS, columns).from_file(path, "tsv")
    assert split.examples.to_dict() == {"text_a": ["a", "e"], "text_b": ["b", "f"], "label": [1, 0]}


def test_where_that_no_row_meets_is_an_error_that_shows_it(tsv):
    path = tsv("a|b|yes")
    columns = Columns("premise", "hypothesis", "label", where={"premise": "z"})
    assert refused(lambda: Reader("dev", LABELS, columns).from_file(path, "tsv")) == (
        f"{path}: expected labelled rows for split 'dev' with {{'premise': 'z'}}, got none (0 short, 0 unlabelled)"
    )


@pytest.mark.parametrize(
    ("rows", "notes"),
    [
        (["a|b|"], ["1 unlabelled row skipped"]),
        (["a|b|-", "c|d|"], ["2 unlabelled rows skipped"]),
        (["only", "a|b"], ["2 short rows skipped"]),
        (["only", "||-"], ["1 short row skipped", "1 unlabelled row skipped"]),
    ],
)
def test_short_and_unlabelled_rows_are_skipped_counted_and_noted(tsv, rows, notes):
    path = tsv("x|y|yes", *rows)
    reader = Reader("train", LABELS, COLUMNS)
    assert len(reader.from_file(path, "tsv").examples) == 1
    assert reader.notes == [f"{path}: {note}" for note in notes]


def test_a_file_of_skipped_rows_alone_is_an_error_that_counts_them(tsv):
    path = tsv("only", "a|b|-", "a|b|")
    assert refused(lambda: Reader("train", LABELS, COLUMNS).from_file(path, "tsv")) == (
        f"{path}: expected labelled rows for split 'train' with any values, got none (1 short, 2 unlabelled)"
    )


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("|b|yes", "expected a text in column 'premise', got an empty one"),
        ("a|  |yes", "expected a text in column 'hypothesis', got an empty one"),
        ("a|b|yess", "expected a label (no, yes), got 'yess'; did you mean 'yes'?"),
        ("a|b|zork", "expected a label (no, yes), got 'zork'"),
        ("a|b|YES", "expected a label (no, yes), got 'YES'"),
        ("a|b|1", "expected a label (no, yes), got '1'"),
    ],
)
def test_an_empty_text_or_an_unknown_label_is_an_error_with_file_and_row(tsv, row, problem):
    path = tsv("x|y|yes", row)
    assert refused(lambda: Reader("train", LABELS, COLUMNS).from_file(path, "tsv")) == f"{path}: row 3: {problem}"


def test_words_of_the_file_are_looked_up_and_a_label_stands_for_itself(tsv):
    reader = Reader("train", LABELS, COLUMNS, {"0": "no", "1": "yes", "?": "-"})
    split = reader.from_file(tsv("a|b|1", "a|b|0", "a|b|yes", "a|b|?"), "tsv")
    assert split.examples["label"][:] == [1, 0, 1]
    assert reader.notes[0].endswith("1 unlabelled row skipped")


@pytest.mark.parametrize(
    ("names", "choices"),
    [
        ({"NO": "no", "YES": "yes"}, "NO, YES"),
        ({"NO": "no"}, "NO, yes"),
        ({"NO": "no", "NEUTRAL": "neutral"}, "NO, yes"),
    ],
)
def test_an_unknown_label_lists_the_words_that_would_do(tsv, names, choices):
    path = tsv("a|b|zork")
    message = refused(lambda: Reader("train", LABELS, COLUMNS, names).from_file(path, "tsv"))
    assert message == f"{path}: row 2: expected a label ({choices}), got 'zork'"


def test_empty_texts_may_be_skipped_counted_and_noted(tsv):
    path = tsv("a|b|yes", "|b|no", "a| |no", "||-")
    reader = Reader("train", LABELS, COLUMNS, skip_empty=True)
    assert reader.from_file(path, "tsv").examples.to_dict() == {"text_a": ["a"], "text_b": ["b"], "label": [1]}
    assert reader.notes == [f"{path}: 1 unlabelled row skipped", f"{path}: 2 empty rows skipped"]


def test_a_file_of_empty_texts_alone_is_an_error_that_counts_them(tsv):
    path = tsv("|b|no", "a||no")
    assert refused(lambda: Reader("train", LABELS, COLUMNS, skip_empty=True).from_file(path, "tsv")) == (
        f"{path}: expected labelled rows for split 'train' with any values, got none (0 short, 0 unlabelled, 2 empty)"
    )


def only_capitals(cell: str) -> str:
    if not cell.isupper():
        raise ValueError(f"expected capitals, got {cell}")
    return cell.lower()


def test_texts_may_be_written_in_a_way_of_their_own(tsv):
    split = Reader("train", LABELS, COLUMNS, text=only_capitals).from_file(tsv("AB|C|yes"), "tsv")
    assert split.examples.to_dict() == {"text_a": ["ab"], "text_b": ["c"], "label": [1]}


def test_a_text_that_is_not_written_in_that_way_is_an_error_with_row_and_column(tsv):
    path = tsv("A|B|yes", "A|b|no")
    message = refused(lambda: Reader("train", LABELS, COLUMNS, text=only_capitals).from_file(path, "tsv"))
    assert message == f"{path}: row 3: column 'hypothesis': expected capitals, got b"


# -- hub -----------------------------------------------------------------------------------------


def test_class_labels_of_a_hub_data_set_are_read_by_name_whatever_their_order(hub):
    features = datasets.Features(
        premise=datasets.Value("string"),
        hypothesis=datasets.Value("string"),
        label=datasets.ClassLabel(names=["yes", "no"]),
    )
    rows = {"premise": ["a", "b", "c"], "hypothesis": [" d ", "e", "f"], "label": [0, 1, -1]}
    source = hub(train=datasets.Dataset.from_dict(rows, features))
    reader = Reader("train", LABELS, COLUMNS)
    split = reader.from_hub(source, None, "train")
    assert split.examples.to_dict() == {"text_a": ["a", "b"], "text_b": ["d", "e"], "label": [1, 0]}
    assert reader.notes == [f"hub data set {source!r}, split 'train': 1 unlabelled row skipped"]


def test_plain_strings_and_numbers_of_a_hub_data_set_are_labels_too(hub):
    texts = {"premise": ["a", "b"], "hypothesis": ["c", "d"]}
    source = hub(
        train=datasets.Dataset.from_dict({**texts, "label": ["yes", None]}),
        validation=datasets.Dataset.from_dict({**texts, "label": ["no", "yes"]}),
    )
    assert Reader("train", LABELS, COLUMNS).from_hub(source, None, "train").examples["label"][:] == [1]
    assert Reader("dev", LABELS, COLUMNS).from_hub(source, None, "validation").examples["label"][:] == [0, 1]


def test_whole_numbers_of_a_hub_data_set_are_looked_up_as_words(hub):
    source = hub(train=datasets.Dataset.from_dict({"premise": ["a", "b"], "hypothesis": ["c", "d"], "label": [1, 0]}))
    reader = Reader("train", LABELS, COLUMNS, {"0": "no", "1": "yes"})
    assert reader.from_hub(source, None, "train").examples["label"][:] == [1, 0]


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ({"label": ["yes", "zork"]}, ": row 2: expected a label (no, yes), got 'zork'"),
        ({"hypothesis": ["c", None]}, ": row 2: expected a text in column 'hypothesis', got an empty one"),
        ({"label": [None, "-"]}, ": expected labelled rows for split 'train' with any values, got none (0 short, 2"),
    ],
)
def test_a_wrong_row_of_a_hub_data_set_is_an_error_with_split_and_row(hub, rows, problem):
    good = {"premise": ["a", "b"], "hypothesis": ["c", "d"], "label": ["yes", "no"]}
    source = hub(train=datasets.Dataset.from_dict(good | rows))
    message = refused(lambda: Reader("train", LABELS, COLUMNS).from_hub(source, None, "train"))
    assert message.startswith(f"hub data set {source!r}, split 'train'{problem}")


def test_a_missing_column_of_a_hub_data_set_names_the_nearest(hub):
    source = hub(train=datasets.Dataset.from_dict({"premises": ["a"], "hypothesis": ["b"], "label": ["yes"]}))
    assert refused(lambda: Reader("train", LABELS, COLUMNS).from_hub(source, None, "train")) == (
        f"hub data set {source!r}, split 'train': expected a column 'premise', "
        "got premises, hypothesis, label; did you mean 'premises'?"
    )


def test_a_missing_split_of_a_hub_data_set_lists_those_that_there_are(hub):
    source = hub(train=datasets.Dataset.from_dict({"premise": ["a"], "hypothesis": ["b"], "label": ["yes"]}))
    message = refused(lambda: Reader("dev", LABELS, COLUMNS).from_hub(source, None, "dev"))
    assert message.startswith(f"hub data set {source!r}, split 'dev': ")
    assert "'train'" in message


def test_a_directory_without_data_is_an_error(hub):
    source = hub()
    message = refused(lambda: Reader("dev", LABELS, COLUMNS).from_hub(source, None, "dev"))
    assert message.startswith(f"hub data set {source!r}, split 'dev': the local copy cannot be read: ")


def test_a_hub_name_without_network_is_an_error_in_words(monkeypatch):
    for module in (huggingface_hub.constants, datasets.config):
        monkeypatch.setattr(module, "HF_HUB_OFFLINE", True)
    message = refused(lambda: Reader("dev", LABELS, COLUMNS).from_hub("no-such/thing", None, "dev"))
    assert message.startswith(
        "hub data set 'no-such/thing', split 'dev': Data set not found: 'no-such/thing' is not a local directory"
    )
    assert "\n" not in message


@pytest.mark.parametrize(
    ("source", "config", "expected"),
    [
        ("glue/mnli", None, ("nyu-mll/glue", "mnli")),
        ("glue/mnli", "qqp", ("nyu-mll/glue", "qqp")),
        ("glue", "mnli", ("glue", "mnli")),
        ("other/mnli", None, ("other/mnli", None)),
        ("glued/mnli", "x", ("glued/mnli", "x")),
    ],
)
def test_glue_is_found_where_the_hub_has_it_now(source, config, expected):
    assert hub_name(source, config) == expected


# -- collapse ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "own", "mapping", "expected"),
    [
        (("a", "b"), ("a", "b"), {}, None),
        (("a", "b"), ("b", "a"), {}, (1, 0)),
        (("c", "e", "n"), ("not-e", "e"), {"c": "not-e", "n": "not-e"}, (0, 1, 0)),
        (("a", "b"), ("a", "b"), {"b": "a"}, (0, 0)),
    ],
)
def test_collapse_gives_for_each_label_of_the_model_its_index_in_the_split(labels, own, mapping, expected):
    assert collapse_to(labels, own, mapping) == expected
