"""Put one question to a language model and return what came of it, whatever came.

Runs in: jobs. Talks to: a server that speaks the Messages API, by the `anthropic` SDK. Never:
raises for what that server does, or lets the key into an exchange.
"""

import asyncio
import importlib
import json
import time
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any, Self

import structlog

from controlplane.generator.llm_settings import PROVIDER, LlmSettings
from controlplane.generator.prices import Price
from controlplane.generator.protocol import Exchange

log = structlog.get_logger()

ERROR = "error"
REFUSAL = "refusal"
CUT = "max_tokens"
MAX_ERROR = 500  # characters of a server's own words
CHARACTERS_A_TOKEN = (
    2  # fewer than any text has on average, so that a reckoned cost is an upper one
)

Messages = Sequence[Mapping[str, str]]


class LlmModel:
    """The model of the settings; use as `async with`."""

    def __init__(self, settings: LlmSettings, price: Price) -> None:
        self._settings = settings
        self._price = price
        self._sdk: ModuleType
        self._client: Any  # of a module that is imported late: two seconds

    async def __aenter__(self) -> Self:
        self._sdk = await asyncio.to_thread(importlib.import_module, "anthropic")
        self._client = self._sdk.AsyncAnthropic(
            api_key=self._settings.api_key,
            base_url=self._settings.base_url,
            timeout=self._settings.request_timeout_s,
            max_retries=self._settings.max_retries,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    def worst_cost_usd(self, system: str, messages: Messages) -> float:
        """Return what asking this can cost at most."""
        written = len(system) + sum(len(each["content"]) for each in messages)
        return self._price.cost_usd(
            written // CHARACTERS_A_TOKEN + 1, self._settings.max_answer_tokens
        )

    async def ask(self, purpose: str, variant: str, system: str, messages: Messages) -> Exchange:
        """Return the answer; stop_reason is "error" when there is none, and error says why."""
        body = {
            "model": self._settings.model,
            "max_tokens": self._settings.max_answer_tokens,
            "system": system,
            "messages": [dict(each) for each in messages],
        }
        started_s = time.monotonic()
        got = await self._got(body)
        exchange = Exchange(
            purpose=purpose,
            variant=variant,
            provider=PROVIDER,
            model=self._settings.model,
            request_json=json.dumps(body, ensure_ascii=False),
            elapsed_s=round(time.monotonic() - started_s, 3),
            cost_usd=self._price.cost_usd(got["input_tokens"], got["output_tokens"]),
            **got,
        )
        log.info(
            "llm_asked",
            model=exchange.model,
            purpose=purpose,
            stop_reason=exchange.stop_reason,
            input_tokens=exchange.input_tokens,
            output_tokens=exchange.output_tokens,
            elapsed_s=exchange.elapsed_s,
        )
        return exchange

    async def _got(self, body: dict[str, Any]) -> dict[str, Any]:
        try:
            async with asyncio.timeout(self._settings.deadline_s):
                message = await self._client.messages.create(**body)
            return _read(message)
        except TimeoutError:
            return _nothing(f"no answer within {self._settings.deadline_s:g} s")
        except self._sdk.APIStatusError as error:
            return _nothing(f"the server answered {error.status_code}: {self._said(error)}")
        except self._sdk.APITimeoutError:
            return _nothing(f"no answer within {self._settings.request_timeout_s:g} s, every time")
        except self._sdk.APIError as error:
            return _nothing(f"{type(error).__name__}: {self._said(error)}")
        except (AttributeError, TypeError, ValueError) as error:
            # The SDK checks nothing of what a gateway answers with status 200.
            return _nothing(f"the answer is no message ({type(error).__name__})")

    def _said(self, error: Exception) -> str:
        """Return a server's own words, which might quote the key."""
        return str(error)[:MAX_ERROR].replace(self._settings.api_key, "…")


def _read(message: Any) -> dict[str, Any]:
    """Return the text of a message, without the thinking before it."""
    return {
        "answer": "".join(part.text for part in message.content or () if part.type == "text"),
        "stop_reason": str(message.stop_reason),
        "error": "",
        "input_tokens": int(message.usage.input_tokens),
        "output_tokens": int(message.usage.output_tokens),
    }


def _nothing(reason: str) -> dict[str, Any]:
    return {
        "answer": "",
        "stop_reason": ERROR,
        "error": reason,
        "input_tokens": 0,
        "output_tokens": 0,
    }
