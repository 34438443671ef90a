import asyncio
import json

import pytest

from controlplane.generator.errors import NoCandidate, NothingProposed
from controlplane.generator.evaluator import PoolRunner
from controlplane.generator.llm import LlmGenerator
from controlplane.generator.llm_settings import LlmSettings
from controlplane.generator.portfolio import generate
from controlplane.generator.rule import RuleGenerator
from edged.pool.pool import Pool
from edged.pool.settings import PoolSettings
from tests.fakes.messages_api import (
    declines,
    fails,
    is_broken,
    is_busy,
    messages_api,
    says,
    writes,
)
from tests.fakes.plain_runner import PlainRunner
from tests.fakes.written_generator import WrittenGenerator, knowing_by_heart

KEY = "sk-never-show-this-0123456789"

GOOD = """\
WORDS = {
    "billing": "invoice refund charged twice payment card statement".split(),
    "delivery": "parcel courier late tracking address doorstep".split(),
    "login": "password reset locked account sign code".split(),
}


def run(input_data):
    words = input_data["text"].split()
    return max(WORDS, key=lambda topic: sum(word in WORDS[topic] for word in words))
"""
BAD = "def run(input_data):\n    return 'billing'\n"
HALF = GOOD.replace("password reset locked account sign code", "nothing").replace(
    "parcel", "nothing"
)
FORBIDDEN = "import os\n\n\ndef run(input_data):\n    return os.name\n"


def ignore(*_) -> None:
    """Take a report of progress and do nothing."""


def llm(server, **settings) -> LlmGenerator:
    given = {"api_key": KEY, "base_url": server.base_url, "max_retries": 1} | settings
    return LlmGenerator(LlmSettings(**given))


async def ask(server, task, examples, *, runner=None, **settings):
    return await llm(server, **settings).ask(task, examples, runner or PlainRunner(), ignore)


async def test_good_program_wins_over_a_poor_strategy(messages, task):
    poor = WrittenGenerator("rule", knowing_by_heart("billing"))
    with messages_api(writes(GOOD)) as server:
        generation = await generate(task, messages(200), [llm(server), poor], PlainRunner(), ignore)

    assert generation.strategy == "llm"
    assert generation.candidate.source == GOOD
    assert generation.scores["llm"]["final"]["rows"] == "sealed"
    assert generation.scores["llm"]["final"]["accuracy"] == 1.0
    assert generation.confidence_score < 1.0
    assert len(server.requests) == 1
    assert generation.cost_usd == pytest.approx(0.007)


async def test_bad_program_loses_and_what_was_asked_is_kept(messages, task):
    with messages_api(writes(BAD)) as server:
        generation = await generate(
            task, messages(200), [RuleGenerator(), llm(server)], PlainRunner(), ignore
        )

    assert generation.strategy == "rule"
    assert generation.scores["llm"]["accuracy"] < 0.5
    assert [each.purpose for each in generation.exchanges] == ["write", "repair 1"]
    assert generation.candidate.exchanges == ()
    assert generation.cost_usd > 0


async def test_rows_that_judge_the_program_are_in_no_prompt(messages, task):
    examples = messages(200)
    with messages_api(writes(BAD), writes(HALF), writes(HALF)) as server:
        generation = await generate(task, examples, [llm(server)], PlainRunner(), ignore)

    asked = json.dumps(server.requests)
    shown = [row for row in examples if row.input["text"] in asked]
    judging = generation.n_sealed + generation.scores["llm"]["n"]
    assert len(server.requests) == 3
    assert shown
    assert len(shown) <= len(examples) - judging
    assert generation.scores["llm"]["n"] == 68


async def test_few_examples_are_judged_by_rows_held_back_from_the_model(messages, task):
    with messages_api(writes(GOOD)) as server:
        generation = await generate(task, messages(30), [llm(server)], PlainRunner(), ignore)

    assert generation.is_low_evidence
    assert generation.scores["llm"]["final"]["n"] == 12
    assert server.requests[0]["messages"][0]["content"].count('"input"') == 18


async def test_refused_program_is_repaired_with_the_words_of_the_sandbox(messages, task):
    runner = PlainRunner(refused="import os")
    with messages_api(writes(FORBIDDEN), writes(GOOD)) as server:
        candidate = await ask(server, task, messages(60), runner=runner)

    conversation = server.requests[1]["messages"]
    assert candidate.source == GOOD
    assert [message["role"] for message in conversation] == ["user", "assistant", "user"]
    assert "'import os' is not allowed" in conversation[2]["content"]
    assert runner.loaded == 0


async def test_real_sandbox_tells_the_model_what_it_refused(messages, task):
    async with Pool(PoolSettings(workers_per_version=1, spare_workers=0)) as pool:
        with messages_api(writes(FORBIDDEN), writes(GOOD)) as server:
            candidate = await ask(server, task, messages(60), runner=PoolRunner(pool))

    told = server.requests[1]["messages"][2]["content"]
    assert candidate.source == GOOD
    assert "line 1, column 1: import of 'os' is not allowed; programs may import" in told


async def test_program_that_fails_on_every_input_is_no_proposal(messages, task):
    raising = "def run(input_data):\n    return input_data['missing']\n"
    with messages_api(writes(raising)) as server, pytest.raises(NothingProposed) as failure:
        await ask(server, task, messages(60))

    told = server.requests[1]["messages"][2]["content"]
    assert "it fails on every input" in str(failure.value)
    assert '"error": "ERROR KeyError(\'missing\')"' in told


async def test_repair_is_told_confusions_and_failures_as_data(messages, task):
    with messages_api(writes(HALF), writes(GOOD)) as server:
        candidate = await ask(server, task, messages(60))

    told = server.requests[1]["messages"][2]["content"]
    assert candidate.source == GOOD
    assert '{"expected": "login", "answered": "billing", "times": 20}' in told
    assert "<failures>\n" in told
    assert '"expected": "login", "answered": "billing"' in told


async def test_best_program_is_kept_when_a_repair_is_no_gain(messages, task):
    with messages_api(writes(HALF), writes(BAD)) as server:
        candidate = await ask(server, task, messages(60))

    assert candidate.source == HALF
    assert len(server.requests) == 2
    assert "no gain" in candidate.explanation


@pytest.mark.parametrize(
    "answer",
    [
        says("I would rather not write code."),
        says(f"```python\n{BAD}```\nor\n```python\n{BAD}```"),
        says(f"```python\n{GOOD[:80]}", stop_reason="max_tokens"),
    ],
    ids=["no block", "two blocks", "cut off"],
)
async def test_answer_without_a_program_is_asked_for_again(messages, task, answer):
    with messages_api(answer, writes(GOOD)) as server:
        candidate = await ask(server, task, messages(60))

    assert candidate.source == GOOD
    assert [each.purpose for each in candidate.exchanges] == ["write", "repair 1"]


async def test_malformed_code_for_ever_ends_after_two_repairs_in_words(messages, task):
    runner = PlainRunner(refused="def run(")
    with messages_api(writes(BAD)) as server, pytest.raises(NothingProposed) as failure:
        await ask(server, task, messages(60), runner=runner)

    assert "is not allowed" in str(failure.value)
    assert len(failure.value.exchanges) == len(server.requests) == 3


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (declines(), "the model declined to answer"),
        (is_broken(), "the server answered 500"),
        (fails(401, "authentication_error", f"invalid key {KEY}"), "the server answered 401"),
    ],
    ids=["refusal", "500 for ever", "wrong key"],
)
async def test_model_that_does_not_answer_drops_out_and_the_others_go_on(
    messages, task, reply, reason
):
    with messages_api(reply) as server:
        generation = await generate(
            task, messages(120), [RuleGenerator(), llm(server)], PlainRunner(), ignore
        )

    assert generation.strategy == "rule"
    assert reason in generation.scores["llm"]["reason"]
    assert KEY not in repr(generation)
    assert generation.exchanges


async def test_failed_generation_tells_what_was_asked_in_vain(messages, task):
    with messages_api(declines()) as server, pytest.raises(NoCandidate) as failure:
        await generate(task, messages(60), [llm(server)], PlainRunner(), ignore)

    assert [each.stop_reason for each in failure.value.exchanges] == ["refusal"]


async def test_refusal_to_repair_keeps_the_first_program(messages, task):
    with messages_api(writes(HALF), declines()) as server:
        candidate = await ask(server, task, messages(60))

    assert candidate.source == HALF


async def test_busy_server_is_asked_again_when_it_said(messages, task):
    with messages_api(is_busy(), is_broken(), writes(GOOD)) as server:
        candidate = await ask(server, task, messages(60), max_retries=2)

    assert candidate.source == GOOD
    assert len(server.requests) == 3
    assert len(candidate.exchanges) == 1


@pytest.mark.parametrize("limits", [{"request_timeout_s": 0.1}, {"deadline_s": 0.1}])
async def test_slow_model_is_not_waited_for(messages, task, limits):
    expected = pytest.raises(NothingProposed, match=r"no answer within 0\.1 s")
    with messages_api(says("late", delay_s=20)) as server, expected:
        await ask(server, task, messages(60), max_retries=0, **limits)


async def test_unreachable_server_is_a_reason_in_words(messages, task):
    with messages_api(declines()) as server:
        address = server.base_url

    settings = LlmSettings(api_key=KEY, base_url=address, max_retries=0)
    with pytest.raises(NothingProposed, match="APIConnectionError"):
        await LlmGenerator(settings).ask(task, messages(60), PlainRunner(), ignore)


async def test_budget_is_not_exceeded(messages, task):
    with messages_api(writes(HALF)) as server:
        candidate = await ask(server, task, messages(60), budget_usd=0.17)
        with pytest.raises(NothingProposed, match=r"budget of 0\.1 \$"):
            await ask(server, task, messages(60), budget_usd=0.1)

    assert len(server.requests) == 1
    assert "budget of 0.17 $" in candidate.explanation


def test_strategy_stands_aside_in_words(messages, task):
    examples = messages(60)

    without_key = LlmGenerator(LlmSettings()).unsuited(task, examples)
    unpriced = LlmGenerator(LlmSettings(api_key=KEY, model="m")).unsuited(task, examples)
    few = LlmGenerator(LlmSettings(api_key=KEY)).unsuited(task, examples[:5])
    fit = LlmGenerator(LlmSettings(api_key=KEY)).unsuited(task, examples)

    assert without_key == "no API key for a language model is configured"
    assert unpriced is not None
    assert "no price is known for the model m" in unpriced
    assert few is not None
    assert fit is None


async def test_exchange_holds_all_that_was_said_and_no_key(messages, task):
    with messages_api(writes(GOOD)) as server:
        candidate = await ask(server, task, messages(60))

    (exchange,) = candidate.exchanges
    assert json.loads(exchange.request_json) == server.requests[0]
    assert GOOD in exchange.answer
    assert (exchange.input_tokens, exchange.output_tokens) == (1_000, 500)
    assert exchange.cost_usd == pytest.approx(0.007)
    assert (exchange.provider, exchange.model) == ("anthropic", "claude-sonnet-5-5")
    assert server.keys == [KEY]
    assert KEY not in repr(exchange)


async def test_abandoned_generation_ends_the_question(messages, task):
    with messages_api(says("late", delay_s=20)) as server:
        async with asyncio.TaskGroup() as tasks:
            asking = tasks.create_task(ask(server, task, messages(60)))
            assert await asyncio.to_thread(server.was_asked.wait, 10)

            asking.cancel()

    assert asking.cancelled()
