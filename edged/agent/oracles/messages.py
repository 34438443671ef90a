"""Put one question to a language model by the Messages API, and get one JSON value back.

A small client of our own: the SDK takes two seconds to import and is not an edge's dependency. The
value comes as the argument of a tool that the model must call, so it is JSON by the API's own word.

Runs in: the agent. Talks to: a server of the Messages API. Never: lets the key or the server's
words into an error; the latter may quote either.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import orjson

from edged.agent.oracles.protocol import OracleFailed, QuestionRefused
from edged.agent.oracles.web import Web
from edged.deployment.asking import Anthropic

API_VERSION: Final = "2023-06-01"
TOOL: Final = "answer"
_OVERLOADED: Final = 529
# A wrong key, a wrong model's name, no credit: all of them wait for a person, and no question is
# lost by them. Only one that is too large stays so.
_REFUSALS: Final = frozenset({HTTPStatus.REQUEST_ENTITY_TOO_LARGE})
_FAILURES: Final = frozenset({HTTPStatus.UNPROCESSABLE_ENTITY})
_AWAY: Final = frozenset(range(300, 600)) - _REFUSALS - _FAILURES


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What the model gave to the tool. cost: in US dollars."""

    given: Mapping[str, Any]
    cost: float
    latency_ms: float


class Messages:
    """One model."""

    def __init__(self, settings: Anthropic) -> None:
        self._settings = settings
        self.url = f"{settings.url.rstrip('/')}/v1/messages"
        self._web = Web(self.url, settings.timeout_ms, refusals=_REFUSALS, away=_AWAY)

    def body(self, system: str, text: str, schema: Mapping[str, Any]) -> bytes:
        """Return a request. schema: of an object, which the model is to fill."""
        return orjson.dumps(
            {
                "model": self._settings.model,
                "max_tokens": self._settings.max_answer_tokens,
                "system": system,
                "messages": [{"role": "user", "content": text}],
                "tools": [{"name": TOOL, "description": "Answer.", "input_schema": schema}],
                "tool_choice": {"type": "tool", "name": TOOL},
            }
        )

    async def send(self, body: bytes) -> Reply:
        """Raises OracleAway, OracleFailed or QuestionRefused."""
        key = self._settings.api_key.get_secret_value() if self._settings.api_key else ""
        headers = {"x-api-key": key, "anthropic-version": API_VERSION}
        content, latency_ms = await self._web.post(body, headers)
        cost = 0.0
        try:
            message = orjson.loads(content)
            usage = message["usage"]  # first: an answer of no use is paid for too
            cost = self._cost(int(usage["input_tokens"]), int(usage["output_tokens"]))
            given = _given(message, cost)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            reason = "the answer is no message of the API"
            raise OracleFailed(reason=reason, cost=cost) from error
        return Reply(given=given, cost=cost, latency_ms=latency_ms)

    async def close(self) -> None:
        await self._web.close()

    def _cost(self, input_tokens: int, output_tokens: int) -> float:
        settings = self._settings
        price = (
            input_tokens * settings.input_usd_per_mtok
            + output_tokens * settings.output_usd_per_mtok
        )
        return round(price / 1_000_000, 9)


def _given(message: Mapping[str, Any], cost: float) -> Mapping[str, Any]:
    """Return what the tool was called with. Raises OracleFailed or QuestionRefused."""
    if message["stop_reason"] == "refusal":
        raise QuestionRefused(reason="the model declines to answer this", cost=cost)
    if message["stop_reason"] == "max_tokens":
        reason = "the answer is longer than anthropic.max_answer_tokens"
        raise OracleFailed(reason=reason, cost=cost)
    for part in message["content"]:
        if part["type"] == "tool_use" and isinstance(part["input"], dict):
            given: dict[str, Any] = part["input"]
            return given
    raise OracleFailed(reason="the model did not answer by the tool", cost=cost)


def as_data(value_json: bytes) -> str:
    """Return a JSON value in which nothing looks like a tag of ours."""
    return value_json.decode().replace("<", "\\u003c")
