"""Answer the commands `edged status` and `edged flush` of a person on this machine.

One word and one JSON line over a Unix socket in a folder that only the edge's user may enter; where
it is stands in state/agent.json. Runs in: the agent. Never: does anything else for whoever asks.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import orjson
import structlog

from edged.datasets.layout import Layout
from edged.files import write_whole

log = structlog.get_logger()
Answer = Callable[[], Awaitable[dict[str, Any]]]


class AgentControl:
    """answers: by word."""

    def __init__(self, layout: Layout, path: Path, answers: Mapping[str, Answer]) -> None:
        self._layout = layout
        self._path = path
        self._answers = answers

    async def run(self) -> None:
        """Listen until cancelled."""
        self._path.unlink(missing_ok=True)  # of an agent that was killed
        async with await asyncio.start_unix_server(self._serve, self._path) as server:
            found = {"pid": os.getpid(), "control": str(self._path)}
            write_whole(self._layout.state / "agent.json", orjson.dumps(found))
            await server.serve_forever()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            word = (await reader.readline()).decode(errors="replace").strip()
            writer.write(orjson.dumps(await self._answer(word), option=orjson.OPT_APPEND_NEWLINE))
            await writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            pass  # whoever asked went away, or this agent stops
        finally:
            writer.close()

    async def _answer(self, word: str) -> dict[str, Any]:
        answer = self._answers.get(word)
        if answer is None:
            return {"error": f"unknown word; known are {', '.join(self._answers)}"}
        try:
            return await answer()
        except Exception as error:
            log.exception("command_failed", word=word)
            return {"error": f"{type(error).__name__}; the log of edged has more"}
