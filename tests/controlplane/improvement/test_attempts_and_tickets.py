from datetime import timedelta

import pytest

from controlplane.errors import ImprovementUnknown, TicketClosed, TicketUnknown
from controlplane.improvement.improvements import (
    EVALUATING,
    PROMOTED,
    REJECTED,
    RESOLVED,
    WAITING,
    Improvements,
    Trigger,
    in_a_row,
)
from controlplane.improvement.tickets import Tickets
from controlplane.tasks.catalog import Tasks
from controlplane.tasks.examples import Examples
from controlplane.tasks.specification import Example


@pytest.fixture
def improvements(database, clock):
    return Improvements(database, clock)


@pytest.fixture
def tickets(database, clock):
    return Tickets(database, clock)


@pytest.fixture
def begin(improvements, task, clock):
    """Return a function that triggers an attempt."""

    async def trigger():
        clock.advance(1)
        return await improvements.trigger(
            Trigger(
                organisation_id="default",
                task_id=task.id,
                task="spam",
                version=1,
                evidence={"rate": 0.4},
                reason="it fails",
                labels_known=60,
            )
        )

    return trigger


@pytest.fixture
def reject(improvements, begin):
    async def run():
        row = await begin()
        return await improvements.reject(row.id, "no better", content={"slices": []}, most=3)

    return run


@pytest.mark.parametrize(
    ("past", "count"),
    [
        ([], 0),
        ([(REJECTED, False), (REJECTED, False)], 2),
        ([(REJECTED, False), (PROMOTED, False), (REJECTED, False)], 1),
        ([(REJECTED, False), (RESOLVED, False), (REJECTED, False)], 2),
        ([(REJECTED, False), (RESOLVED, True), (REJECTED, False)], 1),
        ([(WAITING, True), (REJECTED, False)], 0),
    ],
)
def test_rejections_count_back_to_the_last_success_or_answer(past, count):
    assert in_a_row(past) == count


async def test_second_attempt_is_not_begun_beside_an_open_one(begin):
    assert await begin() is not None
    assert await begin() is None


async def test_attempt_that_ended_stays_as_it_is(improvements, begin):
    row = await begin()
    await improvements.move(row.id, PROMOTED, reason="done")

    late = await improvements.move(row.id, EVALUATING)
    rejected = await improvements.reject(row.id, "late", content={}, most=1)

    assert (late.status, rejected.status) == (PROMOTED, PROMOTED)


async def test_status_that_is_repeated_after_a_crash_is_one_entry(improvements, begin):
    row = await begin()
    await improvements.move(row.id, EVALUATING, reason="first try")

    row = await improvements.move(row.id, EVALUATING, reason="again")

    told = [(entry["status"], entry["reason"]) for entry in row.history]
    assert told == [("triggered", "it fails"), ("evaluating", "again")]


async def test_third_rejection_asks_a_person_once(reject, tickets, improvements):
    statuses = [(await reject()).status for _ in range(3)]
    again = await improvements.of_task((await tickets.list("default"))[0].task_id)
    await improvements.reject(again[0].id, "no better", content={}, most=3)

    (ticket,) = await tickets.list("default")
    assert statuses == [REJECTED, REJECTED, WAITING]
    assert (ticket.status, ticket.content) == ("open", {"slices": []})
    assert "3 improvements in a row were rejected" in ticket.reason


async def test_answer_resolves_the_ticket_and_its_attempt_and_starts_the_count_anew(
    reject, tickets, improvements, task
):
    for _ in range(3):
        await reject()
    (ticket,) = await tickets.list("default", status="open")

    await tickets.resolve("default", ticket.id, "oracle repaired")

    newest = (await improvements.of_task(task.id))[0]
    assert (newest.status, newest.reason) == (RESOLVED, "oracle repaired")
    assert [(await reject()).status for _ in range(3)] == [REJECTED, REJECTED, WAITING]
    with pytest.raises(TicketClosed):
        await tickets.resolve("default", ticket.id, "")
    with pytest.raises(TicketUnknown):
        await tickets.find("theirs", ticket.id)
    with pytest.raises(ImprovementUnknown):
        await improvements.find("theirs", newest.id)


@pytest.mark.parametrize("deed", ["revision", "examples"])
async def test_deed_is_an_answer_once_no_other_follows(
    deed, reject, database, clock, tickets, task
):
    for _ in range(3):
        await reject()
    clock.advance(60)
    await tickets.resolve_answered()
    assert await tickets.list("default", status="open")

    if deed == "revision":
        await Tasks(database, clock).revise("default", "spam", {"description": "better"})
    else:
        example = Example(input_json='{"text":"a"}', output_json='"b"')
        await Examples(database, clock).add(task.id, [example])
    await tickets.resolve_answered()
    (still_open,) = await tickets.list("default", status="open")
    clock.advance(timedelta(seconds=6).total_seconds())
    await tickets.resolve_answered()

    closed = await tickets.find("default", still_open.id)
    assert closed.status == "resolved"
    assert closed.note in ("the specification was revised", "examples were added")
