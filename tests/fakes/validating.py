"""Validators as an agent runs them, in the test's own loop: hasty, and with everything drawn."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import orjson

from edged.agent.oracles.patience import Patience
from edged.agent.privacy.filter import PrivacyFilter
from edged.agent.privacy.hashing import KEY_BYTES
from edged.agent.privacy.modes import Mode
from edged.agent.sampling import sampling_salt
from edged.agent.validator import ValidatorSettings
from edged.agent.validators import Validators
from edged.datasets.layout import Layout
from edged.deployment import Deployment
from edged.deployment.checking import Sampling
from tests.fakes.clock import FakeClock
from tests.fakes.execution_log import ExecutionLog

HASTY = ValidatorSettings(
    follow_interval_s=0.01,
    window_samples=16,
    patience=Patience(backoff_base_s=0.01, backoff_cap_s=0.02, give_up_attempts=3),
)
# More than a deployment may ask for: so that a test says exactly what is validated.
EVERYTHING = Sampling.model_construct(strategy="random", rate=1.0, uncertainty_rate=0.05)


@asynccontextmanager
async def validating(
    layout: Layout,
    clock: FakeClock,
    validation: dict[str, dict[str, Any]],
    *,
    mode: Mode = Mode.BALANCED,
    **sections: Any,
) -> AsyncIterator[Validators]:
    """Run what a deployment's `validation` asks for until the context ends."""
    deployment = Deployment.model_validate({"validation": validation, **sections})
    deployment = deployment.model_copy(update={"sampling": EVERYTHING})
    privacy = PrivacyFilter(mode, b"k" * KEY_BYTES)
    salt = sampling_salt(layout)
    validators = Validators(deployment, layout, lambda: privacy, salt, HASTY, clock)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(validators.run())
        try:
            yield validators
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - nothing announces it
        await asyncio.sleep(0.002)


def is_checkpoint_there(layout: Layout) -> bool:
    return (layout.state / "validator.json").exists()


def is_followed_to_end(executions: ExecutionLog) -> bool:
    """Say whether the saved checkpoint is behind every line."""
    layout = executions.layout
    if not is_checkpoint_there(layout):
        return False
    positions = orjson.loads((layout.state / "validator.json").read_bytes())["positions"]
    files = layout.log(executions.task, "executions").glob("*.jsonl")
    return all(positions.get(f"{executions.task}/{f.name}") == f.stat().st_size for f in files)
