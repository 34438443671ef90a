"""The strategies on the given data sets, cut down so that a test stays a test.

The floors are well under what was measured on the cut sets; they catch a broken strategy, not a
lost point. Full sets are for benchmarks.
"""

import pytest

from controlplane.generator.ml import MlGenerator
from controlplane.generator.portfolio import generate
from controlplane.generator.rule import RuleGenerator
from tests.controlplane.generator.conftest import quiet
from tests.fakes.plain_runner import PlainRunner

TEST_ROWS = 300
MOST_SOURCE_BYTES = 400_000


@pytest.mark.parametrize(
    ("name", "rows", "floor"),
    [
        ("sms_spam", 1_500, 0.96),
        ("trec6", 1_500, 0.70),
        ("snips7", 1_500, 0.93),
        ("vader_tweets", 1_200, 0.60),
        ("clinc_domain10", 1_500, 0.78),
        ("spamassassin_email", 400, 0.88),
    ],
)
async def test_generated_program_does_well_on_rows_it_never_saw(
    name, rows, floor, data_rows, task, load_program
):
    training = every(data_rows(f"{name}.train"), rows)
    test = every(data_rows(f"{name}.test"), TEST_ROWS)

    candidate = MlGenerator().propose(task, training, quiet)

    run = load_program(candidate.source)
    right = sum(run(row.input)["output"] == row.output for row in test)
    assert right / len(test) >= floor
    assert len(candidate.source.encode()) <= MOST_SOURCE_BYTES


async def test_spam_generation_reports_a_score_that_the_test_rows_bear_out(
    data_rows, task, load_program
):
    training, test = every(data_rows("sms_spam.train"), 1_000), data_rows("sms_spam.test")

    generation = await generate(
        task, training, [MlGenerator(), RuleGenerator()], PlainRunner(), lambda *_: None
    )

    run = load_program(generation.candidate.source)
    answers = [run(row.input) for row in test]
    right = [answer["output"] == row.output for answer, row in zip(answers, test, strict=True)]
    accuracy = sum(right) / len(right)
    claimed = sum(answer["confidence"] for answer in answers) / len(answers)
    assert generation.n_sealed == 100
    assert accuracy >= max(0.96, generation.confidence_score - 0.02)
    assert abs(claimed - accuracy) < 0.02


def every(rows, count):
    """Return count rows, evenly spread: the files may be sorted."""
    step = max(1, len(rows) // count)
    return rows[::step][:count]
