import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.artifacts.manifest import Digest
from edged.decisions.backoff import full_jitter_s
from edged.decisions.routing import Arm, Route, Routes, choose


def arms(candidate_weight: float) -> tuple[Arm, ...]:
    return (
        Arm(name="stable", version=1, digest=Digest("a"), weight=1 - candidate_weight),
        Arm(name="candidate", version=2, digest=Digest("b"), weight=candidate_weight),
    )


KEYS = [f"key-{number}" for number in range(4000)]


def test_the_share_of_an_arm_is_its_weight():
    chosen = sum(choose(arms(0.1), "spam", key).version == 2 for key in KEYS)

    assert 0.08 < chosen / len(KEYS) < 0.12


@given(st.text(), st.floats(0.01, 0.5), st.floats(0.0, 0.5))
def test_a_key_on_the_candidate_stays_there_when_its_weight_grows(key, weight, more):
    before = choose(arms(weight), "spam", key)
    after = choose(arms(weight + more), "spam", key)

    assert before.version == 1 or after.version == 2


def test_tasks_draw_independently():
    same = sum(choose(arms(0.5), "a", key) == choose(arms(0.5), "b", key) for key in KEYS)

    assert 0.45 < same / len(KEYS) < 0.55


def test_routes_survive_the_file():
    route = Route(arms=arms(0.25), fallback=(Arm(name="stable", version=1, digest=Digest("a")),))
    routes = Routes(sequence=7, tasks={"spam": route})

    assert Routes.parse(routes.render()) == routes


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"sequence":1,"tasks":{"a":{"arms":[]}}}'])
def test_a_damaged_file_is_a_value_error(text):
    with pytest.raises(ValueError):  # noqa: PT011 the reason is in the text
        Routes.parse(text)


def test_weights_must_add_up():
    with pytest.raises(ValueError, match="add up to 1"):
        Route(arms=(Arm(name="stable", version=1, digest=Digest("a"), weight=0.5),))


@given(st.integers(0, 10_000))
def test_backoff_stays_under_its_cap(attempt):
    assert 0 <= full_jitter_s(attempt, base_s=0.1, cap_s=5) <= 5
