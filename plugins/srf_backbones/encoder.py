"""Any encoder that transformers can load and that has BERT's structure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

from srf_backbones.options import EncoderOptions
from srf_backbones.structure import prunable_modules
from srframework import Backbone, BackboneError, Network


class HuggingFaceEncoder(Backbone):
    """A pre-trained encoder from a directory or from the hub, with a new classifier.

    Weights are read from safetensors alone, in float32; code that comes with a model is never run.
    """

    options: EncoderOptions

    def load(self, labels: Sequence[str], seed: int) -> Network:
        """Load model and tokenizer; the classifier is drawn from ``seed``."""
        names = dict(enumerate(labels))
        settings: dict[str, Any] = {
            "num_labels": len(labels),
            "id2label": names,
            "label2id": {label: index for index, label in names.items()},
        }
        if self.options.dropout is not None:
            settings |= dict.fromkeys(("hidden_dropout_prob", "attention_probs_dropout_prob"), self.options.dropout)
        source = {"revision": self.options.revision or "main", "trust_remote_code": False}
        path = self.options.path
        try:
            config = AutoConfig.from_pretrained(path, **source, **settings)
            tokenizer = AutoTokenizer.from_pretrained(path, **source)
            with torch.random.fork_rng():
                torch.manual_seed(seed)
                model = AutoModelForSequenceClassification.from_pretrained(
                    path,
                    config=config,
                    dtype=torch.float32,
                    use_safetensors=True,
                    ignore_mismatched_sizes=True,  # a checkpoint that was fine-tuned with other labels
                    **source,
                )
        except (OSError, ValueError) as error:
            reason = " ".join(str(error).split())
            where = "the directory" if Path(path).is_dir() else "no such directory; on the Hugging Face hub"
            expected = "a directory with a model, or a name on the hub"
            raise BackboneError(f"backbone.path: expected {expected}, got {path!r} ({where}): {reason}") from error
        return Network(model, tokenizer, prunable_modules(model))
