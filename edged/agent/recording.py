"""Choose the executions that travel home one by one; every other one is only counted.

Runs in: the agent. Never: lets out more than the privacy mode and the rate permit.

In balanced these are the audit samples of tasks that nobody validates here; validated samples
travel with their validation. In permissive, or where the customer turned `sample_only` off, it is
every execution, as fast as `records_per_sec` permits. In strict it is none.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from edged.agent.privacy.modes import Mode
from edged.decisions.sampling import Channel, Sampler
from edged.deployment.telling import Privacy

BURST_S = 10.0  # so much of the rate may come at once
ABOVE_RATE = "full log above privacy.records_per_sec"


class Rate:
    """A bucket that refills steadily. clock: monotonic seconds."""

    def __init__(self, per_s: float, clock: Callable[[], float]) -> None:
        self._per_s = per_s
        self._clock = clock
        self._full = max(1.0, per_s * BURST_S)
        self._left = self._full
        self._at_s = clock()

    def take(self) -> bool:
        """Take one, where there is one."""
        now_s = self._clock()
        self._left = min(self._full, self._left + (now_s - self._at_s) * self._per_s)
        self._at_s = now_s
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Recorder:
    """Decides about one line after the other. validated: tasks whose samples come otherwise."""

    def __init__(
        self,
        privacy: Privacy,
        sampler: Sampler,
        audit_rate: float,
        validated: Collection[str],
        clock: Callable[[], float],
    ) -> None:
        self._sample_only = privacy.sample_only
        self._sampler = sampler
        self.resample(audit_rate)
        self._validated = frozenset(validated)
        self._rate = Rate(privacy.records_per_sec, clock)

    def resample(self, audit_rate: float) -> None:
        """Draw at another rate from here on."""
        self._chances = {Channel.AUDIT: audit_rate}

    def chosen(self, execution: Mapping[str, Any], mode: Mode) -> Mapping[str, Any] | str | None:
        """Return the line to send, with how it was drawn; why it was dropped; or None."""
        if mode is Mode.STRICT:
            return None
        if execution["task"] not in self._validated:
            sample = self._sampler.sample(execution["execution_id"], self._chances)
            if sample is not None:
                return {
                    **execution,
                    "channel": str(sample.channel),
                    "inclusion_probability": sample.inclusion_probability,
                }
        if mode is Mode.BALANCED and self._sample_only:
            return None
        return execution if self._rate.take() else ABOVE_RATE
