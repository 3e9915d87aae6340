"""``new``: for each kind a distribution that works as it is."""

from __future__ import annotations

import json
import re
import shlex
import tomllib

import pytest

from srframework.component import KINDS

FILES = {".github/workflows/test.yml", ".gitignore", "LICENSE", "README.md", "pyproject.toml", "recipe.toml"}


@pytest.mark.parametrize("kind", KINDS)
def test_the_files_of_a_new_distribution(tmp_path, perform, kind):
    done = perform("new", kind, "my-own", cwd=tmp_path)
    assert (done.code, done.out) == (0, "my-own\n")
    assert done.err.startswith("Next: cd my-own\n      pip install -e '.[test]'\n")
    made = tmp_path / "my-own"
    code = {"src/my_own/__init__.py", f"src/my_own/{kind}.py", "tests/test_conformance.py"}
    assert {path.relative_to(made).as_posix() for path in made.rglob("*") if path.is_file()} == FILES | code
    for path in made.rglob("*"):
        if path.is_file():
            text = path.read_text("utf-8")
            assert "${" not in text
            assert "$name" not in text
            if path.suffix == ".py":
                compile(text, path.name, "exec")
    project = tomllib.loads((made / "pyproject.toml").read_text("utf-8"))["project"]
    assert (project["name"], project["entry-points"]["srframework"]) == ("my-own", {"my-own": "my_own"})


def test_only_public_names_of_srframework_are_used(tmp_path, perform):
    import srframework
    from srframework import testing

    for kind in KINDS:
        assert perform("new", kind, f"my-{kind}", cwd=tmp_path).code == 0
    public = {"srframework": srframework.__all__, "srframework.testing": testing.__all__}
    for path in tmp_path.rglob("*.py"):
        for line in path.read_text("utf-8").splitlines():
            if line.startswith("from srframework"):
                _, module, _, *names = line.replace(",", "").split()
                assert set(names) <= set(public[module]), line
            assert not line.startswith("import srframework")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["pruner", "My-Own"], "NAME: expected lower case letters and digits joined by '-', got 'My-Own'"),
        (["pruner", "../own"], "NAME: expected lower case letters and digits joined by '-', got '../own'"),
        (["pruner", "1st"], "NAME: expected a name that starts with a letter and is no keyword, got '1st'"),
        (["pruner", "class"], "NAME: expected a name that starts with a letter and is no keyword, got 'class'"),
        (["pruner", "json"], "NAME: a Python package is already named 'json'; choose another name"),
        (["prune", "my-own"], "'prune' is not one of 'backbone', 'pruner'"),
        (["pruner", "my-own", "--out", "no/such"], "no/such: cannot be written: No such file or directory"),
    ],
)
def test_a_name_that_cannot_be_used_is_a_sentence(tmp_path, perform, arguments, message):
    done = perform("new", *arguments, cwd=tmp_path)
    assert done.code == 2
    assert message in done.err
    assert not list(tmp_path.iterdir())


def test_an_existing_directory_is_never_changed(tmp_path, perform):
    (tmp_path / "my-own").mkdir()
    done = perform("new", "pruner", "my-own", cwd=tmp_path)
    assert (done.code, done.err) == (2, "error: my-own: already exists; choose another name, or --out DIR\n")
    assert not list((tmp_path / "my-own").iterdir())
    assert perform("new", "pruner", "my-own", "--out", "other", cwd=tmp_path).code == 0
    assert (tmp_path / "other" / "pyproject.toml").is_file()


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_a_new_distribution_is_installed_checked_listed_and_run(tmp_path, perform, install, kind):
    name = f"my-{kind}"
    assert perform("new", kind, name, cwd=tmp_path).code == 0
    call = install(tmp_path / name)
    listed = {row["name"]: row["dist"] for row in json.loads(call("srframework", "list", kind, "--json"))}
    assert listed[name] == name
    readme = re.findall(r"^\$ (.*?)(?: +#.*)?$", (tmp_path / name / "README.md").read_text("utf-8"), re.MULTILINE)
    assert readme[0] == 'pip install -e ".[test]"'
    for command in readme[1:]:
        assert call(*shlex.split(command))
    call("srframework", "validate", "recipe.toml")
    if kind == "launcher":
        call("srframework", "sweep", "recipe.toml", "--launcher", name, "--jobs", "2")
    else:
        assert json.loads(call("srframework", "run", "recipe.toml", "--json"))["stages"]
