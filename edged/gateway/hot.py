"""Execute and ExecuteBatch past everything that costs: bytes in, bytes out, no task, no context.

Runs in: the gateway, on the server's raw entry. Never: awaits.
"""

from functools import partial
from typing import Any, Final

from google.protobuf.message import DecodeError
from loopai.edge.v1 import edge_pb2 as wire

from edged.datasets.records import Execution
from edged.errors import LoopaiError, RequestMalformed
from edged.gateway.codec import Result, response_of, result_of
from edged.gateway.counters import Counters
from edged.gateway.executor import Executor, Request
from edged.pool.values import Call
from edged.rpc.codes import Code
from edged.rpc.server import Server
from edged.rpc.status import details_of, status_of
from edged.rpc.stream import RawCall

SERVICE: Final = "/loopai.edge.v1.EdgeService"
MAX_BATCH: Final = 1_000  # executions in one request: a tenth of a second of one worker

_read_request = wire.ExecuteRequest.FromString
_read_batch = wire.ExecuteBatchRequest.FromString


class HotMethods:
    """The two methods that applications call all day."""

    def __init__(self, executor: Executor, counters: Counters) -> None:
        self._executor = executor
        self._counters = counters

    def register(self, server: Server) -> None:
        server.add_raw_method(f"{SERVICE}/Execute", self.execute)
        server.add_raw_method(f"{SERVICE}/ExecuteBatch", self.execute_batch)

    def execute(self, message: bytes, call: RawCall) -> None:
        try:
            started = self._executor.execute(
                _request(_read_request(message), call.deadline_s), partial(_answer, call)
            )
            call.on_cancel = started.abandon
        except LoopaiError as error:
            self._refuse(call, error)
        except DecodeError:
            self._refuse_malformed(call)

    def execute_batch(self, message: bytes, call: RawCall) -> None:
        try:
            batch = _read_batch(message)
        except DecodeError:
            self._refuse_malformed(call)
            return
        count = len(batch.requests)
        if count > MAX_BATCH:
            reason = f"a batch holds at most {MAX_BATCH} requests, not {count}"
            self._refuse(call, RequestMalformed(reason=reason))
            return
        gathering = _Gathering(call, count)
        for position, request in enumerate(batch.requests):
            reply = partial(gathering.put, position)
            try:
                gathering.started.append(
                    self._executor.execute(_request(request, call.deadline_s), reply)
                )
            except LoopaiError as error:
                self._counters.count_refusal(error.code)
                reply(error)

    def _refuse(self, call: RawCall, error: LoopaiError) -> None:
        self._counters.count_refusal(error.code)
        _answer(call, error)

    def _refuse_malformed(self, call: RawCall) -> None:
        self._counters.count_refusal(RequestMalformed.code)
        call.fail(Code.INTERNAL, "the request is not the message that this method takes")


class _Gathering:
    """Results of one batch as they come; the last one sends them."""

    def __init__(self, call: RawCall, count: int) -> None:
        self.started: list[Call] = []
        self._call = call
        self._results: list[Any] = [None] * count
        self._missing = count
        call.on_cancel = self._abandon
        if not count:
            self._send()

    def put(self, position: int, result: Result) -> None:
        self._results[position] = result_of(result)
        self._missing -= 1
        if not self._missing:
            self._send()

    def _abandon(self) -> None:
        for started in self.started:
            started.abandon()

    def _send(self) -> None:
        self._call.on_cancel = None
        self.started.clear()
        self._call.reply(wire.ExecuteBatchResponse(results=self._results).SerializeToString())


def _request(message: wire.ExecuteRequest, deadline_s: float | None) -> Request:
    return Request(
        message.task, message.input_json, message.routing_key, message.timeout_ms, deadline_s
    )


def _answer(call: RawCall, result: Result) -> None:
    # It leads back to this call: kept, each would wait for the garbage collector.
    call.on_cancel = None
    if isinstance(result, Execution):
        call.reply(response_of(result).SerializeToString())
        return
    details = (("grpc-status-details-bin", details_of(result)),)
    call.fail(status_of(result), str(result), details)
