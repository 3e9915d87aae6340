from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from srframework.recipe import graph
from srframework.recipe.graph import Node
from srframework.recipe.model import Reference


def stages(*tables: dict[str, object]) -> list[Node]:
    return graph.nodes(list(enumerate(tables)))


def train(name: str, **references: object) -> dict[str, object]:
    return {"name": name, "op": "train", **references}


def prune(name: str, **references: object) -> dict[str, object]:
    return {"name": name, "op": "prune", **references}


def wrong(*tables: dict[str, object]) -> list[tuple[int, str, str, str | None]]:
    return [(each.index, each.key, each.message, each.nearest) for each in graph.check(stages(*tables))]


def test_a_node_has_the_references_of_its_table_but_for_the_pretrained_weights():
    first, second = stages(prune("a", weights="pretrained"), train("b", weights="a@10", mask="a@0.5"))
    assert first == Node(0, "a", (), True)
    assert second == Node(1, "b", (("weights", Reference("a", "10")), ("mask", Reference("a", "0.5"))), True)


def test_tables_without_a_name_and_the_later_of_two_with_one_name_are_left_out():
    found = stages(train("a"), {"op": "train"}, {"name": 3}, train("a", weights="b"), train("b"))
    assert [(node.index, node.name) for node in found] == [(0, "a"), (4, "b")]
    assert found[0].references == ()


def test_a_graph_without_faults_has_nothing_wrong():
    assert wrong(train("a"), prune("b", weights="a@10"), train("c", weights="pretrained", mask="b@0.5")) == []


def test_a_reference_to_no_stage_names_the_choices_and_the_nearest():
    assert wrong(train("full"), train("ticket", weights="ful", mask="fulll")) == [
        (1, "weights", "no stage is named 'ful'; did you mean 'full'? Choices: full, pretrained", None),
        (1, "mask", "no stage is named 'fulll'; did you mean 'full'? Choices: full", None),
    ]


def test_a_mask_cannot_come_from_the_pretrained_weights_or_from_the_only_stage():
    assert wrong(train("a", mask="pretrained")) == [
        (0, "mask", "the pretrained weights have no mask (got 'pretrained')", None)
    ]


def test_there_is_no_point_inside_the_pretrained_weights():
    assert wrong(train("a", weights="pretrained@5")) == [
        (0, "weights", "the pretrained weights are no stage and have no points (got 'pretrained@5')", None)
    ]


@pytest.mark.parametrize("point", ["0", "0.5", "10000", "1e-1"])
def test_a_step_or_a_sparsity_level_is_a_point(point):
    assert wrong(train("a"), train("b", weights=f"a@{point}")) == []


@pytest.mark.parametrize("point", ["x", "-1", "1.0", "0.0", "1.5", "nan", "inf", "1@2"])
def test_anything_else_is_no_point(point):
    assert wrong(train("a"), train("b", weights=f"a@{point}")) == [
        (1, "weights", f"expected a step (10000) or a sparsity level in (0, 1) (0.5) after '@', got {point!r}", None)
    ]


def test_a_mask_comes_from_a_stage_that_has_one():
    pruned = prune("p")
    assert wrong(pruned, train("a", mask="p"), train("b", mask="a")) == []
    assert wrong(train("a"), train("b", mask="a")) == [
        (1, "mask", "must be a stage that has a mask (got 'a', which trains all weights)", None)
    ]


def test_a_stage_that_starts_from_itself_is_a_cycle():
    assert wrong(train("a", weights="a")) == [
        (0, "weights", "this stage would depend on itself through 'a': a -> a", None)
    ]


def test_every_reference_on_a_cycle_is_reported_with_the_way_around():
    message = "this stage would depend on itself through "
    assert wrong(train("a", weights="c@7"), train("b", weights="a"), prune("c", weights="b"), train("d", mask="c")) == [
        (0, "weights", f"{message}'c@7': a -> c -> b -> a", None),
        (1, "weights", f"{message}'a': b -> a -> c -> b", None),
        (2, "weights", f"{message}'b': c -> b -> a -> c", None),
    ]


def test_order_is_that_of_the_file_where_references_allow():
    assert graph.order(stages(train("a"), train("b"), train("c", weights="a"))) == ["a", "b", "c"]


def test_a_stage_comes_after_those_that_it_starts_from_wherever_they_stand():
    assert graph.order(stages(train("c", weights="b", mask="a"), train("b", weights="a"), prune("a"))) == [
        "a",
        "b",
        "c",
    ]


@st.composite
def shuffled(draw) -> list[dict[str, object]]:
    """Stages that each start from earlier ones, in any order of the file."""
    tables: list[dict[str, object]] = []
    for number in range(draw(st.integers(1, 8))):
        earlier = st.sampled_from([f"s{k}" for k in range(number)] or ["pretrained"])
        table = prune(f"s{number}", weights=draw(earlier))
        tables.append(table | ({"mask": draw(earlier)} if number and draw(st.booleans()) else {}))
    return draw(st.permutations(tables))


@given(shuffled())
def test_stages_without_a_cycle_are_all_ordered_after_what_they_start_from(tables):
    nodes = stages(*tables)
    assert list(graph.check(nodes)) == []
    ordered = graph.order(nodes)
    assert sorted(ordered) == sorted(table["name"] for table in tables)
    for node in nodes:
        assert all(ordered.index(reference.stage) < ordered.index(node.name) for _, reference in node.references)


@given(shuffled(), st.data())
def test_one_reference_back_closes_a_cycle_that_is_found(tables, data):
    by_name = {node.name: node for node in stages(*tables)}
    start = data.draw(st.sampled_from(sorted(by_name)))
    above, left = {start}, [start]
    while left:
        found = {reference.stage for _, reference in by_name[left.pop()].references} - above
        above |= found
        left += found
    end = data.draw(st.sampled_from(sorted(above)))
    changed = [table | ({"weights": start} if table["name"] == end else {}) for table in tables]
    said = [(each.key, each.message) for each in graph.check(stages(*changed))]
    assert any(key == "weights" and f"through {start!r}: {end} -> {start}" in message for key, message in said)
    assert all("would depend on itself" in message for _, message in said)


# -- references in a loss ----------------------------------------------------------------------------


def taught(*tables: dict[str, object]) -> list[Node]:
    """The nodes, where ``loss.teacher`` of a loss ``learner`` names a stage."""

    def in_options(table) -> list[tuple[str, str]]:
        loss = table["loss"]
        return [("loss.teacher", loss.get("teacher"))] if isinstance(loss, dict) and loss["use"] == "learner" else []

    return graph.nodes(list(enumerate(tables)), in_options)


def learner(teacher: object) -> dict[str, object]:
    return {"use": "learner", "teacher": teacher}


def test_a_loss_may_name_a_stage_which_then_comes_first():
    nodes = taught(
        train("b", loss=learner("c@2")), train("a", loss="std"), train("c", loss={"use": "std", "teacher": "a"})
    )
    assert nodes[0].references == (("loss.teacher", Reference("c", "2")),)
    assert [node.references for node in nodes[1:]] == [(), ()]
    assert list(graph.check(nodes)) == []
    assert graph.order(nodes) == ["a", "c", "b"]


def test_a_teacher_that_is_no_string_is_no_reference():
    assert taught(train("a", loss=learner(3)))[0].references == ()


@pytest.mark.parametrize(
    ("teacher", "message", "near"),
    [
        ("ful", "no stage is named 'ful'; did you mean 'full'? Choices: full", None),
        ("pretrained", "the pretrained weights are no stage and have no points (got 'pretrained')", None),
        ("full@x", "expected a step (10000) or a sparsity level in (0, 1) (0.5) after '@', got 'x'", None),
        ("b", "this stage would depend on itself through 'b': b -> b", None),
    ],
)
def test_a_wrong_teacher_is_reported_at_its_key(teacher, message, near):
    found = list(graph.check(taught(train("full", loss="std"), train("b", loss=learner(teacher)))))
    assert [(each.index, each.key, each.message, each.nearest) for each in found] == [
        (1, "loss.teacher", message, near)
    ]


def test_a_cycle_through_a_teacher_is_found():
    found = list(graph.check(taught(train("a", weights="b", loss="std"), train("b", loss=learner("a")))))
    assert [(each.index, each.key) for each in found] == [(0, "weights"), (1, "loss.teacher")]
