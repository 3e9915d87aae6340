"""The evaluators of a recipe: what they declare, and the figures that they compute."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from srframework.component import NEEDS_BIAS, references
from srframework.contracts import Evaluated, Evaluator, Figure, Predictions, Split
from srframework.errors import DataError, PluginError
from srframework.faults import expect, owner_of, where
from srframework.recipe.model import Use
from srframework.text import did_you_mean, nearest, shorten


@dataclass(frozen=True)
class Listed:
    """An evaluator of a recipe.

    Attributes:
        evaluator: The evaluator.
        references: The text of its options that refer to stages.
        needs_bias: Whether it requires p_b.
    """

    evaluator: Evaluator
    references: Sequence[str] = ()
    needs_bias: bool = False

    def applies(self, predictions: Predictions) -> bool:
        """Whether the predictions have everything that it asks for."""
        has_bias = predictions.bias_probs is not None or not self.needs_bias
        return has_bias and set(self.evaluator.columns()) <= set(predictions.columns)

    def given(self, predictions: Predictions) -> Predictions:
        """Return the predictions, without p_b unless it requires it."""
        return predictions if self.needs_bias else replace(predictions, bias_probs=None)

    def given_model(self, evaluated: Evaluated) -> Evaluated:
        """Return the model with the stages that its options refer to, without p_b unless it requires it."""

        def each(predictions: Iterable[Predictions]) -> tuple[Predictions, ...]:
            return tuple(map(self.given, predictions))

        stages = {
            text: replace(stage, predictions={name: self.given(of) for name, of in stage.predictions.items()})
            for text, stage in evaluated.stages.items()
            if text in self.references
        }
        of_id, dev = self.given(evaluated.id), self.given(evaluated.dev)
        return replace(evaluated, id=of_id, dev=dev, ood=each(evaluated.ood), also=each(evaluated.also), stages=stages)


class Evaluators:
    """The evaluators of a recipe.

    Attributes:
        columns: The columns that they ask for, each once.
        references: The text of each option that refers to a stage.
        need_bias: Whether one of them requires p_b.
        needing: Names of those that do, for messages.
    """

    def __init__(self, each: Sequence[Listed]) -> None:
        self._each = each
        self.columns = tuple(dict.fromkeys(name for one in each for name in one.evaluator.columns()))
        self.references = tuple(dict.fromkeys(text for one in each for text in one.references))
        self.need_bias = any(one.needs_bias for one in each)
        self.needing = ", ".join(owner_of(one.evaluator) for one in each if one.needs_bias)

    @classmethod
    def built(cls, uses: Iterable[Use]) -> Evaluators:
        """Build the evaluators of a recipe."""
        return cls(
            [
                Listed(
                    use.build(),
                    tuple(text for _, text in references(use.options)),
                    NEEDS_BIAS in use.registered.required(use.options),
                )
                for use in uses
            ]
        )

    def declared(self) -> list[Figure]:
        """Return all declarations."""
        return [figure for each in self._each for figure in each.evaluator.figures()]

    def check_columns(self, splits: Sequence[Split]) -> None:
        """Check that each evaluator has a split with all of its columns.

        Raises:
            DataError: An evaluator has none.
        """
        for evaluator in [each.evaluator for each in self._each]:
            wanted = evaluator.columns()
            if not any(set(wanted) <= set(split.examples.column_names) for split in splits):
                known = list(dict.fromkeys(name for split in splits for name in split.examples.column_names))
                missing = next((name for name in wanted if name not in known), wanted[0])
                raise DataError(
                    f"{owner_of(evaluator)}: no split has the columns {', '.join(wanted)}; the existing "
                    f"columns are {', '.join(known)}{did_you_mean(nearest(missing, known))}"
                )

    def figures(self, predictions: Predictions) -> dict[str, float]:
        """Return the figures of all evaluators that have their columns and p_b, for one split.

        Raises:
            PluginError: A figure is not declared, or two evaluators disagree on it.
        """
        applicable = [each for each in self._each if each.applies(predictions)]
        return _collect(
            [(each.evaluator, "evaluate()", each.evaluator.evaluate(each.given(predictions))) for each in applicable]
        )

    def measures(self, evaluated: Evaluated) -> dict[str, float]:
        """Return the figures of a model; without those of evaluators that refer to stages that ``evaluated`` does not
        have. Raises as :meth:`figures` does."""
        results = []
        for each in self._each:
            if set(each.references) <= evaluated.stages.keys():
                own = each.given_model(evaluated)
                results.append((each.evaluator, "measure()", each.evaluator.measure(own)))
        return _collect(results)

    def declaration(self, name: str) -> Figure | None:
        """Return the declaration of a figure; None if no evaluator declares it.

        Raises:
            PluginError: Two evaluators declare the figure with different units or directions.
        """
        found = [figure for figure in self.declared() if figure.covers(name)]
        if len({(figure.unit, figure.better) for figure in found}) > 1:
            each = " and ".join(f"{figure.unit}, better: {figure.better or 'neither'}" for figure in found)
            raise PluginError(f"the evaluators of the recipe declare the figure {name!r} differently: {each}")
        return found[0] if found else None

    def task_metric(self, metric: str, owner: str) -> Figure:
        """Return the declaration of a task's metric, under its own name.

        Args:
            metric: Name of the figure.
            owner: The data set, for messages.

        Raises:
            PluginError: No evaluator declares the metric, or it has no direction.
        """
        figure = self.declaration(metric)
        if figure is None:
            names = [figure.name for figure in self.declared()]
            raise PluginError(
                f"{owner}: its metric is {metric!r}, but the evaluators of the recipe declare only: "
                f"{', '.join(names) or 'none'}{did_you_mean(nearest(metric, names))}"
            )
        if figure.better is None:
            raise PluginError(
                f"{owner}: its metric is {metric!r}, which cannot choose a checkpoint, because its evaluator declares "
                "neither higher nor lower values as better"
            )
        return replace(figure, name=metric)


def _collect(results: Sequence[tuple[Evaluator, str, Mapping[str, float]]]) -> dict[str, float]:
    collected: dict[str, float] = {}
    for evaluator, method, result in results:
        declared = evaluator.figures()
        for name, value in result.items():
            is_declared = any(figure.covers(name) for figure in declared)
            names = ", ".join(figure.name for figure in declared) or "none"
            expect(is_declared, owner_of(evaluator), method, f"only figures that figures() declares: {names}", name)
            if name in collected and collected[name] != float(value):
                raise PluginError(
                    f"{where()}two evaluators give a figure {name!r}: {collected[name]} and {shorten(value)}"
                )
            collected[name] = float(value)
    return collected
