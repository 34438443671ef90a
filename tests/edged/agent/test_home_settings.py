"""Settings from home: what an edge takes, what it keeps out, and that it remembers."""

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.agent.home_settings import PERMITTED, HomeSettings, decide
from edged.deployment import Deployment
from tests.fakes.clock import FakeClock
from tests.fakes.execution_log import ExecutionLog
from tests.fakes.http_oracle import HttpOracleServer
from tests.fakes.validating import is_followed_to_end, until, validating

LOCAL = Deployment.model_validate(
    {
        "sampling": {"rate": 0.02, "temporal_rate": 0.5},
        "telemetry": {"privacy_mode": "strict"},
        "validation": {"spam": {"oracle": "http", "url": "http://127.0.0.1:9/"}},
    }
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)


def wish(**sections: object) -> bytes:
    return json.dumps(sections).encode()


def test_what_is_permitted_and_valid_is_taken_over_the_local_settings():
    wanted = decide(
        wish(sampling={"rate": 0.1, "strategy": ["temporal"]}, telemetry={"batch_size": 5}), LOCAL
    )

    assert wanted.refused == {}
    assert (wanted.sampling.rate, wanted.sampling.temporal_rate) == (0.1, 0.5)
    assert wanted.sampling.strategies == ("temporal",)
    assert wanted.telemetry.batch_size == 5


@pytest.mark.parametrize(
    ("sections", "key", "words"),
    [
        ({"validation": {"spam": {}}}, "validation.spam", "deployment.yaml alone"),
        ({"cloud": {"api_url": "http://elsewhere"}}, "cloud.api_url", "deployment.yaml alone"),
        ({"listen": {"http": "0.0.0.0:1"}}, "listen.http", "deployment.yaml alone"),
        ({"privacy": {"pii_detection": False}}, "privacy.pii_detection", "privacy floor"),
        ({"telemetry": {"privacy_mode": "permissive"}}, "telemetry.privacy_mode", "privacy floor"),
        ({"telemetry": {"enabled": False}}, "telemetry.enabled", "deployment.yaml alone"),
        ({"sampling": {"rate": 3}}, "sampling.rate", "less than or equal to 0.2"),
        ({"sampling": {"rat": 0.1}}, "sampling.rat", "deployment.yaml alone"),
        ({"sampling": {"strategy": ["active", "temporal"]}}, "sampling.strategy", "alone"),
        ({"sampling": 3}, "sampling", "mapping"),
    ],
)
def test_what_is_kept_out_is_named_with_the_reason_and_the_rest_is_taken(sections, key, words):
    known = {"telemetry": {"batch_size": 7} | sections.pop("telemetry", {})}

    wanted = decide(wish(**sections, **known), LOCAL)

    assert list(wanted.refused) == [key]
    assert words in wanted.refused[key]
    assert wanted.telemetry.batch_size == 7
    assert wanted.telemetry.privacy_mode == "strict"
    assert wanted.sampling == LOCAL.sampling


@pytest.mark.parametrize("text", [b"{", b"[]", b"3", b" " * 100_000, b'{"a": NaN}'])
def test_what_is_no_settings_changes_nothing(text):
    wanted = decide(text, LOCAL)

    assert (wanted.sampling, wanted.telemetry) == (LOCAL.sampling, LOCAL.telemetry)
    assert list(wanted.refused) == ["settings"]


@pytest.mark.parametrize("depth", [50, 253, 300, 1000])
def test_settings_that_are_nested_too_deep_change_nothing_and_are_told(layout, depth):
    settings = HomeSettings(layout, LOCAL, lambda _wanted: None)
    nested = b"[" * depth + b"]" * depth

    refused = settings.receive(b'{"sampling": {"rate": ' + nested + b"}}")

    assert list(refused) == ["settings"]
    assert orjson.loads(orjson.dumps({"agent": {"settings": settings.status()}}))


@given(
    st.dictionaries(
        st.sampled_from([*PERMITTED, "privacy", "validation"]),
        JSON
        | st.dictionaries(
            st.sampled_from(
                [
                    *Deployment().sampling.model_fields_set,
                    "rate",
                    "strategy",
                    "batch_size",
                    "privacy_mode",
                ]
            ),
            JSON,
        ),
    )
)
def test_nothing_that_home_says_breaks_or_loosens_an_edge(sections):
    wanted = decide(json.dumps(sections).encode(), LOCAL)

    assert wanted.telemetry.privacy_mode == "strict"
    assert 0.01 <= wanted.sampling.rate <= 0.2
    assert all(len(reason) < 400 for reason in wanted.refused.values())


def test_the_last_settings_hold_without_home_until_home_takes_them_back(layout):
    applied = []
    first = HomeSettings(layout, LOCAL, applied.append)
    refused = first.receive(wish(sampling={"rate": 0.1}, listen={"http": "x"}))

    again = HomeSettings(layout, LOCAL, applied.append)
    again.resume()
    resumed = again.in_force
    again.receive(b"")

    assert list(refused) == ["listen.http"]
    assert (resumed.sampling.rate, list(resumed.refused)) == (0.1, ["listen.http"])
    assert [wanted.sampling.rate for wanted in applied] == [0.1, 0.1, 0.02]
    assert again.status() == {"wanted": {}, "refused": {}}


def test_the_same_again_is_not_applied_again(layout):
    applied = []
    settings = HomeSettings(layout, LOCAL, applied.append)

    for _ in range(3):
        settings.receive(wish(sampling={"rate": 0.1}))

    assert len(applied) == 1


async def test_a_rate_from_home_is_drawn_by_while_following(layout):
    clock = FakeClock()
    executions = ExecutionLog(layout, clock)
    async with HttpOracleServer(lambda _: "ham") as oracle:
        asked = {"spam": {"oracle": "http", "url": oracle.url}}
        async with validating(layout, clock, asked) as validators:
            executions.append(20)
            await until(lambda: is_followed_to_end(executions))
            before = len(executions.validations())
            wanted = decide(wish(sampling={"rate": 0.01}), Deployment())
            validators.resample(wanted.sampling)
            executions.append(400)
            await until(lambda: is_followed_to_end(executions))
    executions.close()

    late = executions.validations()[before:]
    assert before == 20
    assert len(late) < 20
    assert {line["inclusion_probability"] for line in late} <= {0.01}
