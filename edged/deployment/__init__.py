"""What deployment.yaml may say: its sections, their keys, defaults and bounds, one file a group.

Pure. Used by: `edged.config`, which assembles it, and every composition root, which reads it.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Self

from pydantic import Field, model_validator

from edged.artifacts.manifest import TaskName
from edged.deployment.asking import Anthropic
from edged.deployment.checking import (
    AnthropicValidation,
    ControlPlaneValidation,
    HttpValidation,
    Sampling,
    TaskValidation,
)
from edged.deployment.comparing import Address
from edged.deployment.doors import Cloud, Runtime
from edged.deployment.isolation import Isolation, TaskIsolation
from edged.deployment.keeping import Retention, Storage
from edged.deployment.listening import Access, Listen
from edged.deployment.running import Artifacts, Execution
from edged.deployment.section import Section
from edged.deployment.telling import Privacy, Telemetry
from edged.pool.settings import PoolSettings
from edged.pool.values import Placement

# Accepted for what comes, and said at start.
WITHOUT_EFFECT = ("cloud.realtime_enabled",)


class Deployment(Section):
    """deployment.yaml, whole; made by `load`, and by children from what they inherit."""

    runtime: Runtime = Runtime()
    cloud: Cloud = Cloud()
    listen: Listen = Listen()
    access: Access = Access()
    execution: Execution = Execution()
    isolation: Isolation = Isolation()
    sampling: Sampling = Sampling()
    telemetry: Telemetry = Telemetry()
    storage: Storage = Storage()
    retention: Retention = Retention()
    privacy: Privacy = Privacy()
    artifacts: Artifacts = Artifacts()
    tasks: tuple[TaskName, ...] = ()
    """Serve only these; empty: all that the control plane sends."""
    validation: Mapping[TaskName, TaskValidation] = Field(default_factory=dict)
    """Who knows what is right, by task. The customer's own: home never sets it."""

    anthropic: Anthropic = Anthropic()

    @model_validator(mode="after")
    def _check_server(self) -> Self:
        if self.runtime.rpc_server == "grpcio" and self.listen.tls.certificate is not None:
            reason = "grpcio cannot be held to TLS 1.3: use ngh2, or leave TLS to a proxy"
            raise ValueError(f"runtime.rpc_server: {reason}")
        return self

    @model_validator(mode="after")
    def _check_egress(self) -> Self:
        for task, validation in self.validation.items():
            for place, address in self._addresses(validation):
                if address is None or not address.is_local:
                    self._check_may_leave(f"validation.{task}.{place}")
                if address is not None:
                    _check_is_private(f"validation.{task}.{place}", address)
        return self

    def _addresses(self, validation: TaskValidation) -> Iterator[tuple[str, Address | None]]:
        """Yield where a validation sends values, under which key; None for home."""
        if isinstance(validation, HttpValidation):
            yield "url", validation
        elif isinstance(validation, AnthropicValidation):
            yield "oracle", self.anthropic
        elif isinstance(validation, ControlPlaneValidation):
            yield "oracle", None
        judge = validation.comparison.judge
        if judge is not None:
            yield "comparison.judge", judge if isinstance(judge, Address) else self.anthropic

    def _check_may_leave(self, place: str) -> None:
        mode = self.telemetry.privacy_mode
        if mode == "strict" or (mode == "balanced" and self.privacy.hash_inputs):
            asked = "privacy_mode strict" if mode == "strict" else "hash_inputs"
            reason = f"leaves this machine with inputs, which {asked} forbids"
            raise ValueError(f"{place}: {reason}")

    @property
    def unmet(self) -> str:
        """Return the key that some oracle needs and nobody set; empty where all is there."""
        for task, validation in self.validation.items():
            asked = dict(self._addresses(validation)).values()
            if any(address is self.anthropic for address in asked) and self.anthropic.needs:
                return f"{self.anthropic.needs}: validation.{task} asks the model"
            if isinstance(validation, ControlPlaneValidation) and not self.cloud.link_address:
                return f"cloud.api_url: validation.{task} asks the control plane"
        return ""

    @property
    def pool(self) -> PoolSettings:
        execution = self.execution
        return PoolSettings(
            workers_per_version=execution.worker_count,
            max_workers=execution.max_workers,
            queue_calls=execution.queue_calls,
            time_limit_ms=execution.timeout_ms,
            memory_limit_mb=execution.memory_mb,
            require=self.isolation.require,
            workers_min=execution.min_workers,
            isolation=self.isolation.default,
            has_monty=bool(self.isolation.tasks_on_monty),
        )

    @property
    def placements(self) -> dict[str, Placement]:
        """Return the tasks that are run on terms of their own."""
        kept, caps = self.isolation.tasks, self.execution.task_calls
        return {task: _placement(kept.get(task), caps.get(task)) for task in kept.keys() | caps}

    @property
    def without_effect(self) -> list[str]:
        """Return the keys and sections that were set and that nothing obeys yet."""
        return [name for name in WITHOUT_EFFECT if self._is_set(name)]

    def _is_set(self, name: str) -> bool:
        section, _, key = name.partition(".")
        is_section_set = section in self.model_fields_set
        return is_section_set and (not key or key in getattr(self, section).model_fields_set)

    def render(self, *, with_key: bool) -> bytes:
        """Return JSON for a child process; only the agent's holds the API keys."""
        data_key = self.storage.encryption.key
        values = self.model_dump(mode="json", exclude_unset=True)
        for name, key in (("cloud", self.cloud.api_key), ("anthropic", self.anthropic.api_key)):
            values.setdefault(name, {}).pop("api_key", None)
            if with_key and key is not None:
                values[name]["api_key"] = key.get_secret_value()
        if data_key is not None:  # both children read or write the logs
            values["storage"]["encryption"]["key"] = data_key.get_secret_value()
        return json.dumps(values).encode()

    @classmethod
    def inherited(cls, text: bytes) -> "Deployment":
        """Read what the supervisor rendered."""
        return cls.model_validate_json(text)


def _placement(kept: TaskIsolation | None, calls_limit: int | None) -> Placement:
    kept = kept or TaskIsolation()
    return Placement(isolation=kept.of_class, backend=kept.backend, calls_limit=calls_limit)


def _check_is_private(place: str, address: Address) -> None:
    """Raise ValueError when values would travel in clear without anyone having said so."""
    if address.is_local or address.url.startswith("https:") or address.insecure:
        return
    reason = "sends inputs in clear; use https, or set insecure: true"
    raise ValueError(f"{place}: {reason}")
