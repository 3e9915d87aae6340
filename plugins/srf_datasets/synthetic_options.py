"""Options of the generated task."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from srframework import Options

Further = Literal["random", "reversed", "absent", "agrees", "conflicts"]


class SyntheticOptions(Options):
    """Options of ``synthetic``."""

    train_size: int = Field(12_000, ge=3, description="Training examples; at least 3.")
    dev_size: int = Field(1_000, ge=3, description="ID examples, for selection and for reports; at least 3.")
    ood_size: int = Field(1_000, ge=3, description="Examples of each split with another cue; at least 3.")
    ood_train_size: int = Field(
        0, ge=0, description="OOD training examples, with the cue of the OOD split and no wrong labels; 0: none."
    )
    facts: int = Field(
        2,
        ge=1,
        le=8,
        description="Facts in the evidence, each about another animal, in [1, 8]; the claim is about one.",
    )
    distraction: float = Field(
        0.3,
        ge=0,
        le=1,
        description="Probability that another animal has the claimed attribute or its opposite, in [0, 1].",
    )
    strength: float = Field(
        0.75,
        ge=0,
        le=1,
        description="Share of the training and dev examples whose cue agrees with the label, in [0, 1].",
    )
    visible: float = Field(
        0.6,
        ge=0,
        le=1,
        description="Share of the examples whose cue is the first word of the claim, in [0, 1]: a bias model sees only "
        "these. In the others the cue is the last word.",
    )
    ood_cue: Literal["random", "reversed", "absent"] = Field(
        "random",
        description="The cue in the OOD split: that of any label (random), that of a wrong label (reversed), or a "
        "neutral word (absent).",
    )
    also: tuple[Further, ...] = Field(
        (),
        strict=False,
        description="Further splits to report: random, reversed or absent cues; the dev examples whose cue agrees with "
        "the label (agrees), and the others (conflicts).",
    )
    noise: float = Field(0.1, ge=0, lt=1, description="Share of the training labels that are wrong, in [0, 1).")
    seed: int | None = Field(None, ge=0, description="Seed of the examples; unset: the recipe's seed.")
    group_by: tuple[Literal["label", "cue"], ...] = Field(
        (), strict=False, description="The groups of examples: by label, by cue word, or by both; []: no groups."
    )

    @model_validator(mode="after")
    def _names_differ(self) -> SyntheticOptions:
        if len({*self.also, self.ood_cue}) <= len(self.also):
            raise ValueError(f"in also, splits other than ood_cue ({self.ood_cue}), each once")
        return self

    def input_paths(self) -> list[str]:
        """Return nothing: the examples are generated."""
        return []

    def provided(self) -> list[str]:
        """List the cue as a feature, and OOD training examples, if there are any."""
        return ["spurious-features", *(["ood-train"] if self.ood_train_size else [])]
