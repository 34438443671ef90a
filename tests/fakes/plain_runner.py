"""A ProgramRunner that runs programs in this very process, for programs that the test trusts."""

import json
import time
from itertools import count
from typing import Any

from controlplane.generator.errors import CandidateRefused
from controlplane.generator.protocol import Run


class PlainRunner:
    """Keeps the contract of ProgramRunner without its barriers: no jail, no limits."""

    def __init__(self, *, refused: str = "") -> None:
        """refused: a text that no program may contain."""
        self._refused = refused
        self._programs: dict[str, tuple[Any, bool]] = {}
        self._numbers = count(1)

    @property
    def loaded(self) -> int:
        return len(self._programs)

    async def load(self, source: str, *, returns_confidence: bool) -> str:
        if self._refused and self._refused in source:
            raise CandidateRefused(reason=f"{self._refused!r} is not allowed")
        module: dict[str, Any] = {"__name__": "program"}
        exec(compile(source, "program.py", "exec"), module)  # noqa: S102 # the point of this fake
        key = f"plain-{next(self._numbers)}"
        self._programs[key] = (module["run"], returns_confidence)
        return key

    async def run(self, key: str, input_json: bytes) -> Run:
        run, returns_confidence = self._programs[key]
        started = time.perf_counter()
        try:
            result = run(json.loads(input_json))
        except Exception as error:  # noqa: BLE001 # whatever a program raises is its outcome
            return Run(output_json=None, failure=f"ERROR {error!r}", run_ms=0.0)
        run_ms = (time.perf_counter() - started) * 1_000
        output = result["output"] if returns_confidence else result
        return Run(output_json=json.dumps(output).encode(), failure=None, run_ms=run_ms)

    async def unload(self, key: str) -> None:
        del self._programs[key]
