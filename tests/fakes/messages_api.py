"""A server on loopback that speaks the Messages API and answers by a script."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One answer of the server."""

    status: int = 200
    body: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0.0


def says(text: str, *, stop_reason: str = "end_turn", delay_s: float = 0.0) -> Reply:
    """Answer with this text, after some thinking as the real models do."""
    thinking = {"type": "thinking", "thinking": "```python\nnot this\n```", "signature": "s"}
    body = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "scripted",
        "content": [thinking, {"type": "text", "text": text}],
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": {"input_tokens": 1_000, "output_tokens": 500},
    }
    return Reply(body=body, delay_s=delay_s)


def calls(tool: str, given: dict[str, Any]) -> Reply:
    """Answer by calling a tool, as a request with a forced tool has it."""
    reply = says("")
    part = {"type": "tool_use", "id": "toolu_1", "name": tool, "input": given}
    return Reply(body=reply.body | {"content": [part], "stop_reason": "tool_use"})


def writes(program: str) -> Reply:
    return says(f"Here is the program.\n\n```python\n{program}```\n")


def declines() -> Reply:
    return says("", stop_reason="refusal")


def fails(status: int, kind: str, message: str, **headers: str) -> Reply:
    """Answer with an error of the API."""
    body = {"type": "error", "error": {"type": kind, "message": message}}
    return Reply(status=status, body=body, headers=headers)


def is_busy() -> Reply:
    return fails(429, "rate_limit_error", "slow down", **{"retry-after": "0.02"})


def is_broken() -> Reply:
    return fails(500, "api_error", "internal", **{"retry-after": "0.02"})


class MessagesApi(ThreadingHTTPServer):
    """Gives its replies in order, the last one for ever; keeps what it was asked."""

    daemon_threads = False  # server_close waits for them, so that no test leaves one behind

    def __init__(self, replies: tuple[Reply, ...]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.was_asked = threading.Event()
        self.closing = threading.Event()
        self._replies = replies
        self._lock = threading.Lock()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def reply_to(self, request: dict[str, Any], key: str) -> Reply:
        with self._lock:
            self.requests.append(request)
            self.keys.append(key)
            self.was_asked.set()
            reply = self._replies[min(len(self.requests), len(self._replies)) - 1]
        fault = _fault(request, key)
        return fails(400, "invalid_request_error", fault) if fault else reply


class _Handler(BaseHTTPRequestHandler):
    server: MessagesApi
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        length = int(self.headers["content-length"])
        request = json.loads(self.rfile.read(length))
        # The API takes both headers; which one an SDK sends depends on its version.
        bearer = self.headers.get("authorization", "").removeprefix("Bearer ")
        reply = self.server.reply_to(request, self.headers.get("x-api-key", bearer))
        if self.path != "/v1/messages" or "anthropic-version" not in self.headers:
            reply = fails(404, "not_found_error", self.path)
        self.server.closing.wait(reply.delay_s)
        self.close_connection = True
        self._send(reply)

    def _send(self, reply: Reply) -> None:
        content = json.dumps(reply.body).encode()
        try:
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.send_header("connection", "close")
            self.end_headers()
            self.wfile.write(content)
        except ConnectionError:
            return  # the client no longer waits

    def log_message(self, *_: object) -> None:
        """Print nothing."""


def _fault(request: dict[str, Any], key: str) -> str:
    """Return what the real API would object to."""
    if not key:
        return "the key is missing"
    known = {"model", "max_tokens", "system", "messages"}
    if set(request) not in (known, known | {"tools", "tool_choice"}):
        return f"unexpected fields among {sorted(request)}"
    if any(tool["input_schema"].get("type") != "object" for tool in request.get("tools", ())):
        return "tools.0.input_schema.type: must be object"
    return _fault_of_messages(request)


def _fault_of_messages(request: dict[str, Any]) -> str:
    roles = [message["role"] for message in request["messages"]]
    if roles != ["user", "assistant"] * (len(roles) // 2) + ["user"]:
        return f"roles must alternate and end with user: {roles}"
    if any(message["content"] != message["content"].rstrip() for message in request["messages"]):
        return "text must not end with white space"
    if not all(message["content"] for message in request["messages"]):
        return "text must not be empty"
    return ""


@contextmanager
def messages_api(*replies: Reply) -> Iterator[MessagesApi]:
    """Run one; nothing is left of it afterwards."""
    with MessagesApi(replies) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.closing.set()
            server.shutdown()
            thread.join()
