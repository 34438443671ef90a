"""Ask an HTTP endpoint of the customer: POST {task, input, execution_id}, get {output}.

Runs in: the agent. Talks to: one URL. Never: lets an input leave this machine that the privacy
filter did not release.
"""

import math
from collections.abc import Mapping
from typing import Any

import orjson

from edged.agent.oracles.egress import Egress
from edged.agent.oracles.protocol import Answer, Closed, OracleFailed, Question
from edged.agent.oracles.web import Web
from edged.deployment.checking import HttpValidation


class HttpOracle(Closed):
    """One endpoint."""

    name = "http"

    def __init__(self, settings: HttpValidation, egress: Egress) -> None:
        self._settings = settings
        self._egress = egress
        self._web = Web(settings.url, settings.timeout_ms)

    async def close(self) -> None:
        await self._web.close()

    async def ask(self, question: Question) -> Answer:
        value, erased = self._egress.released(question.input_json)
        asked = {
            "task": question.task,
            "input": orjson.Fragment(value),
            "execution_id": question.execution_id,
        }
        body = orjson.dumps(asked)
        self._egress.note(question.execution_id, len(body), erased)
        content, latency_ms = await self._web.post(body)
        output, cost = _parse(content, self._settings.cost)
        return Answer(output=output, cost=cost, latency_ms=latency_ms)


def _parse(content: bytes, cost: float) -> tuple[Any, float]:
    """Return the output, and its cost. cost: of an answer that names none. Raises OracleFailed."""
    try:
        answer = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise OracleFailed(reason="the answer is not JSON", cost=cost) from error
    if not isinstance(answer, Mapping) or "output" not in answer:
        raise OracleFailed(reason='the answer is not {"output": …}', cost=cost)
    named = answer.get("cost")
    if named is None:
        return answer["output"], cost
    if isinstance(named, bool) or not isinstance(named, int | float) or not 0 <= named < math.inf:
        raise OracleFailed(reason="the answer's cost is not a number of dollars", cost=cost)
    return answer["output"], float(named)
