"""A link server with its parts at hand, and an edge that speaks to it by grpc's own client."""

import asyncio
from contextlib import asynccontextmanager

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from loopai.control.v1 import link_pb2 as pb
from loopai.control.v1.link_pb2_grpc import ControlPlaneServiceStub

from controlplane.access.access import Access
from controlplane.artifacts.versions import Versions
from controlplane.fleet.connections import Connections
from controlplane.fleet.edges import Edges
from controlplane.fleet.targets import Targets
from controlplane.link.listener import serving
from controlplane.link.service import LinkService
from controlplane.link.session import LinkParts
from controlplane.link.settings import LinkDoor
from controlplane.reviews.questions import Questions
from controlplane.storage.keys import KeyFolder
from controlplane.storage.outbox import OutboxFollower, Wakeups
from controlplane.telemetry.erasing import Erasing
from controlplane.telemetry.ingest import Ingest
from controlplane.telemetry.report import Reports
from edged.artifacts.signing import SigningKey

KEY = "a-key-of-more-than-sixteen-characters"
CREDENTIALS = (("authorization", f"Bearer {KEY}"),)
STRANGER = "019c0000-0000-7000-8000-000000000001"
SOURCE = "def run(input_data):\n    return 1\n"
ASKED = "019c0000-0000-7000-8000-0000000000aa"


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


async def wait_until(read, wanted):
    async with asyncio.timeout(5):
        while await read() != wanted:  # noqa: ASYNC110 nothing announces it
            await asyncio.sleep(0.01)
