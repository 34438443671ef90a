"""The link on a real socket, with grpc's own client as the edge."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from loopai.control.v1 import link_pb2 as pb
from loopai.control.v1.link_pb2_grpc import ControlPlaneServiceStub

from controlplane.access.access import Access
from controlplane.artifacts.draft import Draft, DraftTask
from controlplane.artifacts.versions import Versions
from controlplane.errors import RequestInvalid
from controlplane.fleet.connections import Connections
from controlplane.fleet.edges import Edges, Wishes
from controlplane.fleet.targets import Targets
from controlplane.link.listener import SERVICE, serving
from controlplane.link.service import LinkService
from controlplane.link.session import LinkParts
from controlplane.link.settings import LinkDoor, LinkSettings
from controlplane.reviews.questions import Given, Questions
from controlplane.storage.keys import KeyFolder
from controlplane.storage.outbox import OutboxFollower, Wakeups
from controlplane.telemetry.erasing import Erasing
from controlplane.telemetry.ingest import Ingest
from controlplane.telemetry.report import Reports
from edged.artifacts.archive import digest_of, read
from edged.artifacts.signing import ArtifactStatement, SigningKey, VerifyingKey

KEY = "a-key-of-more-than-sixteen-characters"
CREDENTIALS = (("authorization", f"Bearer {KEY}"),)
STRANGER = "019c0000-0000-7000-8000-000000000001"
SOURCE = "def run(input_data):\n    return 1\n"


class Home:
    """A link server with its parts at hand."""

    def __init__(self, database, blobs, clock, tmp_path, settings, rpc_server):
        self.door = LinkDoor(rpc_server=rpc_server)
        keys = KeyFolder(tmp_path / "keys")
        keys.prepare()
        self.signing_key: SigningKey = keys.signing_key()
        self.access = Access(database, keys, clock)
        self.versions = Versions(database, blobs, self.signing_key, clock)
        self.reports = Reports(database)
        self.edges = Edges(database, clock)
        self.connections = Connections(limit=settings.max_connections)
        self.questions = Questions(database, clock)
        self.wakeups = Wakeups()
        self.outbox = OutboxFollower(database, self.wakeups, clock)
        self.settings = settings
        parts = LinkParts(
            edges=self.edges,
            targets=Targets(database, clock),
            ingest=Ingest(database, clock),
            erasing=Erasing(database, clock),
            questions=self.questions,
            blobs=blobs,
            wakeups=self.wakeups,
            signing_key=self.signing_key,
            settings=settings,
            clock=clock,
        )
        self.service = LinkService(parts, self.access, self.connections)

    @asynccontextmanager
    async def running(self):
        await self.access.ensure_first_key(KEY)
        async with (
            serving(self.service, self.settings, self.door) as port,
            asyncio.TaskGroup() as tasks,
        ):
            following = tasks.create_task(self.outbox.run())
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                yield channel
                self.wakeups.close()
            following.cancel()


@pytest.fixture
def settings():
    return LinkSettings(hello_timeout_s=0.3, chunk_bytes=500)


@pytest.fixture(params=["ngh2", "grpcio"])
def rpc_server(request):
    return request.param


@pytest.fixture
async def home(database, blobs, clock, tmp_path, settings, rpc_server):
    return Home(database, blobs, clock, tmp_path, settings, rpc_server)


@pytest.fixture
async def channel(home):
    async with home.running() as opened:
        yield opened


@asynccontextmanager
async def calling(channel):
    """Yield a stub whose streams are over when this is.

    A stream that is still open when the loop ends makes grpc.aio wait for a status for ever.
    """
    stub = ControlPlaneServiceStub(channel)
    streams = []

    def remember(*words, open_stream=stub.Connect, **named):
        streams.append(open_stream(*words, **named))
        return streams[-1]

    stub.Connect = remember
    yield stub
    for stream in streams:
        stream.cancel()
    await asyncio.gather(*(stream.code() for stream in streams))


@pytest.fixture
async def stub(channel):
    async with calling(channel) as made:
        yield made


@pytest.fixture
async def edge(stub):
    answer = await stub.Enroll(pb.EnrollRequest(name="e"), metadata=CREDENTIALS, timeout=5)
    return answer.deployment_id


@pytest.fixture
def draft(task):
    described = DraftTask(
        id=task.id,
        organisation_id="default",
        name="spam",
        description="",
        revision=1,
        input_schema={},
        output_schema={},
    )
    return Draft(
        task=described,
        source=SOURCE,
        returns_confidence=False,
        synthesis_strategy="rule",
        origin="uploaded",
        self_tests=(),
    )


async def connect(stub, edge, instance="i1", **hello):
    stream = stub.Connect(metadata=CREDENTIALS, timeout=20)
    message = pb.Hello(deployment_id=edge, instance_id=instance, **hello)
    await stream.write(pb.ConnectRequest(hello=message))
    return stream


async def expect(stream, kind):
    message = await asyncio.wait_for(stream.read(), 5)
    assert message is not grpc.aio.EOF, f"ended instead of {kind}: {await stream.code()}"
    assert message.WhichOneof("message") == kind
    return getattr(message, kind)


async def status_of(stream):
    try:
        while await asyncio.wait_for(stream.read(), 5) is not grpc.aio.EOF:
            pass
    except grpc.aio.AioRpcError as ended:
        return ended.code()
    return await stream.code()


def batch(edge, number, executions):
    sealed_at = Timestamp()
    sealed_at.GetCurrentTime()
    arm = pb.ArmSummary(task="spam", version=1, arm="stable", executions=executions)
    arm.outcomes["success"] = executions
    return pb.TelemetryBatch(
        deployment_id=edge, log_id="log", number=number, sealed_at=sealed_at, arms=[arm]
    )


async def test_enrolling_tells_the_key_to_pin(home, stub):
    answer = await stub.Enroll(pb.EnrollRequest(name="e"), metadata=CREDENTIALS)

    assert answer.signing_public_key == home.signing_key.public.raw
    assert answer.signing_key_id == home.signing_key.public.key_id


@pytest.mark.parametrize("metadata", [(), (("authorization", "Bearer wrong"),)])
async def test_nobody_enters_without_a_valid_key(stub, metadata):
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.Enroll(pb.EnrollRequest(), metadata=metadata)
    stream = stub.Connect(metadata=metadata)

    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert await status_of(stream) is grpc.StatusCode.UNAUTHENTICATED


async def test_state_is_signed_for_this_edge_and_pushed_at_every_change(home, stub, edge, draft):
    stream = await connect(stub, edge)
    welcome = await expect(stream, "welcome")
    first = await expect(stream, "state")

    published = await home.versions.publish(draft, activate=True)
    second = await expect(stream, "state")

    key = VerifyingKey.from_bytes(home.signing_key.public.raw)
    states = [pb.DesiredState.FromString(key.open_state(each.envelope)) for each in (first, second)]
    assert welcome.heartbeat_interval_s == home.settings.heartbeat_interval_s
    assert first.nonce != second.nonce
    assert [len(state.tasks) for state in states] == [0, 1]
    assert states[0].sequence < states[1].sequence
    assert states[1].deployment_id == edge
    wanted = states[1].tasks[0].stable
    statement = ArtifactStatement(task="spam", version=1, digest=published.digest)
    key.check_artifact(wanted.signature, statement)


async def test_edge_that_names_its_tasks_gets_only_those(home, stub, edge, draft):
    await home.versions.publish(draft, activate=True)

    stream = await connect(stub, edge, tasks=["other"])
    await expect(stream, "welcome")
    state = await expect(stream, "state")

    payload = home.signing_key.public.open_state(state.envelope)
    assert not pb.DesiredState.FromString(payload).tasks


async def test_artifact_comes_in_chunks_and_goes_on_from_an_offset(home, stub, edge, draft):
    row = await home.versions.publish(draft, activate=False)
    stream = await connect(stub, edge)
    await expect(stream, "welcome")
    await expect(stream, "state")

    async def fetch(offset):
        request = pb.ArtifactRequest(digest=row.digest, offset=offset)
        await stream.write(pb.ConnectRequest(artifact_request=request))
        chunks = [await expect(stream, "artifact_chunk")]
        while not chunks[-1].is_last:
            chunks.append(await expect(stream, "artifact_chunk"))
        return chunks

    whole = b"".join(chunk.data for chunk in await fetch(0))
    rest = await fetch(1000)

    assert digest_of(whole) == row.digest
    assert read(whole).program == SOURCE
    assert rest[0].offset == 1000
    assert whole[1000:] == b"".join(chunk.data for chunk in rest)


async def test_unknown_artifact_is_an_answer_and_no_end(home, stub, edge):
    stream = await connect(stub, edge)
    await expect(stream, "welcome")
    await expect(stream, "state")

    request = pb.ArtifactRequest(digest="sha256:" + "0" * 64)
    await stream.write(pb.ConnectRequest(artifact_request=request))
    chunk = await expect(stream, "artifact_chunk")

    assert "no artifact" in chunk.error
    assert not chunk.data


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


async def test_newer_instance_takes_over_and_the_older_one_is_told(home, stub, edge):
    older = await connect(stub, edge, instance="one")
    await expect(older, "welcome")

    newer = await connect(stub, edge, instance="two")
    await expect(newer, "welcome")

    assert await status_of(older) is grpc.StatusCode.ABORTED
    assert "two" in (await older.details())
    assert home.connections.is_connected(edge)


async def test_edge_that_left_is_no_longer_connected(home, stub, edge):
    stream = await connect(stub, edge)
    await expect(stream, "welcome")
    assert home.connections.is_connected(edge)

    await stream.done_writing()
    code = await status_of(stream)

    assert code is grpc.StatusCode.OK
    assert not home.connections.is_connected(edge)


async def test_silence_instead_of_a_hello_ends_the_stream(stub):
    stream = stub.Connect(metadata=CREDENTIALS)

    assert await status_of(stream) is grpc.StatusCode.INVALID_ARGUMENT
    assert "no hello" in (await stream.details())


@pytest.mark.parametrize(
    "first",
    [
        pb.ConnectRequest(status=pb.EdgeStatus()),
        pb.ConnectRequest(),
        pb.ConnectRequest(hello=pb.Hello(deployment_id="me")),
    ],
)
async def test_wrong_first_message_ends_the_stream(stub, first):
    stream = stub.Connect(metadata=CREDENTIALS)
    await stream.write(first)

    assert await status_of(stream) is grpc.StatusCode.INVALID_ARGUMENT


async def test_telemetry_in_anothers_name_ends_the_stream(stub, edge):
    stream = await connect(stub, edge)
    await stream.write(pb.ConnectRequest(telemetry=batch(STRANGER, 1, 10)))

    assert await status_of(stream) is grpc.StatusCode.INVALID_ARGUMENT


async def test_stopping_server_tells_its_edges_to_come_again(home, stub, edge):
    stream = await connect(stub, edge)
    await expect(stream, "welcome")

    home.wakeups.close()

    assert await status_of(stream) is grpc.StatusCode.UNAVAILABLE


async def test_full_server_sends_away_with_a_delay(
    database, blobs, clock, tmp_path, settings, rpc_server
):
    none = replace(settings, max_connections=0)
    full = Home(database, blobs, clock, tmp_path, none, rpc_server)
    async with full.running() as channel, calling(channel) as stub:
        stream = await connect(stub, STRANGER)

        retry = await expect(stream, "retry_after")

    assert retry.delay_ms == settings.retry_after_ms


async def test_too_large_a_message_is_refused(
    database, blobs, clock, tmp_path, settings, rpc_server
):
    small = replace(settings, max_message_bytes=10_000, max_telemetry_bytes=5_000)
    home = Home(database, blobs, clock, tmp_path, small, rpc_server)
    async with home.running() as channel, calling(channel) as stub:
        stream = await connect(stub, STRANGER)
        await stream.write(pb.ConnectRequest(status=pb.EdgeStatus(problems=["x" * 20_000])))

        assert await status_of(stream) is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_health_and_reflection_are_there(channel):
    health = await health_pb2_grpc.HealthStub(channel).Check(
        health_pb2.HealthCheckRequest(service=SERVICE)
    )
    listing = reflection_pb2.ServerReflectionRequest(list_services="")
    call = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(
        iter([listing]), metadata=CREDENTIALS
    )
    names = [each.name async for answer in call for each in answer.list_services_response.service]

    assert health.status == health_pb2.HealthCheckResponse.SERVING
    assert SERVICE in names


ASKED = "019c0000-0000-7000-8000-0000000000aa"


def question(**fields):
    known = {
        "execution_id": ASKED,
        "task": "spam",
        "version": 1,
        "input_json": b'{"text": "hi"}',
        "channel": "uncertainty",
        "inclusion_probability": 0.25,
    }
    return pb.ConnectRequest(oracle_question=pb.OracleQuestion(**known | fields))


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


async def wait_until(read, wanted):
    async with asyncio.timeout(5):
        while await read() != wanted:  # noqa: ASYNC110 nothing announces it
            await asyncio.sleep(0.01)


async def test_settings_and_floor_are_signed_pushed_and_answered(home, stub, edge):
    stream = await connect(stub, edge)
    await expect(stream, "welcome")
    await expect(stream, "state")
    wishes = Wishes(settings={"sampling": {"rate": 3}}, privacy_floor="strict")

    await home.edges.wish("default", edge, wishes)
    pushed = await expect(stream, "state")
    state = pb.DesiredState.FromString(home.signing_key.public.open_state(pushed.envelope))
    report = pb.StateReport(
        nonce=pushed.nonce, sequence=state.sequence, settings_refused={"sampling.rate": "too much"}
    )
    await stream.write(pb.ConnectRequest(state_report=report))

    async def refused():
        [row] = await home.edges.list("default")
        return row.settings_refused

    await wait_until(refused, {"sampling.rate": "too much"})
    assert state.settings_json == b'{"sampling":{"rate":3}}'
    assert state.privacy_floor == pb.PRIVACY_MODE_STRICT


async def test_a_floor_is_only_ever_tightened(home, edge):
    await home.edges.wish("default", edge, Wishes(settings={}, privacy_floor="strict"))

    with pytest.raises(RequestInvalid, match="only ever tightened"):
        await home.edges.wish("default", edge, Wishes(settings={}, privacy_floor="balanced"))
    kept = await home.edges.wish("default", edge, Wishes(settings={"sampling": {}}))

    assert kept.privacy_floor == "strict"
