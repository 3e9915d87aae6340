"""A saved model, for the checks of the backbones that read one."""

from __future__ import annotations

from pathlib import Path

from srf_backbones.options import TinyOptions


def saved_model(directory: Path) -> dict[str, str]:
    """Save a tiny model with its tokenizer; return the options."""
    from srf_backbones.tiny import TinyBert

    options = TinyOptions.model_validate({"width": 16, "heads": 2, "intermediate": 24})
    network = TinyBert(options).load(("a", "b"), 0)
    network.model.save_pretrained(directory)
    network.tokenizer.save_pretrained(directory)
    return {"path": str(directory)}
