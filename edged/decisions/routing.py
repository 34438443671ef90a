"""An edge's routes: which versions serve a task, and which of them an execution gets.

Pure. Used by: the agent (writes them), the gateway (reads and obeys). Never: touches the disk.
"""

import json
from collections.abc import Container, Mapping
from dataclasses import asdict, dataclass, field, replace
from hashlib import blake2b
from typing import Any, Literal

from edged.artifacts.manifest import Digest

Source = Literal["home", "local"]  # the control plane's state, or a folder of this machine

STABLE = "stable"
CANDIDATE = "candidate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One version that serves a share of a task's executions. weight: 0 to 1."""

    name: str
    version: int
    digest: Digest
    weight: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A task's arms, those to fall back to when they cannot be started, and who asked for them."""

    arms: tuple[Arm, ...]
    fallback: tuple[Arm, ...] = ()
    source: Source = "local"

    def __post_init__(self) -> None:
        if not self.arms or abs(sum(arm.weight for arm in self.arms) - 1) > 1e-9:
            raise ValueError("a route needs arms whose weights add up to 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Routes:
    """All of an edge's routes, as of one signed state."""

    sequence: int = 0
    tasks: Mapping[str, Route] = field(default_factory=dict)

    def render(self) -> bytes:
        return json.dumps(asdict(self), indent=2).encode() + b"\n"

    @classmethod
    def parse(cls, text: bytes) -> "Routes":
        """Read what `render` wrote. Raises ValueError."""
        try:
            document = json.loads(text)
            tasks = {name: _route(route) for name, route in document["tasks"].items()}
            return cls(sequence=int(document["sequence"]), tasks=tasks)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a route table: {error!r}") from error


def choose(arms: tuple[Arm, ...], task: str, key: str) -> Arm:
    """Return the arm for `key`: always the same one while the weights stay.

    Raising a candidate's weight keeps every key it already had: the last arm owns the low end.
    """
    if len(arms) == 1:
        return arms[0]
    point = int.from_bytes(blake2b(f"{task}\0{key}".encode(), digest_size=8).digest()) / 2**64
    for arm in reversed(arms[1:]):
        if point < arm.weight:
            return arm
        point -= arm.weight
    return arms[0]


def without(arms: tuple[Arm, ...], unfit: Container[Digest]) -> tuple[Arm, ...]:
    """Return the other arms, sharing all of the traffic; the same ones when none is unfit."""
    left = tuple(arm for arm in arms if arm.digest not in unfit)
    weight = sum(arm.weight for arm in left)
    if left == arms or not weight:
        return left if weight else ()
    return tuple(replace(arm, weight=arm.weight / weight) for arm in left)


def _route(document: Mapping[str, Any]) -> Route:
    return Route(
        arms=tuple(Arm(**arm) for arm in document["arms"]),
        fallback=tuple(Arm(**arm) for arm in document["fallback"]),
        source=document["source"],
    )
