"""Start the gateway and the agent, keep them running, replace and drain them in order.

SIGTERM and SIGINT stop, SIGHUP reads the settings again, SIGUSR2 replaces the gateway:
its successor serves before it stops taking calls.

A single thread around `select`: signals, ended children and ready children arrive as readable
descriptors. Runs in: `edged serve`. Never: opens an event loop, or imports gateway or agent.
"""

import fcntl
import os
import resource
import selectors
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import sdnotify
import structlog

from edged.datasets.layout import Layout
from edged.deployment import Deployment
from edged.errors import ConfigInvalid
from edged.inheritance import EXIT_UNUSABLE, SETTINGS_CHANGED, Inheritance
from edged.supervisor.child import Child
from edged.supervisor.listeners import Listeners
from edged.supervisor.process import Process
from edged.supervisor.reloading import OF_AGENT, OF_GATEWAY, Configuration

log = structlog.get_logger()
AGENT_STOP_S = 10.0  # the agent sends what the drained gateway logged last
TICK_S = 1.0
MOST_DESCRIPTORS = 65_536  # of a process: two doors full of connections, and room


class Supervisor:
    """Two children, one loop."""

    def __init__(self, configuration: Configuration, listeners: Listeners) -> None:
        self._configuration = configuration
        deployment = configuration.current
        self._drain_timeout_s = deployment.runtime.drain_timeout_s
        self._listeners = listeners
        self._notifier = sdnotify.SystemdNotifier()
        self._gateway = self._child("gateway", deployment)
        self._agent = self._child("agent", deployment)
        self._signals = 0  # stop signals received
        self._is_reload_asked = False
        self._failure = 0  # exit code when a child found that this machine will not do
        self._has_announced = False

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT; a second one stops at once. Returns the exit code."""
        with _signal_pipe() as signals:
            for child in self._children:
                child.start()
            while not self._signals:
                self._turn(signals, TICK_S)
                self._restart_due()
                self._reload()
                self._look_after_standbys()
            return self._drain(signals)

    @property
    def _children(self) -> tuple[Child, Child]:
        return self._gateway, self._agent

    def _child(self, name: str, deployment: Deployment) -> Child:
        inheritance = self._inheritance(name, deployment)
        return Child(
            name,
            f"edged.{name}.main",
            inheritance,
            time.monotonic,
            keeps_standby=deployment.runtime.standby,
        )

    def _inheritance(self, name: str, deployment: Deployment) -> Inheritance:
        descriptors = (
            {
                "grpc": self._listeners.grpc.fileno(),
                "http": self._listeners.http.fileno(),
                "control": self._listeners.control.fileno(),
            }
            if name == "gateway"
            else {}
        )
        return Inheritance(
            settings=deployment.render(with_key=name == "agent").decode(),
            descriptors=descriptors,
            grpc_address=self._listeners.grpc_address,
            control_path=str(self._listeners.control_path),
            parent=os.getpid(),
        )

    def _turn(self, signals: int, timeout_s: float) -> None:
        """Wait for the next event and act on everything that is there."""
        with selectors.DefaultSelector() as selector:
            selector.register(signals, selectors.EVENT_READ, lambda: self._take_signals(signals))
            for child in self._children:
                self._watch(selector, child)
            due = [child.restart_at_s for child in self._children if child.restart_at_s is not None]
            wait_s = min([timeout_s, *(at_s - time.monotonic() for at_s in due)])
            for key, _ in selector.select(max(0.0, wait_s)):
                key.data()
        self._announce()

    def _watch(self, selector: selectors.BaseSelector, child: Child) -> None:
        for process in child.processes():
            if process.ready_fd >= 0:
                selector.register(process.ready_fd, selectors.EVENT_READ, process.take_ready)
            selector.register(
                process.pidfd, selectors.EVENT_READ, partial(self._ended, child, process)
            )

    def _take_signals(self, signals: int) -> None:
        stops = (signal.SIGTERM, signal.SIGINT)
        received = os.read(signals, 64)
        self._signals += sum(byte in stops for byte in received)
        self._is_reload_asked |= signal.SIGHUP in received
        if signal.SIGUSR2 in received:
            self._gateway.roll()

    def _ended(self, child: Child, process: Process) -> None:
        code = child.reap(process)
        if self._signals or code is None:
            return
        if code == EXIT_UNUSABLE:
            log.error("cannot_serve", child=child.name)
            self._failure = EXIT_UNUSABLE
            self._signals = 1  # stop in order; a restart would end in the same way
            return
        delay_s = child.schedule_restart(was_asked=code == 0)
        log.warning("child_ended", child=child.name, code=code, restart_in_s=round(delay_s, 2))

    def _restart_due(self) -> None:
        for child in self._children:
            if child.restart_at_s is not None and child.restart_at_s <= time.monotonic():
                child.start()

    def _look_after_standbys(self) -> None:
        for child in self._children:
            child.hand_over(self._drain_timeout_s + 2)
            child.kill_overdue()
            child.keep_standby()

    def _reload(self) -> None:
        """Bring changed settings into force: the agent starts anew, the gateway rolls."""
        has_changed = self._configuration.has_changed()
        if not (self._is_reload_asked or has_changed):
            return
        self._is_reload_asked = False
        changed = self._configuration.reload()
        for child in self._children:
            child.inheritance = self._inheritance(child.name, self._configuration.current)
        if changed & OF_AGENT:
            self._agent.signal(SETTINGS_CHANGED)
        if changed & OF_GATEWAY:
            self._gateway.roll()

    def _announce(self) -> None:
        """Tell systemd and the log, once, that calls are answered."""
        if self._has_announced or not self._gateway.is_ready:
            return
        self._has_announced = True
        self._notifier.notify("READY=1\nSTATUS=serving")
        self._configuration.tell(
            grpc=self._listeners.grpc_address,
            http=self._listeners.http_address,
            tls=self._configuration.current.listen.tls.certificate is not None,
        )
        log.info(
            "edged_ready", grpc=self._listeners.grpc_address, http=self._listeners.http_address
        )

    def _drain(self, signals: int) -> int:
        """Stop the gateway, then the agent, each within its time; a second signal hurries."""
        self._notifier.notify("STOPPING=1\nSTATUS=draining")
        log.info("draining", timeout_s=self._drain_timeout_s)
        for child in self._children:
            child.dismiss()
        self._stop(self._gateway, signals, self._drain_timeout_s + 2)
        self._stop(self._agent, signals, AGENT_STOP_S)
        log.info("stopped")
        return self._failure

    def _stop(self, child: Child, signals: int, timeout_s: float) -> None:
        child.signal(signal.SIGTERM)
        end_s = time.monotonic() + timeout_s
        while any(child.processes()) and self._signals < 2 and time.monotonic() < end_s:
            self._turn(signals, min(TICK_S, max(0.0, end_s - time.monotonic())))
        for process in child.processes():
            log.warning("child_killed", child=child.name)
            process.signal(signal.SIGKILL)
            child.reap(process)


def supervise(configuration: Configuration, given: Mapping[str, socket.socket]) -> int:
    """Run `edged` until it is told to stop. Raises ConfigInvalid when a port cannot be bound.

    given: listening sockets from systemd, by the name of their door.
    """
    deployment = configuration.current
    _allow_descriptors()
    runtime_dir = Path(tempfile.mkdtemp(prefix="edged-"))  # short: a Unix socket's path ends at 107
    try:
        with _claimed(deployment.storage.data_dir):
            return Supervisor(configuration, _listeners(deployment, runtime_dir, given)).run()
    finally:
        shutil.rmtree(runtime_dir, ignore_errors=True)


def _allow_descriptors() -> None:
    """Raise the soft limit, which is 1,024 on many machines, to what the kernel permits us."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MOST_DESCRIPTORS)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _listeners(
    deployment: Deployment, runtime_dir: Path, given: Mapping[str, socket.socket]
) -> Listeners:
    is_grpc_shared = deployment.runtime.rpc_server == "grpcio"
    return Listeners.bind(deployment.listen, runtime_dir, given, is_grpc_shared=is_grpc_shared)


@contextmanager
def _claimed(data_dir: Path) -> Iterator[None]:
    """Hold data_dir for this supervisor alone; two would spoil each other's state."""
    state = Layout(data_dir).state
    try:
        state.mkdir(parents=True, exist_ok=True)
        # Read-only: a disk with a file open for writing cannot be remounted.
        descriptor = os.open(state / "lock", os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigInvalid(source="storage.data_dir", reason=str(error)) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        reason = f"another edged uses {data_dir}; stop it, or name another folder"
        raise ConfigInvalid(source="storage.data_dir", reason=reason) from error
    finally:
        os.close(descriptor)


@contextmanager
def _signal_pipe() -> Iterator[int]:
    """Yield a descriptor on which every signal arrives as one byte."""
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR2):
        signal.signal(number, lambda *_: None)
    signal.set_wakeup_fd(writer)
    try:
        yield reader
    finally:
        signal.set_wakeup_fd(-1)
        os.close(reader)
        os.close(writer)
