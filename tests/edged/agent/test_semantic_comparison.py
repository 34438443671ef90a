"""Comparison by meaning, with judges on loopback, through validators and by itself."""

import pytest
from pydantic import ValidationError

from edged.agent.comparing import comparing_of
from edged.agent.oracles.protocol import OracleAway, OracleFailed, Question, QuestionRefused
from edged.agent.privacy.audit import AuditLog
from edged.agent.privacy.filter import PrivacyFilter
from edged.agent.privacy.modes import Mode
from edged.contract.fields import Action, Rule
from edged.deployment.asking import Anthropic
from edged.deployment.comparing import Comparison
from tests.fakes.execution_log import ExecutionLog
from tests.fakes.http_oracle import HttpOracleServer
from tests.fakes.judge import JudgeServer
from tests.fakes.validating import is_followed_to_end, until, validating

QUESTION = Question(
    task="spam",
    version=1,
    execution_id="01a00000-0000-7000-8000-000000000000",
    input_json=b"{}",
)
NEAR = {"data": [{"embedding": [1.0, 0.0]}, {"embedding": [1.0, 0.1]}]}
FAR = {"data": [{"embedding": [1.0, 0.0]}, {"embedding": [-1.0, 0.0]}]}
FAILED = {"status": "error", "output_json": b"null", "error_type": "KeyError"}


@pytest.fixture
async def server():
    async with JudgeServer({"similarity": 0.95}) as server:
        yield server


@pytest.fixture
def compare(layout, clock, server):
    """Return a function that compares once by a judge."""

    async def compare(
        output, truth, by="http", *, mode=Mode.BALANCED, url="", rules=(), **settings
    ):
        judge = {"by": by, "url": url or server.url} | ({"model": "m"} if by == "embedding" else {})
        comparison = Comparison(method="semantic", judge=judge, **settings)
        privacy, audit = PrivacyFilter(mode, b"k" * 32, rules=rules), AuditLog(layout, clock)
        comparing = comparing_of(comparison, Anthropic(), lambda: privacy, audit)
        try:
            return (await comparing.compare(QUESTION, output, truth)).comparison
        finally:
            await comparing.close()

    return compare


async def test_equal_values_need_no_judge(compare, server):
    compared = await compare({"a": 1, "at": 3}, {"a": 1.0}, ignore=("at",))

    assert (compared.match, compared.similarity, compared.method) == (True, 1.0, "semantic")
    assert server.asked == []


async def test_a_judge_of_the_customers_own_sees_both_without_what_does_not_count(compare, server):
    compared = await compare({"a": "hi", "at": 3}, {"a": "hello"}, ignore=("at",))

    assert (compared.match, compared.similarity) == (True, 0.95)
    assert server.asked == [
        {
            "task": "spam",
            "execution_id": QUESTION.execution_id,
            "output": {"a": "hi"},
            "truth": {"a": "hello"},
        }
    ]


@pytest.mark.parametrize(("answer", "similarity"), [({"match": True}, 1.0), ({"match": False}, 0)])
async def test_a_judge_may_say_yes_or_no(compare, server, answer, similarity):
    server.answer = answer

    assert (await compare("a", "b")).similarity == similarity


@pytest.mark.parametrize(("answer", "is_match"), [(NEAR, True), (FAR, False)])
async def test_embeddings_are_near_or_far(compare, server, answer, is_match):
    server.answer = answer

    compared = await compare("a text", {"b": 1}, "embedding")

    assert compared.match is is_match
    assert server.asked == [{"model": "m", "input": ["a text", '{"b":1}']}]


@pytest.mark.parametrize(
    ("by", "answer"),
    [
        ("http", {"similarity": 2}),
        ("http", {"similarity": "much"}),
        ("http", {}),
        ("http", ["similarity"]),
        ("embedding", {"data": [{"embedding": [1.0]}]}),
        ("embedding", {"data": [{"embedding": [0.0]}, {"embedding": [1.0]}]}),
        ("embedding", {"data": [{"embedding": [1.0]}, {"embedding": [1.0, 2.0]}]}),
        ("embedding", {"data": [{"embedding": ["x"]}, {"embedding": [1.0]}]}),
    ],
)
async def test_what_is_no_judgement_is_a_failure(compare, server, by, answer):
    server.answer = answer

    with pytest.raises(OracleFailed):
        await compare("a", "b", by)


async def test_rules_of_outputs_hold_for_what_a_judge_sees(compare, server):
    url = server.url.replace("127.0.0.1", "0.0.0.0")  # noqa: S104 nobody binds it
    rules = [Rule.parse("output.name", Action.DROP), Rule.parse("input.said", Action.DROP)]

    await compare({"said": "a", "name": "Ann"}, {"said": "b", "name": "Bob"}, url=url, rules=rules)

    [asked] = server.asked
    assert (asked["output"], asked["truth"]) == ({"said": "a"}, {"said": "b"})


async def test_a_judge_beyond_this_machine_sees_filtered_values(compare, server):
    url = server.url.replace("127.0.0.1", "0.0.0.0")  # noqa: S104 nobody binds it

    await compare("mail a@b.example", "mail c@d.example", url=url)
    with pytest.raises(QuestionRefused, match="egress"):
        await compare("a", "b", url=url, mode=Mode.STRICT)

    [asked] = server.asked
    assert (asked["output"], asked["truth"]) == ("mail [EMAIL]", "mail [EMAIL]")


async def test_a_judge_that_is_down_is_away(compare, server):
    await server.stop()

    with pytest.raises(OracleAway):
        await compare("a", "b")


async def test_a_judge_that_is_down_delays_and_drops_nothing(layout, clock, server):
    executions = ExecutionLog(layout, clock)
    ids = executions.append(3)
    for execution_id in ids:
        executions.report(execution_id, "ham, I think")
    comparison = {"method": "semantic", "judge": {"by": "http", "url": server.url}}
    settings = {"spam": {"oracle": "outcome", "comparison": comparison}}
    await server.stop()

    async with validating(layout, clock, settings) as validators:
        await until(lambda: validators.counts["spam"].attempts_failed >= 2)
        problems = validators.problems()
        await server.start()
        await until(lambda: len(executions.validations()) == 3)
    executions.close()

    assert problems == ["task spam: its oracle does not answer"]
    assert {line["comparison_method"] for line in executions.validations()} == {"semantic"}
    assert {line["similarity_score"] for line in executions.validations()} == {0.95}


async def test_fuzzy_matching_is_recorded(layout, clock):
    executions = ExecutionLog(layout, clock)
    [execution_id] = executions.append(output_json=b'"New  york"')
    executions.report(execution_id, "new york")
    comparison = {"method": "fuzzy", "threshold": 0.8}

    async with validating(layout, clock, {"spam": {"oracle": "outcome", "comparison": comparison}}):
        await until(executions.validations)
    executions.close()

    [line] = executions.validations()
    assert (line["match"], line["comparison_method"]) == (True, "fuzzy")


@pytest.mark.parametrize(
    "fields",
    [
        {"method": "semantic"},
        {"method": "exact", "judge": {"by": "anthropic"}},
        {"method": "fuzzy", "threshold": 0},
        {"method": "semantic", "judge": {"by": "embedding", "url": "http://127.0.0.1:1/"}},
        {"method": "semantic", "judge": {"by": "http", "url": "ftp://127.0.0.1/"}},
    ],
)
def test_a_comparison_that_cannot_be_made_is_refused(fields):
    with pytest.raises(ValidationError):
        Comparison(**fields)


async def test_a_semantic_comparison_follows_the_log(layout, clock, server):
    executions = ExecutionLog(layout, clock)
    executions.append(4)
    settings = {"oracle": "http", "url": server.url}
    settings["comparison"] = {"method": "semantic", "judge": {"by": "http", "url": server.url}}
    server.answer = {"output": "ham!", "similarity": 0.5}

    async with validating(layout, clock, {"spam": settings}):
        await until(lambda: is_followed_to_end(executions))
    executions.close()

    assert [line["match"] for line in executions.validations()] == [False] * 4


@pytest.fixture
async def oracle():
    async with HttpOracleServer(lambda _: "ham") as oracle:
        yield oracle


@pytest.fixture
def judged(layout, clock, oracle, server):
    """Return a context in which outputs that are not equal go before a judge."""

    def judged(*, url: str = "", mode: Mode = Mode.BALANCED):
        judge = {"by": "http", "url": url or server.url, "insecure": True}
        comparison = {"method": "semantic", "judge": judge}
        settings = {"oracle": "http", "url": oracle.url, "comparison": comparison}
        return validating(layout, clock, {"spam": settings}, mode=mode)

    return judged


@pytest.fixture
def executions(layout, clock):
    log = ExecutionLog(layout, clock)
    yield log
    log.close()


async def test_a_failed_execution_waits_for_those_before_it_whose_judge_is_down(
    judged, executions, server
):
    unlike = executions.append(output_json=b'"spam"')
    failed = executions.append(3, **FAILED)
    equal = executions.append(2)
    await server.stop()

    async with judged() as validators:
        counts = validators.counts["spam"]
        await until(lambda: counts.attempts_failed > 5 and counts.validated >= 2)
        before = [line["execution_id"] for line in executions.validations()]
        await server.start()
        await until(lambda: is_followed_to_end(executions))

    assert sorted(before) == sorted(equal)
    after = [line["execution_id"] for line in executions.validations()[2:]]
    assert after == unlike + failed


async def test_where_a_judge_may_see_nothing_equal_and_failed_are_no_labels_either(
    judged, executions, server
):
    executions.append(output_json=b'"spam"')
    executions.append()
    executions.append(**FAILED)
    url = server.url.replace("127.0.0.1", "0.0.0.0")  # noqa: S104 nobody binds it

    async with judged(url=url, mode=Mode.STRICT) as validators:
        await until(lambda: is_followed_to_end(executions))

    assert executions.validations() == []
    assert validators.counts["spam"].skipped == {"refused": 3}


async def test_what_needs_no_judge_says_nothing_of_how_the_judge_fares(judged, executions, server):
    server.answer = {"similarity": "much"}
    executions.append(output_json=b'"spam"')
    executions.append(10)

    async with judged() as validators:
        await until(lambda: validators.counts["spam"].attempts_failed > 20)
        problems, before = validators.problems(), len(executions.validations())
        server.answer = {"similarity": 0.5}
        await until(lambda: is_followed_to_end(executions))

    assert problems == ["task spam: its oracle does not answer"]
    assert (before, len(executions.validations())) == (10, 11)
    assert validators.counts["spam"].skipped == {}
