"""Let lines of the logs travel home: through the privacy filter, and into the audit log.

Runs in: the agent. Talks to: the privacy filter, the audit log, state/privacy-floor. Never: lets
out a record whose filtering failed, or one that the audit log could not note.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson
from loopai.control.v1 import link_pb2 as wire

from edged.agent.privacy import reasons
from edged.agent.privacy.audit import AuditLog, Sent, What
from edged.agent.privacy.filter import PrivacyFilter
from edged.agent.privacy.modes import Mode
from edged.agent.privacy.released import Released
from edged.agent.privacy.scrubbing import Erasure
from edged.agent.records import execution_record, timestamp, validation_record
from edged.agent.schemas import OutputSchemas
from edged.datasets.layout import Layout
from edged.errors import LogUnwritable
from edged.files import write_whole

KNOWN_OUTPUTS = 4_096  # whose names are remembered
KNOWN_OUTPUT_BYTES = 1_024  # of one at most: longer ones seldom repeat, and 4 MB are enough


@dataclass(frozen=True, slots=True)
class Record:
    """One validation with its execution, as they may leave."""

    execution: wire.ExecutionSummary
    validation: wire.Validation

    @property
    def size_bytes(self) -> int:
        return self.execution.ByteSize() + self.validation.ByteSize()


class Releaser:
    """Owns the filter, which home may tighten at any time; its floor outlives a restart."""

    def __init__(self, layout: Layout, privacy: PrivacyFilter, audit: AuditLog) -> None:
        self.schemas = OutputSchemas(layout)
        self._floor_path = layout.state / "privacy-floor"
        self._configured = privacy
        self._audit = audit
        self._output_name = lru_cache(KNOWN_OUTPUTS)(self._name_output)
        self.configure(privacy)

    @property
    def privacy(self) -> PrivacyFilter:
        """Return the filter in force now."""
        return self._privacy

    @property
    def mode(self) -> Mode:
        return self._privacy.mode

    def configure(self, privacy: PrivacyFilter) -> None:
        """Take the filter of a new deployment.yaml; home's floor stays under it."""
        self._configured = privacy
        self._privacy = privacy.with_floor(self._read_floor())

    def tighten(self, floor: Mode) -> None:
        """Take home's floor, and note it: after a restart it is in force before anything is sent.

        Raises OSError where it cannot be noted; it is in force all the same.
        """
        self._privacy = self._configured.with_floor(floor)
        if floor is not self._read_floor():
            write_whole(self._floor_path, f"{floor}\n".encode())

    def release(self, line: Mapping[str, Any]) -> Record:
        """Return a line of the validation log as it may leave.

        Raises Withheld, or LogUnwritable when what leaves cannot be noted.
        """
        schema = self.schemas.of(line["task"], line["version"])
        execution, released = execution_record(line, self._privacy, schema)
        record = Record(execution, validation_record(line, self._privacy, schema))
        self._note("validation", record.size_bytes, line["execution_id"], released)
        return record

    def release_execution(self, line: Mapping[str, Any]) -> wire.ExecutionSummary:
        """Return a line of the execution log as it may leave; raises as `release`."""
        schema = self.schemas.of(line["task"], line["version"])
        execution, released = execution_record(line, self._privacy, schema)
        self._note("sample", execution.ByteSize(), line["execution_id"], released)
        return execution

    def output_name(self, execution: Mapping[str, Any]) -> str:
        """Return the name an output is counted under. Raises Withheld."""
        spelled = orjson.dumps(execution["output"])
        name = self._output_name if len(spelled) <= KNOWN_OUTPUT_BYTES else self._name_output
        return name(execution["task"], execution["version"], spelled)

    def decision(self, line: Mapping[str, Any]) -> wire.Decision:
        """Return a line of the decision log: counts and words of ours, but for a refusal's."""
        reason = line["reason"]
        if not line["evidence"]:
            reason = self._privacy.reason(reason)  # an error's text might quote an input
        return wire.Decision(
            decision_id=line["decision_id"],
            rollout_id=line["rollout_id"],
            task=line["task"],
            version=line["version"],
            stage=line["stage"],
            phase=line["phase"],
            verdict=line["verdict"],
            action=line["action"],
            reason=reason,
            evidence_json=orjson.dumps(line["evidence"]),
            decided_at=timestamp(line["decided_at"]),
        )

    def reason(self, error: BaseException | str) -> str:
        """Return what may be said of an error, once that is noted; where it cannot be, no word."""
        reason = self._privacy.reason(error)
        try:
            self._audit.append([self._sent("reason", len(reason.encode()))])
        except LogUnwritable:
            return reasons.UNNAMED
        return reason

    def note_batch(self, batch: wire.TelemetryBatch) -> None:
        """Note what a batch tells beside its records, which were noted as they were released.

        Raises LogUnwritable: then do not send.
        """
        sent = [self._sent("counts", sum(arm.ByteSize() for arm in batch.arms))]
        sent += [self._sent("decision", decision.ByteSize()) for decision in batch.decisions]
        self._audit.append(sent)

    def _note(self, what: What, size_bytes: int, execution_id: str, released: Released) -> None:
        self._audit.append([self._sent(what, size_bytes, execution_id, released.erased)])

    def _sent(
        self,
        what: What,
        size_bytes: int,
        execution_id: str = "",
        erased: tuple[Erasure, ...] = (),
    ) -> Sent:
        return Sent(
            what=what,
            mode=self.mode,
            size_bytes=size_bytes,
            execution_id=execution_id,
            erased=erased,
        )

    def _name_output(self, task: str, version: int, output_json: bytes) -> str:
        return self._privacy.output_name(output_json, self.schemas.of(task, version))

    def _read_floor(self) -> Mode:
        """Return the mode that home last asked for at least; a damaged file says strict."""
        try:
            return Mode(self._floor_path.read_text().strip())
        except FileNotFoundError:
            return Mode.PERMISSIVE
        except ValueError:
            return Mode.STRICT
