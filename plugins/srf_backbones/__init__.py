"""Built-in backbones: presets over one Hugging Face encoder, and a tiny one that needs no download."""

from __future__ import annotations

from srf_backbones.example import saved_model
from srf_backbones.options import BertBaseOptions, BertLargeOptions, EncoderOptions, RobertaBaseOptions, TinyOptions
from srframework import Component, hookimpl

_FACTORY = "srf_backbones.encoder:HuggingFaceEncoder"


@hookimpl
def srframework_backbones() -> list[Component]:
    """Register bert-base, bert-large, roberta-base, encoder, tiny."""
    return [
        Component(
            name="bert-base",
            options=BertBaseOptions,
            factory=_FACTORY,
            summary="BERT-base, uncased: 12 layers, width 768.",
            source="§4.1; Devlin et al. 2019",
            example=saved_model,
        ),
        Component(
            name="bert-large",
            options=BertLargeOptions,
            factory=_FACTORY,
            summary="BERT-large, uncased: 24 layers, width 1024.",
            source="App. C; Devlin et al. 2019",
            example=saved_model,
        ),
        Component(
            name="roberta-base",
            options=RobertaBaseOptions,
            factory=_FACTORY,
            summary="RoBERTa-base: 12 layers, width 768.",
            source="App. C; Liu et al. 2019",
            example=saved_model,
        ),
        Component(
            name="encoder",
            options=EncoderOptions,
            factory=_FACTORY,
            summary="A sequence classifier of a known structure: a local directory, or a name on the Hugging Face hub.",
            source="https://huggingface.co/docs/transformers/model_doc/auto",
            example=saved_model,
        ),
        Component(
            name="tiny",
            options=TinyOptions,
            factory="srf_backbones.tiny:TinyBert",
            summary="A small BERT with random or pre-trained weights and a vocabulary of its own; no download.",
            source="srframework",
        ),
    ]
