"""Ask an HTTP endpoint of the customer: POST {task, input, execution_id}, get {output}.

Runs in: the agent. Talks to: one URL. Never: follows a redirect, uses a proxy from the environment,
or lets an input leave this machine that the privacy filter did not release.
"""

import asyncio
import math
import ssl
from collections.abc import Callable, Mapping
from http import HTTPStatus
from time import perf_counter
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit

import httpx2
import orjson

from edged.agent.oracles.protocol import Answer, OracleAway, OracleFailed, Question, QuestionRefused
from edged.agent.privacy.audit import AuditLog, Sent
from edged.agent.privacy.egress import is_on_this_machine
from edged.agent.privacy.errors import Withheld
from edged.agent.privacy.filter import PrivacyFilter
from edged.deployment.checking import HttpValidation

MAX_ANSWER_BYTES: Final = 1024 * 1024  # as much as a program's own output may be
# These say that the question is wrong; any other status may be the oracle's or the network's.
_REFUSALS: Final = frozenset(
    {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.UNPROCESSABLE_ENTITY,
    }
)
_AWAY: Final = frozenset(
    {
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)


class HttpOracle:
    """One endpoint. What leaves this machine on the way to it is filtered and written down.

    privacy: returns the filter in force, which home may tighten at any time.
    """

    name = "http"

    def __init__(
        self, settings: HttpValidation, privacy: Callable[[], PrivacyFilter], audit: AuditLog
    ) -> None:
        self._settings = settings
        self._privacy = privacy
        self._audit = audit
        self._client: httpx2.AsyncClient | None = None

    async def __aenter__(self) -> Self:
        is_tls = self._settings.url.startswith("https:")
        self._client = httpx2.AsyncClient(
            timeout=None,  # one deadline over the whole exchange instead, below
            trust_env=False,
            follow_redirects=False,
            verify=ssl.create_default_context() if is_tls else False,  # the former takes 20 ms
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._client is not None:
            await self._client.aclose()

    async def ask(self, question: Question) -> Answer:
        body = self._body(question)
        started_s = perf_counter()
        try:
            async with asyncio.timeout(self._settings.timeout_ms / 1000):
                status, content = await self._post(body)
        except TimeoutError:
            reason = f"no answer within {self._settings.timeout_ms:.0f} ms"
            raise OracleFailed(reason=reason) from None
        except httpx2.HTTPError as error:
            raise OracleAway(reason=f"{type(error).__name__}: {error}") from error
        latency_ms = (perf_counter() - started_s) * 1000
        _check_status(status)
        output, cost = _parse(content)
        return Answer(
            output=output,
            cost=self._settings.cost if cost is None else cost,
            latency_ms=round(latency_ms, 3),
        )

    def _body(self, question: Question) -> bytes:
        """Return the question's JSON. Raises QuestionRefused, or LogUnwritable: it fails closed."""
        url, privacy = self._settings.url, self._privacy()
        try:
            value, erased = privacy.release_to(url, question.input_json)
        except Withheld as error:
            raise QuestionRefused(reason=str(error)) from None
        body = orjson.dumps(
            {
                "task": question.task,
                "input": orjson.Fragment(value),
                "execution_id": question.execution_id,
            }
        )
        if not is_on_this_machine(url):
            sent = Sent(
                what="oracle_call",
                mode=privacy.mode,
                size_bytes=len(body),
                destination=urlsplit(url).netloc,
                execution_id=question.execution_id,
                erased=erased,
            )
            self._audit.append([sent])
        return body

    async def _post(self, body: bytes) -> tuple[int, bytes]:
        if self._client is None:
            raise OracleAway(reason="the oracle was not entered")
        headers = {"content-type": "application/json", "accept": "application/json"}
        request = self._client.stream("POST", self._settings.url, content=body, headers=headers)
        async with request as response:
            content = bytearray()
            async for piece in response.aiter_bytes():
                content += piece
                if len(content) > MAX_ANSWER_BYTES:
                    raise OracleFailed(reason=f"more than {MAX_ANSWER_BYTES} bytes")
            return response.status_code, bytes(content)


def _check_status(status: int) -> None:
    if status == HTTPStatus.OK:
        return
    if status in _REFUSALS:
        raise QuestionRefused(reason=f"status {status}")
    if status in _AWAY:
        raise OracleAway(reason=f"status {status}")
    raise OracleFailed(reason=f"status {status}")


def _parse(content: bytes) -> tuple[Any, float | None]:
    """Return the output, and the cost where the answer names one. Raises OracleFailed."""
    try:
        answer = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise OracleFailed(reason="the answer is not JSON") from error
    if not isinstance(answer, Mapping) or "output" not in answer:
        raise OracleFailed(reason='the answer is not {"output": …}')
    cost = answer.get("cost")
    if cost is None:
        return answer["output"], None
    if isinstance(cost, bool) or not isinstance(cost, int | float) or not 0 <= cost < math.inf:
        raise OracleFailed(reason="the answer's cost is not a number of dollars")
    return answer["output"], float(cost)
