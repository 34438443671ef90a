"""What an edge tells home: telemetry, conditions, questions."""

import asyncio

import grpc
import pytest
from loopai.control.v1 import link_pb2 as pb

from controlplane.reviews.questions import Given
from tests.controlplane.link.sessions import (
    ASKED,
    STRANGER,
    batch,
    connect,
    expect,
    question,
    status_of,
    wait_until,
)


async def test_telemetry_sent_twice_is_acknowledged_twice_and_counted_once(home, stub, edge):
    stream = await connect(stub, edge)
    await expect(stream, "welcome")
    await expect(stream, "state")

    for _ in range(2):
        await stream.write(pb.ConnectRequest(telemetry=batch(edge, 1, 10)))
        acknowledged = await expect(stream, "telemetry_ack")
        assert (acknowledged.log_id, acknowledged.number) == ("log", 1)

    assert (await home.reports.of_task("default", "spam")).executions == 10


async def test_what_an_edge_reports_is_stored(home, stub, edge):
    stream = await connect(stub, edge, privacy_mode=pb.PRIVACY_MODE_STRICT)
    await expect(stream, "welcome")
    state = await expect(stream, "state")
    failed = pb.TaskStatus(
        task="spam", state=pb.APPLY_STATE_FAILED, target_version=2, reason="self-test"
    )

    report = pb.StateReport(nonce=state.nonce, sequence=5, tasks=[failed])
    await stream.write(pb.ConnectRequest(state_report=report))
    heartbeat = pb.EdgeStatus(batches_pending=3, problems=["disk nearly full"])
    await stream.write(pb.ConnectRequest(status=heartbeat))
    await stream.write(pb.ConnectRequest(telemetry=batch(edge, 1, 1)))
    await expect(stream, "telemetry_ack")

    (row,) = await home.edges.list("default")
    (condition,) = (await home.edges.conditions("default"))[edge]
    assert (row.privacy_mode, row.batches_pending) == ("strict", 3)
    assert row.problems == ["disk nearly full"]
    assert (condition.state, condition.reason) == ("failed", "self-test")


async def test_telemetry_in_anothers_name_ends_the_stream(stub, edge):
    stream = await connect(stub, edge)
    await stream.write(pb.ConnectRequest(telemetry=batch(STRANGER, 1, 10)))

    assert await status_of(stream) is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_question_is_kept_and_its_answer_comes_until_there_is_a_receipt(
    home, stub, edge, clock
):
    stream = await connect(stub, edge)
    await expect(stream, "welcome")
    await expect(stream, "state")
    for _ in range(2):  # asked again after a cut: kept once
        await stream.write(question())
        assert (await expect(stream, "oracle_question_ack")).refused == ""
    clock.advance(3)

    [asked] = await home.questions.open("default", "spam")
    await home.questions.answer("default", ASKED, Given(output="ham", by="ann"))
    answer = await expect(stream, "oracle_answer")
    stream.cancel()
    again = await connect(stub, edge, instance="i2")
    await expect(again, "welcome")
    kinds = {}
    while "oracle_answer" not in kinds:
        message = await asyncio.wait_for(again.read(), 5)
        kinds[message.WhichOneof("message")] = message
    await again.write(pb.ConnectRequest(oracle_receipt=pb.OracleReceipt(execution_id=ASKED)))
    await wait_until(lambda: home.questions.undelivered("default", edge), [])

    assert asked.input_json == '{"text": "hi"}'
    assert (answer.output_json, answer.answered_by) == (b'"ham"', "ann")
    assert (answer.channel, answer.inclusion_probability) == ("uncertainty", 0.25)
    assert answer.latency_ms == 3_000
    assert kinds["oracle_answer"].oracle_answer == answer


@pytest.mark.parametrize(
    "fields",
    [
        {"execution_id": "no-uuid"},
        {"task": ""},
        {"input_json": b""},
        {"inclusion_probability": 0.0},
    ],
)
async def test_a_question_that_cannot_be_kept_is_refused_for_good(home, stub, edge, fields):
    stream = await connect(stub, edge)
    await expect(stream, "welcome")
    await expect(stream, "state")

    await stream.write(question(**fields))

    assert (await expect(stream, "oracle_question_ack")).refused
    assert await home.questions.open("default", "spam") == []
