"""Stage references anywhere in the options of losses and pruners: checked, ordered, given by their text, in the key."""

from __future__ import annotations

import json

import pytest

LOSS = """
class Inner(Options):
    stages: tuple[StageReference, ...] = Field((), strict=False, description="Stages.")

class Refers(Options):
    either: StageReference | float = Field(1.0, description="A stage or a number.")
    inner: dict[str, Inner] = Field({}, description="More stages.")

class Asks(Debiaser):
    def attach(self, context):
        assert list(context.stages) == ["b@2", "a"], list(context.stages)
        for text, stage in context.stages.items():
            assert stage.reference == text
            assert stage.log_probs.shape == (len(context.gold), len(context.labels))
            assert np.allclose(np.exp(stage.log_probs).sum(1), 1, atol=1e-5)
            assert stage.network().model is not stage.network().model
        assert (context.stages["a"].mask is None, context.stages["b@2"].mask is None) == (True, False)
        assert context.columns["label"].tolist() == context.gold.tolist()
        batches = list(context.calibration(5))
        assert [len(each["labels"]) for each in batches] == [2, 2, 1]
        for each in batches:
            assert each["labels"].tolist() == context.gold[each["index"].numpy()].tolist()
        again = torch.cat([each["index"] for each in context.calibration(5)])
        assert torch.equal(again, torch.cat([each["index"] for each in batches]))
        assert (context.steps, context.hidden_size) == (2, 16)

    def loss(self, inputs):
        return inputs.mean(F.cross_entropy(inputs.logits, inputs.labels, reduction="none"))
"""
FIELDS = 'options=Refers, factory=Asks, requires=["predictions", "column:label"]'
STAGES = """stages=[
{ name = "c", op = "train", loss = { use = "mine", either = "b@2", inner = { x = { stages = ["a"] } } } },
{ name = "b", op = "prune", pruner = "mask", loss = "std" },
{ name = "a", op = "train", loss = "std" },
]""".replace("\n", "")


@pytest.mark.long
def test_references_at_any_depth_are_given_and_count(zoo):
    done = zoo("debiaser", more=LOSS, fields=FIELDS, args=("--set", STAGES, "--json"), others={"bias": ""})
    assert done.code == 0, done.err
    assert [stage["name"] for stage in json.loads(done.out)["stages"]] == ["b", "a", "c"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('["a"]', '["none"]', "stages.c.loss.inner.x.stages.0: no stage is named 'none'; choices: b, a"),
        ('"b@2"', '"c"', "stages.c.loss.either: this stage would depend on itself through 'c': c -> c"),
        ('"b@2"', '"a@0.5"', "stages.c.loss.either: 'a@0.5': expected a sparsity level that 'a' reaches, got 0.5"),
    ],
)
def test_a_wrong_reference_is_refused_at_its_key(zoo, old, new, message):
    stages = STAGES.replace(old, new)
    done = zoo("debiaser", more=LOSS, fields=FIELDS, args=("--set", stages), others={"bias": ""})
    assert done.code == 2
    assert message in done.err


def test_a_column_that_the_data_lack_is_an_error_before_any_stage(perform, tmp_path):
    dataset = 'dataset={ use = "synthetic", train_size = 12, dev_size = 6, ood_size = 6 }'
    stages = 'stages=[{ name = "only", op = "train", loss = "group-dro", max_steps = 1 }]'
    done = perform("run", "quickstart", "--out", "out", "--set", dataset, "--set", stages, cwd=tmp_path)
    assert done.code == 1
    assert "stages.only: " in done.err
    assert "expected the column 'group' in the split 'train'" in done.err
    assert "got the columns text_a, text_b, label" in done.err
    assert not (tmp_path / "out" / "stages").exists()
