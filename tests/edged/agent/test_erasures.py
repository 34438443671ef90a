"""A subject's records go from every file of the edge, from its memory, and from home."""

import errno
import gzip
import time
from collections import Counter
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import pytest
from loopai.control.v1 import link_pb2 as wire

from edged.agent import erasing as module_of_erasing
from edged.agent import erasures as module
from edged.agent.batches import BatchFolder
from edged.agent.erasing import Eraser
from edged.agent.erasures import ErasureFolder, Erasures, Request
from edged.agent.privacy.matching import Match
from edged.agent.statistics import Statistician
from edged.agent.telemetry import Batcher
from edged.commands.privacy.erase import carry_out
from edged.datasets.archives import archive, stored_files
from edged.datasets.layout import Layout
from edged.datasets.records import Execution, render
from edged.datasets.sealing import Keyring
from edged.datasets.statistics import OTHER
from edged.datasets.writer import LogWriter
from edged.deployment.telling import Telemetry

MARKER = "Ann Marker"
DAY_S = 86_400.0
TODAY_S = 1_764_000_000.0
TIME = "2025-11-24T16:00:00.000Z"


def identifier(number: int) -> str:
    return str(UUID(int=(0x019AB000000 + number) << 80 | 0x7 << 76 | 0x8 << 60 | number))


def execution(number: int, text: str, output: str = "spam") -> bytes:
    return render(
        Execution(
            execution_id=identifier(number),
            task="spam",
            version=1,
            arm="stable",
            input_json=orjson.dumps({"text": text}),
            output_json=orjson.dumps(output),
            latency_ms=1.0,
        ),
        TIME,
    )


def validation(number: int, text: str) -> bytes:
    line = {
        "id": f"v{number}",
        "execution_id": identifier(number),
        "oracle_output": "ham",
        "oracle_cost": 0.0,
        "oracle_latency_ms": 1.0,
        "match": False,
        "similarity_score": 0.0,
        "comparison_method": "exact",
        "validated_at": TIME,
        "oracle": "http",
        "channel": "audit",
        "inclusion_probability": 0.05,
        "task": "spam",
        "version": 1,
        "arm": "stable",
        "input": {"text": text},
        "output": "spam",
        "confidence": None,
        "status": "success",
        "executed_at": TIME,
    }
    return orjson.dumps(line) + b"\n"


def outcome(number: int, truth: object = "ham") -> bytes:
    return orjson.dumps({"execution_id": identifier(number), "truth": truth}) + b"\n"


def write(layout: Layout, kind: str, at_s: float, *lines: bytes) -> Path:
    writer = LogWriter(layout, kind, lambda: at_s)
    path = writer.append("spam", list(lines))
    writer.close()
    return path


def content(layout: Layout) -> bytes:
    """Return every byte below datasets and batches, in clear."""
    found = b""
    for path in layout.data_dir.rglob("*"):
        if path.is_file() and "erasures" not in path.parts:
            raw = path.read_bytes()
            found += raw
            if path.suffix == ".batch":
                found += gzip.decompress(raw.partition(b"\n")[2])
            if path.suffix == ".gz":
                found += gzip.decompress(raw)
    return found


@pytest.fixture
def filled(layout, make_releaser, recorder, clock):
    """A data_dir in which one subject is in every kind of file; another is in all of them too."""
    archived = write(
        layout, "executions", TODAY_S - DAY_S, execution(1, f"it is {MARKER}"), execution(2, "Bee")
    )
    archive(archived, None)
    write(layout, "executions", TODAY_S, execution(3, MARKER.upper()), execution(4, "Bee"))
    write(layout, "validations", TODAY_S, validation(3, MARKER.upper()), validation(4, "Bee"))
    write(layout, "outcomes", TODAY_S, outcome(3), outcome(4), outcome(2, {"name": MARKER}))
    torn = layout.log("spam", "executions") / "2025-11-24.jsonl.torn"
    torn.write_bytes(f'{{"execution_id":"x","input":"{MARKER}\n"a tail of Bee\n'.encode())
    folder = BatchFolder(layout)
    releaser = make_releaser("permissive")
    Batcher(layout, folder, Telemetry(), releaser, recorder, "log-1", clock, clock).flush()
    return layout


def eraser(layout: Layout, *written: str) -> Eraser:
    matches = [Match.parse(each) for each in written or (MARKER,)]
    return Eraser(layout, "spam", matches, frozenset())


def erase(layout: Layout) -> dict[str, int]:
    found = eraser(layout)
    found.find()
    return found.erase()


def test_the_subject_goes_from_every_file_and_nobody_else(filled):
    assert MARKER.encode() in content(filled)

    erased = erase(filled)

    left = content(filled)
    assert MARKER.lower().encode() not in left.lower()
    assert left.count(b"Bee") >= 4
    assert erased == {
        "executions": 4,  # 1 and 3, 2 by its truth, and a torn line
        "validations": 1,
        "outcomes": 2,
        "sealed batches": 2,
    }


def test_positions_of_a_followed_file_stay(filled):
    path = filled.log("spam", "executions") / "2025-11-24.jsonl"
    size = path.stat().st_size

    erase(filled)

    lines = path.read_bytes().split(b"\n")
    assert path.stat().st_size == size
    assert lines[0].strip() == b"{}"
    assert orjson.loads(lines[1])["input"] == {"text": "Bee"}


def test_counts_of_sealed_batches_stay(filled):
    erase(filled)

    [number] = BatchFolder(filled).pending()
    batch = wire.TelemetryBatch.FromString(BatchFolder(filled).read(number))
    assert sum(arm.executions for arm in batch.arms) == 2
    assert [each.execution_id for each in batch.executions] == [identifier(4)]


def test_a_batch_that_is_filtered_anew_meanwhile_is_not_said_to_be(filled, monkeypatch):
    folder, forget = BatchFolder(filled), module_of_erasing.forget_records
    before = folder.filtered_by(1)

    def filter_and_forget(*what: Any) -> int:
        folder.replace(1, b"", filtered_by="tighter")
        return forget(*what)

    monkeypatch.setattr(module_of_erasing, "forget_records", filter_and_forget)

    erase(filled)

    assert folder.filtered_by(1) == before


def test_looking_alone_changes_nothing(filled):
    before = content(filled)

    found = eraser(filled).find()

    assert found == {"executions": 3, "validations": 1, "outcomes": 2}
    assert content(filled) == before


def test_erased_twice_is_erased_once(filled):
    erase(filled)

    assert sum(erase(filled).values()) == 0


def test_encrypted_lines_are_found_and_stay_encrypted(tmp_path):
    layout = Layout(tmp_path / "data", Keyring.parse(["ab" * 32]))
    layout.batches.mkdir(parents=True)
    path = write(layout, "executions", TODAY_S, execution(1, MARKER), execution(2, "Bee"))

    erased = erase(layout)

    assert erased["executions"] == 1
    assert b"Bee" not in path.read_bytes()
    assert eraser(layout, "Bee").find()["executions"] == 1
    assert eraser(layout).find()["executions"] == 0


@pytest.fixture
def request_(filled) -> Request:
    """A request as the command leaves it, when it found nothing itself."""
    request = Request(
        erasure_id="e1",
        task="spam",
        matches=[MARKER],
        execution_ids=[],
        requested_at=time.time(),
    )
    ErasureFolder(filled).add(request)
    return request


def test_a_file_that_is_archived_meanwhile_is_erased_from_all_the_same(filled, monkeypatch):
    listed = module_of_erasing.stored_files(filled, "spam", "executions")
    archive(filled.log("spam", "executions") / "2025-11-24.jsonl", None)
    monkeypatch.setattr(
        module_of_erasing,
        "stored_files",
        lambda layout, task, kind: (
            listed if kind == "executions" else stored_files(layout, task, kind)
        ),
    )

    erased = erase(filled)

    assert erased["executions"] == 4
    assert MARKER.lower().encode() not in content(filled).lower()


def test_what_comes_after_the_look_is_known_by_its_id_too(filled):
    found = eraser(filled)
    found.find()
    write(filled, "executions", TODAY_S, execution(5, MARKER))
    write(filled, "outcomes", TODAY_S, outcome(5))

    erased = found.erase()

    assert identifier(5) in found.ids
    assert (erased["executions"], erased["outcomes"]) == (5, 3)


@pytest.mark.usefixtures("request_")
async def test_an_agent_that_dies_while_it_erases_has_noted_the_ids(filled, monkeypatch):
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module_of_erasing, "rewrite", full)
    erasures = Erasures(filled, BatchFolder(filled), [], has_home=True)

    with pytest.raises(OSError, match="No space"):
        await see_through(erasures, filled)

    [request] = ErasureFolder(filled).open_requests()
    assert len(request.execution_ids) == 3


@pytest.mark.usefixtures("request_")
def test_the_agent_leaves_requests_alone_while_a_command_is_at_work(filled):
    folder = ErasureFolder(filled)

    with folder.at_work():
        meanwhile = folder.left_requests()

    assert meanwhile == []
    assert [each.erasure_id for each in folder.left_requests()] == ["e1"]


def counted(layout: Layout) -> dict[str, int]:
    days = (layout.analytics("spam")).glob("daily-stats-*.json")
    return dict(
        sum((Counter(orjson.loads(day.read_bytes())["outputs"]) for day in days), Counter())
    )


async def erase_by_agent(layout: Layout, statistician: Statistician, *matches: str) -> None:
    request = Request(
        erasure_id="e2",
        task="spam",
        matches=[*matches],
        execution_ids=[],
        requested_at=time.time(),
    )
    folder = ErasureFolder(layout)
    with folder.at_work():
        carry_out(request, request.eraser(layout), folder)
    batches, forget_outputs = BatchFolder(layout), statistician.forget_outputs
    erasures = Erasures(layout, batches, [], has_home=False, forget_outputs=forget_outputs)
    await see_through(erasures, layout)


async def test_an_output_of_the_subject_counts_without_its_name(layout):
    lines = [execution(1, MARKER, "ann@example.com"), execution(2, MARKER), execution(3, "Bee")]
    for days in (1, 0):
        write(layout, "executions", TODAY_S - days * DAY_S, *lines)
    statistician = Statistician(layout)
    statistician.counter.count()
    statistician.counter.save()
    before = counted(layout)

    await erase_by_agent(layout, statistician, MARKER)

    assert before == {'"ann@example.com"': 2, '"spam"': 4}
    assert counted(layout) == {OTHER: 2, '"spam"': 4}


async def test_a_name_is_forgotten_where_its_execution_expired_or_is_not_saved(layout):
    path = write(layout, "executions", TODAY_S - DAY_S, execution(1, "Bee", "ann@example.com"))
    statistician = Statistician(layout)
    statistician.counter.count()
    statistician.counter.save()
    path.unlink()
    write(layout, "executions", TODAY_S, execution(2, MARKER, "ann@example.com"))
    statistician.counter.count()

    await erase_by_agent(layout, statistician, "ann@example.com")

    assert counted(layout) == {OTHER: 2}


class Holder:
    """Keeps what it was told to forget."""

    def __init__(self) -> None:
        self.forgotten: frozenset[str] = frozenset()

    def forget_executions(self, _task: str, execution_ids: frozenset[str]) -> None:
        self.forgotten |= execution_ids


async def see_through(erasures: Erasures, layout: Layout) -> None:
    for request in list(ErasureFolder(layout).open_requests()):
        await erasures._see_through(request)


@pytest.mark.usefixtures("request_")
async def test_the_agent_erases_asks_home_in_parts_and_forgets_the_subject(filled, monkeypatch):
    monkeypatch.setattr(module, "LAST_PASS_S", 0.0)
    monkeypatch.setattr(module, "PART_IDS", 2)
    holder, asked = Holder(), []
    erasures = Erasures(filled, BatchFolder(filled), [holder], has_home=True)

    await see_through(erasures, filled)
    [request] = ErasureFolder(filled).open_requests()
    asked += list(erasures._unacknowledged(request))
    for part in asked:
        erasures.acknowledge(wire.ErasureAck(erasure_id="e1", part=part.part, erased=5))
    await see_through(erasures, filled)

    wanted = {identifier(1), identifier(2), identifier(3)}
    assert {each for part in asked for each in part.execution_ids} == wanted
    assert [part.part for part in asked] == [0, 1]
    assert holder.forgotten == wanted
    assert list(ErasureFolder(filled).open_requests()) == []
    [path] = (filled.state / "erasures").glob("*.json")
    account = orjson.loads(path.read_bytes())
    assert (account["erased_at_home"], account["execution_ids"]) == (10, [])
    assert MARKER.encode() not in path.read_bytes()
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.usefixtures("request_")
async def test_what_is_not_acknowledged_stays_open_over_a_restart(filled, monkeypatch):
    monkeypatch.setattr(module, "LAST_PASS_S", 0.0)
    for _ in range(2):
        erasures = Erasures(filled, BatchFolder(filled), [], has_home=True)
        await see_through(erasures, filled)
        await see_through(erasures, filled)

    [request] = ErasureFolder(filled).open_requests()
    assert len(request.execution_ids) == 3


@pytest.mark.usefixtures("request_")
async def test_without_home_it_is_done_with_the_last_pass(filled, monkeypatch):
    monkeypatch.setattr(module, "LAST_PASS_S", 0.0)
    erasures = Erasures(filled, BatchFolder(filled), [], has_home=False)

    await see_through(erasures, filled)
    await see_through(erasures, filled)

    assert list(ErasureFolder(filled).open_requests()) == []


async def test_an_open_batch_forgets_and_takes_no_more(layout, make_releaser, recorder, clock):
    write(layout, "validations", TODAY_S, validation(3, MARKER), validation(4, "Bee"))
    folder = BatchFolder(layout)
    releaser = make_releaser("permissive")
    batcher = Batcher(layout, folder, Telemetry(), releaser, recorder, "log-1", clock, clock)
    await batcher.follow()

    batcher.forget_executions("spam", frozenset({identifier(3)}))
    write(layout, "validations", TODAY_S, validation(3, MARKER))
    batcher.flush()

    batch = wire.TelemetryBatch.FromString(folder.read(1))
    assert [each.execution_id for each in batch.executions] == [identifier(4)]
    assert MARKER.encode() not in batch.SerializeToString()
