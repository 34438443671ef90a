import asyncio
from dataclasses import replace

import pytest

from controlplane.artifacts.draft import Draft, DraftTask
from controlplane.artifacts.generations import GenerationRequest, Generations
from controlplane.artifacts.versions import Versions
from controlplane.errors import VersionRefused, VersionUnknown
from controlplane.storage.models import ArtifactRow
from edged.artifacts.archive import SelfTest, read
from edged.artifacts.signing import ArtifactStatement, SigningKey

SOURCE = "def run(input_data):\n    return 'spam'\n"


@pytest.fixture
def key():
    return SigningKey.generate()


@pytest.fixture
def versions(database, blobs, key, clock):
    return Versions(database, blobs, key, clock)


@pytest.fixture
def draft(task):
    described = DraftTask(
        id=task.id,
        organisation_id="default",
        name="spam",
        description="Is it spam?",
        revision=1,
        input_schema={"type": "object"},
        output_schema={"enum": ["ham", "spam"]},
    )
    return Draft(
        task=described,
        source=SOURCE,
        returns_confidence=False,
        synthesis_strategy="rule",
        origin="generated",
        self_tests=(SelfTest(input={"text": "a"}, output="spam"),),
        confidence_score=0.9,
        scores={"rule": {"accuracy": 0.95}},
    )


async def request(database, clock, task):
    wish = GenerationRequest(
        organisation_id="default", task_id=task.id, strategies=[], activate=True
    )
    return await Generations(database, clock).request(wish)


async def test_numbers_count_up_also_when_published_at_once(versions, draft):
    rows = await asyncio.gather(
        *(versions.publish(replace(draft, generation_id=None), activate=True) for _ in range(5))
    )

    assert sorted(row.version for row in rows) == [1, 2, 3, 4, 5]
    statuses = [row.status for row in await versions.list(draft.task.id)]
    assert statuses.count("active") == 1
    assert statuses.count("deprecated") == 4


async def test_published_zip_says_what_the_draft_said_and_is_signed(versions, draft, key):
    row = await versions.publish(draft, activate=False)

    artifact = read(await versions.content(row))
    assert artifact.program == SOURCE
    assert artifact.manifest.version == 1
    assert artifact.manifest.output_schema == {"enum": ["ham", "spam"]}
    assert artifact.self_tests == draft.self_tests
    statement = ArtifactStatement(task="spam", version=1, digest=row.digest)
    key.public.check_artifact(row.signature, statement)


async def test_generation_publishes_once_however_often_it_is_resumed(
    database, versions, draft, clock, task
):
    generation = await request(database, clock, task)
    resumed = replace(draft, generation_id=generation.id)

    first = await versions.publish(resumed, activate=True)
    second = await versions.publish(resumed, activate=True)

    assert first.id == second.id
    assert len(await versions.list(task.id)) == 1


async def test_activating_an_older_version_deprecates_the_newer(versions, draft):
    older = await versions.publish(draft, activate=True)
    newer = await versions.publish(draft, activate=True)

    await versions.activate(older, "spam")

    statuses = {row.version: row.status for row in await versions.list(draft.task.id)}
    assert statuses == {older.version: "active", newer.version: "deprecated"}


async def test_quarantined_version_is_not_activated(database, versions, draft):
    row = await versions.publish(draft, activate=False)
    async with database.writing() as session:
        (await session.get_one(ArtifactRow, row.id)).status = "quarantined"

    with pytest.raises(VersionRefused, match="quarantined"):
        await versions.activate(row, "spam")


async def test_missing_version_is_named(versions, task):
    with pytest.raises(VersionUnknown, match="v7"):
        await versions.find(task.id, "spam", 7)


def test_draft_survives_being_written_down(draft):
    assert Draft.parse(draft.render()) == draft


async def test_progress_never_falls_and_the_end_is_final(database, clock, task):
    generations = Generations(database, clock)
    row = await request(database, clock, task)
    await generations.report(row.id, "training", 0.5)
    await generations.report(row.id, "evaluating", 0.4)
    halfway = await generations.read(row.id)

    await generations.finish(row.id, reason="no good")
    await generations.report(row.id, "training", 0.9)
    await generations.finish(row.id)

    ended = await generations.read(row.id)
    assert (halfway.status, halfway.progress) == ("evaluating", 0.5)
    assert (ended.status, ended.reason, ended.progress) == ("failed", "no good", 0.5)


async def test_begun_request_comes_before_newer_ones(database, clock, task):
    generations = Generations(database, clock)
    first = await request(database, clock, task)
    clock.advance(1)
    await request(database, clock, task)
    await generations.report(first.id, "training", 0.1)

    unfinished = await generations.oldest_unfinished()

    assert unfinished is not None
    assert unfinished.id == first.id
