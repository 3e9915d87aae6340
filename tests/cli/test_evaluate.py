"""`srframework evaluate`: any classifier on disk, on a file, without a recipe and without a store."""

from __future__ import annotations

import json
import shutil

import pytest
from safetensors.torch import load_file, save_file
from small_classifier import LABELS, saved_classifier
from small_recipe import FULL, small_recipe, srnet

from srframework.run import predictions_file

ROWS = [
    ("r1", "the owl is tall", "the owl is short", "contradiction", "news"),
    ("r2", "the fox is tall", "the fox is tall", "entailment", "news"),
    ("r3", "the fox is short", "the owl is tall", "neutral", "talk"),
    ("r4", "the owl is short", "the owl is short", "entailment", "talk"),
]
HEAD = "pairID\tsentence1\tsentence2\tgold_label\tgenre\n"


@pytest.fixture(scope="module")
def home(tmp_path_factory, perform):
    home = tmp_path_factory.mktemp("evaluate")
    saved_classifier(home / "yes", "entailment")
    write(home / "data.tsv", ROWS)
    write(home / "upper.tsv", [(*row[:3], row[3].upper(), row[4]) for row in ROWS])
    negated = {"contradiction": "non-entailment", "neutral": "non-entailment"}
    write(home / "two.tsv", [(*row[:3], negated.get(row[3], row[3]), row[4]) for row in ROWS])
    write(home / "other.tsv", [(*row[:3], f"{row[3][0]}", row[4]) for row in ROWS])
    (home / "recipe.toml").write_text(small_recipe("small", FULL, srnet()))
    assert perform("run", "recipe.toml", "--out", "run", cwd=home).code == 0
    assert perform("sweep", "recipe.toml", "--grid", "seed=0", "--out", "swept", cwd=home).code == 0
    return home


def write(path, rows) -> None:
    path.write_text(HEAD + "".join("\t".join(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture
def found(perform, home):
    def found(*args):
        done = perform("evaluate", *args, "--json", cwd=home)
        assert done.code == 0, done.err
        return json.loads(done.out)

    return found


def by_value(document) -> dict[str | None, dict]:
    return {row["value"]: row for row in document["slices"]}


def test_accuracy_majority_and_collapse_of_all_examples_and_of_slices(found):
    document = found("yes", "--data", "data.tsv", "--split-by", "genre")
    rows = by_value(document)
    assert [*rows] == [None, "news", "talk"]
    assert (rows[None]["examples"], rows[None]["accuracy"], rows[None]["majority"]) == (4, 0.5, 0.5)
    assert rows[None]["collapsed"]
    low, high = rows[None]["interval"]
    assert (low, high) == (0.0, 1.0)
    assert {rows[each]["accuracy"] for each in ("news", "talk")} == {0.5}
    assert document["columns"] == {"text_a": "sentence1", "text_b": "sentence2", "label": "gold_label"}


def test_slices_by_true_label(found):
    rows = by_value(found("yes", "--data", "data.tsv", "--split-by", "gold_label"))
    assert {value: row["accuracy"] for value, row in rows.items() if value} == {
        "contradiction": 0.0,
        "entailment": 1.0,
        "neutral": 0.0,
    }
    assert rows["entailment"]["interval"] == [1.0, 1.0]
    assert not rows["entailment"]["collapsed"]  # all its examples have this label


def test_labels_in_another_case_are_the_same(found):
    assert by_value(found("yes", "--data", "upper.tsv"))[None]["accuracy"] == 0.5


def test_all_other_labels_count_as_the_negation(found):
    document = found("yes", "--data", "two.tsv")
    assert document["labels"]["collapse"] == {"contradiction": "non-entailment", "neutral": "non-entailment"}
    assert by_value(document)[None]["accuracy"] == 0.5


def test_names_and_collapse_of_the_user(found, perform, home):
    names = [f"--label-name={word}={label}" for word, label in (("c", "no"), ("n", "no"), ("e", "yes"))]
    merged = [f"--collapse={label}={own}" for label, own in zip(LABELS, ("no", "yes", "no"), strict=True)]
    document = found("yes", "--data", "other.tsv", *names, *merged)
    assert document["labels"]["data"] == ["no", "yes"]
    assert by_value(document)[None]["accuracy"] == 0.5
    done = perform("evaluate", "yes", "--data", "other.tsv", *names, *merged, cwd=home)
    assert "contradiction counts as no\n" in done.out
    assert "† collapsed: 99 % or more of the predictions are one label." in done.out


def test_rows_are_chosen_and_skipped(found):
    document = found("yes", "--data", "data.tsv", "--where", "genre=talk", "--label-name", "neutral=-")
    assert by_value(document)[None]["examples"] == 1
    assert any("1 unlabelled row skipped" in note for note in document["notes"])


def test_one_text(found):
    assert found("yes", "--data", "data.tsv", "--text-b", "")["columns"]["text_b"] is None


def test_predictions_are_written_as_those_of_runs(perform, home):
    args = ("--data", "data.tsv", "--keep", "genre", "--out", "out/p.safetensors")
    done = perform("evaluate", "yes", *args, cwd=home)
    assert done.code == 0, done.err
    found = predictions_file.read(home / "out" / "p.safetensors", "data")
    assert [*found.columns["pairID"]] == ["r1", "r2", "r3", "r4"]
    assert [*found.columns["genre"]] == ["news", "news", "talk", "talk"]
    assert [found.labels[each] for each in found.gold] == [row[3] for row in ROWS]
    assert {found.labels[each] for each in found.predicted} == {"entailment"}
    again = perform("evaluate", "yes", *args, cwd=home)
    assert (again.code, again.out) == (2, "")
    assert "expected a new file" in again.err


def test_models_of_runs_in_full_and_packed(found, home):
    data = ("--data", "run.tsv")
    write(home / "run.tsv", [(*row[:3], "SUPPORTS", row[4]) for row in ROWS])
    [swept] = [path.parent.relative_to(home) for path in (home / "swept").glob("*/run.json")]
    assert (home / swept / "stages" / "srnet" / "packed").is_dir()
    of_run = found("run@srnet", *data)["slices"]
    assert of_run == found("run/stages/srnet", *data)["slices"] == found("run/stages/srnet/model", *data)["slices"]
    assert len(found(f"{swept}@srnet", *data)["slices"]) == 1
    assert not (home / swept / "stages" / "srnet" / "model").exists()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["nothing", "--data", "data.tsv"], "Model not found: 'nothing' does not exist"),
        (["yess", "--data", "data.tsv"], "did you mean 'yes'?"),
        (["data.tsv", "--data", "data.tsv"], "got a file"),
        (["run", "--data", "data.tsv"], "choices: run@full, run@srnet"),
        (["run@srnt", "--data", "data.tsv"], "it has no model of 'srnt'; did you mean 'srnet'?"),
        (["swept", "--data", "data.tsv"], "got a directory without a model"),
        (["yes", "--data", "data.tsv", "--text-a", "sentence3"], "expected a column 'sentence3'"),
        (["yes", "--data", "data.tsv", "--split-by", "genres"], "expected a column 'genres'"),
        (["yes", "--data", "data.tsv", "--label", "genre"], "the file has news, talk; the model has contradiction"),
        (["yes", "--data", "other.tsv"], "do not match, such as 'c': the file has c, e, n; the model has contradict"),
        (["yes", "--data", "data.tsv", "--collapse", "neutrl=x"], "did you mean 'neutral'?"),
        (["yes", "--data", "data.tsv", "--collapse", "neutral"], "expected KEY=VALUE, got 'neutral'"),
        (["yes", "--data", "data.tsv", "--max-length", "5000"], "--max-length: must be at most"),
        (["yes", "--data", "data.bin"], "expected a name that ends in .tsv"),
        (["yes", "--data", "data.tsv", "--encoding", "utf-9"], "text encoding"),
    ],
)
def test_what_cannot_be_evaluated_is_a_sentence(perform, home, args, message):
    done = perform("evaluate", *args, cwd=home)
    assert message in " ".join(done.err.split())
    assert done.code in (1, 2)
    assert "Traceback" not in done.err
    assert done.out == ""


def test_a_missing_file_is_a_sentence(perform, home):
    done = perform("evaluate", "yes", "--data", "missing.tsv", cwd=home)
    assert done.code == 1
    assert "missing.tsv" in done.err
    assert "Traceback" not in done.err


def spoilt(home, name, spoil) -> str:
    shutil.rmtree(home / name, ignore_errors=True)
    shutil.copytree(home / "yes", home / name)
    spoil(home / name)
    return name


def headless(path) -> None:
    weights = load_file(path / "model.safetensors")
    save_file({key: each for key, each in weights.items() if not key.startswith("classifier")}, path / "w")
    (path / "w").rename(path / "model.safetensors")


def configured(**settings):
    def change(path) -> None:
        config = json.loads((path / "config.json").read_text()) | settings
        (path / "config.json").write_text(json.dumps(config))

    return change


def truncate(path) -> None:
    content = (path / "model.safetensors").read_bytes()
    (path / "model.safetensors").write_bytes(content[: len(content) // 2])


def without_tokenizer(path) -> None:
    for file in (*path.glob("tokenizer*"), *path.glob("vocab*"), *path.glob("special*")):
        file.unlink()


TWO = {"id2label": {"0": "no", "1": "yes"}, "label2id": {"no": 0, "yes": 1}}


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (headless, "expected a trained classifier, got files without the weights classifier.weight"),
        (configured(**TWO), "do not match"),
        (configured(problem_type="regression"), "got problem_type = regression"),
        (configured(id2label={"0": "yes"}), "expected a classifier with two or more different labels"),
        (configured(id2label=["yes", "no"]), "id2label: expected names of outputs 0, 1"),
        (truncate, "expected a complete safetensors file"),
        (without_tokenizer, "tokenizer"),
        (lambda path: (path / "config.json").write_text("{"), "not a valid JSON file"),
        (lambda path: (path / "model.safetensors").unlink(), "expected no file"),
    ],
)
def test_a_spoilt_model_is_a_sentence(perform, home, spoil, message):
    done = perform("evaluate", spoilt(home, "spoilt", spoil), "--data", "data.tsv", cwd=home)
    assert done.code in (1, 2)
    assert message.replace("expected no file", "model.safetensors") in done.err
    assert "Traceback" not in done.err


def test_a_head_of_another_size_is_named(perform, home):
    write(home / "yesno.tsv", [(*row[:3], "yes", row[4]) for row in ROWS])
    done = perform("evaluate", spoilt(home, "two", configured(**TWO)), "--data", "yesno.tsv", cwd=home)
    assert done.code == 1
    assert "classifier.weight: expected 2 × 16 as in config.json, got 3 × 16" in done.err


def test_labels_without_names_are_numbers(found, home, perform):
    names = {"id2label": {str(each): f"LABEL_{each}" for each in range(3)}}
    spoilt(home, "unnamed", configured(**names, label2id={f"LABEL_{each}": each for each in range(3)}))
    write(home / "numbers.tsv", [(*row[:3], str(LABELS.index(row[3])), row[4]) for row in ROWS])
    assert by_value(found("unnamed", "--data", "numbers.tsv"))[None]["accuracy"] == 0.5
    done = perform("evaluate", "yes", "--data", "numbers.tsv", cwd=home)
    assert "do not match" in done.err  # which number is which name, only the user knows
