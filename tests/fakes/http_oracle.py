"""A real HTTP server on loopback that labels inputs as a customer's oracle would."""

import asyncio
import json
from collections.abc import Callable
from typing import Any, Self

Label = Callable[[Any], Any]
HANG_UP = -1


class HttpOracleServer:
    """Answers {"output": label(input)}; its troubles are plain attributes that a test sets."""

    def __init__(self, label: Label) -> None:
        self.label = label
        self.questions: list[dict[str, Any]] = []
        self.failures: list[int] = []
        """Statuses that the next requests get, first come first served."""
        self.refuses: Callable[[Any], int] = lambda _input: 0
        """A status for an input, 0 for none, HANG_UP for a connection that just ends."""
        self.raw_answer: bytes | None = None
        """Sent instead of a proper answer."""
        self.delay_s = 0.0
        self.cost: float | None = None
        self.most_at_once = 0
        self._at_once = 0
        self._port = 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/label"

    @property
    def asked(self) -> list[str]:
        """The ids of the executions it was asked about, in order."""
        return [question["execution_id"] for question in self.questions]

    async def start(self) -> None:
        """Listen, on the port it had before."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            for writer in list(self._writers):
                writer.close()
            await self._server.wait_closed()
            self._server = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                body = await reader.readexactly(_content_length(head))
                status, answer = await self._answer(json.loads(body))
                if status == HANG_UP:
                    break
                length = f"content-length: {len(answer)}\r\n\r\n"
                writer.write(f"HTTP/1.1 {status} Said\r\n{length}".encode() + answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the caller went away, or the test ended: then Python 3.11 would complain
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _answer(self, question: dict[str, Any]) -> tuple[int, bytes]:
        self.questions.append(question)
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        await asyncio.sleep(self.delay_s)
        self._at_once -= 1
        status = self.failures.pop(0) if self.failures else self.refuses(question["input"])
        if status:
            return status, b"no"
        if self.raw_answer is not None:
            return 200, self.raw_answer
        answer = {"output": self.label(question["input"])}
        if self.cost is not None:
            answer["cost"] = self.cost
        return 200, json.dumps(answer).encode()


def _content_length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.split(b":")[1])
    return 0
