from __future__ import annotations

import pytest
from hypothesis import given, strategies

from srframework.contracts import INSTALLED, Job, JobResult, WorkerDied
from srframework.sweeps import scheduler as schedule
from srframework.sweeps.scheduler import RETRIES, Events, Task


def job(name: str) -> Job:
    return Job({"name": name}, None, None, "store", INSTALLED, ".", None)


def task(name: str, *needs: str, salvage: bool = False) -> Task:
    return Task(name, job(name), needs, job(f"{name} salvaged") if salvage else None)


class Fake:
    """Ends what it was given first, first; ``results``: name of the work -> what comes of it, in turn."""

    def __init__(self, slots: int | None = 1, results: dict[str, list[JobResult | WorkerDied]] | None = None) -> None:
        self.slots, self.results = slots, results or {}
        self.held: list[tuple[str, Job]] = []
        self.submitted: list[str] = []
        self.most = 0

    def submit(self, name: str, job: Job) -> None:
        self.held.append((name, job))
        self.submitted.append(job.recipe["name"])
        self.most = max(self.most, len(self.held))
        assert len({name for name, _ in self.held}) == len(self.held)

    def wait(self) -> list[tuple[str, JobResult | WorkerDied]]:
        assert self.held, "waited for nothing"
        name, job = self.held.pop(0)
        return [(name, (self.results.get(job.recipe["name"]) or [JobResult()]).pop(0))]

    def close(self) -> None:
        raise AssertionError("whoever opened it closes it")


CELLS = [
    *(task("full"), task("a", "full"), task("one", "full", "a", salvage=True)),
    *(task("b", "full"), task("two", "full", "b", salvage=True), task("alone")),
]


def test_with_one_slot_the_order_is_that_of_the_list():
    fake = Fake()
    assert set(schedule.run(CELLS, fake)) == {"full", "a", "one", "b", "two", "alone"}
    assert fake.submitted == ["full", "a", "one", "b", "two", "alone"]
    assert fake.most == 1


def test_with_more_slots_what_can_start_starts_earlier_tasks_first():
    fake = Fake(2)
    schedule.run(CELLS, fake)
    # full and alone can start; then, with full done, a beside alone; b when alone ends; one when a does
    assert fake.submitted == ["full", "alone", "a", "b", "one", "two"]
    assert fake.most == 2


def test_without_a_limit_everything_that_can_start_is_submitted_at_once():
    fake = Fake(None)
    schedule.run([task(str(number)) for number in range(9)], fake)
    assert fake.most == 9


def test_nothing_to_do_is_done():
    assert schedule.run([], Fake()) == {}


def test_a_failure_fails_what_builds_on_it_with_its_own_error_and_nothing_else():
    fake = Fake(1, {"a": [JobResult(error="the loss is nan", computed={"a": 2.0})]})
    outcomes = schedule.run([*CELLS, task("after", "one")], fake)
    assert {name: outcome.error for name, outcome in outcomes.items()} == {
        name: "the loss is nan" if name in ("a", "one", "after") else None
        for name in ("full", "a", "one", "b", "two", "alone", "after")
    }
    assert fake.submitted == ["full", "a", "one salvaged", "b", "two", "alone"]


def test_what_is_salvaged_comes_when_all_that_it_needs_has_ended_and_is_a_failure_all_the_same():
    fake = Fake(
        3, {"x": [JobResult(error="first")], "y": [JobResult(error="second")], "c salvaged": [JobResult({"run": 1})]}
    )
    outcomes = schedule.run([task("x"), task("y"), task("z"), task("c", "x", "y", "z", salvage=True)], fake)
    assert fake.submitted == ["x", "y", "z", "c salvaged"]
    assert outcomes["c"] == JobResult(error="first")


def test_a_task_whose_worker_dies_is_started_again_and_then_it_is_an_error():
    lost: list[tuple[str, str]] = []
    ended: list[tuple[str, str | None]] = []
    deaths = [WorkerDied(f"death {number}") for number in range(RETRIES + 1)]
    fake = Fake(2, {"a": [deaths[0], JobResult()], "b": list(deaths)})
    events = Events(
        lost=lambda task, why: lost.append((task.name, why)),
        ended=lambda task, outcome: ended.append((task.name, outcome.error)),
    )
    outcomes = schedule.run([task("a"), task("b"), task("c", "b")], fake, events)
    assert fake.submitted.count("a") == 2
    assert fake.submitted.count("b") == 3
    assert sorted(lost) == [("a", "death 0"), ("b", "death 0"), ("b", "death 1")]
    assert outcomes["a"].error is None
    assert outcomes["b"].error == outcomes["c"].error == "death 2"
    assert ended == [("a", None), ("b", "death 2"), ("c", "death 2")]


def test_a_worker_that_dies_in_salvage_is_not_mourned():
    fake = Fake(1, {"a": [JobResult(error="why")], "b salvaged": [WorkerDied("killed")]})
    assert schedule.run([task("a"), task("b", "a", salvage=True)], fake)["b"].error == "why"
    assert fake.submitted == ["a", "b salvaged"]


def test_each_task_is_told_of_once_when_it_starts_and_once_when_it_ends():
    told: list[str] = []
    events = Events(
        started=lambda task: told.append(f"+{task.name}"), ended=lambda task, _: told.append(f"-{task.name}")
    )
    schedule.run([task("a"), task("b", "a")], Fake(1, {"a": [WorkerDied("x"), JobResult(error="y")]}), events)
    assert told == ["+a", "-a", "-b"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_what_the_launcher_raises_goes_through(error):
    class Raising(Fake):
        def wait(self):
            raise error

    with pytest.raises(error):
        schedule.run([task("a")], Raising())


@strategies.composite
def graphs(draw) -> list[Task]:
    """Tasks that build on earlier ones."""
    count = draw(strategies.integers(1, 12))
    needs = [draw(strategies.sets(strategies.sampled_from(range(number)))) if number else () for number in range(count)]
    return [task(str(n), *map(str, sorted(each)), salvage=draw(strategies.booleans())) for n, each in enumerate(needs)]


@given(graphs(), strategies.sampled_from([1, 2, 3, None]), strategies.sets(strategies.integers(0, 11)))
def test_every_task_is_done_once_after_those_that_it_needs_whatever_fails(tasks, slots, broken):
    fake = Fake(slots, {str(number): [JobResult(error=f"error of {number}")] for number in broken})
    ended: list[str] = []
    outcomes = schedule.run(tasks, fake, Events(ended=lambda task, _: ended.append(task.name)))
    assert sorted(ended) == sorted(outcomes) == sorted(each.name for each in tasks)
    assert slots is None or fake.most <= slots
    for each in tasks:
        assert all(ended.index(name) < ended.index(each.name) for name in each.needs)
        inherited = [outcomes[name].error for name in each.needs if outcomes[name].error is not None]
        own = f"error of {each.name}" if int(each.name) in broken else None
        assert outcomes[each.name].error == (inherited[0] if inherited else own)
        assert fake.submitted.count(each.name) == (0 if inherited else 1)
        assert fake.submitted.count(f"{each.name} salvaged") == (1 if inherited and each.salvage else 0)
