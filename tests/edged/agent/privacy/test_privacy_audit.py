import stat
from pathlib import Path

import orjson
import pytest

from edged.agent.privacy.audit import AuditLog, Sent
from edged.agent.privacy.hashing import KEY_BYTES, deployment_key
from edged.agent.privacy.modes import Mode
from edged.agent.privacy.scrubbing import Erasure
from edged.agent.privacy.spans import Kind
from edged.datasets.layout import Layout
from edged.errors import LogUnwritable
from tests.fakes.clock import FakeClock

SAMPLE = Sent(
    what="sample",
    mode=Mode.BALANCED,
    size_bytes=120,
    execution_id="e-1",
    erased=(
        Erasure(path="input.a", kind=Kind.EMAIL),
        Erasure(path="input.secret-key", kind=Kind.EMAIL),
    ),
)
COUNTS = Sent(what="counts", mode=Mode.STRICT, size_bytes=9)


@pytest.fixture
def layout(tmp_path):
    return Layout(tmp_path)


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def audit(layout, clock):
    return AuditLog(layout, clock)


def lines(layout, date: str) -> list[dict]:
    content = (layout.state / "audit" / f"{date}.jsonl").read_bytes()
    return [orjson.loads(line) for line in content.split(b"\n") if line]


def test_each_thing_sent_is_one_line_without_content(audit, layout):
    audit.append([SAMPLE, COUNTS])

    first, second = lines(layout, "2023-11-14")
    assert first == {
        "when": "2023-11-14T22:13:20.000Z",
        "what": "sample",
        "execution_id": "e-1",
        "destination": "home",
        "mode": "balanced",
        "erased": {"EMAIL": 2},
        "bytes": 120,
    }
    assert (second["what"], second["erased"]) == ("counts", {})


def test_no_file_is_kept_open(audit, layout):
    """Else its disk could not be mounted read-only, and nobody could take it away."""
    audit.append([SAMPLE])

    held = {path.resolve() for path in Path("/proc/self/fd").iterdir()}
    assert layout.state / "audit" / "2023-11-14.jsonl" not in held


def test_each_utc_day_has_its_file_and_a_clock_set_back_does_not_reopen_one(audit, layout, clock):
    audit.append([SAMPLE])
    clock.advance(86_400)
    audit.append([SAMPLE])
    clock.advance(-86_400)
    audit.append([SAMPLE])

    assert len(lines(layout, "2023-11-14")) == 1
    assert len(lines(layout, "2023-11-15")) == 2


def test_a_line_torn_by_a_crash_is_set_aside(layout, clock):
    folder = layout.state / "audit"
    folder.mkdir(parents=True)
    (folder / "2023-11-14.jsonl").write_bytes(b'{"when":"x"}\n{"when":')

    log = AuditLog(layout, clock)
    log.append([COUNTS])

    assert [line["when"] for line in lines(layout, "2023-11-14")] == [
        "x",
        "2023-11-14T22:13:20.000Z",
    ]


def test_an_account_that_cannot_be_written_stops_the_sender(layout, clock):
    layout.state.mkdir(parents=True)
    (layout.state / "audit").write_text("in the way")
    log = AuditLog(layout, clock)

    with pytest.raises(LogUnwritable):
        log.append([COUNTS])


def test_the_key_is_made_once_and_only_its_owner_reads_it(layout):
    key = deployment_key(layout)

    path = layout.state / "privacy.key"
    assert deployment_key(layout) == key
    assert len(key) == KEY_BYTES
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_key_file_that_others_could_read_is_closed_to_them(layout):
    key = deployment_key(layout)
    (layout.state / "privacy.key").chmod(0o644)

    assert deployment_key(layout) == key
    assert stat.S_IMODE((layout.state / "privacy.key").stat().st_mode) == 0o600


def test_a_damaged_key_is_refused_not_replaced(layout):
    deployment_key(layout)
    (layout.state / "privacy.key").write_bytes(b"cut")

    with pytest.raises(ValueError, match="3 bytes"):
        deployment_key(layout)


def test_a_clock_that_was_ahead_for_a_moment_keeps_no_file_of_that_day(audit, layout, clock):
    clock.advance(400 * 86_400)
    audit.append([COUNTS])
    clock.advance(-400 * 86_400)

    audit.append([SAMPLE])

    assert [line["what"] for line in lines(layout, "2023-11-14")] == ["sample"]
