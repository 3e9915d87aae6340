"""Audit a model on disk: what its files have, what it gives up against a dense model, and whether claims are true."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from accelerate import Accelerator

from srframework.contracts import Network
from srframework.masks import Mask
from srframework.models import classifier
from srframework.models.counts import DENOMINATORS, Counts, Denominator, count
from srframework.models.figures import Flips, Row, compared, require_labels, with_bias
from srframework.models.predictions import Predictor, length_for
from srframework.models.saved import OnDisk, on_disk
from srframework.models.timing import batch, machine, medians
from srframework.recipe.check import load_recipe
from srframework.recipe.model import Recipe
from srframework.registry.registry import Registry
from srframework.run.model_directory import ModelDirectory
from srframework.run.processes import Processes
from srframework.run.resources import Materials

BATCHES = (1, 32)
"""Examples of the batches that are timed."""


@dataclass(frozen=True)
class Claims:
    """What a user claims of a model.

    Attributes:
        sparsity: Fraction of zeros, in [0, 1]; None: no claim.
        of: Its denominator.
        pattern: A pattern that every matrix of encoder and classifier has, one of
            :data:`srframework.models.counts.PATTERNS`; None: no claim.
    """

    sparsity: float | None = None
    of: Denominator = "prunable"
    pattern: str | None = None


@dataclass(frozen=True)
class Check:
    """A claim, and whether it is true."""

    claim: str
    holds: bool
    got: str


@dataclass(frozen=True)
class Audit:
    """The report about a model.

    Attributes:
        model, against, recipe: As the user wrote them; None if not given.
        counts: What the files have.
        bytes_against: Bytes of the safetensors files of the dense model; None without one.
        figures, flips: On the data of the recipe.
        seconds: Batch -> model or dense model -> median seconds of a forward pass; empty without a dense model.
        machine: Where this was measured; empty if nothing was.
        checks: Every claim.
        notes: Sentences for the user.
    """

    model: str
    against: str | None
    recipe: str | None
    counts: Counts
    bytes_against: int | None
    figures: Sequence[Row]
    flips: Sequence[Flips]
    seconds: Mapping[int, Mapping[str, float]]
    machine: Mapping[str, str | int]
    checks: Sequence[Check]
    notes: Sequence[str]

    @property
    def holds(self) -> bool:
        """Whether every claim is true."""
        return all(each.holds for each in self.checks)

    def to_json(self) -> dict[str, Any]:
        """Return what ``audit --json`` prints."""
        found = asdict(self)
        counts = found.pop("counts")
        shares = {
            name: {**asdict(share), "sparsity": share.sparsity, "of": DENOMINATORS[name]}
            for name, share in self.counts.shares.items()
        }
        matrices = [{**asdict(each), "entries": each.entries} for each in self.counts.matrices]
        pruned = {"pruned": counts["pruned"], "pruned_not_zero": counts["pruned_not_zero"]}
        return {
            "holds": self.holds,
            **found,
            "sparsity": shares,
            "matrices": matrices,
            "size": counts["sizes"],
            **pruned,
        }


def audit(
    model: str,
    registry: Registry,
    against: str | None = None,
    recipe: str | None = None,
    overrides: Sequence[str] = (),
    claims: Claims | None = None,
) -> Audit:
    """Audit a model.

    Args:
        model: A directory, or RUN@STAGE; see :func:`srframework.models.saved.on_disk`.
        registry: The components.
        against: The dense model, in the same forms.
        recipe: A recipe, whose data both models are evaluated on.
        overrides: ``key=value`` for the recipe.
        claims: What is checked; if the mask of the model is known, that every pruned weight is 0 is checked too.

    Raises:
        UsageError: There is no such model, or it does not fit the recipe.
        RecipeError: The recipe is not valid.
        BackboneError: A model is not a classifier, or damaged.
        DataError: The data cannot be read.
    """
    notes: list[str] = []
    plan = None if recipe is None else load_recipe(recipe, registry, overrides)
    materials = None
    accelerator = Processes().accelerator
    if plan is not None:
        plan, notes = with_bias(plan, registry)
        materials = Materials(plan, accelerator)
    with on_disk(model) as found:
        network = _loaded(found, registry, materials)
        counts = count(ModelDirectory(found.directory), network, None if found.mask is None else Mask.load(found.mask))
        if found.mask is None:
            notes.append("no mask file beside the model: that pruned weights are 0 is not checked")
    dense, bytes_against = None, None
    if against is not None:
        with on_disk(against) as twin:
            dense = _loaded(twin, registry, materials)
            bytes_against = sum(path.stat().st_size for path in ModelDirectory(twin.directory).files())
    seconds = {} if dense is None else {size: _seconds(network, dense, size) for size in BATCHES}
    rows: list[Row] = []
    flips: list[Flips] = []
    if plan is not None and materials is not None:
        own = _predictor(network, model, plan, accelerator)
        other = None if dense is None else _predictor(dense, str(against), plan, accelerator)
        rows, flips, more = compared(own, other, materials, plan, registry)
        notes += more
    return Audit(
        model,
        against,
        recipe,
        counts,
        bytes_against,
        rows,
        flips,
        seconds,
        machine() if seconds else {},
        checks_of(counts, claims or Claims()),
        notes,
    )


def checks_of(counts: Counts, claims: Claims) -> list[Check]:
    """Compare claims with what the files of a model have."""
    checks = []
    if claims.sparsity is not None:
        share = counts.shares[claims.of]
        claim = f"at least {100 * claims.sparsity:g} % zeros among the {DENOMINATORS[claims.of]}, up to rounding"
        checks.append(Check(claim, share.reaches(claims.sparsity), f"{100 * share.sparsity:.2f} %"))
    if claims.pattern is not None:
        wrong = [
            each.name
            for each in counts.counted
            if (units := each.patterns.get(claims.pattern)) is None or units.conforming < units.units
        ]
        claim = f'every matrix of the encoder and the classifier has the pattern "{claims.pattern}"'
        got = f"{len(wrong)} matrices do not, such as {wrong[0]}" if wrong else "all do"
        checks.append(Check(claim, not wrong, got))
    if counts.pruned is not None:
        bad = counts.pruned_not_zero
        got = f"{sum(bad.values()):,} are not, such as in {next(iter(bad))}" if bad else f"all {counts.pruned:,} are"
        checks.append(Check("every pruned weight is exactly 0", not bad, got))
    return checks


def _loaded(found: OnDisk, registry: Registry, materials: Materials | None) -> Network:
    labels = classifier.labels_of(found)
    if materials is None:
        return classifier.load(found, registry, labels)
    require_labels(found.name, labels, materials)
    return classifier.load(found, registry, materials.task.labels)


def _predictor(network: Network, name: str, plan: Recipe, accelerator: Accelerator) -> Predictor:
    options = plan.stages[-1].training
    length = length_for(network, name, options.max_length)
    return Predictor(network, name, accelerator, length, options.eval_batch_size)


def _seconds(network: Network, dense: Network, size: int) -> dict[str, float]:
    calls = {"model": _forward(network, size), "against": _forward(dense, size)}
    with torch.inference_mode():
        return medians(calls)


def _forward(network: Network, size: int) -> Callable[[], object]:
    inputs, module = batch(network, size), network.model.eval()
    return lambda: module(**inputs)
