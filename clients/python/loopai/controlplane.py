"""Call a control plane's REST API from Python.

from loopai.controlplane import ControlPlane
with ControlPlane("http://127.0.0.1:8000", api_key) as home:
    home.create_task("spam", description="Is this SMS spam?")
    home.add_examples("spam", Path("examples.jsonl"))
    version = home.wait(home.generate("spam"))["version"]
"""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlsplit

import httpx2

from loopai.security import Tls, check_clear, metadata_of

WAIT_S = 20  # of one long poll
CONTENT_TYPES = {".csv": "text/csv", ".jsonl": "application/x-ndjson"}


class ControlPlaneError(Exception):
    """The control plane refused. status: HTTP; code: stable word; field: where, if known."""

    def __init__(self, status: int, code: str, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.field = field


class ControlPlane:
    """One control plane. Every method raises ControlPlaneError, or httpx2.HTTPError.

    url: https:// encrypts; tls: what to trust, and the client's own certificate. insecure: permit
    the key in clear to another machine.
    """

    def __init__(
        self,
        url: str,
        api_key: str,
        *,
        tls: Tls | None = None,
        insecure: bool = False,
        timeout_s: float = 60.0,
    ) -> None:
        """Raises ValueError when the key would travel in clear, OSError: a file cannot be read."""
        parts = urlsplit(url)
        check_clear(
            f"{parts.hostname}:{parts.port or 80}",
            api_key=api_key,
            is_encrypted=parts.scheme == "https",
            insecure=insecure,
        )
        self._http = httpx2.Client(
            base_url=url,
            headers=dict(metadata_of(api_key)),
            verify=tls.context() if tls else True,
            timeout=timeout_s,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.close()

    def create_task(self, name: str, **specification: Any) -> Any:
        """Create a task; keyword arguments are the fields of a TaskSpecification."""
        return self._json("POST", "/api/v1/tasks", json={"name": name, **specification})

    def tasks(self) -> Any:
        return self._json("GET", "/api/v1/tasks")["tasks"]

    def task(self, task: str) -> Any:
        return self._json("GET", f"/api/v1/tasks/{task}")

    def add_examples(self, task: str, file: Path, *, label_field: str | None = None) -> Any:
        """Upload examples as JSONL or CSV."""
        headers = {"content-type": CONTENT_TYPES.get(file.suffix, "application/x-ndjson")}
        params = {"label_field": label_field} if label_field else {}
        path = f"/api/v1/tasks/{task}/examples"
        return self._json("POST", path, content=file.read_bytes(), headers=headers, params=params)

    def generate(self, task: str, *, strategies: list[str] | None = None) -> str:
        """Ask for a new version; returns the generation's id."""
        body = {"strategies": strategies} if strategies else {}
        return str(self._json("POST", f"/api/v1/tasks/{task}/generate", json=body)["id"])

    def generation(self, generation: str, *, wait_s: int = 0) -> Any:
        path = f"/api/v1/generations/{generation}"
        return self._json("GET", path, params={"wait_s": wait_s})

    def wait(self, generation: str, progress: Callable[[str, float], None] | None = None) -> Any:
        """Wait until a generation is done or failed; progress gets status and fraction."""
        while True:
            state = self.generation(generation, wait_s=WAIT_S if progress is None else 1)
            if progress is not None:
                progress(state["status"], state["progress"])
            if state["status"] in {"done", "failed"}:
                return state

    def versions(self, task: str) -> Any:
        return self._json("GET", f"/api/v1/artifacts/{task}/versions")["versions"]

    def download(self, task: str, version: int) -> bytes:
        """Return the artifact's ZIP."""
        return self._send("GET", f"/api/v1/artifacts/{task}/v{version}/download").content

    def upload(self, task: str, file: Path) -> Any:
        """Publish a program of your own: an artifact ZIP or a bare program.py."""
        kind = "application/zip" if file.suffix == ".zip" else "text/x-python"
        path = f"/api/v1/artifacts/{task}/upload"
        return self._json("POST", path, content=file.read_bytes(), headers={"content-type": kind})

    def activate(self, task: str, version: int) -> Any:
        return self._json("POST", f"/api/v1/artifacts/{task}/v{version}/activate")

    def edges(self) -> Any:
        return self._json("GET", "/api/v1/edges")["edges"]

    def telemetry(self, task: str) -> Any:
        return self._json("GET", f"/api/v1/tasks/{task}/telemetry")

    def improvements(self, task: str) -> Any:
        """Return the failure rate of the active version, and the attempts to better it."""
        return self._json("GET", f"/api/v1/tasks/{task}/improvements")

    def tickets(self, *, status: str | None = None, task: str | None = None) -> Any:
        """status: open or resolved; None for both."""
        params = {"status": status, "task": task}
        given = {name: value for name, value in params.items() if value is not None}
        return self._json("GET", "/api/v1/tickets", params=given)["tickets"]

    def ticket(self, ticket: str) -> Any:
        return self._json("GET", f"/api/v1/tickets/{ticket}")

    def resolve_ticket(self, ticket: str, note: str = "") -> Any:
        return self._json("POST", f"/api/v1/tickets/{ticket}/resolve", json={"note": note})

    def questions(self, task: str) -> Any:
        """Return a task's open questions of edges, those that wait longest first."""
        return self._json("GET", "/api/v1/questions", params={"task": task})["questions"]

    def answer(self, execution_id: str, output: Any) -> Any:
        """Answer an edge's question: output is what would have been right."""
        path = f"/api/v1/questions/{execution_id}/answer"
        return self._json("POST", path, json={"output": output})

    def review(self, execution_id: str, label: Any) -> Any:
        """Say what the right output of an execution would have been."""
        body = {"execution_id": execution_id, "label": label}
        return self._json("POST", "/api/v1/reviews", json=body)

    def void_oracle(self, task: str, *, since: datetime, oracle: str | None = None) -> int:
        """Let an oracle's labels since then count no more; return how many. since: aware."""
        body = {"since": since.isoformat(), "oracle": oracle}
        answer = self._json("POST", f"/api/v1/tasks/{task}/oracles/void", json=body)
        return int(answer["voided"])

    def rollouts(self, *, task: str | None = None) -> Any:
        params = {"task": task} if task else {}
        return self._json("GET", "/api/v1/rollouts", params=params)["rollouts"]

    def rollout(self, rollout: str) -> Any:
        """Return one with the decisions of its edges."""
        return self._json("GET", f"/api/v1/rollouts/{rollout}")

    def start_rollout(self, task: str, version: int, **plan: Any) -> Any:
        """Bring a version to all traffic step by step; plan: what differs from the settings."""
        body = {"task": task, "version": version, "plan": plan}
        return self._json("POST", "/api/v1/rollouts", json=body)

    def order_rollout(self, rollout: str, order: str, reason: str = "") -> Any:
        """Order: pause, resume, abort or force."""
        return self._json("POST", f"/api/v1/rollouts/{rollout}/{order}", json={"reason": reason})

    def create_key(self, name: str, scope: str) -> Any:
        """Make an API key; only this answer shows it. scope: edge, read or admin."""
        return self._json("POST", "/api/v1/keys", json={"name": name, "scope": scope})

    def keys(self) -> Any:
        return self._json("GET", "/api/v1/keys")["keys"]

    def revoke_key(self, key: str) -> Any:
        """End a key by its name or id, and at once whatever it holds open."""
        return self._json("POST", f"/api/v1/keys/{quote(key, safe='')}/revoke")

    def _json(self, method: str, path: str, **arguments: Any) -> Any:
        return self._send(method, path, **arguments).json()

    def _send(self, method: str, path: str, **arguments: Any) -> httpx2.Response:
        response = self._http.request(method, path, **arguments)
        if response.is_success:
            return response
        try:
            error = response.json()["error"]
            refusal = ControlPlaneError(
                response.status_code, error["code"], error["message"], error.get("field")
            )
        except (ValueError, KeyError, TypeError):
            text = response.text[:200]
            refusal = ControlPlaneError(response.status_code, "unexpected_answer", text)
        raise refusal
