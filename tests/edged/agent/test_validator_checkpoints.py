"""What a checkpoint may claim, and when."""

import random

import orjson
import pytest

from edged.agent.checkpoints import Budget, Checkpoint, Limits, Progress, Spent
from edged.decisions.traffic import Traffic
from tests.fakes.clock import FakeClock

TWO = Limits(questions=2)
SEEN = Traffic(first_seen={3: 1.5})
FILE = "spam/2026-11-23.jsonl"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def checkpoint(tmp_path, clock) -> Checkpoint:
    return Checkpoint(tmp_path / "validator.json", Budget(clock))


def test_a_checkpoint_moves_over_what_is_done_without_a_gap(checkpoint):
    progress = Progress("spam", checkpoint)
    first, second = progress.begin(FILE, 10), progress.begin(FILE, 20)
    progress.skip(FILE, 30)

    progress.finish(second)
    before = dict(checkpoint.positions)
    progress.finish(first)

    assert before == {}
    assert checkpoint.positions == {FILE: 30}


def test_a_checkpoint_knows_the_sampling_of_its_position(checkpoint):
    progress = Progress("spam", checkpoint)
    progress.traffic.count(0.9, None, None)
    first = progress.begin(FILE, 10)
    progress.traffic.count(0.1, None, None)
    progress.begin(FILE, 20)

    progress.finish(first)

    assert checkpoint.traffic["spam"].now.executions == 1


@pytest.mark.parametrize("seed", range(20))
def test_any_order_of_finishing_ends_at_the_end_and_never_passes_what_is_open(checkpoint, seed):
    source = random.Random(seed)
    progress = Progress("spam", checkpoint)
    waiting, end = [], 0
    for _ in range(300):
        end += 10
        if source.random() < 0.5:
            progress.skip(FILE, end)
        else:
            waiting.append(progress.begin(FILE, end))
        if waiting and source.random() < 0.4:
            progress.finish(waiting.pop(source.randrange(len(waiting))))
        oldest = min((step.end for step in waiting), default=end + 10)
        assert checkpoint.positions.get(FILE, 0) == oldest - 10

    for step in waiting:
        progress.finish(step)

    assert checkpoint.positions == {FILE: end}


def test_what_a_file_claims_is_durable_before_it_is_written(checkpoint, tmp_path):
    there = []
    checkpoint.move("spam", FILE, 10, Traffic())

    checkpoint.save(lambda: there.append((tmp_path / "validator.json").exists()))

    assert there == [False]


def test_nothing_new_writes_nothing(checkpoint, tmp_path):
    checkpoint.move("spam", FILE, 10, Traffic())
    checkpoint.save(lambda: None)
    (tmp_path / "validator.json").unlink()

    checkpoint.save(lambda: None)

    assert not (tmp_path / "validator.json").exists()


def test_a_checkpoint_is_read_as_it_was_saved(checkpoint, tmp_path, clock):
    checkpoint.move("spam", FILE, 10, SEEN)
    checkpoint.budget.take("spam", Limits(questions=5))
    checkpoint.save(lambda: None)

    again = Checkpoint(tmp_path / "validator.json", Budget(clock))
    again.load()

    assert again.positions == {FILE: 10}
    assert again.traffic == {"spam": SEEN}
    assert again.budget.spent == {"spam": Spent(questions=1)}


@pytest.mark.parametrize("content", [b"{", b"[]", b"{}", b'{"positions": {"spam/x": 3}}'])
def test_a_damaged_file_means_a_start_from_scratch(checkpoint, tmp_path, content):
    (tmp_path / "validator.json").write_bytes(content)

    checkpoint.load()

    assert (checkpoint.positions, checkpoint.traffic) == ({}, {})


def test_a_budget_is_one_of_a_task_and_a_day(clock):
    budget = Budget(clock)

    first = [budget.take("spam", TWO) for _ in range(3)]
    other = budget.take("news", TWO)
    clock.advance(86_400)
    tomorrow = budget.take("spam", TWO)
    clock.advance(-86_400)
    set_back = [budget.take("spam", TWO) for _ in range(2)]

    assert first == [True, True, False]
    assert (other, tomorrow) == (True, True)
    assert set_back == [True, False]


@pytest.mark.parametrize(("ahead_days", "has_budget"), [(1, False), (2, True), (365, True)])
def test_a_clock_that_was_ahead_takes_no_later_days_budget(tmp_path, clock, ahead_days, has_budget):
    clock.advance(ahead_days * 86_400)
    before = Checkpoint(tmp_path / "validator.json", Budget(clock))
    before.budget.take("spam", Limits(questions=1))
    before.save(lambda: None)
    clock.advance(-ahead_days * 86_400)
    after = Checkpoint(tmp_path / "validator.json", Budget(clock))
    after.load()

    taken = after.budget.take("spam", Limits(questions=1))

    assert taken is has_budget
    assert not after.budget.take("spam", Limits(questions=1))


def test_the_file_is_json_for_people_too(checkpoint, tmp_path):
    checkpoint.move("spam", FILE, 10, Traffic())

    checkpoint.save(lambda: None)

    document = orjson.loads((tmp_path / "validator.json").read_bytes())
    assert document["positions"] == {FILE: 10}


def test_a_budget_in_dollars_ends_with_the_answer_that_spends_it(clock):
    budget, limits = Budget(clock), Limits(cost_usd=0.03)
    taken = []

    for _ in range(4):
        taken.append(budget.take("spam", limits))
        budget.note("spam", cost_usd=0.02, latency_ms=5.0)

    assert taken == [True, True, False, False]
    assert budget.today("spam").latency_ms == 20.0


def test_a_lines_turn_comes_when_everything_before_it_is_done(checkpoint):
    progress = Progress("spam", checkpoint)
    steps = [progress.begin(FILE, end) for end in (10, 20, 30)]

    progress.finish(steps[1])
    before = [step.turn.is_set() for step in steps]
    progress.finish(steps[0])

    assert before == [True, False, False]
    assert steps[2].turn.is_set()
