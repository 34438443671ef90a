"""Ask the running agent of a data_dir. Runs in: a person's command. Never: changes a file."""

import fcntl
import os
import socket
import time
from pathlib import Path
from typing import Any, Final

import orjson

from edged.datasets.layout import Layout

ANSWER_S: Final = 60.0  # longer than the agent takes to give up on a flush
START_S: Final = 3.0  # an agent that was started anew answers within a second
POLL_S: Final = 0.1


class AgentAway(Exception):
    """Nobody answers; says why."""


def ask(layout: Layout, word: str) -> dict[str, Any]:
    """Return the agent's answer to one word; one that starts is waited for. Raises AgentAway."""
    end_s = time.monotonic() + START_S
    while True:
        try:
            answer = _ask(layout, word)
            break
        except (OSError, ValueError, KeyError) as error:
            if not is_running(layout):
                raise AgentAway("the agent does not run") from error
            if time.monotonic() > end_s:
                raise AgentAway(f"the agent does not answer: {error}") from error
        time.sleep(POLL_S)
    if "error" in answer:
        raise AgentAway(answer["error"])
    return answer


def _ask(layout: Layout, word: str) -> dict[str, Any]:
    control = orjson.loads((layout.state / "agent.json").read_bytes())["control"]
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(ANSWER_S)
        connection.connect(control)
        connection.sendall(word.encode() + b"\n")
        with connection.makefile("rb") as answers:
            answer: dict[str, Any] = orjson.loads(answers.readline())
            return answer


def is_running(layout: Layout) -> bool:
    """Say whether a supervisor holds this data_dir."""
    try:
        descriptor = os.open(layout.state / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def read_state(path: Path) -> Any:
    """Return a JSON file of the state folder; None where there is none."""
    try:
        return orjson.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
