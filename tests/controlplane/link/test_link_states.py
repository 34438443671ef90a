"""What home pushes to an edge, and the artifacts that it fetches."""

import pytest
from loopai.control.v1 import link_pb2 as pb

from controlplane.errors import RequestInvalid
from controlplane.fleet.edges import Wishes
from edged.artifacts.archive import digest_of, read
from edged.artifacts.signing import ArtifactStatement, VerifyingKey
from tests.controlplane.link.sessions import SOURCE, connect, expect, wait_until


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
