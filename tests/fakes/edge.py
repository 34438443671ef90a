"""An edge in a few lines: enrols, takes signed states, reports samples, labels and decisions."""

import json
import queue
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from typing import Any
from uuid import uuid4

import grpc
from loopai.control.v1 import link_pb2 as pb
from loopai.control.v1.link_pb2_grpc import ControlPlaneServiceStub

from edged.artifacts.signing import VerifyingKey

TIMEOUT_S = 60.0  # a loaded machine trains slowly


class FakeEdge:
    """One connection; serves whatever the newest state names, and says so."""

    def __init__(
        self,
        channel: grpc.Channel,
        api_key: str,
        *,
        privacy: int = pb.PRIVACY_MODE_BALANCED,
        deployment_id: str = "",
    ) -> None:
        """deployment_id: of an edge that was enrolled before, to come back as that one."""
        self._credentials = (("authorization", f"Bearer {api_key}"),)
        self._stub = ControlPlaneServiceStub(channel)
        enrolled = self._stub.Enroll(
            pb.EnrollRequest(name="fake", deployment_id=deployment_id),
            metadata=self._credentials,
            timeout=TIMEOUT_S,
        )
        self.deployment_id = enrolled.deployment_id
        self._key = VerifyingKey.from_bytes(enrolled.signing_public_key)
        self._privacy = privacy
        self._log_id = uuid4().hex
        self._numbers = count(1)
        self._up: queue.Queue[pb.ConnectRequest | None] = queue.Queue()
        self._news = threading.Condition()
        self.state = pb.DesiredState()
        self.acknowledged = 0
        self.kept: set[str] = set()  # executions that home keeps a question about
        self.answers: dict[str, pb.OracleAnswer] = {}

    @contextmanager
    def connected(self) -> Iterator["FakeEdge"]:
        """Hold the stream open while inside."""
        self._up = queue.Queue()
        hello = pb.Hello(
            deployment_id=self.deployment_id,
            instance_id=uuid4().hex,
            log_id=self._log_id,
            privacy_mode=self._privacy,
        )
        self._up.put(pb.ConnectRequest(hello=hello))
        stream = self._stub.Connect(iter(self._up.get, None), metadata=self._credentials)
        reader = threading.Thread(target=self._read, args=(stream,), daemon=True)
        reader.start()
        try:
            yield self
        finally:
            self._up.put(None)
            reader.join(5)
            stream.cancel()

    def wait_for_state(self, is_wanted: Any) -> pb.DesiredState:
        """Return the newest state once it is as wanted."""
        with self._news:
            assert self._news.wait_for(lambda: is_wanted(self.state), TIMEOUT_S), "no such state"
            return self.state

    def wait_for_candidate(self, task: str, version: int) -> pb.DesiredTask:
        def is_there(state: pb.DesiredState) -> bool:
            return any(t.task == task and t.candidate.version == version for t in state.tasks)

        state = self.wait_for_state(is_there)
        return next(each for each in state.tasks if each.task == task)

    def report(self, **parts: Any) -> None:
        """Send one numbered batch and wait until it is acknowledged."""
        number = next(self._numbers)
        batch = pb.TelemetryBatch(
            deployment_id=self.deployment_id, log_id=self._log_id, number=number, **parts
        )
        batch.sealed_at.GetCurrentTime()
        self._up.put(pb.ConnectRequest(telemetry=batch))
        with self._news:
            assert self._news.wait_for(lambda: self.acknowledged >= number, TIMEOUT_S)

    def ask(self, question: pb.OracleQuestion) -> None:
        """Ask home, and wait until it keeps the question."""
        self._up.put(pb.ConnectRequest(oracle_question=question))
        with self._news:
            assert self._news.wait_for(lambda: question.execution_id in self.kept, TIMEOUT_S)

    def wait_for_answer(self, execution_id: str) -> pb.OracleAnswer:
        """Return home's answer, and give a receipt for it."""
        with self._news:
            assert self._news.wait_for(lambda: execution_id in self.answers, TIMEOUT_S)
        receipt = pb.OracleReceipt(execution_id=execution_id)
        self._up.put(pb.ConnectRequest(oracle_receipt=receipt))
        return self.answers[execution_id]

    def decide(self, task: pb.DesiredTask, action: str, **facts: Any) -> None:
        """Report a step of the rollout."""
        verdict = facts.pop("verdict", "PASS")
        decision = pb.Decision(
            decision_id=str(uuid4()),
            rollout_id=task.plan.rollout_id,
            task=task.task,
            version=task.candidate.version,
            action=action,
            verdict=verdict,
            evidence_json=json.dumps([{"test": "discordance", "n": 40}]).encode(),
            **facts,
        )
        decision.decided_at.GetCurrentTime()
        self.report(decisions=[decision])

    def _read(self, stream: Any) -> None:
        try:
            for message in stream:
                self._take(message)
        except grpc.RpcError:
            return  # cancelled, or the server went away

    def _take(self, message: pb.ConnectResponse) -> None:
        with self._news:
            if message.WhichOneof("message") == "state":
                payload = self._key.open_state(message.state.envelope)
                self.state = pb.DesiredState.FromString(payload)
                self._up.put(pb.ConnectRequest(state_report=self._applied(message.state.nonce)))
            elif message.WhichOneof("message") == "telemetry_ack":
                self.acknowledged = message.telemetry_ack.number
            elif message.WhichOneof("message") == "oracle_question_ack":
                self.kept.add(message.oracle_question_ack.execution_id)
            elif message.WhichOneof("message") == "oracle_answer":
                self.answers[message.oracle_answer.execution_id] = message.oracle_answer
            self._news.notify_all()

    def _applied(self, nonce: str) -> pb.StateReport:
        statuses = [
            pb.TaskStatus(
                task=task.task,
                state=pb.APPLY_STATE_APPLIED,
                serving_version=task.stable.version,
                target_version=task.stable.version,
            )
            for task in self.state.tasks
        ]
        return pb.StateReport(nonce=nonce, sequence=self.state.sequence, tasks=statuses)


def labelled(
    task: str,
    version: int,
    value: Any,
    *,
    output: Any,
    label: Any,
    is_private: bool = False,
    **facts: Any,
) -> Mapping[str, Any]:
    """Return one execution and its validation, as an edge sends them."""
    known = {
        "execution_id": facts.pop("execution_id", str(uuid4())),
        "task": task,
        "version": version,
        "arm": "stable",
        "outcome": "success",
        "channel": "audit",
        "inclusion_probability": 0.05,
    } | facts
    execution = pb.ExecutionSummary(**known, is_sampled=True, input_hash=b"h" * 32)
    validation = pb.Validation(
        **known,
        validation_id=str(uuid4()),
        oracle="http",
        is_match=output == label,
        comparison_method="exact",
    )
    if not is_private:
        execution.input_json = json.dumps(value).encode()
        execution.output_json = json.dumps(output).encode()
        validation.oracle_output_json = json.dumps(label).encode()
    execution.executed_at.GetCurrentTime()
    validation.validated_at.GetCurrentTime()
    return {"executions": [execution], "validations": [validation]}


def together(records: Any) -> dict[str, list[Any]]:
    """Return the parts of one batch that holds all of these records."""
    records = list(records)
    return {
        part: [entry for record in records for entry in record[part]]
        for part in ("executions", "validations")
    }
