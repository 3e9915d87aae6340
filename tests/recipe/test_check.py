from __future__ import annotations

from pathlib import Path

import pytest
from checked_recipe import CONFREG, MASK, PAIRS, RECIPE, STD, SYNTHETIC, TINY, TRAINING_KEYS, keys

from srf_backbones.options import TinyOptions


def test_the_small_recipe_is_right(read):
    recipe = read()
    assert (recipe.name, recipe.seed, recipe.backbone.registered.name) == ("small", 0, "tiny")
    assert [stage.name for stage in recipe.stages] == ["full", "srnet"]
    assert recipe.stages[1].pruner.options.sparsity == 0.5


CASES = {
    "unknown key of the recipe": (
        "schema = 1",
        "schema = 1\nsed = 1",
        "r.toml:3: sed: unknown key; did you mean 'seed'? Choices: name, schema, seed, description, requires, "
        "backbone, dataset, evaluators, bias, training, variant, variants, sweep, claim, figure, stages",
    ),
    "a date where a hash needs a text": (
        "schema = 1",
        'schema = 1\nfigure.plot.a = { stage = "full", where.seed = [01:02:00] }',
        "r.toml:3: figure: expected no date and no time, got 01:02:00",
    ),
    "a number that no hash has": (
        "schema = 1",
        'schema = 1\nfigure.plot.a = { stage = "full", where.seed = [nan] }',
        "r.toml:3: figure: expected finite numbers, got nan",
    ),
    "unknown key of a component": (
        'use = "tiny"',
        'use = "tiny"\nlayer = 3',
        f"r.toml:6: backbone.layer: unknown key; did you mean 'layers'? Choices: {keys(TinyOptions)}{TINY}",
    ),
    "key of a component without options": (
        'loss.use = "std"',
        'loss = { use = "std", c = 1 }',
        f"r.toml:13: stages.full.loss.c: unknown key; this component has no options{STD}",
    ),
    "unknown key of a stage": (
        'weights = "full"',
        'weigths = "full"',
        "r.toml:18: stages.srnet.weigths: unknown key; did you mean 'weights'? Choices: name, op, "
        f"weights, mask, pruner, loss, {TRAINING_KEYS}",
    ),
    "training key of a stage, misspelt": (
        'weights = "full"',
        'weights = "full"\nlearning_rat = 1e-3',
        "r.toml:19: stages.srnet.learning_rat: unknown key; did you mean 'learning_rate'? Choices: "
        f"name, op, weights, mask, pruner, loss, {TRAINING_KEYS}",
    ),
    "unknown key of training": (
        "[dataset]",
        "[training]\nepoch = 1\n[dataset]",
        f"r.toml:8: training.epoch: unknown key; did you mean 'epochs'? Choices: {TRAINING_KEYS}",
    ),
    "wrong type at the top": ('name = "small"', "name = 3", "r.toml:1: name: must be a string (got 3)"),
    "empty name": ('name = "small"', 'name = ""', "r.toml:1: name: must not be empty (got '')"),
    "another schema": ("schema = 1", "schema = 2", "r.toml:2: schema: must be 1 (got 2)"),
    "text for a number": (
        'use = "synthetic"',
        'use = "synthetic"\ntrain_size = "5"',
        f"r.toml:9: dataset.train_size: must be an integer (got '5'){SYNTHETIC}",
    ),
    "truth for a number": (
        'use = "tiny"',
        'use = "tiny"\nlayers = true',
        f"r.toml:6: backbone.layers: must be an integer (got true){TINY}",
    ),
    "not a number": (
        "sparsity = 0.5",
        "sparsity = nan",
        f"r.toml:19: stages.srnet.pruner.sparsity: must be a finite number (got nan){MASK}",
    ),
    "out of range": (
        "sparsity = 0.5",
        "sparsity = 1.0",
        f"r.toml:19: stages.srnet.pruner.sparsity: must be less than 1 (got 1.0){MASK}",
    ),
    "below the range": (
        'op = "train"',
        'op = "train"\nepochs = 0',
        "r.toml:13: stages.full.epochs: must be at least 1 (got 0)",
    ),
    "seed out of range": (
        "schema = 1",
        "schema = 1\nseed = 4294967296",
        "r.toml:3: seed: must be less than 4294967296 (got 4294967296)",
    ),
    "none of the words": (
        'op = "train"',
        'op = "trian"',
        "r.toml:12: stages.full.op: must be 'train' or 'prune' (got 'trian'); did you mean 'train'?",
    ),
    "check of several options": (
        'use = "tiny"',
        'use = "tiny"\nheads = 3',
        f"r.toml:4: backbone: expected a width that is a multiple of heads (got width = 64, heads = 3){TINY}",
    ),
    "unknown component": (
        'use = "tiny"',
        'use = "tinny"',
        "r.toml:5: backbone.use: no backbone is named 'tinny'; did you mean 'tiny'? Choices: bert-base, "
        "bert-large, encoder, roberta-base, tiny",
    ),
    "component of another kind": (
        'use = "mask"',
        'use = "poe"',
        "r.toml:19: stages.srnet.pruner.use: no pruner is named 'poe', which is of kind debiaser; "
        "choices: imp, imp-rw, mask, omp, random",
    ),
    "component of an unknown distribution": (
        'use = "synthetic"',
        'use = "srframwork/synthetic"',
        "r.toml:8: dataset.use: no dataset is named 'srframwork/synthetic'; did you mean "
        "'srframework/synthetic'? Choices: fact-verification, nli, pairs, paraphrase, "
        "srframework/fact-verification, srframework/nli, srframework/pairs, srframework/paraphrase, "
        "srframework/synthetic, synthetic",
    ),
    "component without its name": (
        'use = "synthetic"',
        "dev_size = 3",
        "r.toml:7: dataset.use: must be the name of a dataset (got nothing); choices: "
        "fact-verification, nli, pairs, paraphrase, synthetic",
    ),
    "name that is a number": (
        'use = "synthetic"',
        "use = 3",
        "r.toml:8: dataset.use: must be the name of a dataset (got 3); choices: fact-verification, nli, "
        "pairs, paraphrase, synthetic",
    ),
    "component that is a number": (
        'loss.use = "std"',
        "loss = 3",
        "r.toml:13: stages.full.loss: expected a table with `use`, or the debiaser's name, got 3",
    ),
    "unknown evaluator": (
        "schema = 1",
        'schema = 1\nevaluators = [\n"f1",\n"acuracy",\n]',
        "r.toml:3: evaluators[1]: no evaluator is named 'acuracy'; did you mean 'accuracy'? Choices: "
        "accuracy, bias-groups, f1, hans, sparsity, worst-group",
    ),
    "evaluators that are no array": (
        "schema = 1",
        'schema = 1\nevaluators = "f1"',
        "r.toml:3: evaluators: must be an array (got 'f1')",
    ),
    "training that is no table": (
        "schema = 1",
        "schema = 1\ntraining = 3",
        "r.toml:3: training: must be a table (got 3)",
    ),
    "missing key of the recipe": (
        "schema = 1",
        "",
        "r.toml:1: schema: required key is missing (version of the recipe format: 1)",
    ),
    "missing component": (
        '[backbone]\nuse = "tiny"',
        "",
        "r.toml:1: backbone: required key is missing (the encoder: a table with `use` and its options)",
    ),
    "missing name of a stage": (
        'name = "srnet"\n',
        "",
        "r.toml:15: stages.1.name: required key is missing (name of the stage: letters, digits, '_', '.' and '-')",
    ),
    "missing option": (
        'use = "tiny"',
        'use = "encoder"',
        "r.toml:4: backbone.path: required key is missing (a directory with a model and its tokenizer, "
        "or a name on the Hugging Face hub) (option of backbone 'encoder' of srframework 0.1.0)",
    ),
    "prune without a pruner": (
        'pruner = { use = "mask", sparsity = 0.5 }\n',
        "",
        "r.toml:15: stages.srnet.pruner: required key is missing; "
        "a stage with op = 'prune' needs a pruner: { use = ... }",
    ),
    "train with a pruner": (
        'loss.use = "std"',
        'loss.use = "std"\npruner = "mask"',
        "r.toml:14: stages.full.pruner: only a stage with op = 'prune' can have a pruner (this stage has op = 'train')",
    ),
    "unknown stage": (
        'weights = "full"',
        'weights = "ful"',
        "r.toml:18: stages.srnet.weights: no stage is named 'ful'; did you mean 'full'? Choices: full, pretrained",
    ),
    "point that is none": (
        'weights = "full"',
        'weights = "full@end"',
        "r.toml:18: stages.srnet.weights: expected a step (10000) or a sparsity level in (0, 1) (0.5) after '@', "
        "got 'end'",
    ),
    "stage that starts from itself": (
        'weights = "full"',
        'weights = "srnet"',
        "r.toml:18: stages.srnet.weights: this stage would depend on itself through 'srnet': srnet -> srnet",
    ),
    "mask of a stage without one": (
        'loss.use = "poe"',
        'loss.use = "poe"\n[[stages]]\nname = "x"\nop = "train"\nmask = "full"\nloss = "std"',
        "r.toml:24: stages.x.mask: must be a stage that has a mask (got 'full', which trains all weights)",
    ),
    "two stages of one name": (
        'name = "srnet"',
        'name = "full"',
        "r.toml:16: stages.full.name: expected a unique name, got 'full', which is already the name of another stage",
    ),
    "name that is taken by the backbone": (
        'name = "srnet"',
        'name = "pretrained"',
        "r.toml:16: stages.pretrained.name: expected a unique name, got 'pretrained', "
        "which means the pretrained weights of the backbone",
    ),
    "name that is a path": (
        'name = "srnet"',
        'name = "../x"',
        "r.toml:16: stages.../x.name: must be a letter or digit, and then letters, digits, '_', '.' and '-' "
        "(got '../x')",
    ),
    "bias model for a loss": (
        'loss.use = "std"',
        'loss.use = "bias-logistic"',
        "r.toml:13: stages.full.loss.use: no debiaser is named 'bias-logistic', which is of kind bias; "
        "choices: confreg, focal, group-dro, jtt, learned-mixin, poe, reweight, std",
    ),
    "loss for a bias model": (
        "[dataset]",
        '[bias]\nuse = "std"\n[dataset]',
        "r.toml:8: bias.use: no bias model is named 'std', which is of kind debiaser; choices: "
        "bias-file, bias-logistic",
    ),
    "bias file that is not there": (
        "[dataset]",
        '[bias]\nuse = "bias-file"\npath = "gone.npy"\n[dataset]',
        "r.toml:9: bias.path: expected a file that exists, relative to {cwd} (no such file), got 'gone.npy' "
        "(option of bias model 'bias-file' of srframework 0.1.0)",
    ),
    "loss that needs a bias model on data without spurious features": (
        '[dataset]\nuse = "synthetic"\n',
        PAIRS,
        "r.toml:24: stages.srnet.loss.use: debiaser 'poe' needs a bias model; bias model 'bias-logistic' needs "
        "spurious features, which dataset 'pairs' does not provide with these options; use another data set, or "
        "another bias model in [bias]: bias-file, bias-logistic",
    ),
    "teacher that is no stage": (
        'loss.use = "poe"',
        'loss = { use = "confreg", teacher = "ful" }',
        "r.toml:20: stages.srnet.loss.teacher: no stage is named 'ful'; did you mean 'full'? Choices: full",
    ),
    "teacher that starts from its pupil": (
        'loss.use = "std"',
        'loss = { use = "confreg", teacher = "full" }',
        "r.toml:13: stages.full.loss.teacher: this stage would depend on itself through 'full': full -> full",
    ),
    "teacher that is no string": (
        'loss.use = "poe"',
        'loss = { use = "confreg", teacher = 3 }',
        f"r.toml:20: stages.srnet.loss.teacher: must be a string (got 3){CONFREG}",
    ),
    "no teacher": (
        'loss.use = "poe"',
        'loss.use = "confreg"',
        "r.toml:20: stages.srnet.loss.teacher: required key is missing (the teacher: a stage that is "
        f"trained with std, or a point of it, such as full@1000){CONFREG}",
    ),
    "OOD training examples that the data set has not": (
        'weights = "full"',
        'weights = "full"\nood_train = 3',
        "r.toml:19: stages.srnet.ood_train: expected 0, got 3; "
        "dataset 'synthetic' of srframework 0.1.0 has no OOD training examples with these options",
    ),
    "variant that is not there": (
        "schema = 1",
        'schema = 1\nvariant = "ob"\nvariants.oob.seed = 1',
        "r.toml:3: variant: no variant is named 'ob'; did you mean 'oob'? Choices: oob",
    ),
    "problem in a variant": (
        "schema = 1",
        'schema = 1\nvariant = "b"\nvariants.b."stages.srnet.epochs" = 0',
        "r.toml:4: stages.srnet.epochs: must be at least 1 (got 0)",
    ),
    "sweep that is no table": ("schema = 1", "schema = 1\nsweep = 3", "r.toml:3: sweep: must be a table (got 3)"),
    "variant that is no table": (
        "schema = 1",
        "schema = 1\nvariants.x = 3",
        "r.toml:3: variants.x: must be a table (got 3)",
    ),
}


@pytest.mark.parametrize(("old", "new", "problem"), CASES.values(), ids=CASES)
def test_what_is_wrong_is_said_once_with_line_and_key(problems, old, new, problem):
    assert RECIPE.count(old) == 1
    assert problems(RECIPE.replace(old, new)) == [problem.replace("{cwd}", str(Path.cwd()))]


def test_both_ends_of_a_cycle_are_reported(problems):
    text = RECIPE.replace('loss.use = "std"', 'loss.use = "std"\nmask = "srnet"')
    assert problems(text) == [
        "r.toml:14: stages.full.mask: this stage would depend on itself through 'srnet': full -> srnet -> full",
        "r.toml:19: stages.srnet.weights: this stage would depend on itself through 'full': srnet -> full -> srnet",
    ]


def test_a_prune_stage_finds_its_own_mask(problems):
    text = RECIPE + '\n[[stages]]\nname = "again"\nop = "prune"\nmask = "srnet"\npruner = "mask"\nloss = "std"\n'
    assert problems(text) == [
        "r.toml:25: stages.again.mask: only a stage with op = 'train' can have a mask (this stage has op = 'prune')"
    ]


def test_all_problems_come_at_once_in_the_order_of_the_file(problems):
    text = """\
schema = "1"
sed = 2
[[stages]]
name = "a"
op = "prune"
epochs = 0
weights = "bb"
loss.use = "poee"
[[stages]]
name = "b"
op = "train"
loss = "std"
batch_size = 1.5
[dataset]
use = "synthetic"
strength = -1
ood_cue = "revers"
[backbone]
use = "tiny"
widht = 3
"""
    said = [problem.split(": ")[:2] for problem in problems(text, "training.clip=globl", "seed=x")]
    assert said == [
        ["--set seed=x", "seed"],
        ["--set training.clip=globl", "training.clip"],
        ["r.toml:1", "name"],
        ["r.toml:1", "schema"],
        ["r.toml:2", "sed"],
        ["r.toml:3", "stages.a.pruner"],
        ["r.toml:6", "stages.a.epochs"],
        ["r.toml:7", "stages.a.weights"],
        ["r.toml:8", "stages.a.loss.use"],
        ["r.toml:13", "stages.b.batch_size"],
        ["r.toml:16", "dataset.strength"],
        ["r.toml:17", "dataset.ood_cue"],
        ["r.toml:20", "backbone.widht"],
    ]


def test_an_item_of_stages_that_is_no_table_does_not_hide_or_shift_the_others(problems):
    text = 'stages = [\n3,\n{ name = "a", op = "train", loss = "std", epochs = 0 }]\n' + RECIPE.split("[[stages]]")[0]
    assert problems(text) == [
        "r.toml:1: stages.0: must be a table (got 3)",
        "r.toml:1: stages.a.epochs: must be at least 1 (got 0)",
    ]


@pytest.mark.parametrize(
    ("stages", "problem"),
    [
        ("", "r.toml:1: stages: required key is missing (the stages: at least one [[stages]] table)"),
        ("stages = []\n", "r.toml:1: stages: must not be empty (got [])"),
        ("stages = 'full'\n", "r.toml:1: stages: must be an array (got 'full')"),
    ],
)
def test_a_recipe_has_stages(problems, stages, problem):
    assert problems(stages + RECIPE.split("[[stages]]")[0]) == [problem]


@pytest.mark.parametrize("name", ['["a"]', "{}", "3"])
def test_a_stage_name_that_is_no_string_is_one_problem(problems, name):
    (problem,) = problems(RECIPE, f"stages.1.name={name}")
    assert "stages.1.name: must be a string (got" in problem
