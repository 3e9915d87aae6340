"""The three tasks as the Hugging Face hub has them, without the hub: its columns, its labels, its names."""

from __future__ import annotations

import datasets
import pytest
from datasets import ClassLabel, Dataset, Features, Value

from srf_datasets.fact_verification import FactVerification
from srf_datasets.nli import Nli
from srf_datasets.paraphrase import Paraphrase
from srf_datasets.task_options import FactVerificationOptions, NliOptions, ParaphraseOptions
from srframework import DataError

GLUE, HANS, PAWS = "nyu-mll/glue", "jhu-cogsci/hans", "google-research-datasets/paws"
PARQUET = "refs/convert/parquet"


def rows(columns: tuple[str, str], names: list[str], *triples: tuple[str, str, int], **more: list[str]) -> Dataset:
    """A split with two texts and a class label, -1 for none."""
    first, second, labels = zip(*triples, strict=True)
    features = {columns[0]: Value("string"), columns[1]: Value("string"), "label": ClassLabel(names=names)}
    table = {columns[0]: first, columns[1]: second, "label": labels, **more}
    return Dataset.from_dict(table, Features(features | {name: Value("string") for name in more}))


def mnli(*triples: tuple[str, str, int]) -> Dataset:
    return rows(("premise", "hypothesis"), ["entailment", "neutral", "contradiction"], *triples)


def hans(*triples: tuple[str, str, int]) -> Dataset:
    kept = {name: [name] * len(triples) for name in ("heuristic", "subcase", "template")}
    return rows(("premise", "hypothesis"), ["entailment", "non-entailment"], *triples, **kept)


def qqp(*triples: tuple[str, str, int]) -> Dataset:
    return rows(("question1", "question2"), ["not_duplicate", "duplicate"], *triples)


def paws(*triples: tuple[str, str, int]) -> Dataset:
    return rows(("sentence1", "sentence2"), ["0", "1"], *triples)


@pytest.fixture
def hub(monkeypatch):
    """A hub of what is put into it, by name, configuration, split and revision; else as without network."""
    held: dict[tuple[str, str | None, str, str | None], Dataset] = {}

    def load_dataset(name, config, *, split, revision):
        if (name, config, split, revision) not in held:
            raise ConnectionError(f"Couldn't reach {name!r} on the Hub")
        return held[name, config, split, revision]

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    return held


@pytest.fixture
def hub_of_nli(hub):
    hub[GLUE, "mnli", "train", None] = mnli(("p0", "h0", 0), ("p1", "h1", 1), ("p2", "h2", 2), ("p3", "h3", -1))
    hub[GLUE, "mnli", "validation_matched", None] = mnli(("p4", "h4", 2))
    hub[GLUE, "mnli", "validation_mismatched", None] = mnli(("p5", "h5", 1))
    hub[HANS, None, "validation", PARQUET] = hans(("p6", "h6", 0), ("p7", "h7", 1))
    hub[HANS, None, "train", PARQUET] = hans(("p8", "h8", 1), ("p9", "h9", 0))
    return hub


def test_mnli_and_hans(hub_of_nli):
    task = Nli(NliOptions(mismatched=True, hans_non_entailment="contradiction")).load(0)
    assert task.train.examples.to_dict() == {
        "text_a": ["p0", "p1", "p2"],
        "text_b": ["h0", "h1", "h2"],
        "label": [1, 2, 0],
    }
    assert [(split.name, split.examples["label"][:]) for split in task.evaluated] == [
        ("dev", [0]),
        ("mismatched", [2]),
        ("hans", [1, 0]),
    ]
    assert task.ood[0].examples["heuristic"][:] == ["heuristic"] * 2
    assert task.ood_train.examples.to_dict() == {"text_a": ["p8", "p9"], "text_b": ["h8", "h9"], "label": [0, 1]}
    assert task.notes == ("hub data set 'glue/mnli', split 'train': 1 unlabelled row skipped",)


def test_the_training_set_of_hans_is_left_where_it_is_unless_it_is_wanted(hub_of_nli):
    del hub_of_nli[HANS, None, "train", PARQUET]
    assert Nli(NliOptions(hans_train=False)).load(0).ood_train is None
    with pytest.raises(DataError, match="hub data set 'jhu-cogsci/hans', split 'train': Data set not found"):
        Nli(NliOptions()).load(0)


@pytest.fixture
def hub_of_paraphrase(hub):
    hub[GLUE, "qqp", "train", None] = qqp(("a0", "b0", 1), ("a1", "b1", 0), ("a2", "", 0))
    hub[GLUE, "qqp", "validation", None] = qqp(("a3", "b3", 1))
    for split, texts in {"train": ("a4", "b4", 1), "validation": ("a5", "b5", 0), "test": ("a6", "b6", 1)}.items():
        hub[PAWS, "labeled_final", split, None] = paws(texts)
    return hub


def test_qqp_and_paws_wiki_without_paws_qqp_which_is_not_there(hub_of_paraphrase):
    task = Paraphrase(ParaphraseOptions()).load(0)
    assert task.train.examples.to_dict() == {"text_a": ["a0", "a1"], "text_b": ["b0", "b1"], "label": [1, 0]}
    assert [(split.name, split.examples["text_a"][:]) for split in task.evaluated] == [
        ("dev", ["a3"]),
        ("paws-wiki", ["a6"]),
    ]
    assert task.ood_train.examples.to_dict() == {"text_a": ["a4"], "text_b": ["b4"], "label": [1]}
    assert task.notes == (
        "hub data set 'glue/qqp', split 'train': 1 empty row skipped",
        "PAWS-qqp is left out: it is not on the hub; set paws_qqp to a local directory",
        "ood_train: only the training set of paws-wiki; that of paws-qqp was not found",
    )


def test_qqp_and_paws_wiki_with_paws_qqp_from_a_directory(hub_of_paraphrase, tmp_path):
    for split in ("train", "dev"):
        (tmp_path / f"{split}.tsv").write_text(f"id\tsentence1\tsentence2\tlabel\n1\tb'{split}'\tb'b'\t0\n")
    task = Paraphrase(ParaphraseOptions(paws_qqp=str(tmp_path), paws_wiki_split="dev")).load(0)
    assert [split.examples["text_a"][:] for split in task.ood] == [["dev"], ["a5"]]
    assert task.ood_train.examples["text_a"][:] == ["train", "a4"]


@pytest.fixture
def hub_of_fact_verification(hub):
    names = ["SUPPORTS", "REFUTES", "NOT ENOUGH INFO"]
    hub["my/fever", None, "train", None] = rows(("claim", "evidence"), names, ("c0", "e0", 2), ("c1", "e1", 0))
    hub["my/fever", None, "validation", None] = Dataset.from_dict(
        {"claim": ["c2"], "evidence": ["e2"], "label": ["REFUTES"]}
    )
    return hub


def test_fever_without_the_symmetric_sets_which_are_not_there(hub_of_fact_verification):
    options = FactVerificationOptions(path="my/fever")
    task = FactVerification(options).load(0)
    assert task.train.examples.to_dict() == {"text_a": ["c0", "c1"], "text_b": ["e0", "e1"], "label": [2, 0]}
    assert task.dev.examples["label"][:] == [1]
    assert (task.ood, task.ood_train) == ((), None)
    assert options.provided() == ["spurious-features", "backbone-vectors", "ood-train"]
    assert task.notes == ("Fever-Symmetric is left out: it is not on the hub; set symmetric to a local directory",)


@pytest.mark.data
def test_fever_with_the_symmetric_sets_from_a_directory(hub_of_fact_verification, data_dir):
    task = FactVerification(FactVerificationOptions(path="my/fever", symmetric=str(data_dir / "fever"))).load(0)
    assert [len(split.examples) for split in (*task.ood, task.ood_train)] == [717, 712, 708]
    assert task.notes == ()


@pytest.mark.parametrize(
    ("data", "options", "source"),
    [
        (Nli, NliOptions(), "glue/mnli"),
        (Paraphrase, ParaphraseOptions(), "glue/qqp"),
        (FactVerification, FactVerificationOptions(path="no/such"), "no/such"),
    ],
)
def test_a_data_set_that_cannot_be_had_is_an_error_in_words(hub, data, options, source):
    with pytest.raises(DataError) as caught:
        data(options).load(0)
    where = (
        f"hub data set {source!r}, split 'train': Data set not found: {source!r} is not a local directory, and not a "
        "data set on the hub that can be read: "
    )
    assert str(caught.value).startswith(where)


def test_a_copy_of_glue_in_the_working_directory_is_read_as_the_hub_is(tmp_path, monkeypatch):
    """What the hub's own library makes of the names and configurations, without a network."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / GLUE
    folder.mkdir(parents=True)
    splits = {"train": [("p0", "h0", 0), ("p1", "h1", 1)], "validation_matched": [("p2", "h2", 2)]}
    paths = []
    for split, triples in splits.items():
        mnli(*triples).to_parquet(folder / f"{split}.parquet")
        paths.append(f"  - split: {split}\n    path: {split}.parquet\n")
    (folder / "README.md").write_text(
        f"---\nconfigs:\n- config_name: mnli\n  data_files:\n{''.join(paths)}"
        "- config_name: qqp\n  data_files: train.parquet\n---\n"
    )
    hans_file = tmp_path / "heuristics_evaluation_set.txt"
    hans_file.write_text(
        "gold_label\tsentence1\tsentence2\theuristic\tsubcase\ttemplate\nentailment\ta\tb\tconstituent\ts\tt\n"
    )
    task = Nli(NliOptions(hans=str(tmp_path))).load(0)
    assert task.train.examples.to_dict() == {"text_a": ["p0", "p1"], "text_b": ["h0", "h1"], "label": [1, 2]}
    assert [split.examples["label"][:] for split in task.evaluated] == [[0], [1]]
    assert task.ood_train is None
