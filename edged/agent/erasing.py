"""Take a subject's records out of everything on this disk: logs, archives, sealed batches.

Runs in: `edged privacy erase`, and once more in the agent, for what was in its memory. Never: moves
a line of a file that is still read or written; there `{}` and spaces take its place.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
from google.protobuf.message import DecodeError
from loopai.control.v1 import link_pb2 as wire

from edged.agent.batches import BatchFolder
from edged.agent.open_batch import forget_records
from edged.agent.privacy.matching import Match
from edged.datasets.archives import read_lines, rewrite, stored_files
from edged.datasets.layout import Layout, LogKind
from edged.datasets.sealing import is_sealed
from edged.datasets.statistics import OTHER, output_name
from edged.errors import ArchiveDamaged

KINDS: tuple[LogKind, ...] = ("executions", "validations", "outcomes")


class Eraser:
    """One task's subject. ids: of the executions that speak of it, as far as they are known.

    outputs: theirs, as statistics name them; without those that executions of others have too.
    damaged: what cannot be read, and was passed over, in words.
    """

    def __init__(
        self,
        layout: Layout,
        task: str,
        matches: Sequence[Match],
        ids: frozenset[str],
        outputs: frozenset[str] = frozenset(),
    ) -> None:
        self._layout = layout
        self._task = task
        self._matches = matches
        self.ids = set(ids)
        self.outputs = set(outputs)
        self.damaged: set[str] = set()

    def find(self) -> Counter[str]:
        """Learn the executions' ids; return how many lines would go, by kind of log.

        Raises KeyMissing where lines are encrypted.
        """
        found: Counter[str] = Counter()
        for _ in range(2):  # a truth may speak of it that its execution does not
            found = Counter({kind: self._in_each(kind, self._learn) for kind in KINDS})
        return found

    def erase(self) -> Counter[str]:
        """Do it; return how many lines went, by kind of log, and records of sealed batches.

        With the lines goes what tells the ids: whoever calls this has noted what `find` learned.
        """
        erased: Counter[str] = Counter()
        for kind in KINDS:
            erased[kind] = self._in_each(kind, self._rewrite)
            erased[kind] += sum(map(self._erase_torn, self._torn(kind)))
        erased["sealed batches"] = self.erase_batches(BatchFolder(self._layout))
        return erased

    def is_told_by(self, name: str) -> bool:
        """Say whether the name of an output, as statistics have it, speaks of the subject."""
        record = {"output": orjson.loads(name)}
        return name in self.outputs or any(m.is_in(record) for m in self._matches)

    def erase_batches(self, folder: BatchFolder) -> int:
        """Take the records out of batches that wait; returns how many went."""
        erased = 0
        for number in folder.pending():
            try:
                content, filtered_by = folder.read_filtered(number)
                batch = wire.TelemetryBatch.FromString(content)
            except (ValueError, DecodeError):  # or acknowledged meanwhile
                folder.drop_damaged(number)  # nobody can tell what is in it
                continue
            gone = forget_records(batch, self._task, frozenset(self.ids))
            if gone:
                with suppress(FileNotFoundError):  # acknowledged meanwhile
                    folder.replace(number, batch.SerializeToString(), filtered_by=filtered_by)
                    erased += gone
        return erased

    def _in_each(self, kind: LogKind, act: Callable[[Path], int]) -> int:
        """Do it to every file of a log; a damaged archive stays as it is, and is named."""
        count = 0
        for path in self._files(kind):
            try:
                count += _in_any_form(path, act)
            except ArchiveDamaged as error:
                self.damaged.add(str(error))
        return count

    def _learn(self, path: Path) -> int:
        def pass_over(_line: bytes) -> None:
            self.damaged.add(f"an encrypted line of {path} cannot be opened")

        count = 0
        for line in read_lines(path, self._layout.keyring, on_damaged=pass_over):
            record = _parsed(line)
            if record is not None and self._is_meant(record):
                self._note(record)
                count += 1
        return count

    def _note(self, record: dict[str, Any]) -> None:
        self.ids.add(record["execution_id"])
        self.outputs |= _output_names(record)

    def _rewrite(self, path: Path) -> int:
        return rewrite(path, self._left, self._layout.keyring)

    def _is_meant(self, record: dict[str, Any]) -> bool:
        return record["execution_id"] in self.ids or any(m.is_in(record) for m in self._matches)

    def _left(self, line: bytes) -> bytes | None:
        record = _parsed(line)
        if record is None:
            return line
        if self._is_meant(record):
            self._note(record)  # it may have come after `find`
            return None
        self.outputs -= _output_names(record)
        return line

    def _files(self, kind: LogKind) -> list[Path]:
        return [path for _, path in stored_files(self._layout, self._task, kind)]

    def _torn(self, kind: LogKind) -> Iterator[Path]:
        return self._layout.log(self._task, kind).glob("*.torn")

    def _erase_torn(self, path: Path) -> int:
        """Erase from what a crash left of a line; it has no form, so its text decides."""
        needles = [match.text for match in self._matches] + sorted(self.ids)
        lines = path.read_bytes().splitlines(keepends=True)
        kept = [line for line in lines if is_sealed(line) or not _has_any(line, needles)]
        if len(kept) < len(lines):
            path.write_bytes(b"".join(kept))
        return len(lines) - len(kept)


def _in_any_form(path: Path, act: Callable[[Path], int]) -> int:
    """Do it to a file, or to the archive that it became meanwhile; 0 where neither is left."""
    for form in (path, path.with_name(f"{path.name}.gz")):
        with suppress(FileNotFoundError):
            return act(form)
    return 0


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return record if isinstance(record, dict) and "execution_id" in record else None


def _output_names(record: dict[str, Any]) -> set[str]:
    """Return what a record's output is counted under, where that says something of it."""
    is_counted = record.get("status") == "success" and "output" in record
    return {output_name(record["output"])} - {OTHER} if is_counted else set()


def _has_any(line: bytes, needles: list[str]) -> bool:
    text = line.decode(errors="replace").lower()
    return any(needle in text for needle in needles)
