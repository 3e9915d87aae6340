"""A complete check of the data sets of a recipe, all its variants and sweeps included."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from srframework.component import Options
from srframework.errors import PluginError
from srframework.findings import Finding
from srframework.recipe.file_checks import FileChecks
from srframework.recipe.model import Use
from srframework.recipe.sweep import load_all_variants
from srframework.registry.registry import Registry

ALL_TASKS = "paper/full-models"
"""The recipe whose variants name every data set of the paper."""


@dataclass(frozen=True)
class CheckedData:
    """The findings about one data set, or one bias model that names files.

    Attributes:
        name: ``"dataset nli"``.
        options: The options that a recipe gives, as JSON.
        findings: All of them; there is at least one.
    """

    name: str
    options: dict[str, object]
    findings: tuple[Finding, ...]

    def count(self, state: str) -> int:
        """Count the findings in a state."""
        return sum(each.state == state for each in self.findings)


def check_data(recipe: str | Path, registry: Registry, overrides: Sequence[str] = ()) -> list[CheckedData]:
    """Check the data sets and the bias files of a recipe completely, each with different options once.

    Args:
        recipe: A path, or the name of a shipped recipe.
        registry: The components that it may use.
        overrides: ``key=value``.

    Raises:
        RecipeError: The recipe is not valid; its files are not checked here.
        PluginError: The check of a plugin fails.
    """
    uses: dict[str, Use] = {}
    for cell in load_all_variants(recipe, registry, overrides):
        for use in (cell.recipe.dataset, cell.recipe.bias):
            if use is not None:
                uses.setdefault(f"{use.registered.full_name} {use.options.model_dump_json()}", use)
    files = FileChecks()
    checked = [_checked(use, files) for use in uses.values()]
    return [each for each in checked if each.findings]


def _checked(use: Use, files: FileChecks) -> CheckedData:
    kind = use.registered.kind
    if type(use.options).check_data is Options.check_data:
        problems = files.of(use)
        found = [Finding("problem", ".".join(map(str, each.key)), "file", each.message) for each in problems]
        if kind == "dataset" and not found:
            found.append(
                Finding(
                    "unknown",
                    "",
                    "file",
                    "this data set offers no complete check; a quick look at its files found no problem",
                )
            )
    else:
        found = _findings(use)
        if not found:
            found = [
                Finding("unknown", "", "file", "no local files; data from the hub are checked when they are loaded")
            ]
    return CheckedData(
        f"{kind} {use.registered.name}", use.options.model_dump(mode="json", exclude_unset=True), tuple(found)
    )


def _findings(use: Use) -> list[Finding]:
    owner = use.registered.owner
    try:
        found: Iterable[object] = use.options.check_data()
        every = list(found)
        if wrong := next((each for each in every if not isinstance(each, Finding)), None):
            raise TypeError(f"expected Finding objects, got {type(wrong).__name__}")
    except Exception as error:
        raise PluginError(f"{owner}: check_data failed: {type(error).__name__}: {error}") from error
    return [each for each in every if isinstance(each, Finding)]
