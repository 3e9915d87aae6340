from __future__ import annotations

import pytest

from srframework.component import Component, Options
from srframework.errors import AmbiguousComponent, PluginError, UnknownComponent
from srframework.registry.discovery import Plugin
from srframework.registry.registry import Registry


def component(name: str, **fields: object) -> Component:
    about = {"options": Options, "factory": "m:C", "summary": f"{name}.", "source": "§1"}
    return Component(name=name, **(about | fields))


def plugin(dist: str, *names: str, state: str = "loaded", failure: str = "") -> Plugin:
    """A plugin with components given as ``kind/name``."""
    split = [name.split("/") for name in names]
    components = tuple((kind, component(name)) for kind, name in split)
    return Plugin(dist, "1.2", "entry", "module", state, failure, components)


@pytest.fixture
def registry() -> Registry:
    return Registry(
        [
            plugin("zoo", "evaluator/f1", "pruner/mask", "pruner/soft-mask", "backbone/tiny"),
            plugin("other", "pruner/mask", "pruner/imp"),
            plugin("broken", state="failed", failure="ValueError: no"),
            plugin("quiet", state="disabled"),
        ]
    )


def test_components_are_in_the_order_of_kinds_then_of_names_then_of_distributions(registry):
    assert [(each.kind, each.full_name) for each in registry] == [
        ("backbone", "zoo/tiny"),
        ("pruner", "other/imp"),
        ("pruner", "other/mask"),
        ("pruner", "zoo/mask"),
        ("pruner", "zoo/soft-mask"),
        ("evaluator", "zoo/f1"),
    ]
    assert [each.name for each in registry.of_kind("evaluator")] == ["f1"]
    assert registry.of_kind("dataset") == []


@pytest.mark.parametrize(
    ("name", "full"), [("imp", "other/imp"), ("other/mask", "other/mask"), ("zoo/mask", "zoo/mask")]
)
def test_a_component_is_found_by_its_name_or_by_its_full_name(registry, name, full):
    assert registry.get("pruner", name).full_name == full


def test_a_name_that_two_plugins_have_is_refused_with_the_full_names(registry):
    with pytest.raises(AmbiguousComponent) as caught:
        registry.get("pruner", "mask")
    assert str(caught.value) == (
        "pruner 'mask' is provided by more than one plugin; expected one of: other/mask, zoo/mask"
    )


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("pruner", "impp", "no pruner is named 'impp'; did you mean 'imp'? Choices: imp, mask, soft-mask"),
        ("pruner", "zzz", "no pruner is named 'zzz'; choices: imp, mask, soft-mask"),
        ("backbone", "mask", "no backbone is named 'mask', which is of kind pruner; choices: tiny"),
        (
            "evaluator",
            "zo/f1",
            "no evaluator is named 'zo/f1'; did you mean 'zoo/f1'? Choices: f1, zoo/f1",
        ),
    ],
)
def test_an_unknown_name_is_refused_with_the_choices_and_the_nearest(registry, kind, name, message):
    with pytest.raises(UnknownComponent) as caught:
        registry.get(kind, name)
    assert str(caught.value) == message


def test_failures_are_a_line_for_each_broken_plugin_and_for_each_shared_name(registry):
    assert registry.failures() == [
        "plugin 'entry' of broken 1.2 failed to load: ValueError: no",
        "pruner 'mask' is provided by more than one plugin; use one of: other/mask, zoo/mask",
    ]


def test_one_name_in_two_kinds_is_no_collision():
    registry = Registry([plugin("a", "pruner/x"), plugin("b", "dataset/x")])
    assert registry.failures() == []
    assert registry.get("dataset", "x").full_name == "b/x"


def test_the_owner_names_kind_component_and_distribution(registry):
    assert registry.get("pruner", "imp").owner == "pruner 'imp' of other 1.2"


@pytest.mark.parametrize(
    ("factory", "reason"),
    [
        ("no_such_module_anywhere:Mine", "No module named 'no_such_module_anywhere'"),
        ("builtins:Mine", "module 'builtins' has no attribute 'Mine'"),
    ],
)
def test_a_factory_that_cannot_be_imported_is_the_plugins_fault(factory, reason):
    made = Plugin("dist", "1", "e", "m", "loaded", components=(("pruner", component("mine", factory=factory)),))
    with pytest.raises(PluginError) as caught:
        Registry([made]).get("pruner", "mine").build(Options())
    assert str(caught.value) == f"pruner 'mine' of dist 1: {factory} cannot be imported: {reason}"
    assert caught.value.exit_code == 3
