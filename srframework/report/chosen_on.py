"""Which split chose the checkpoint behind a figure, as a sentence beside every table with OOD figures."""

from __future__ import annotations

from collections.abc import Iterable

from srframework.text import listed

_MOST = 12
"""Stages that the sentence names."""


def chosen_note(stages: Iterable[tuple[str, str]]) -> str:
    """Return the sentence; empty if there is no stage.

    Args:
        stages: Name of each stage, and the split whose ID metric chose its checkpoint; empty for the last step.

    >>> chosen_note([("full", "dev"), ("imp", "")])
    'Checkpoint chosen by the ID metric on dev: full; model after the last step: imp. OOD figures choose nothing.'
    >>> chosen_note([("full", "dev"), ("srnet", "dev")])
    'Checkpoints are chosen by the ID metric on dev; OOD figures choose nothing.'
    """
    found: dict[str, dict[str, None]] = {}
    for name, split in stages:
        found.setdefault(split, {})[name] = None
    if len(found) == 1:
        [split] = found
        how = (
            f"Checkpoints are chosen by the ID metric on {split}" if split else "Each model is that after the last step"
        )
        return f"{how}; OOD figures choose nothing."
    parts = [
        f"{f'checkpoint chosen by the ID metric on {split}' if split else 'model after the last step'}: "
        f"{listed(names, _MOST)}"
        for split, names in sorted(found.items(), key=lambda each: not each[0])
    ]
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}. OOD figures choose nothing." if parts else ""
