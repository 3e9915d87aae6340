"""The content of a plugin's code, however it is installed, and what does not count of it."""

from __future__ import annotations

import functools
import importlib
import sys
import zipfile
from pathlib import Path

import pytest

from srframework.component import Component, Options
from srframework.errors import PluginError
from srframework.registry import plugin_code, plugin_files
from srframework.registry.discovery import discover

ENTRY = """
from srframework import Component, Options, hookimpl

class Own(Options):
    pass

@hookimpl
def srframework_pruners():
    return [Component(name="own", options=Own, factory="{factory}", summary="S.", source="S.")]
"""
MAKE = "def make(options):\n    return {value}\n"


class Place:
    """A folder of installed distributions, first on the path."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, name: str, text: str = "", root: Path | None = None) -> Path:
        path = (root or self.root) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def info(self, entry: str, dist: str | None = "other", record: tuple[str, ...] = (), **files: str) -> None:
        info = f"{dist or 'other'}-1.0.dist-info"
        self.write(f"{info}/entry_points.txt", f"[srframework]\n{dist or 'nameless'} = {entry}\n")
        if dist is not None:
            self.write(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {dist}\nVersion: 1.0\n")
        if record:
            self.write(f"{info}/RECORD", "".join(f"{name},,\n" for name in record))
        for name, text in files.items():
            self.write(f"{info}/{name}.txt", text)


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(plugin_files, "plugin_packages", packages := set())
    monkeypatch.setattr(plugin_code, "plugin_packages", packages)
    before = set(sys.modules)
    yield Place(tmp_path / "site")
    forget(before)


def forget(before):
    for name in set(sys.modules) - before:
        del sys.modules[name]
    importlib.invalidate_caches()


def plugin(value):
    found = [each for each in discover() if each.value == value]
    assert [each.failure for each in found] == [""]
    return found[0]


def digest(value="own"):
    """Of the plugin's source, as a new process finds it."""
    before = set(sys.modules)
    importlib.invalidate_caches()
    try:
        return plugin(value).code.digest()
    finally:
        forget(before)


def package(place, root=None, factory="own.deep.making:make"):
    place.write("own/__init__.py", ENTRY.format(factory=factory), root)
    place.write("own/deep/__init__.py", "", root)
    return place.write("own/deep/making.py", MAKE.format(value=1), root)


def single(place, root=None):
    return place.write("own.py", ENTRY.format(factory="own:make") + MAKE.format(value=1), root)


def test_of_a_package_every_module_counts_wherever_in_it(place):
    module = package(place)
    unused = place.write("own/unused.py")
    place.info("own", record=("own/__init__.py", "own/deep/__init__.py", "own/deep/making.py"))
    first = digest()
    assert digest() == first
    module.write_text(MAKE.format(value=2))
    second = digest()
    unused.write_text("x = 1\n")
    third = digest()
    place.write("own/new.py")
    assert len({first, second, third, digest()}) == 4


def test_a_single_module_counts(place):
    module = single(place)
    place.info("own", record=("own.py",))
    first = digest()
    module.write_text(module.read_text().replace("return 1", "return 2"))
    assert digest() != first


def test_what_is_no_code_does_not_count_where_it_cannot_matter(place):
    package(place)
    place.info("own")
    first = digest()
    place.write("own/__pycache__/x.cpython-311.pyc", "x")
    place.write("own/deep/__pycache__/x.cpython-311.pyc", "x")
    place.write("own/making.pyc", "x").rename(place.root / "own/__init__.pyc")  # beside its source
    place.write("own/tests/data/rows.txt", "x")
    place.write("own/.hidden", "x")
    place.write("README.md", "x")
    place.write("unrelated.py", "x = 1\n")
    assert digest() == first


@pytest.mark.parametrize("name", ["own/words.txt", "own/fast.cpython-311-x86_64-linux-gnu.so", "own/only.pyc"])
def test_data_extension_modules_and_modules_without_a_text_count(place, name):
    package(place)
    place.info("own")
    first = digest()
    place.write(name, "1")
    second = digest()
    place.write(name, "2")
    assert len({first, second, digest()}) == 3


def test_where_a_package_is_installed_does_not_count(place, tmp_path, monkeypatch):
    package(place)
    place.info("own")
    first = digest()
    moved = tmp_path / "elsewhere"
    place.root.rename(moved)
    monkeypatch.syspath_prepend(str(moved))
    assert digest() == first


def test_an_editable_installation_by_a_path_file_counts(place, tmp_path, monkeypatch):
    src = tmp_path / "project" / "src"
    module = package(place, root=src)
    place.write("own.pth", f"{src}\n")
    place.info("own", record=("own.pth",))
    monkeypatch.syspath_prepend(str(src))  # as site does of a path file
    first = digest()
    module.write_text(MAKE.format(value=2))
    assert digest() != first


def test_an_editable_installation_by_a_finder_counts_with_all_its_packages(place, tmp_path, monkeypatch):
    src = tmp_path / "project"
    module = package(place, root=src)
    beside = place.write("beside/__init__.py", "x = 1\n", root=src)
    place.write("__editable___own_finder.py", f"MAPPING = {{'own': '{src}/own'}}\n")
    place.info("own", record=("__editable___own_finder.py",), top_level="own\nbeside\n")

    class Finder:
        @staticmethod
        def find_spec(name, *_):
            if name in ("own", "beside"):
                return importlib.util.spec_from_file_location(
                    name, src / name / "__init__.py", submodule_search_locations=[str(src / name)]
                )
            return None

    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Finder])
    first = digest()
    module.write_text(MAKE.format(value=2))
    second = digest()
    beside.write_text("x = 2\n")
    third = digest()
    place.write("__editable___own_finder.py", "MAPPING = {}  # the project was moved\n")
    assert len({first, second, third}) == 3
    assert digest() == third


def test_what_a_distribution_installs_beside_the_package_counts(place):
    package(place)
    hidden = place.write("_own_impl.py", "x = 1\n")
    place.info("own", record=("own/__init__.py", "_own_impl.py", "../../bin/own"))
    first = digest()
    hidden.write_text("x = 2\n")
    assert digest() != first


def test_of_a_namespace_package_only_the_plugins_own_part_counts(place):
    place.write("acme/pruners/__init__.py", ENTRY.format(factory="acme.pruners.making:make"))
    module = place.write("acme/pruners/making.py", MAKE.format(value=1))
    place.info("acme.pruners")
    first = digest("acme.pruners")
    place.write("acme/other/__init__.py", "x = 1\n")
    assert digest("acme.pruners") == first
    module.write_text(MAKE.format(value=2))
    assert digest("acme.pruners") != first


def test_a_module_right_inside_a_namespace_package_counts(place):
    module = place.write("acme/own.py", ENTRY.format(factory="acme.own:make") + MAKE.format(value=1))
    place.info("acme.own")
    first = digest("acme.own")
    place.write("acme/other.py", "x = 1\n")
    assert digest("acme.own") == first
    module.write_text(module.read_text().replace("return 1", "return 2"))
    assert digest("acme.own") != first


def test_a_zip_file_counts_as_it_is(place, tmp_path, monkeypatch):
    def pack(value):
        with zipfile.ZipFile(tmp_path / f"own{value}.zip", "w") as file:
            file.writestr("own/__init__.py", ENTRY.format(factory="own.making:make"))
            file.writestr("own/making.py", MAKE.format(value=value))
        return str(tmp_path / f"own{value}.zip")

    place.info("own")
    digests = []
    for value in (1, 2):
        with monkeypatch.context() as patch:
            patch.syspath_prepend(pack(value))
            digests += [digest(), digest()]
    assert digests[0] == digests[1] != digests[2] == digests[3]


def test_code_that_it_imports_from_another_plugin_or_from_no_library_counts(place, tmp_path, monkeypatch):
    loose = tmp_path / "loose"
    monkeypatch.syspath_prepend(str(loose))
    place.write("site-packages/library.py", "x = 1\n")
    monkeypatch.syspath_prepend(str(place.root / "site-packages"))
    helper = place.write("helper.py", "import further\n", root=loose)
    further = place.write("further.py", "x = 1\n", root=loose)
    module = package(place)
    module.write_text(
        "if True:\n    import os, helper as h\nfrom library import x\nfrom srf_pruners.mask import MaskTraining\n"
    )
    place.info("own")
    first = digest()
    helper.write_text("import further  # and no more\n")
    second = digest()
    further.write_text("x = 2\n")
    third = digest()
    assert len({first, second, third}) == 3
    place.write("site-packages/library.py", "x = 2\n")
    assert digest() == third


@pytest.mark.parametrize(
    "text",
    [
        "import os; import helper",
        "import os, \\\n    helper",
        "from \\\n    helper import x",
        "try: from helper import x\nexcept ImportError: pass",
        "if True: import helper",
        "\ufeffimport helper",
        "import os\r\nimport helper\r\n",
        "import os\rimport helper\r",
        "from helper import (\n    x,\n)",
        "def loss():\n    import helper as h\n    return h.x",
        "import importlib\nimportlib.import_module('helper')",
        "from importlib import import_module\nimport_module('helper', package=None)",
        "__import__('helper')",
    ],
)
def test_an_import_counts_however_it_is_written(place, text):
    helper = place.write("helper.py", "x = 1\n")
    package(place).write_bytes(text.encode())
    place.info("own")
    first = digest()
    helper.write_text("x = 2\n")
    assert digest() != first


def test_two_distributions_without_metadata_are_known_by_their_content(place):
    place.write("first.py", single(place).read_text())
    place.write("second.py", (place.root / "own.py").read_text().replace("return 1", "return 2"))
    digests = []
    for module in ("first", "second"):
        place.info(module, dist=None)
        assert (plugin(module).dist, plugin(module).version) == ("unknown", "0")
        digests.append(digest(module))
    assert digests[0] != digests[1]


def test_the_built_in_plugins_count_each_by_its_own_package():
    found = {each.value: each.code for each in discover() if each.dist == "srframework"}
    assert found.pop("srframework") is None
    assert len({each.digest() for each in found.values()}) == 6
    names = set(found["srf_pruners"]._files)
    assert "srf_pruners:mask.py" in names
    assert {name.partition(":")[0] for name in names} == {"srf_pruners"}


# -- while a process lives -------------------------------------------------------------------------


def test_code_that_is_changed_after_it_was_loaded_is_refused_if_it_was_not_hashed(place):
    module = package(place)
    place.info("own")
    loaded = plugin("own")
    module.write_text(MAKE.format(value=2))
    with pytest.raises(PluginError, match=r"^other 1\.0: .*making\.py was changed after the plugin was loaded; run"):
        loaded.code.digest()


def test_code_that_is_changed_before_it_is_imported_is_refused(place):
    module = package(place)
    place.info("own")
    loaded = plugin("own").code
    first = loaded.digest()
    module.write_text(MAKE.format(value=2))
    loaded.check()  # nothing has imported it
    importlib.import_module("own.deep.making")
    with pytest.raises(PluginError, match=r"making\.py was changed after the plugin was loaded"):
        loaded.check()
    assert loaded.digest() == first


def test_code_that_is_changed_after_it_was_imported_is_what_it_was(place):
    module = package(place)
    place.info("own")
    loaded = plugin("own").code
    loaded.digest()
    importlib.import_module("own.deep.making")
    loaded.check()
    module.write_text(MAKE.format(value=2))
    loaded.check()


def test_a_file_that_is_only_touched_is_the_same(place):
    module = package(place)
    words = place.write("own/words.txt", "x")
    place.info("own")
    loaded = plugin("own").code
    loaded.digest()
    importlib.import_module("own.deep.making")
    for each in (module, words):
        each.write_text(each.read_text())
    loaded.check()
    words.write_text("y")
    with pytest.raises(PluginError, match=r"words\.txt was changed"):
        loaded.check()


# -- factories that are no strings -----------------------------------------------------------------


class NoOptions(Options):
    """None."""


def of(factory):
    made = Component(name="own", options=NoOptions, factory=factory, summary="S.", source="S.")
    return plugin_code.of_plugin("other 1.0", "json", [made])


def test_factories_of_every_form_are_known_by_their_modules(place):
    place.write(
        "forms.py",
        "class Made:\n    def __init__(self, *_): ...\n    @classmethod\n    def build(cls, _): ...\n"
        "    def __call__(self, _): ...\ndef made(*_): ...\n",
    )
    forms = importlib.import_module("forms")
    factories = [forms.Made, forms.made, functools.partial(forms.made, 1), forms.Made.build, forms.Made()]
    factories += [functools.partial(max, key=forms.made), functools.wraps(forms.made)(lambda _: 0)]
    for factory in factories:
        assert "forms:forms.py" in of(factory)._files, factory


def test_a_base_class_from_another_module_counts(place):
    place.write("base.py", "class Base:\n    pass\n")
    place.write("forms.py", "from base import Base\n\nclass Made(Base):\n    pass\n")
    assert {"forms:forms.py", "base:base.py"} <= set(of(importlib.import_module("forms").Made)._files)


def test_code_that_is_in_no_file_is_shared_with_no_other_process(monkeypatch):
    def made():
        scope = {"__name__": "nowhere"}
        exec("def make(options):\n    return 1\n", scope)
        return of(scope["make"]).digest()

    first = made()
    assert made() == first
    monkeypatch.setattr(plugin_code, "_this_process", lambda: "another")
    assert made() != first
