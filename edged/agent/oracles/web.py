"""Post to one web address and read what it says, within a time and a size.

Runs in: the agent. Never: follows a redirect, uses a proxy from the environment, or decides what
may be posted; that is `egress`.
"""

import asyncio
import ssl
from collections.abc import Mapping
from http import HTTPStatus
from time import perf_counter
from typing import Final

import httpx2

from edged.agent.oracles.protocol import OracleAway, OracleFailed, QuestionRefused

MAX_ANSWER_BYTES: Final = 1024 * 1024  # as much as a program's own output may be
# These say that the question is wrong; any other status may be the oracle's or the network's.
REFUSALS: Final = frozenset(
    {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.UNPROCESSABLE_ENTITY,
    }
)
AWAY: Final = frozenset(
    {
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)


class Web:
    """One address. refusals, away: what a status other than 200 says of the question."""

    def __init__(
        self,
        url: str,
        timeout_ms: float,
        *,
        refusals: frozenset[int] = REFUSALS,
        away: frozenset[int] = AWAY,
    ) -> None:
        self.url = url
        self._timeout_ms = timeout_ms
        self._refusals = refusals
        self._away = away
        self._client: httpx2.AsyncClient | None = None

    async def post(
        self, body: bytes, headers: Mapping[str, str] | None = None
    ) -> tuple[bytes, float]:
        """Return what was answered with status 200, and in how many ms.

        Raises OracleAway, OracleFailed or QuestionRefused.
        """
        started_s = perf_counter()
        try:
            async with asyncio.timeout(self._timeout_ms / 1000):
                status, content = await self._exchange(body, headers or {})
        except TimeoutError:
            raise OracleFailed(reason=f"no answer within {self._timeout_ms:.0f} ms") from None
        except httpx2.ConnectError as error:
            raise OracleAway(reason=f"{type(error).__name__}: {error}") from error
        except httpx2.HTTPError as error:
            # Whoever hangs up may do so at this question, for ever: it counts against it.
            raise OracleFailed(reason=f"{type(error).__name__}: {error}") from error
        self._check(status)
        return content, round((perf_counter() - started_s) * 1000, 3)

    async def close(self) -> None:
        if self._client is not None:
            client, self._client = self._client, None
            await client.aclose()

    async def _exchange(self, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        if self._client is None:
            self._client = self._open()
        sent = {"content-type": "application/json", "accept": "application/json", **headers}
        async with self._client.stream("POST", self.url, content=body, headers=sent) as response:
            content = bytearray()
            async for piece in response.aiter_bytes():
                content += piece
                if len(content) > MAX_ANSWER_BYTES:
                    raise OracleFailed(reason=f"more than {MAX_ANSWER_BYTES} bytes")
            return response.status_code, bytes(content)

    def _open(self) -> httpx2.AsyncClient:
        is_tls = self.url.startswith("https:")
        return httpx2.AsyncClient(
            timeout=None,  # one deadline over the whole exchange instead
            trust_env=False,
            follow_redirects=False,
            verify=ssl.create_default_context() if is_tls else False,  # the former takes 20 ms
        )

    def _check(self, status: int) -> None:
        if status == HTTPStatus.OK:
            return
        if status in self._refusals:
            raise QuestionRefused(reason=f"status {status}")
        if status in self._away:
            raise OracleAway(reason=f"status {status}")
        raise OracleFailed(reason=f"status {status}")
