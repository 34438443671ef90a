"""What the jail achieved on this machine, as probed by the zygote and by a locked worker.

Pure values.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from edged.pool.barriers import BARRIERS


@dataclass(frozen=True, slots=True, kw_only=True)
class JailReport:
    """Which barriers hold."""

    python: str
    clean_zygote: bool
    namespaces_left: tuple[str, ...]
    kills: Mapping[str, bool]  # forbidden acts, and whether the kernel killed who tried
    worker: Mapping[str, bool | int]  # by barrier; landlock_abi is 0 where there is none

    @classmethod
    def of(cls, hello: bytes, ready: bytes) -> "JailReport":
        zygote: dict[str, Any] = json.loads(hello)
        return cls(
            python=zygote["python"],
            clean_zygote=zygote["clean_zygote"],
            namespaces_left=tuple(zygote["namespaces_left"]),
            kills=zygote["kills"],
            worker=json.loads(ready),
        )

    def missing(self, require: Iterable[str]) -> list[str]:
        """Return the required barriers that do not hold."""
        return [barrier for barrier in require if not self.holds(barrier)]

    def holds(self, barrier: str) -> bool:
        if barrier == "clean_zygote":
            return self.clean_zygote
        if barrier == "seccomp":
            return bool(self.worker["seccomp"]) and all(self.kills.values())
        if barrier == "landlock":
            return bool(self.worker["landlock_abi"])
        if barrier == "namespaces":
            return {"net", "ipc", "uts"} <= set(self.namespaces_left)
        return bool(self.worker.get(barrier))

    def by_barrier(self) -> dict[str, bool]:
        return {barrier.name: self.holds(barrier.name) for barrier in BARRIERS}

    def as_json(self) -> dict[str, Any]:
        """Return it flat, for health and `doctor`."""
        return {
            "python": self.python,
            "clean_zygote": self.clean_zygote,
            "namespaces_left": list(self.namespaces_left),
            "kills": dict(self.kills),
            **self.worker,
        }
