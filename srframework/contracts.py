"""The kinds of component: what each is given, and what it must give back.

Shapes: N examples of a split, B examples of a batch, C labels.

Nothing here imports torch; the types that need it are for the type checker alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import datasets
    import numpy as np
    import torch
    from torch import Tensor, nn
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from srframework.masks import Mask

    WordVectors = Callable[[Sequence[str]], np.ndarray]
    """n words -> ``(n, d)``, float32; a row of zeros for a word without a vector."""

    Features = Callable[["Split"], np.ndarray]
    """A split of N examples -> its spurious features, ``(N, F)``."""


PARTS = ("encoder", "pooler", "classifier")
"""The parts of a model whose matrices may be pruned: the Transformer layers, the pooler, and what
is on top."""

COUNTED_PARTS = ("encoder", "classifier")
"""The parts whose matrices are the denominator of a model's sparsity (section 3.1): never the pooler, pruned or not."""

SPARSITY = "zeros among the entries of the encoder's and the classifier's matrices"
"""What the figure ``sparsity`` of a model means, everywhere."""


# -- backbone ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Network:
    """A model, its tokenizer, and which of its matrices may be pruned.

    Attributes:
        model: A Hugging Face sequence classifier with C outputs.
        tokenizer: Takes one or two texts.
        prunable: Qualified name of a linear module -> the part of the model it belongs to:
            one of :data:`PARTS` (section 3.1 of the paper).
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    prunable: Mapping[str, str]

    def matrices(self, parts: Collection[str] = PARTS) -> dict[str, nn.Parameter]:
        """The weights of the prunable modules of these parts, by the name of the module."""
        chosen = [name for name, part in self.prunable.items() if part in parts]
        return {name: cast("nn.Parameter", self.model.get_submodule(name).weight) for name in chosen}

    def counted(self) -> dict[str, nn.Parameter]:
        """The matrices over whose entries the sparsity of the model is counted: those of :data:`COUNTED_PARTS`."""
        return self.matrices(COUNTED_PARTS)


class Backbone(ABC):
    """f(θ_pt): a pre-trained encoder with a new classifier on top."""

    def __init__(self, options: Any) -> None:
        self.options = options

    @abstractmethod
    def load(self, labels: Sequence[str], seed: int) -> Network:
        """Load the model with one output for each of ``labels``, in that order.

        The same seed gives the same new weights.

        Raises:
            BackboneError: There is no such model, or it cannot be pruned.
        """


# -- dataset -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Split:
    """Examples to train or evaluate on.

    Attributes:
        name: ``"train"``, ``"dev"``, ``"hans"``; unique in its task.
        examples: Columns ``text_a`` (string), ``label`` (index into ``labels``), where there are
            two texts ``text_b``, and whatever evaluators want.
        labels: The names of this split's labels.
        collapse: For each label of the model, the index of the label of this split for which
            it counts; None where the two are the same. HANS: contradiction, entailment, neutral
            -> 0, 1, 0, since its labels are non-entailment, entailment.
    """

    name: str
    examples: datasets.Dataset
    labels: tuple[str, ...]
    collapse: tuple[int, ...] | None = None


@dataclass(frozen=True)
class TaskData:
    """Everything that a dataset gives to a run.

    Attributes:
        labels: The model's labels, in the order of its outputs.
        metric: The figure by which splits are compared and checkpoints chosen, as an evaluator
            names it: ``"accuracy"``.
        train: Training examples, in distribution (ID).
        dev: ID examples that choose the checkpoint, and give the ID figure where there is no ``test``.
        test: ID examples that give the ID figure, if there are such.
        ood: Splits in which the spurious feature no longer helps.
        also: Further splits that are reported, and choose nothing: MNLI's mismatched dev set.
        ood_train: OOD *training* examples, which a stage may add to its training set (section 4.5);
            labelled as ``train`` is. None where the task has none.
        spurious_features: Gives the ``(N, F)`` features of any split, float, on which a bias model
            is fitted; what it may use of the words is the second argument. None where the task has none.
        merged_labels: Labels that the spurious features cannot tell apart: a bias model fits them as
            one, whose probability it divides evenly (App. B.3.1: contradiction and neutral).
        notes: Sentences for the user: rows that were skipped, and why.
    """

    labels: tuple[str, ...]
    metric: str
    train: Split
    dev: Split
    test: Split | None = None
    ood: tuple[Split, ...] = ()
    also: tuple[Split, ...] = ()
    ood_train: Split | None = None
    spurious_features: Callable[[Split, WordVectors], np.ndarray] | None = None
    merged_labels: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def evaluated(self) -> tuple[Split, ...]:
        """Every split that is not trained on, ID first."""
        return (self.dev, *([self.test] if self.test else []), *self.also, *self.ood)


class Dataset(ABC):
    """A task: where its examples are, and how they are read."""

    def __init__(self, options: Any) -> None:
        self.options = options

    @abstractmethod
    def load(self, seed: int) -> TaskData:
        """Read the examples; ``seed`` is the recipe's, for what is drawn at random.

        Raises:
            DataError: A file is not what the options say; names file and row.
        """

    def sizes(self) -> Mapping[str, int]:
        """How many examples each split has, where that can be told without reading them: from what
        is published, or by counting lines. By the split's name; ``"ood_train"`` for the OOD training
        examples. The steps that a plan shows follow from these."""
        return {}


# -- debiaser ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LossInputs:
    """One batch, as a loss sees it.

    Attributes:
        logits: ``(B, C)``, of the main model.
        labels: ``(B,)``, int64.
        bias_log_probs: ``(B, C)``, log p_b, normalised; None unless the debiaser requires ``"bias"``.
        teacher_log_probs: ``(B, C)``, log p_t, normalised; None unless an option of the debiaser
            is a :data:`srframework.StageReference`, which names the teacher.
        hidden: ``(B, H)``, what the last layer of the classifier is given; part of the graph.
        progress: Share of the stage's steps that are done, in [0, 1).
    """

    logits: Tensor
    labels: Tensor
    bias_log_probs: Tensor | None = None
    teacher_log_probs: Tensor | None = None
    hidden: Tensor | None = None
    progress: float = 0.0


class Debiaser(ABC):
    """L: a training loss that may discount what a bias model already knows.

    One instance serves one stage.
    """

    def __init__(self, options: Any) -> None:
        self.options = options

    def attach(self, hidden_size: int) -> None:
        """A stage begins; H is ``hidden_size``. Make the parameters here, if the loss has any."""

    def parameters(self) -> Sequence[nn.Parameter]:
        """What is trained along with the model: the loss's own parameters."""
        return ()

    @abstractmethod
    def loss(self, inputs: LossInputs) -> Tensor:
        """The scalar to minimise: the mean over the batch."""


# -- bias model ----------------------------------------------------------------------------------


class BiasModel(ABC):
    """p_b: what can be told of the label from the spurious features alone."""

    def __init__(self, options: Any) -> None:
        self.options = options

    @abstractmethod
    def fit(self, task: TaskData, features: Features | None) -> None:
        """Learn from ``task.train``; ``features`` are the task's, of any of its splits, None where it has none.

        Raises:
            DataError: There is nothing to learn from.
        """

    @abstractmethod
    def log_probs(self, split: Split) -> np.ndarray | None:
        """Log p_b of every example of a split, ``(N, C)``, finite, normalised, in the order of the
        task's labels; None where nothing is known of that split, which the training set never is."""


# -- pruner --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Phase:
    """A stretch of training with an optimizer and a schedule of its own.

    Attributes:
        steps: Optimizer steps; 0 where something is only to be pruned and kept.
        level: The sparsity that stands at its end and is kept as a point of the stage
            (``imp@0.5``); None where nothing is to be kept.
        warmup: Whether the recipe's warmup steps apply.
    """

    steps: int
    level: float | None = None
    warmup: bool = True


class Pruner(ABC):
    """P_L^p: decides what is optimised, and which weights are pruned.

    One instance serves one stage. The training loop calls, in this order::

        attach -> for each phase: begin, parameters,
                    for each step: (backward) before_step (clip, optimizer) after_step
                    at every evaluation and at the end of the phase: update_mask
        masks: at any time after an update of the mask

    ``step`` counts the finished optimizer steps of the whole stage, all phases included.

    Attributes:
        keeps_best: Whether the stage ends with the best checkpoint by the ID metric
            (True) or with the last (False).
    """

    keeps_best: bool = True

    def __init__(self, options: Any) -> None:
        self.options = options

    @abstractmethod
    def attach(self, network: Network, total_steps: int) -> None:
        """Take hold of the model. The values of ``module.weight`` must show the pruning
        from here on, so that they are what an evaluation sees and what is saved."""

    def phases(self, total_steps: int) -> Sequence[Phase]:
        """How the steps are divided; one phase unless overridden."""
        return [Phase(total_steps)]

    @abstractmethod
    def parameters(self) -> Sequence[nn.Parameter]:
        """What the optimizer of this phase optimises."""

    def begin(self, phase: Phase, step: int) -> None:
        """A phase begins."""

    def before_step(self, step: int) -> None:
        """Gradients are there; the optimizer has not stepped."""

    def after_step(self, step: int) -> None:
        """The optimizer has stepped, ``step`` times by now."""

    def update_mask(self, step: int) -> None:
        """Make the sparsity exactly what the schedule wants after ``step`` steps."""

    def complete(self, step: int) -> bool:
        """Whether what stands after ``step`` steps may be the stage's result: not before the
        sparsity that was asked for is reached."""
        return True

    def changes_mask(self, step: int) -> bool:
        """Whether :meth:`after_step` sets the mask after that step. Where several processes train,
        they are then asked whether they have the same one, as they are after begin and update_mask."""
        return False

    @abstractmethod
    def masks(self) -> Mask:
        """The mask as of the last update."""

    def state(self) -> dict[str, torch.Tensor]:
        """Copies of all that :meth:`restore` needs to go on from here; weights of the model excepted."""
        return {}

    def restore(self, state: Mapping[str, torch.Tensor]) -> None:
        """Go back to a :meth:`state`: of this instance, or, where a run that was killed goes on, of the one
        before, in which case :meth:`attach` came first, the model's weights are back, and the ``begin`` of the phase
        is not repeated."""


# -- evaluator -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Predictions:
    """What the model says of one split.

    Attributes:
        split: The split, with its columns.
        logits: ``(N, C)``, float32, in the order of the split's examples.
    """

    split: Split
    logits: np.ndarray

    @property
    def predicted(self) -> np.ndarray:
        """``(N,)``, in the split's own labels: the most probable label, collapsed."""
        best: np.ndarray = self.logits.argmax(axis=1)
        collapsed = best.copy()
        for label, of_split in enumerate(self.split.collapse or ()):
            collapsed[best == label] = of_split
        return collapsed

    @property
    def gold(self) -> np.ndarray:
        """``(N,)``, the true labels, in the split's own labels."""
        labels: np.ndarray = self.split.examples.with_format("numpy", columns=["label"])[:]["label"]
        return labels


class Evaluator(ABC):
    """E_d: named numbers. Override :meth:`evaluate`, or :meth:`measure`, or both."""

    def __init__(self, options: Any) -> None:
        self.options = options

    def applies_to(self, split: Split) -> bool:
        """Whether the split has the columns that :meth:`evaluate` needs."""
        return True

    def evaluate(self, predictions: Predictions) -> dict[str, float]:
        """Figures of one split."""
        return {}

    def of_confusion(self, confusion: np.ndarray) -> dict[str, np.ndarray]:
        """Those figures of a split that follow from its confusion matrix, of R matrices at once.

        ``srframework compare`` has confidence intervals of these figures: it computes them of resamples.

        Args:
            confusion: ``(R, C, C)``, float: the number of examples by true and predicted label, both the split's own;
                each matrix has at least one example. Of the last labels, those that no example has may be left out.

        Returns:
            Name, as :meth:`evaluate` has it -> ``(R,)``, finite.
        """
        return {}

    def measure(self, matrices: Mapping[str, Tensor]) -> dict[str, float]:
        """Figures of the weights of a model: of the encoder's and the classifier's matrices, over which its sparsity
        is counted, by the name of their module; the pooler's is not among them."""
        return {}


# -- launcher ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Job:
    """One stage of a sweep, or one run, for a worker process: :func:`srframework.run_job` does it.

    A launcher passes it on as it is. It consists of texts, numbers, booleans, tuples and mappings, so it can be written
    as JSON, and read again by ``pydantic.TypeAdapter(Job)``.

    Attributes:
        recipe: The tables of the resolved recipe.
        stage: Compute this stage and those that it builds on, in the store alone; None: the run, into ``out``.
        out: The run directory.
        store: Where the results of stages are kept.
        blocked: Plugins not to load.
        cwd: The directory that relative paths start from.
        log: File to which the progress is added; None: stderr of the process.
        stored_only: Compute nothing; what the store does not have is an error.
        keep: Stage -> steps that other runs build on.
        users: Run directories for which results stay in the store; of a stage at least one.
        failures: The plugins that failed to load where the sweep was started, a line each.
    """

    recipe: Mapping[str, Any]
    stage: str | None
    out: str | None
    store: str
    blocked: tuple[str, ...]
    cwd: str
    log: str | None
    stored_only: bool = False
    keep: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    users: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()


@dataclass(frozen=True)
class JobResult:
    """What :func:`srframework.run_job` returns; consists of values that JSON has.

    Attributes:
        report: Of a run, as ``run --json`` prints it.
        error: A sentence, where the job failed.
        computed: The stages that were computed, and their seconds.
        warnings: The plugins that failed to load in the worker alone, a line each.
    """

    report: dict[str, Any] | None = None
    error: str | None = None
    computed: Mapping[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class WorkerDied:
    """The process of a job ended before the job did; ``why`` is a sentence. The scheduler submits the job again, twice
    at most: a launcher repeats nothing itself."""

    why: str


class Launcher(ABC):
    """Where the jobs of a sweep run.

    One instance serves one sweep, from one thread, in this order::

        start -> submit, submit, …, wait, submit, …, wait -> close

    ``close`` comes last whatever happened, also where ``start`` failed.

    Attributes:
        slots: How many jobs it runs at once; no more are with it at a time. None: as many as are submitted.
            Read after :meth:`start`.
        in_process: Whether the jobs run in this process, which then shows their progress itself.
    """

    slots: int | None = None
    in_process: bool = False

    def __init__(self, options: Any) -> None:
        self.options = options

    @abstractmethod
    def start(self, jobs: int | None, threads: int | None) -> None:
        """Get ready; nothing is written before.

        Args:
            jobs: How many jobs at once, at least 1; None: the user leaves it to the launcher.
            threads: Threads of each job, at least 1; None: the user leaves it to the launcher.

        Raises:
            UsageError: The options do not fit; says what is expected.
        """

    @abstractmethod
    def submit(self, name: str, job: Job) -> None:
        """Run a job as soon as possible; no other that is with the launcher has its name."""

    @abstractmethod
    def wait(self) -> list[tuple[str, JobResult | WorkerDied]]:
        """Wait until at least one job has ended; return those that have, by their names."""

    def close(self) -> None:
        """Stop the jobs that still run, and release everything."""
