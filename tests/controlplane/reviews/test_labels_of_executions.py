from datetime import timedelta

import pytest

from controlplane.errors import ExecutionUnknown
from controlplane.fleet.edges import Edges
from controlplane.reviews.labels import Labels
from controlplane.reviews.reviews import Review, Reviews
from controlplane.telemetry.ingest import Ingest
from controlplane.telemetry.values import Batch, Sample, Validation


class Edge:
    """Sends samples and validations."""

    def __init__(self, deployment_id, database, clock):
        self.deployment_id = deployment_id
        self.ingest = Ingest(database, clock)
        self.clock = clock
        self.numbers = iter(range(1, 1_000))

    async def send(self, *pairs):
        batch = Batch(
            log_id="log",
            number=next(self.numbers),
            sealed_at=self.clock(),
            arms=(),
            samples=[sample for sample, _ in pairs],
            validations=[validation for _, validation in pairs],
            dropped={},
        )
        await self.ingest.count("default", self.deployment_id, batch)

    def pair(self, execution_id, output, label, *, oracle="http", text="hi", **facts):
        known = {
            "execution_id": execution_id,
            "task": "spam",
            "version": 1,
            "arm": "stable",
            "outcome": "success",
            "channel": "audit",
            "inclusion_probability": 0.05,
        } | facts
        sample = Sample(
            **known,
            latency_ms=0.2,
            confidence=None,
            input_json=f'{{"text":"{text}"}}',
            output_json=f'"{output}"',
            executed_at=self.clock(),
        )
        validation = Validation(
            **known,
            validation_id=f"v-{execution_id}-{oracle}",
            oracle=oracle,
            is_match=output == label,
            oracle_output_json=f'"{label}"',
            oracle_output_index=None,
            oracle_output_hash=None,
            oracle_cost=0.0,
            oracle_latency_ms=1.0,
            similarity_score=1.0,
            comparison_method="exact",
            validated_at=self.clock(),
        )
        return sample, validation


@pytest.fixture
async def edge(database, clock):
    enrolled = await Edges(database, clock).enrol(
        "default", deployment_id="", name="e", edge_version="1"
    )
    return Edge(enrolled, database, clock)


@pytest.fixture
def reviews(database, clock):
    return Reviews(database, clock)


async def audited(database, version=1):
    return (await Labels(database).audit("default", "spam", version)).failures


def review(task, execution_id, label):
    return Review(
        execution_id=execution_id, task_id=task.id, task="spam", label=label, reviewer="first"
    )


async def test_labels_of_all_edges_count_once_each_in_the_order_in_which_they_came(database, edge):
    await edge.send(edge.pair("e1", "ham", "ham"), edge.pair("e2", "ham", "spam"))
    await edge.send(edge.pair("e2", "ham", "spam"), edge.pair("e3", "ham", "ham"))

    assert await audited(database) == (False, True, False)


async def test_only_the_uniform_channel_of_that_version_measures(database, edge):
    await edge.send(
        edge.pair("e1", "ham", "spam", channel="uncertainty"),
        edge.pair("e2", "ham", "spam", version=2),
        edge.pair("e3", "ham", "ham"),
    )

    assert await audited(database) == (False,)
    assert len(await Labels(database).labelled("default", "spam")) == 3


async def test_execution_that_failed_is_a_failure_and_teaches_nothing(database, edge):
    sample, validation = edge.pair("e1", "ham", "ham", outcome="timeout")
    from dataclasses import replace

    silent = replace(validation, is_match=False, oracle_output_json="null")
    await edge.send((replace(sample, output_json=None), silent))

    assert await audited(database) == (True,)
    assert await Labels(database).labelled("default", "spam") == []


async def test_label_of_a_person_supersedes_the_oracle_s(database, edge, reviews, task):
    await edge.send(edge.pair("e1", "ham", "spam"), edge.pair("e2", "ham", "ham"))

    await reviews.add("default", review(task, "e1", "ham"))
    await reviews.add("default", review(task, "e2", "ham"))
    await reviews.add("default", review(task, "e2", "spam"))

    labels = {row.execution_id: row for row in await Labels(database).labelled("default", "spam")}
    assert await audited(database) == (False, True)
    assert (labels["e1"].label, labels["e1"].is_human) == ("ham", True)
    assert labels["e2"].label == "spam"


async def test_voided_labels_count_no_more_but_a_person_s_still_do(
    database, edge, reviews, task, clock
):
    await edge.send(edge.pair("e1", "ham", "spam"), edge.pair("e2", "ham", "spam"))
    clock.advance(60)
    since = clock()
    await edge.send(
        edge.pair("e3", "ham", "spam"),
        edge.pair("e4", "ham", "spam", oracle="other"),
        edge.pair("e5", "ham", "spam"),
    )
    await reviews.add("default", review(task, "e5", "ham"))

    voided = await reviews.void("default", "spam", oracle="http", since=since)
    again = await reviews.void("default", "spam", oracle="http", since=since - timedelta(seconds=1))

    assert (voided, again) == (2, 0)
    assert await audited(database) == (True, True, True, False)
    assert await Labels(database).count("default", "spam") == 6


async def test_execution_that_never_came_home_cannot_be_labelled(reviews):
    with pytest.raises(ExecutionUnknown):
        await reviews.task_of("default", "nobody")
