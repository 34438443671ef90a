"""Judges of how similar two values are: a real HTTP server on loopback, and one in the process."""

import asyncio
import json
from typing import Any

from edged.agent.comparing import Compared
from edged.agent.oracles.protocol import OracleAway
from edged.contract.compare import Exact
from tests.fakes.http_oracle import HttpOracleServer


class JudgeServer(HttpOracleServer):
    """Gives its answer to everything; keeps what it was asked."""

    def __init__(self, answer: Any) -> None:
        super().__init__(lambda _: None)
        self.answer = answer

    @property
    def asked(self) -> list[dict[str, Any]]:
        return self.questions

    async def _answer(self, question: dict[str, Any]) -> tuple[int, bytes]:
        self.questions.append(question)
        return 200, json.dumps(self.answer).encode()


class SlowJudge:
    """Compares two values once it may; is away for the first few questions, if told so."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.away_for = 0

    async def compare(self, _question, output, truth) -> Compared:
        self.asked.set()
        await self.may_answer.wait()
        if self.away_for:
            self.away_for -= 1
            raise OracleAway(reason="no answer")
        return Compared(comparison=Exact().compare(output, truth))
