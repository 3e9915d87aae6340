"""Checks of a data set's seed: the same rows again, in another process, and other rows with another seed."""

from __future__ import annotations

from srframework.testing.check import NotApplicable, Subject, require
from srframework.testing.loaded import loaded
from srframework.testing.loads import digest, features_digest
from srframework.testing.other_process import loaded_elsewhere
from srframework.testing.randomness import global_states, untouched_states, watched_generators


def same_rows_again(subject: Subject) -> None:
    """Two loads with one seed give the same rows, with the same spurious features."""
    one, dataset = loaded(subject), subject.build()
    dataset.load(2)
    two = dataset.load(1)
    require(digest(two) == digest(one), "two loads with seed 1 give different rows")
    require(features_digest(two) == features_digest(one), "two loads with seed 1 give different spurious features")


def seed_decides(subject: Subject) -> None:
    """The rows do not depend on the global random states, and loading leaves those as they were."""
    digests, dataset = [], subject.build()
    for seed in (3, 4):
        with global_states(seed):
            data = subject.build().load(1)
            digests.append((digest(data), features_digest(data)))
    for what, one, two in zip(("rows", "spurious features"), *digests, strict=True):
        require(one == two, f"the {what} depend on a global random state; use the seed")
    with untouched_states("load() or spurious_features()"):
        features_digest(dataset.load(1))


def seed_matters(subject: Subject) -> None:
    """If anything is drawn, another seed gives other rows."""
    plain = subject.component.build(subject.options())
    with watched_generators(subject.component, plain) as drawn:
        one = digest(subject.build().load(1))
    if not drawn:
        raise NotApplicable("nothing is drawn")
    require(any(digest(subject.build().load(seed)) != one for seed in (2, 3)), "seeds 1, 2 and 3 give the same rows")


def same_rows_in_another_process(subject: Subject) -> None:
    """Another process with another hash seed loads the same rows, with the same spurious features."""
    rows, features = digest(loaded(subject)), features_digest(loaded(subject))
    for found in loaded_elsewhere(subject):
        require(found[0] == rows, "another process with another hash seed loads other rows")
        require(found[1] == features, "another process with another hash seed has other spurious features")


CHECKS = [same_rows_again, seed_decides, seed_matters, same_rows_in_another_process]
