"""``store verify --recompute``: results computed once more and compared, and what it says of those that cannot be."""

from __future__ import annotations

import json
import shutil

import pytest

from srframework.registry.discovery import discover
from srframework.registry.registry import Registry
from srframework.run import machine, recomputing
from srframework.store.manifest import write as write_manifest
from srframework.store.store import Store
from srframework.store.verify import verify as read_all
from srframework.training.loop import Training

RECIPE = """
name = "Again"
schema = 1
seed = 5
backbone = { use = "tiny", layers = 1, width = 16, heads = 2, intermediate = 16, dropout = 0.1 }
training = { max_steps = 4, batch_size = 4 }
dataset = { use = "synthetic", train_size = 24, dev_size = 8, ood_size = 8 }

[[stages]]
name = "full"
op = "train"
loss = "std"

[[stages]]
name = "ticket"
op = "prune"
weights = "full@2"
pruner = { use = "imp", sparsity = 0.5, step = 0.25, levels = "all" }
loss = { use = "confreg", teacher = "full" }
"""


@pytest.fixture(scope="module")
def once(perform, tmp_path_factory):
    home = tmp_path_factory.mktemp("once")
    (home / "recipe.toml").write_text(RECIPE)
    done = perform("run", "recipe.toml", "--out", "out", "--store", "store", cwd=home)
    assert done.code == 0, done.err
    return home


@pytest.fixture
def home(once, tmp_path):
    """A store and the run that filled it, to be damaged."""
    shutil.copytree(once, tmp_path / "home")
    shutil.rmtree(tmp_path / "home" / "store" / "users")
    store = Store(tmp_path / "home" / "store")
    for key, _ in store.places():
        store.use(key, tmp_path / "home" / "out")
    return tmp_path / "home"


@pytest.fixture(scope="module")
def registry():
    return Registry(discover())


@pytest.fixture
def verify(perform):
    def verify(home, count=10):
        done = perform("store", "verify", "--recompute", str(count), "--store", "store", "--json", cwd=home)
        assert list(home.glob(".srframework*")) == []
        return done.code, {(row["kind"], row["stage"]): row for row in json.loads(done.out)["recomputed"]}, done

    return verify


def entry_of(home, kind, what=""):
    return next(e for e in Store(home / "store").entries() if e.kind == kind and what in e.what)


def forge(entry, name, change):
    """Change a file of an entry, and its manifest with it, so that all checksums are right."""
    path = entry.files / name
    path.write_bytes(change(path.read_bytes()))
    write_manifest(entry.path, entry.key, entry.kind, entry.what, entry.seconds, entry.identity)


def test_every_kind_of_result_is_computed_again_to_the_same_bits(verify, once):
    code, found, done = verify(once)
    assert {stage: row["result"] for stage, row in found.items()} == {
        ("trained", "full"): "equal",
        ("trained", "ticket"): "equal",
        ("measured", "full"): "equal",
        ("measured", "ticket"): "equal",
        ("taught", "ticket"): "equal",
    }
    assert code == 0
    assert {row["run"] for row in found.values()} == {str(once / "out")}
    assert done.err == ""


def test_only_the_result_itself_is_computed(verify, once, monkeypatch):
    steps = []
    own = Training.run

    def run(self, events):
        steps.append(self.options.max_steps)
        return own(self, events)

    monkeypatch.setattr(Training, "run", run)
    verify(once)
    assert len(steps) == 2  # one for each stage


@pytest.mark.parametrize(
    ("kind", "what", "name"),
    [
        ("trained", "_std", "model/model.safetensors"),
        ("trained", "^imp", "points/0.25/mask.safetensors"),
        ("measured", "_std", "figures.json"),
        ("measured", "^imp", "points/0.25/predictions/dev.safetensors"),
        ("taught", "", "log_probs.safetensors"),
    ],
)
def test_a_wrong_result_with_right_checksums_differs(home, registry, monkeypatch, kind, what, name):
    monkeypatch.chdir(home)
    entry = entry_of(home, kind, what)
    forge(entry, name, lambda raw: raw[:-9] + bytes(each ^ 1 for each in raw[-9:]))
    store = Store(home / "store")
    assert read_all(store).damaged == []
    (found,) = recomputing.recompute(store, [entry], registry)
    assert (found.state, found.why) == ("differs", f"{name} differs")
    assert entry.files.exists()


def test_the_table_says_what_differs(perform, home):
    forge(entry_of(home, "taught"), "log_probs.safetensors", lambda raw: raw[:-1] + bytes([raw[-1] ^ 1]))
    done = perform("store", "verify", "--recompute", "3", "--store", "store", cwd=home)
    assert done.code == 1
    assert "differs" in next(line for line in done.out.splitlines() if "taught" in line)
    assert (
        done.out.splitlines()[-1]
        == "store: 5 entries are intact, 0 damaged; recomputed: 2 equal, 1 different, 0 not possible"
    )
    assert done.err.startswith("recomputing ")


def test_a_file_too_many_or_too_few_differs(verify, home):
    full, ticket = entry_of(home, "trained", "_std"), entry_of(home, "trained", "^imp")
    (full.files / "more.txt").write_text("x")
    (ticket.files / "mask.safetensors").unlink()
    for each in (full, ticket):
        write_manifest(each.path, each.key, each.kind, each.what, each.seconds, each.identity)
    code, found, _ = verify(home)
    assert found["trained", "full"]["why"] == "more.txt is in the store, but the recomputed result lacks it"
    assert found["trained", "ticket"]["why"] == "mask.safetensors is in the recomputed result, but not in the store"
    assert code == 1


def test_what_cannot_be_recomputed_says_why_and_is_no_failure(verify, home):
    def why(kind, stage):
        return found[kind, stage]["result"], found[kind, stage]["why"]

    full = entry_of(home, "trained", "_std")
    recorded = json.loads((full.files / machine.MACHINE).read_text())
    said = {**recorded, "threads": [1, 2]}
    forge(full, machine.MACHINE, lambda _: json.dumps(said).encode())
    measured = entry_of(home, "measured", "^imp")
    other = {**recorded, "capability": "another"}
    forge(measured, machine.MACHINE, lambda _: json.dumps(other).encode())
    taught = entry_of(home, "taught")
    forge(taught, machine.MACHINE, lambda _: b"{}")
    code, found, _ = verify(home)
    assert why("trained", "full") == (
        "not recomputed",
        "it was computed in several attempts, with 1, then 2 threads",
    )
    assert why("measured", "ticket")[1].startswith("it was computed on cpu (another); this is cpu (")
    assert why("taught", "ticket")[1].startswith("its machine.json cannot be read")
    assert code == 0


def test_without_a_run_directory_nothing_is_recomputed(verify, home):
    shutil.rmtree(home / "out")
    code, found, _ = verify(home, 2)
    assert [(row["result"], row["why"]) for row in found.values()] == [
        ("not recomputed", "no run directory that uses it is left")
    ] * len(found)
    assert code == 0


def test_what_it_builds_on_must_be_in_the_store(verify, home):
    shutil.rmtree(entry_of(home, "trained", "_std").path)
    code, found, _ = verify(home)
    assert "it builds on trained A_std(f(θ_pt)), which is not in the store" in found["trained", "ticket"]["why"]
    assert code == 0


def test_another_key_now_is_explained(verify, home):
    recipe = home / "out" / "recipe.toml"
    recipe.write_text(recipe.read_text().replace("train_size = 24", "train_size = 20"))
    code, found, _ = verify(home)
    row = found["trained", "full"]
    assert row["result"] == "not recomputed"
    assert row["why"].startswith("the key of trained A_std(f(θ_pt)) has changed: works_on.train: ")
    assert code == 0


def test_a_damaged_run_directory_is_a_reason(verify, home):
    (home / "out" / "recipe.toml").write_text("nonsense")
    _, found, _ = verify(home, 1)
    (row,) = found.values()
    assert row["result"] == "not recomputed"
    assert "not valid TOML" in row["why"]


def test_the_number_of_threads_is_that_of_the_original(verify, once, monkeypatch):
    used = []
    monkeypatch.setattr(machine, "this_machine", lambda _: machine.Machine("cpu", "x", (1,)))
    monkeypatch.setattr(recomputing, "this_machine", lambda _: machine.Machine("cpu", "x", (1,)))
    monkeypatch.setattr(recomputing, "read", lambda _: machine.Machine("cpu", "x", (3,)))
    monkeypatch.setattr(recomputing.torch, "set_num_threads", used.append)
    monkeypatch.setattr(recomputing.torch, "get_num_threads", lambda: 7)
    verify(once, 1)
    assert used == [3, 7]


def test_an_interrupt_leaves_no_temporary_store(perform, once, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Training, "run", interrupted)
    done = perform("store", "verify", "--recompute", "1", "--store", "store", cwd=once)
    assert done.code == 130
    assert list(once.glob(".srframework*")) == []


def test_the_choice_is_the_same_each_time_and_spread(once):
    entries = list(Store(once / "store").entries())
    chosen = recomputing.choose(entries, 3)
    assert [each.kind for each in chosen] == ["trained", "measured", "taught"]
    assert chosen == recomputing.choose(reversed(entries), 3)
    assert len(recomputing.choose(entries, 4)) == 4
    assert {each.what for each in recomputing.choose(entries, 4) if each.kind == "trained"} == {
        each.what for each in entries if each.kind == "trained"
    }


@pytest.mark.parametrize("count", ["0", "-1", "x", "1.5"])
def test_a_number_that_is_none_is_bad_usage(perform, once, count):
    done = perform("store", "verify", "--recompute", count, "--store", "store", cwd=once)
    assert done.code == 2
    assert "--recompute" in done.err
