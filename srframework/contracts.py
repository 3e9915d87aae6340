"""The contracts of the kinds of component: the arguments and the results of their methods.

Shapes: N examples of a split, B examples of a batch, C labels.

Nothing here imports torch; only the type checker needs its types.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, cast

if TYPE_CHECKING:
    import datasets
    import numpy as np
    import torch
    from torch import Tensor, nn
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from srframework.masks import Mask

    WordVectors = Callable[[Sequence[str]], np.ndarray]
    """n words -> ``(n, d)``, float32; a word without a vector gets a row of zeros."""

    Features = Callable[["Split"], np.ndarray]
    """A split of N examples -> its spurious features, ``(N, F)``."""


PARTS = ("encoder", "pooler", "classifier")
"""The parts of a model whose matrices may be pruned: the Transformer layers, the pooler, and the layers above it."""

COUNTED_PARTS = ("encoder", "classifier")
"""The parts that a model's sparsity counts (section 3.1). The pooler never counts, whether or not it is pruned."""

SPARSITY = "zeros among the entries of the encoder's and the classifier's matrices"
"""Meaning of the metric ``sparsity`` of a model."""


# -- backbone ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Network:
    """A model, its tokenizer, and the matrices that may be pruned.

    Attributes:
        model: A Hugging Face sequence classifier with C outputs.
        tokenizer: Accepts one or two texts.
        prunable: Qualified name of a linear module -> its part of the model,
            one of :data:`PARTS` (section 3.1 of the paper).
        blocks: Qualified name of a fused module -> rows of each of its row blocks, in order (query, key, value);
            their sum is the number of rows. With scope ``"local"`` each block has the sparsity.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    prunable: Mapping[str, str]
    blocks: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def matrices(self, parts: Collection[str] = PARTS) -> dict[str, nn.Parameter]:
        """Return the weights of the prunable modules of these parts, by the name of the module. A matrix that several
        modules share is returned once, by the name of the first."""
        chosen = [name for name, part in self.prunable.items() if part in parts]
        weights = {name: cast("nn.Parameter", self.model.get_submodule(name).weight) for name in chosen}
        first = {id(weight): name for name, weight in reversed(weights.items())}
        return {name: weight for name, weight in weights.items() if first[id(weight)] == name}

    def counted(self) -> dict[str, nn.Parameter]:
        """Return the matrices that the model's sparsity counts: those of :data:`COUNTED_PARTS`."""
        return self.matrices(COUNTED_PARTS)


class Backbone(ABC):
    """f(θ_pt): a pre-trained encoder with a new classifier on top."""

    def __init__(self, options: Any) -> None:
        self.options = options

    @abstractmethod
    def load(self, labels: Sequence[str], seed: int) -> Network:
        """Load the model with one output for each of ``labels``, in that order.

        New weights depend only on ``seed``.

        Raises:
            BackboneError: The model does not exist or cannot be pruned.
        """


# -- dataset -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Split:
    """Examples to train or evaluate on.

    Attributes:
        name: ``"train"``, ``"dev"``, ``"hans"``; unique in its task.
        examples: Columns ``text_a`` (string), ``label`` (index into ``labels``), ``text_b`` if an example has
            two texts, and any columns that evaluators need.
        labels: The names of this split's labels.
        collapse: For each label of the model, the index of the corresponding label of this split;
            None if the labels are the same. HANS: contradiction, entailment, neutral
            -> 0, 1, 0, because its labels are non-entailment, entailment.
    """

    name: str
    examples: datasets.Dataset
    labels: tuple[str, ...]
    collapse: tuple[int, ...] | None = None


@dataclass(frozen=True)
class TaskData:
    """The data of a task.

    Attributes:
        labels: The model's labels, in the order of its outputs.
        metric: The figure that tables show and that chooses the best checkpoint, by its name in an evaluator:
            ``"accuracy"``.
        train: Training examples, in distribution (ID).
        dev: ID examples that choose the checkpoint. They also give the ID metric if ``test`` is None.
        test: ID examples that give the ID metric, if any.
        ood: Splits in which the spurious features do not help to predict the label.
        also: Additional splits, which are reported but choose nothing: MNLI's mismatched dev set.
        ood_train: OOD *training* examples, which a stage may add to its training set (section 4.5), with the labels
            of ``train``. None if the task has none.
        spurious_features: Computes the features of a split, ``(N, F)``, float, on which a bias model
            is fitted; its second argument gives word vectors. None if the task has none.
        merged_labels: Labels that the spurious features cannot distinguish: a bias model fits them as
            one label and divides its probability evenly (App. B.3.1: contradiction and neutral).
        notes: Sentences for the user, such as which rows were skipped and why.
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
        """All splits except the training sets, ID first."""
        return (self.dev, *([self.test] if self.test else []), *self.also, *self.ood)


class Dataset(ABC):
    """A task: the source of its examples, and how to read them."""

    def __init__(self, options: Any) -> None:
        self.options = options

    @abstractmethod
    def load(self, seed: int) -> TaskData:
        """Read the examples.

        Args:
            seed: The recipe's seed, for random choices.

        Raises:
            DataError: A file does not match the options; names file and row.
        """

    def sizes(self) -> Mapping[str, int]:
        """Return the number of examples of each split, if known without reading them: published numbers, or a count
        of lines. Keys are names of splits, and ``"ood_train"``. A plan computes its steps from these."""
        return {}


# -- training ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ReferencedStage:
    """A stage that an option refers to, at the point that the option names.

    Attributes:
        reference: The text of the option: ``"full@1000"``.
        network: Loads the saved model, a fresh object on the CPU.
        mask: The mask of the model; None if it has none.
        log_probs: ``(N, C)``, float32, normalised: log p of the stage's model for each training example of the
            present stage; None unless the component requires ``"predictions"``, and for evaluators.
        predictions: Split -> the predictions of the stage's model on each evaluated split; for evaluators, otherwise
            empty.
    """

    reference: str
    network: Callable[[], Network]
    mask: Mask | None = None
    log_probs: np.ndarray | None = None
    predictions: Mapping[str, Predictions] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainingContext:
    """The training to which a component is attached: its data, its device, other stages, random numbers.

    N, the number of training examples, is ``len(gold)``; arrays are in the order of the examples' indexes.

    Attributes:
        labels: The labels, in the order of the model's outputs.
        gold: ``(N,)``, int64: the true labels.
        steps: The planned optimizer steps of the stage.
        seed: The seed of the recipe.
        device: The device of the model.
        hidden_size: H, the width of the input of the classifier's last layer; 0 without a classifier.
        columns: The columns of the training set that the component requires, by name, ``(N,)`` each.
        bias_log_probs: ``(N, C)``, float32, log p_b; None unless the component requires ``"bias"``.
        stages: The stages that the component's options refer to, by the text of the option:
            ``context.stages[self.options.teacher]``.
        learning_rates: The sum of the learning rate of the stage over all steps: about how far Adam can move a
            parameter whose gradient keeps its sign.
        log: Logs a named scalar at the present step.
        warn: Shows the user a warning, one sentence.
        generator: On the CPU; seeded from the seed and the component. Draw from it in attach only: a resumed run
            attaches again.
        pretrained: Returns a fresh copy of θ_pt, on the CPU.
        calibration: Returns that many training examples, or all N if N is less, which the seed of ``generator`` draws:
            batches of the stage's batch size on the device, as the model gets them, with ``"labels"`` and ``"index"``.
    """

    labels: tuple[str, ...]
    gold: np.ndarray
    steps: int
    seed: int
    device: torch.device
    hidden_size: int
    columns: Mapping[str, np.ndarray]
    bias_log_probs: np.ndarray | None
    stages: Mapping[str, ReferencedStage]
    learning_rates: float
    log: Callable[[str, float | Tensor], None]
    warn: Callable[[str], None]
    generator: torch.Generator
    pretrained: Callable[[], Network]
    calibration: Callable[[int], Iterable[Mapping[str, Tensor]]]


@dataclass(frozen=True)
class ParameterGroup:
    """Parameters with settings of their own.

    Attributes:
        parameters: Leaves of the graph; each is in one group only.
        learning_rate: Peak learning rate, above 0; None: that of the stage.
        weight_decay: AdamW's decoupled weight decay, at least 0; None: that of the stage.
    """

    parameters: Sequence[nn.Parameter]
    learning_rate: float | None = None
    weight_decay: float | None = None


# -- debiaser ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LossInputs:
    """The inputs of a loss, for one batch. A loss changes none of them.

    Attributes:
        logits: ``(B, C)``, of the main model.
        labels: ``(B,)``, int64.
        index: ``(B,)``, int64: the numbers of the examples in the training set, from 0.
        weights: ``(B,)``, at least 0: the training set's column ``weight``; None if it has no such column.
        bias_log_probs: ``(B, C)``, log p_b, normalised; None unless the debiaser requires ``"bias"``.
        hidden: ``(B, H)``, the input of the classifier's last layer; part of the graph.
        progress: Fraction of the stage's steps that are done, in [0, 1).
        batch: The model's inputs by name, for a loss with a model of its own.
    """

    logits: Tensor
    labels: Tensor
    index: Tensor
    weights: Tensor | None = None
    bias_log_probs: Tensor | None = None
    hidden: Tensor | None = None
    progress: float = 0.0
    batch: Mapping[str, Tensor] = field(default_factory=dict)

    def mean(self, per_example: Tensor) -> Tensor:
        """Return the mean of ``(B,)`` values over the batch, weighted by ``weights``; 0 if all weights are 0."""
        if self.weights is None:
            return per_example.mean()
        total = self.weights.sum()
        return (self.weights * per_example).sum() / total.where(total > 0, 1.0)


class Debiaser(ABC):
    """L: a training loss. It can give less weight to examples that a bias model predicts well.

    One instance serves one stage. The training loop calls, in this order::

        attach -> parameter_groups -> for each epoch: sample, for each batch: loss
    """

    def __init__(self, options: Any) -> None:
        self.options = options

    def attach(self, context: TrainingContext) -> None:
        """Prepare for a stage. Create the loss's own parameters here, if any."""

    def parameter_groups(self) -> Sequence[ParameterGroup]:
        """Return the loss's own parameters, which are trained with the model. Checkpoints save them."""
        return ()

    def sample(self, epoch: int, generator: torch.Generator) -> Tensor | None:
        """Choose the examples of an epoch. Several processes share the choice of the first.

        Args:
            epoch: Its number, from 0.
            generator: On the CPU; its seed depends on the stage's seed and the epoch.

        Returns:
            ``(N,)``, int64: the indexes of the examples, in their order; an example may occur any number of times.
            None: each example once, shuffled.
        """
        return None

    @abstractmethod
    def loss(self, inputs: LossInputs) -> Tensor:
        """Return the scalar to minimise: the mean over the batch, see :meth:`LossInputs.mean`."""

    def state(self) -> dict[str, torch.Tensor]:
        """Return copies of everything that :meth:`restore` needs to resume here, except the loss's own parameters."""
        return {}

    def restore(self, state: Mapping[str, torch.Tensor]) -> None:
        """Restore a :meth:`state` of an earlier run; :meth:`attach` was called before."""


# -- bias model ----------------------------------------------------------------------------------


class BiasModel(ABC):
    """p_b: predicts the label from the spurious features alone."""

    def __init__(self, options: Any) -> None:
        self.options = options

    def restrict(self, task: TaskData) -> TaskData:
        """Return the task without the training examples that this model cannot predict, with a note of their number.

        Called once, before :meth:`fit`; all stages of the recipe train on the result. Other splits must not change.
        """
        return task

    @abstractmethod
    def fit(self, task: TaskData, features: Features | None) -> None:
        """Fit the model to ``task.train``.

        Args:
            task: The task.
            features: Computes the spurious features of any split of the task; None if the task has none.

        Raises:
            DataError: The data are not sufficient to fit the model.
        """

    @abstractmethod
    def log_probs(self, split: Split) -> np.ndarray | None:
        """Return log p_b of every example of a split, ``(N, C)``, finite, normalised, in the order of the
        task's labels; None if it is unknown for this split. It is never None for the training set."""


# -- pruner --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Phase:
    """A part of training with its own optimizer and schedule.

    Attributes:
        steps: Optimizer steps; 0 to prune and save a point without training.
        level: The sparsity at the end of the phase; other stages and claims may refer to the model there, a point of
            the stage (``imp@0.5``). None: its end is no point.
        warmup: Whether the recipe's warmup steps apply.
        decay_steps: Optimizer steps from the beginning of the phase until the learning rate would be 0, at least
            ``steps``; None: ``steps``.
        kept: Whether the end of the phase is evaluated during training, and the model at its level is saved and
            measured. If False, this is so only if another stage or an evaluator refers to the level. The end of the
            stage is always evaluated, saved and measured.
    """

    steps: int
    level: float | None = None
    warmup: bool = True
    decay_steps: int | None = None
    kept: bool = True

    @property
    def point(self) -> str | None:
        """The name of its level in references, ``"0.5"``; None without a level."""
        return None if self.level is None else f"{self.level:g}"


class Pruner(ABC):
    """P_L^p: decides which parameters are optimised and which weights are pruned.

    One instance serves one stage. The training loop calls, in this order::

        attach -> for each phase: begin, parameter_groups,
                    for each step: loss_terms (backward) before_step (clip, optimizer) after_step
                    at every evaluation and at the end of the phase: update_mask
        masks: at any time after an update of the mask

    ``step`` counts the finished optimizer steps of the stage, in all phases.

    Attributes:
        keeps_best: Whether the stage ends with the best checkpoint by the ID metric
            (True) or with the last (False). Only checkpoints of the last phase can be the best.
    """

    keeps_best: bool = True

    def __init__(self, options: Any) -> None:
        self.options = options

    @abstractmethod
    def attach(self, network: Network, context: TrainingContext) -> None:
        """Attach to the model. From now on, ``module.weight`` must show the pruned values, because evaluations use
        them and checkpoints save them."""

    def phases(self, total_steps: int) -> Sequence[Phase]:
        """Divide the steps into phases; one phase unless overridden."""
        return [Phase(total_steps)]

    @abstractmethod
    def parameter_groups(self) -> Sequence[ParameterGroup]:
        """Return the parameters that the optimizer of this phase updates, each group with its own settings."""

    def loss_terms(self, inputs: LossInputs, loss: Tensor) -> Mapping[str, Tensor]:
        """Return named scalars that are added to the loss of a batch; each is logged under its name.

        Args:
            inputs: The inputs of the loss.
            loss: The loss of the batch, without gradient.
        """
        return {}

    def begin(self, phase: Phase, step: int) -> None:
        """Called at the beginning of a phase."""

    def before_step(self, step: int) -> None:
        """Called after the backward pass, before the optimizer step."""

    def after_step(self, step: int) -> None:
        """Called after the optimizer step; ``step`` includes it."""

    def update_mask(self, step: int) -> None:
        """Set the sparsity exactly to the schedule's value after ``step`` steps.

        ``step`` may lie ahead: for a candidate of the best checkpoint, the loop asks for the last step, so that all
        candidates have the final sparsity. Afterwards it restores the model's weights and :meth:`state`.
        """

    def changes_mask(self, step: int) -> bool:
        """Whether :meth:`after_step` changes the mask after this step. If several processes train, the loop then
        checks that their masks are equal, as it does after begin and update_mask."""
        return False

    @abstractmethod
    def masks(self) -> Mask:
        """Return the mask of the last update."""

    def state(self) -> dict[str, torch.Tensor]:
        """Return copies of everything that :meth:`restore` needs to resume here, except the model's weights."""
        return {}

    def restore(self, state: Mapping[str, torch.Tensor]) -> None:
        """Restore a :meth:`state` of this instance or, in a resumed run, of an earlier one. A resumed run first calls
        :meth:`attach` and loads the model's weights; it does not repeat the ``begin`` of the phase."""


# -- evaluator -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Predictions:
    """The model's outputs for one split, with the columns of its examples.

    Attributes:
        split: Name of the split.
        labels: The names of the split's labels.
        logits: ``(N, C)``, float32, in the order of the split's examples.
        predicted: ``(N,)``: the most probable label, collapsed to the split's own labels; the first of a tie.
        gold: ``(N,)``: the true labels, as the split's own labels.
        columns: The columns that the evaluators ask for, ``(N,)`` each; texts have dtype ``object``.
        bias_probs: ``(N, K)``, float32, in [0, 1], rows sum to 1: p_b of the K labels of the split; labels of the model
            that the split counts as one are added. None unless the evaluator requires ``"bias"``.
    """

    split: str
    labels: tuple[str, ...]
    logits: np.ndarray
    predicted: np.ndarray
    gold: np.ndarray
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)
    bias_probs: np.ndarray | None = None

    @classmethod
    def of_split(
        cls, split: Split, logits: np.ndarray, columns: Iterable[str] = (), bias_probs: np.ndarray | None = None
    ) -> Predictions:
        """Collect the predictions for a split from the logits of its examples.

        Args:
            split: The split.
            logits: ``(N, C)``, float32.
            columns: Names of columns; those that the split does not have are left out.
            bias_probs: p_b of its labels, ``(N, K)``; None if it is unknown.
        """
        best: np.ndarray = logits.argmax(axis=1)
        predicted = best.copy()
        for label, of_split in enumerate(split.collapse or ()):
            predicted[best == label] = of_split
        chosen = [name for name in dict.fromkeys([*columns, "label"]) if name in split.examples.column_names]
        table = split.examples.select_columns(chosen).with_format("arrow")[:]
        arrays = {name: table.column(name).to_numpy() for name in chosen}
        gold = arrays.pop("label")
        return cls(split.name, split.labels, logits, predicted, gold, arrays, bias_probs)


@dataclass(frozen=True)
class Figure:
    """The declaration of a figure that an evaluator computes.

    Attributes:
        name: Name of the figure, as in :meth:`Evaluator.evaluate` and :meth:`Evaluator.measure`: ``"accuracy"``.
            ``"hans/*"`` declares all names that begin with ``hans/``, for names that depend on the data.
        unit: ``"fraction"``, which tables show in percent, ``"count"``, ``"nats"``, ``"seconds"``, …
        better: Whether a higher or a lower value is better; None if neither is. The metric of a task needs one.
        description: One sentence with the definition.
        needs_logits: Whether :meth:`Evaluator.resampled` reads the logits for it. If not, examples with equal labels,
            predicted labels, columns and p_b are counted together, which is much faster.
    """

    name: str
    unit: str
    better: Literal["higher", "lower"] | None
    description: str
    needs_logits: bool = False

    def covers(self, name: str) -> bool:
        """Whether this is the declaration of the figure ``name``."""
        return name == self.name or (self.name.endswith("/*") and name.startswith(self.name[:-1]))


@dataclass(frozen=True)
class Evaluated:
    """A model after its evaluation on all splits.

    Attributes:
        id: Predictions on the split of the ID figures: the ID test split, or dev if there is none.
        dev: Predictions on the split that chooses the checkpoint.
        ood: Predictions on each OOD split.
        also: Predictions on each additional split.
        figures: Split -> figures of all evaluators.
        network: The model.
        mask: Its mask; None if the stage has none.
        pretrained: θ_pt. Do not change it.
        stages: The stages that the evaluator's options refer to, by the text of the option.
    """

    id: Predictions
    dev: Predictions
    ood: tuple[Predictions, ...]
    also: tuple[Predictions, ...]
    figures: Mapping[str, Mapping[str, float]]
    network: Network
    mask: Mask | None
    pretrained: Network
    stages: Mapping[str, ReferencedStage] = field(default_factory=dict)


class Evaluator(ABC):
    """E_d: computes named figures. Override :meth:`evaluate`, :meth:`measure`, or both.

    If its component requires ``"bias"``, :meth:`evaluate` is called only for splits whose p_b the recipe's bias model
    knows, and gets it with the predictions. Other evaluators never get it.

    If the options refer to stages (:data:`srframework.StageReference`), :meth:`measure` is called only for the stages
    that run after them.
    """

    def __init__(self, options: Any) -> None:
        self.options = options

    @abstractmethod
    def figures(self) -> Sequence[Figure]:
        """Declare every figure that the evaluator computes with its options. Any other figure is an error."""

    def columns(self) -> Sequence[str]:
        """Return the columns that :meth:`evaluate` needs. It is called only for splits that have all of them; a recipe
        whose data have no such split is refused."""
        return ()

    def evaluate(self, predictions: Predictions) -> dict[str, float]:
        """Compute figures of one split."""
        return {}

    def resampled(self, predictions: Predictions, counts: np.ndarray) -> dict[str, np.ndarray]:
        """Compute figures of R resamples of a split at once. ``srframework compare`` makes intervals of them.

        Args:
            predictions: N examples.
            counts: ``(R, N)``, float: how often each resample has each example. Every resample has at least one.

        Returns:
            Name, as in :meth:`evaluate` -> ``(R,)``; NaN for resamples in which the figure is not defined. Figures
            that are left out have no interval.
        """
        return {}

    def measure(self, evaluated: Evaluated) -> dict[str, float]:
        """Compute figures of the model itself, or of several splits together."""
        return {}


# -- launcher ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PluginChoice:
    """The plugins to load: the installed ones without the disabled ones, and files.

    Attributes:
        disabled: Names of distributions or entry points that are not loaded.
        files: Absolute paths of Python files, each a plugin that is not installed.
    """

    disabled: tuple[str, ...] = ()
    files: tuple[str, ...] = ()


INSTALLED = PluginChoice()
"""All installed plugins."""


@dataclass(frozen=True)
class Job:
    """One stage of a sweep, or one run, for a worker process; :func:`srframework.run_job` runs it.

    A launcher passes it on unchanged. It consists of strings, numbers, booleans, tuples and mappings, so it can be
    written as JSON and read by ``pydantic.TypeAdapter(Job)``.

    Attributes:
        recipe: The tables of the resolved recipe.
        stage: Compute this stage and the stages that it builds on, in the store only; None: the run, into ``out``.
        out: The run directory.
        store: The stage store.
        plugins: The plugins to load.
        cwd: Paths are relative to this directory.
        log: File to which the progress is appended; None: stderr of the process.
        stored_only: Compute nothing; a result that is not in the store is an error.
        keep: Stage -> points that other runs build on or keep: steps (``"10000"``) and sparsity levels (``"0.5"``).
        users: Run directories that use the results in the store; at least one for a stage.
        failures: The plugins that failed to load in the process that started the sweep, one line each.
    """

    recipe: Mapping[str, Any]
    stage: str | None
    out: str | None
    store: str
    plugins: PluginChoice
    cwd: str
    log: str | None
    stored_only: bool = False
    keep: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    users: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()


@dataclass(frozen=True)
class JobResult:
    """The result of :func:`srframework.run_job`; consists of JSON values.

    Attributes:
        report: The output of ``run --json``, if the job is a run.
        error: A sentence, if the job failed.
        computed: The stages that were computed, and their seconds.
        warnings: The plugins that failed to load only in the worker, one line each.
    """

    report: dict[str, Any] | None = None
    error: str | None = None
    computed: Mapping[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class WorkerDied:
    """The process of a job ended before the job; ``why`` is a sentence. The scheduler submits the job again, at most
    twice; a launcher itself never retries."""

    why: str


class Launcher(ABC):
    """Runs the jobs of a sweep.

    One instance serves one sweep, from one thread, in this order::

        start -> submit, submit, …, wait, submit, …, wait -> close

    ``close`` is always called last, also if ``start`` failed.

    Attributes:
        slots: Maximum number of submitted jobs at a time. None: no limit.
            Read after :meth:`start`.
        in_process: Whether the jobs run in this process, which then shows their progress itself.
    """

    slots: int | None = None
    in_process: bool = False

    def __init__(self, options: Any) -> None:
        self.options = options

    @abstractmethod
    def start(self, jobs: int | None, threads: int | None) -> None:
        """Prepare to run jobs. The sweep writes nothing before this call.

        Args:
            jobs: Number of jobs at once, at least 1; None: the launcher decides.
            threads: Threads of each job, at least 1; None: the launcher decides.

        Raises:
            UsageError: The options are not valid; says what is expected.
        """

    @abstractmethod
    def submit(self, name: str, job: Job) -> None:
        """Run a job as soon as possible. Its name is unique among the submitted jobs that have not ended."""

    @abstractmethod
    def wait(self) -> list[tuple[str, JobResult | WorkerDied]]:
        """Wait until at least one job has ended; return all jobs that have ended, as (name, outcome)."""

    def close(self) -> None:
        """Stop the running jobs and release all resources."""
