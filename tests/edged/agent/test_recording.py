import pytest

from edged.agent.privacy.modes import Mode
from edged.agent.recording import ABOVE_RATE, Rate

EXECUTION = {"execution_id": "0190163d-8694-739b-aea5-966c26f8ad91", "task": "spam"}


def executions(count: int) -> list[dict[str, str]]:
    return [{"execution_id": f"id-{number}", "task": "spam"} for number in range(count)]


def test_strict_lets_no_execution_out_one_by_one(make_recorder):
    recorder = make_recorder(audit_rate=1.0, sample_only=False)

    assert recorder.chosen(EXECUTION, Mode.STRICT) is None


def test_balanced_lets_audit_samples_out_with_their_probability(make_recorder):
    recorder = make_recorder(audit_rate=0.05)

    chosen = [recorder.chosen(each, Mode.BALANCED) for each in executions(4_000)]

    drawn = [each for each in chosen if each is not None]
    assert 0.03 < len(drawn) / 4_000 < 0.07
    assert {each["channel"] for each in drawn} == {"audit"}
    assert drawn[0]["inclusion_probability"] == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("mode", "settings"),
    [(Mode.PERMISSIVE, {}), (Mode.BALANCED, {"sample_only": False})],
)
def test_the_full_log_leaves_as_fast_as_the_rate_permits(make_recorder, clock, mode, settings):
    recorder = make_recorder(records_per_sec=2, **settings)

    first = [recorder.chosen(EXECUTION, mode) for _ in range(30)]
    clock.advance(5)
    later = [recorder.chosen(EXECUTION, mode) for _ in range(30)]

    assert (first.count(EXECUTION), first.count(ABOVE_RATE)) == (20, 10)
    assert later.count(EXECUTION) == 10


def test_a_bucket_never_holds_more_than_its_burst(clock):
    rate = Rate(1, clock)

    clock.advance(1_000_000)

    assert sum(rate.take() for _ in range(100)) == 10


def test_another_rate_holds_from_the_next_execution_on(make_recorder):
    recorder = make_recorder()

    recorder.resample(1.0)

    assert recorder.chosen(EXECUTION, Mode.BALANCED)["inclusion_probability"] == 1.0
