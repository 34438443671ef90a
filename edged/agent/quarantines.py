"""Notice that the gateway quarantined a version: end its rollout, or report that it serves no more.

Runs in: the agent. Talks to: state/quarantine.json, the rollouts, the applier. Never: quarantines.
"""

import asyncio
from collections.abc import Mapping
from typing import Final

import structlog

from edged.agent.applier import Applier
from edged.agent.rollouts import Rollouts
from edged.artifacts.manifest import Digest
from edged.artifacts.quarantine import QuarantineFile
from edged.datasets.layout import Layout

log = structlog.get_logger()
LOOK_INTERVAL_S: Final = 1.0


class Quarantines:
    """Looks at the file, which is small and seldom written."""

    def __init__(self, layout: Layout, applier: Applier, rollouts: Rollouts) -> None:
        self._file = QuarantineFile(layout.quarantine)
        self._applier = applier
        self._rollouts = rollouts
        self._seen: set[Digest] = set()

    async def run(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(LOOK_INTERVAL_S)

    async def look(self) -> None:
        """Settle what is new, once."""
        reasons = self._file.read()
        new = {digest: why for digest, why in reasons.items() if digest not in self._seen}
        if not new:
            return
        self._seen |= new.keys()
        for digest, reason in new.items():
            self._rollouts.refuse(digest, f"quarantined: {reason}")
        if self._are_routed(new):
            log.warning("versions_quarantined", digests=sorted(new))
            await self._applier.apply_again()

    def _are_routed(self, new: Mapping[Digest, str]) -> bool:
        routes = self._applier.routes.tasks.values()
        return any(arm.digest in new for route in routes for arm in route.arms)
