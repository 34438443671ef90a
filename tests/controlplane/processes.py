"""A real control plane for tests: its processes, its log, and a client for its REST doors."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

API_KEY = "loopai_test_key_0123456789"
START_TIMEOUT_S = 25.0


class ControlPlane:
    """One `controlplane serve`; events are its log so far."""

    def __init__(self, data_dir: Path, environment: dict[str, str]) -> None:
        self.data_dir = data_dir
        self.events: list[dict[str, Any]] = []
        self._news = threading.Condition()
        command = [sys.executable, "-m", "controlplane.commands", "serve"]
        self.process = subprocess.Popen(
            [*command, "--data-dir", str(data_dir), "--port", "0", "--link-port", "0"],
            env={"PATH": os.environ["PATH"]} | environment,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # so that a test's Ctrl-C does not reach pytest
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._news:
                self.events.append(_event(line))
                self._news.notify_all()

    def wait_for(self, event: str, *, count: int = 1) -> dict[str, Any]:
        """Return the count-th such event of the log."""
        deadline_s = time.monotonic() + START_TIMEOUT_S
        with self._news:
            while True:
                found = [each for each in self.events if each["event"] == event]
                if len(found) >= count:
                    return found[count - 1]
                if not self._news.wait(deadline_s - time.monotonic()):
                    raise AssertionError(f"no {event} in {self.events}")

    def client(self, *, api_key: str | None = API_KEY) -> httpx2.Client:
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        address = self.wait_for("controlplane_ready")["http"]
        return httpx2.Client(base_url=address, headers=headers, timeout=70)

    @property
    def link(self) -> str:
        return str(self.wait_for("controlplane_ready")["link"])

    def interrupt(self) -> int:
        """Press Ctrl-C: every process of the group gets the signal."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.stop(0)

    def stop(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(10)
        self._reader.join(5)
        assert self.process.stderr is not None
        self.process.stderr.close()
        return code


def _event(line: str) -> dict[str, Any]:
    try:
        parsed: dict[str, Any] = json.loads(line)
    except ValueError:
        return {"event": "noise", "text": line}
    return parsed


@contextmanager
def control_plane(data_dir: Path, **environment: str) -> Iterator[ControlPlane]:
    """Run one; it is gone afterwards, and its children with it."""
    plane = ControlPlane(data_dir, {"LOOPAI_API_KEY": API_KEY} | environment)
    try:
        plane.wait_for("controlplane_ready")
        yield plane
    finally:
        plane.stop()
