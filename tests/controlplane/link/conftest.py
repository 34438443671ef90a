"""A link server on both RPC servers, and one edge that enrolled at it."""

import pytest
from loopai.control.v1 import link_pb2 as pb

from controlplane.artifacts.draft import Draft, DraftTask
from controlplane.link.settings import LinkSettings
from tests.controlplane.link.sessions import CREDENTIALS, SOURCE, Home, calling


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
