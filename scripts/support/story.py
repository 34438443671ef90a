"""Tell a person what a walk does, step by step, with the time it takes.

Runs in: the walks of scripts/demo.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from loopai.controlplane import ControlPlane

from scripts.support.stack import StackError


class Story:
    """Tells what happens, with the time it took."""

    def __init__(self, out: Any) -> None:
        self._out = out
        self._begun_s = time.perf_counter()
        self._step = 0

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        self._step += 1
        print(f"\n{self._step}. {title}", file=self._out, flush=True)
        begun_s = time.perf_counter()
        yield
        self.say(f"({time.perf_counter() - begun_s:.1f} s)")

    def say(self, text: str) -> None:
        print(f"   {text}", file=self._out, flush=True)

    @property
    def seconds(self) -> float:
        return round(time.perf_counter() - self._begun_s, 1)


def generate(story: Story, home: ControlPlane, task: str) -> dict[str, Any]:
    told: set[str] = set()

    def progress(status: str, _fraction: float) -> None:
        if status not in told:
            told.add(status)
            story.say(status)

    made: dict[str, Any] = home.wait(home.generate(task), progress)
    if made["status"] != "done":
        raise StackError(f"the generation failed: {made['reason']}")
    story.say(
        f"version {made['version']} by strategy {made['strategy']!r}, "
        f"held-out score at least {made['confidence_score']:.3f}"
    )
    return made
