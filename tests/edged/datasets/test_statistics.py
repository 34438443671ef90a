import json
import math
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.datasets.archives import archive, stored_files, write_archive
from edged.datasets.counting import DayCounter, statistics_of
from edged.datasets.latencies import ACCURACY, QUANTILES, Latencies
from edged.datasets.layout import Layout
from edged.datasets.sealing import Keyring, is_sealed, opened
from edged.datasets.statistics import MAX_OUTPUTS, OTHER, Statistics
from edged.errors import KeyMissing
from tests.fakes.clock import FakeClock
from tests.fakes.execution_log import ExecutionLog

NOON = 1_795_435_200.0  # 2026-11-23T12:00:00Z
DAY_S = 86_400
LATENCIES_MS = st.lists(st.floats(min_value=1e-4, max_value=6e5), min_size=1)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOON)


@pytest.fixture(params=[None, Keyring([b"k" * 32])], ids=["clear", "encrypted"])
def layout(tmp_path: Path, request) -> Layout:
    return Layout(tmp_path, request.param)


@pytest.fixture
def executions(layout, clock):
    log = ExecutionLog(layout, clock)
    yield log
    log.close()


def count_and_save(layout: Layout) -> None:
    counter = DayCounter(layout)
    counter.count()
    counter.save()


def saved(layout: Layout, date: str = "2026-11-23") -> dict:
    content = (layout.analytics("spam") / f"daily-stats-{date}.json").read_bytes()
    return json.loads(b"\n".join(opened(content, layout.keyring)))


def sketch_of(latencies_ms: list[float]) -> Latencies:
    sketch = Latencies()
    for latency_ms in latencies_ms:
        sketch.add(latency_ms)
    return sketch


@given(LATENCIES_MS)
def test_quantiles_are_right_within_the_accuracy(latencies_ms):
    sketch, ordered = sketch_of(latencies_ms), sorted(latencies_ms)

    for q in QUANTILES.values():
        exact = ordered[int(q * (len(ordered) - 1))]
        assert sketch.quantile(q) == pytest.approx(exact, rel=ACCURACY * 1.001)


@given(LATENCIES_MS, LATENCIES_MS)
def test_merged_sketches_tell_what_one_would(first, second):
    merged = sketch_of(first)
    merged.merge(sketch_of(second))
    whole = sketch_of(first + second)

    there_and_back = Latencies.from_json(json.loads(json.dumps(merged.as_json())))

    assert {**there_and_back.as_json(), "sum": 0} == {**whole.as_json(), "sum": 0}
    assert merged.as_json()["sum"] == pytest.approx(math.fsum(first + second), rel=1e-4)


def test_many_latencies_of_a_real_shape():
    noise = random.Random(1)
    latencies_ms = [noise.lognormvariate(-1, 0.5) for _ in range(20_000)]

    told = sketch_of(latencies_ms).as_json()

    assert told["count"] == 20_000
    assert told["p99"] == pytest.approx(sorted(latencies_ms)[int(0.99 * 19_999)], rel=0.011)


def test_the_days_of_a_task_are_counted_by_arm(layout, executions, clock):
    executions.append(3, latency_ms=1.0, confidence=0.95)
    executions.append(2, latency_ms=4.0, arm="candidate", version=3, output_json=b'"spam"')
    executions.append(1, status="timeout", error_type="Timeout")
    executions.write_raw(b"no execution\n")
    clock.advance(DAY_S)
    executions.append(1)

    count_and_save(layout)

    first = saved(layout)
    assert (first["executions"], first["malformed"]) == (6, 1)
    assert first["statuses"] == {"success": 5, "timeout": 1}
    assert first["outputs"] == {'"ham"': 3, '"spam"': 2}
    assert [(arm["version"], arm["arm"], arm["executions"]) for arm in first["arms"]] == [
        (2, "stable", 4),
        (3, "candidate", 2),
    ]
    assert first["confidence_bins"][9] == 3
    assert saved(layout, "2026-11-24")["executions"] == 1


@pytest.mark.parametrize("foreign", [{"version": "two"}, {"arm": None}, {"status": 5}], ids=str)
def test_a_line_whose_names_are_of_another_type_is_no_execution(layout, executions, foreign):
    executions.append(1)
    line = {"version": 2, "arm": "stable", "status": "success", "latency_ms": 1.0, "output": "ham"}
    executions.write_raw(json.dumps(line | foreign).encode() + b"\n")

    count_and_save(layout)

    assert (saved(layout)["executions"], saved(layout)["malformed"]) == (1, 1)


def test_a_counter_that_starts_anew_goes_on_where_the_last_one_saved(layout, executions):
    executions.append(3)
    count_and_save(layout)
    lost = DayCounter(layout)
    executions.append(2)
    lost.count()  # and killed before it saved

    count_and_save(layout)

    assert saved(layout)["executions"] == 5


def test_a_count_can_be_ended_and_goes_on_later(layout, executions):
    executions.append(3)
    counter = DayCounter(layout)

    counter.count(lambda: True)
    counter.save()
    counter.count()
    counter.save()

    assert saved(layout)["executions"] == 3


def test_what_is_saved_is_what_retention_may_forget(layout, executions):
    executions.append(3)
    [(_, path)] = stored_files(layout, "spam", "executions")
    key = f"spam/{path.name}"
    counter = DayCounter(layout)

    counter.count()
    before = counter.acknowledged("executions", "spam", key)
    counter.save()

    assert before == 0
    assert counter.acknowledged("executions", "spam", key) == path.stat().st_size
    assert counter.acknowledged("validations", "spam", key) is None


def test_a_look_is_exact_whatever_was_saved_and_archived(layout, executions, clock):
    executions.append(3)
    count_and_save(layout)
    executions.append(2)
    count_and_save(layout)
    clock.advance(DAY_S)
    executions.append(4)
    [(_, yesterday), _] = stored_files(layout, "spam", "executions")
    archive(yesterday, layout.keyring)

    days = statistics_of(layout, "spam", "2026-11-01")

    counts = {date: day.total().statuses.total() for date, day in days.items()}
    assert counts == {"2026-11-23": 5, "2026-11-24": 4}
    assert statistics_of(layout, "spam", "2026-11-25") == {}


def test_an_archive_from_a_backup_is_counted_from_its_lines(layout):
    line = b'{"version":1,"arm":"stable","status":"success","latency_ms":1,"output":"ham"}'
    folder = layout.log("spam", "executions")
    folder.mkdir(parents=True)
    write_archive(folder / "2026-11-20.jsonl.gz", [line] * 7, layout.keyring)

    [day] = statistics_of(layout, "spam", "2026-11-01").values()

    assert day.total().statuses == {"success": 7}


def test_a_damaged_file_of_statistics_is_made_again(layout, executions):
    executions.append(3)
    count_and_save(layout)
    path = layout.analytics("spam") / "daily-stats-2026-11-23.json"
    path.write_text('{"torn":')

    count_and_save(layout)

    assert saved(layout)["executions"] == 3


@pytest.mark.parametrize("confidence", [b"-5", b"-0.2", b"7", b'"high"'])
def test_a_line_with_no_probability_for_its_confidence_counts_as_malformed(confidence):
    line = b'{"version":1,"arm":"stable","status":"success","latency_ms":1,"output":"ham"'
    statistics = Statistics()

    statistics.add_lines([line + b',"confidence":' + confidence + b"}", line + b"}"])

    assert statistics.total().statuses == {"success": 1}
    assert statistics.malformed == 1


def test_outputs_of_many_kinds_are_bounded():
    statistics = Statistics()
    lines = [
        json.dumps(
            {"version": 1, "arm": "stable", "status": "success", "latency_ms": 1, "output": n}
        ).encode()
        for n in range(MAX_OUTPUTS * 3)
    ]

    statistics.add_lines([*lines, *lines])

    outputs = statistics.as_json()["outputs"]
    assert len(outputs) == MAX_OUTPUTS + 1
    assert outputs[OTHER] == MAX_OUTPUTS * 4
    assert sum(outputs.values()) == MAX_OUTPUTS * 6


def test_beside_an_encrypted_log_no_output_stands_in_clear(layout, executions):
    executions.append(3, output_json=b'"ann@example.com"')
    count_and_save(layout)

    [path] = layout.analytics("spam").iterdir()

    assert (b"ann@example.com" in path.read_bytes()) == (layout.keyring is None)
    assert saved(layout)["outputs"] == {'"ann@example.com"': 3}


def test_without_the_key_nothing_is_counted_as_nothing(tmp_path, clock):
    layout = Layout(tmp_path, Keyring([b"k" * 32]))
    log = ExecutionLog(layout, clock)
    log.append(3)
    log.close()
    count_and_save(layout)
    archive(stored_files(layout, "spam", "executions")[0][1], layout.keyring)

    with pytest.raises(KeyMissing):
        statistics_of(Layout(tmp_path), "spam", "2026-11-01")


def test_statistics_from_before_encryption_are_read_and_go_on_encrypted(tmp_path, clock):
    plain, encrypted = Layout(tmp_path), Layout(tmp_path, Keyring([b"k" * 32]))
    for layout in (plain, encrypted):
        log = ExecutionLog(layout, clock)
        log.append(3)
        log.close()
        count_and_save(layout)

    assert saved(encrypted)["executions"] == 6
    assert is_sealed(next(encrypted.analytics("spam").iterdir()).read_bytes())
