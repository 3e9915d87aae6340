"""What is wrong with the claim of a recipe: its table, the levels and the OOD splits that it names."""

from __future__ import annotations

from pathlib import Path

import pytest

from srframework.claims.check import TABLES, check_levels, check_splits
from srframework.claims.claim import Claim
from srframework.contracts import Phase
from srframework.errors import RecipeError, UsageError
from srframework.recipe.check import check_recipe, load_recipe
from srframework.recipe.document import Document
from srframework.registry.discovery import discover
from srframework.registry.registry import Registry

FORM = (
    "a comparison of metrics, such as ood(srnet) >= ood(full) + 0.05 or sd(ood(a)) < sd(ood(b)); "
    "metrics: id(STAGE), ood(STAGE), ood.SPLIT(STAGE), sparsity(STAGE); operators: >= > <= < + - *"
)

RECIPE = """\
name = "small"
schema = 1
backbone = "tiny"
dataset = "synthetic"
stages = [{ name = "full", op = "train", loss = "std" }]
"""


@pytest.fixture
def read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    registry = Registry(discover())

    def read(claim: str, tables=TABLES):
        Path("r.toml").write_text(RECIPE + claim)
        return check_recipe(Document("r.toml"), registry, tables=tables)

    return read


CLAIM = """
[claim]
statement = "Good."
source = "§4.2"
checks = [
  "id(full) >= 0.5",
  "ood(full) <= 0.5",
]
"""


def test_a_recipe_has_the_table_as_it_is_written_and_resolves_to_an_equal_one(read):
    recipe = read(CLAIM)
    assert recipe.claim == {
        "statement": "Good.",
        "source": "§4.2",
        "checks": ["id(full) >= 0.5", "ood(full) <= 0.5"],
    }
    Path("again.toml").write_text(recipe.to_toml(), encoding="utf-8")
    assert load_recipe("again.toml", Registry(discover())) == recipe
    assert read("").claim is None


def test_who_does_not_ask_for_claims_gets_any_table(read):
    assert read("claim = { x = 3 }", tables=None).claim == {"x": 3}


def test_every_check_that_is_none_is_a_problem_and_nothing_else(read):
    with pytest.raises(RecipeError) as caught:
        read('claim = { statement = "s", checks = ["a", "id(full) >= 0", "b"] }')
    assert [(each.key, each.message.rpartition(", ")[2]) for each in caught.value.problems] == [
        ("claim.checks[0]", "got 'a'"),
        ("claim.checks[2]", "got 'b'"),
    ]


@pytest.mark.parametrize(
    ("claim", "problem"),
    [
        ("claim = 3", "r.toml:6: claim: must be a table (got 3)"),
        (CLAIM.replace("Good.", ""), "r.toml:8: claim.statement: must not be empty (got '')"),
        (
            CLAIM.replace("source", "sorce"),
            "r.toml:9: claim.sorce: unknown key; did you mean 'source'? "
            "Choices: statement, source, note, checks, controls",
        ),
        (
            'claim = { statement = "s" }',
            "r.toml:6: claim.checks: required key is missing (conditions that must all hold for the claim to hold: "
            f"{FORM})",
        ),
        ('claim = { statement = "s", checks = [] }', "r.toml:6: claim.checks: expected at least 1 of them, got []"),
        (CLAIM.replace("ood(full) <", "ood(full) ="), f"r.toml:10: claim.checks[1]: expected {FORM}, got "
         "'ood(full) == 0.5'"),
        (CLAIM.replace('"id(full) >= 0.5"', "3"), "r.toml:10: claim.checks[0]: must be a string (got 3)"),
        (CLAIM.replace("ood(full)", "ood(fulll) - id(fulll)"), "r.toml:10: claim.checks[1]: no stage is named 'fulll'; "
         "did you mean 'full'? Choices: full"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_claim_is_said_once_with_line_and_key(read, claim, problem):
    with pytest.raises(RecipeError) as caught:
        read(claim)
    assert [str(each) for each in caught.value.problems] == [problem]


# -- levels and splits ---------------------------------------------------------------------------------

PLAN = {
    "full": [Phase(10)],
    "imp": [Phase(4, level=level, warmup=False, kept=level != 0.3) for level in (0.2, 0.3, 0.4, 0.6)],
}


@pytest.fixture
def recipe(read):
    """A recipe with the stages full, imp and ticket, which starts from a point of imp."""

    def of(point="0.4"):
        stages = [
            '{ name = "full", op = "train", loss = "std" }',
            '{ name = "imp", op = "prune", loss = "std", pruner = { use = "imp", sparsity = 0.6 } }',
            f'{{ name = "ticket", op = "train", loss = "std", mask = "imp@{point}" }}',
        ]
        head = RECIPE.partition("stages = ")[0]
        Path("three.toml").write_text(f"{head}stages = [{', '.join(stages)}]", encoding="utf-8")
        return load_recipe("three.toml", Registry(discover()))

    return of


def claim(*checks: str) -> Claim:
    return Claim(statement="s", checks=checks)


@pytest.mark.parametrize(
    "text",
    ["id(full) > 0", "id(imp) > 0", "ood(imp@0.6) >= id(imp@.20)", "sd(id(imp@0.40)) < sd(id(full))"],
)
def test_a_claim_may_be_of_levels_that_are_kept(recipe, text):
    assert check_levels(claim(text), recipe(), PLAN) is None


def test_a_claim_may_be_of_a_level_that_another_stage_refers_to(recipe):
    assert check_levels(claim("id(imp@0.3) > 0"), recipe("0.3"), PLAN) is None


@pytest.mark.parametrize(
    ("checks", "message"),
    [
        (
            ("id(full) > 0", "id(full) > ood(imp@0.5)"),
            "claim: ood(imp@0.5): expected a sparsity level that 'imp' reaches, got 0.5; it reaches 0.2, 0.3, 0.4, 0.6",
        ),
        (
            ("sparsity(full@0.5) >= 0",),
            "claim: sparsity(full@0.5): expected a sparsity level that 'full' reaches, got 0.5; it reaches none",
        ),
        (
            ("sd(ood.random(imp@0.3)) < sd(id(full))",),
            "claim: ood.random(imp@0.3): expected a sparsity level that 'imp' keeps, got 0.3; it keeps 0.2, 0.4, 0.6; "
            "choose the levels with stages.imp.pruner.levels",
        ),
    ],
)
def test_a_claim_of_a_level_that_is_not_kept_is_a_sentence(recipe, checks, message):
    with pytest.raises(UsageError) as refused:
        check_levels(claim(*checks), recipe(), PLAN)
    assert str(refused.value) == message


def test_the_levels_of_a_stage_of_unknown_length_are_not_refused(recipe):
    assert check_levels(claim("id(imp@0.5) > 0"), recipe(), {}) is None


@pytest.mark.parametrize(
    ("text", "splits", "message"),
    [
        (
            "ood(full) > ood.hans(full)",
            ["random"],
            "ood.hans(full): expected an OOD split among random; got 'hans'",
        ),
        ("ood.hans(full) > 0", [], "ood.hans(full): expected an OOD split among none; got 'hans'"),
        ("ood(full) > 0", [], "ood(full): expected an OOD split among none; got 'the mean of all'"),
        ("sd(id(full)) < sd(ood.dev(full))", ["a", "b"], "ood.dev(full): expected an OOD split among a, b; got 'dev'"),
    ],
)
def test_a_claim_of_a_split_that_the_data_do_not_have_is_a_sentence(text, splits, message):
    with pytest.raises(UsageError) as refused:
        check_splits(claim(text), splits)
    assert str(refused.value) == f"claim: {message}"


@pytest.mark.parametrize(("text", "splits"), [("ood(full) + ood.a(full) > 0", ["a", "b"]), ("id(full) > 0", [])])
def test_a_claim_of_splits_that_there_are_is_right(text, splits):
    assert check_splits(claim(text), splits) is None
