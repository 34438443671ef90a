"""Start the real processes for a walk, wait for what they announce, and end them by their id.

Runs in: demo, chaos, bench and the tests of processes. Never: leaves a process or a folder behind.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

READY_S = 30.0
STOP_S = 20.0
POLL_S = 0.01


class StackError(Exception):
    """A process did not do what it must; the message holds the end of its log."""


class Process:
    """One daemon; its standard error, JSON lines, goes to a file."""

    def __init__(self, module: str, arguments: list[str], log: Path, **environment: str) -> None:
        self.python = sys.executable
        self._module = module
        self._arguments = arguments
        self._environment = environment
        self._read = 0
        self.log = log
        self.user: int | None = None  # a user id to run as; None: the caller's
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self._read = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as stderr:
            self._process = subprocess.Popen(
                [self.python, "-m", self._module, *self._arguments],
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
                env={**_clean_environment(), **self._environment},
                user=self.user,
                group=self.user,
                extra_groups=None if self.user is None else (),
            )

    @property
    def pid(self) -> int:
        if self._process is None:
            raise StackError("the process was not started")
        return self._process.pid

    def wait_for(self, event: str, *, timeout_s: float = READY_S, **facts: object) -> Any:
        """Return the next log event of that name with those facts since `start`."""
        end_s = time.monotonic() + timeout_s
        while time.monotonic() < end_s:
            for line in self._new_lines():
                if line.get("event") == event and facts.items() <= line.items():
                    return line
            if self._process is not None and self._process.poll() is not None:
                break
            time.sleep(POLL_S)
        raise StackError(f"no {event} from {self._module}; its log ends:\n{self.tail()}")

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return all events of that name, since the beginning."""
        return [line for line in _parse(self.log.read_text()) if line.get("event") == name]

    def stop(self) -> int:
        """SIGTERM, then SIGKILL; returns the exit code."""
        return self.end(signal.SIGTERM)

    def end(self, number: signal.Signals) -> int:
        if self._process is None:
            return 0
        process, self._process = self._process, None
        process.send_signal(number)
        try:
            return process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def tail(self) -> str:
        return "\n".join(self.log.read_text().splitlines()[-12:])

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _new_lines(self) -> list[dict[str, Any]]:
        with self.log.open() as file:
            file.seek(self._read)
            text = file.read()
        whole = text[: text.rfind("\n") + 1]
        self._read += len(whole.encode())
        return list(_parse(whole))


class ControlPlaneProcess(Process):
    """`controlplane serve` on free ports, or on those it had before."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.data_dir = folder / "controlplane"
        self._scheme = "http"
        self.http = "127.0.0.1:0"
        self.link = "127.0.0.1:0"
        log = folder / "controlplane.log"
        super().__init__("controlplane.commands", [], log, **environment)

    def start(self) -> None:
        """Start and wait until it answers; addresses stay over restarts."""
        ports = [address.rpartition(":")[2] for address in (self.http, self.link)]
        options = ["--data-dir", str(self.data_dir), "--port", ports[0], "--link-port", ports[1]]
        self._arguments = ["serve", *options]
        super().start()
        ready = self.wait_for("controlplane_ready")
        self._scheme, self.http = ready["http"].split("://")
        self.link = ready["link"]

    @property
    def url(self) -> str:
        return f"{self._scheme}://{self.http}"

    @property
    def api_key(self) -> str:
        return (self.data_dir / "keys" / "api-key").read_text().strip()


class EdgeProcess(Process):
    """`edged serve` on free ports; deployment.yaml is written from `settings`."""

    def __init__(
        self,
        folder: Path,
        settings: dict[str, Any],
        home: ControlPlaneProcess | None = None,
        *flags: str,
    ) -> None:
        self.data_dir = folder / "loopai-data"
        config = self.data_dir / "config" / "deployment.yaml"
        config.parent.mkdir(parents=True, exist_ok=True)
        self.grpc = self.http = "127.0.0.1:0"
        self._flags = list(flags)
        environment = {}
        document = {
            **settings,
            "storage": {**settings.get("storage", {}), "data_dir": str(self.data_dir)},
        }
        if home is not None:
            environment["LOOPAI_API_KEY"] = home.api_key
            document["cloud"] = {
                "api_url": home.url,
                "link_url": f"http://{home.link}",
                "api_key": "${LOOPAI_API_KEY}",
            }
        config.write_text(json.dumps(document, indent=2))  # JSON is YAML
        self._config = config
        super().__init__("edged.commands", [], folder / "edged.log", **environment)

    def start(self) -> None:
        """Start and wait until it answers; addresses stay over restarts."""
        listen = ["--config", str(self._config), "--grpc", self.grpc, "--http", self.http]
        self._arguments = ["serve", *listen, *self._flags]
        super().start()
        ready = self.wait_for("edged_ready")
        self.grpc, self.http = ready["grpc"], ready["http"]

    def child_pid(self, name: str) -> int:
        """Return the process id of the running gateway or agent."""
        started = [line for line in self.events("child_started") if line["child"] == name]
        return int(started[-1]["pid"])

    def logged(self, task: str) -> Iterator[dict[str, Any]]:
        """Yield every execution in the task's log."""
        for path in sorted((self.data_dir / "datasets" / task / "executions").glob("*.jsonl")):
            yield from (json.loads(line) for line in path.read_bytes().splitlines())


def until(condition: Callable[[], bool], what: str, *, timeout_s: float = READY_S) -> None:
    """Wait until a condition holds. Raises StackError naming what did not happen."""
    end_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end_s:
            raise StackError(f"not within {timeout_s:.0f} s: {what}")
        time.sleep(POLL_S * 5)


def _clean_environment() -> dict[str, str]:
    """Return the environment without settings of Loopai that the caller happens to have."""
    return {key: value for key, value in os.environ.items() if not key.startswith("LOOPAI_")}


def _parse(text: str) -> Iterator[dict[str, Any]]:
    for line in text.splitlines():
        if line.startswith("{"):
            try:
                yield json.loads(line)
            except ValueError:
                continue
