"""A real HTTP server on loopback that judges how similar two values are."""

import json
from typing import Any

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
