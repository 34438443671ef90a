"""What deployment.yaml may say: its sections, their keys, defaults and bounds.

Pure. Used by: `edged.config`, which assembles it, and every composition root, which reads it.
"""

import ipaddress
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from edged.artifacts.manifest import TaskName
from edged.pool.settings import PoolSettings

# Accepted for what comes, and said at start.
WITHOUT_EFFECT = (
    "cloud.realtime_enabled",
    "privacy.sample_only",
    "retention",
    "storage.max_size_gb",
    "storage.retention_days",
)
STRATEGIES = ("random", "uncertainty")  # the others sample as random does, for now


def is_loopback(address: str) -> bool:
    """Say whether host:port stays on this machine. A name other than localhost does not count."""
    host = address.rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_loopback_url(url: str) -> bool:
    """Say the same of an http URL, with or without a port."""
    parts = urlsplit(url)
    return is_loopback(f"[{parts.hostname}]:{parts.port or 0}" if parts.hostname else "")


class Section(BaseModel):
    """One section of deployment.yaml: unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Runtime(Section):
    """What this process is."""

    mode: Literal["edge", "central", "hybrid"] = "edge"
    name: str = ""
    """For people, in the fleet's list; empty: the host's name."""
    default_task: TaskName | None = None
    """Runs requests that name no task; with a single task that one is the default."""
    rpc_server: Literal["grpcio"] = "grpcio"
    drain_timeout_s: float = Field(default=10.0, gt=0)
    """Running calls get this long after SIGTERM."""


class Cloud(Section):
    """The control plane; without `api_url` the edge works alone."""

    api_url: str = ""
    """REST address; the link is taken to be port 50052 of the same host."""
    link_url: str = ""
    """The link's own address where it differs, such as http://127.0.0.1:50052."""
    api_key: SecretStr | None = None
    """Only as a reference to the environment: ${LOOPAI_API_KEY}."""
    realtime_enabled: bool = True
    """Keep the link open and apply new versions as they come."""

    insecure: bool = False
    """Send the API key in clear to a control plane that is not on this machine."""

    @field_validator("api_url", "link_url")
    @classmethod
    def _is_address(cls, url: str) -> str:
        if url and not re.fullmatch(r"https?://[^/\s:]+(:\d{1,5})?/?", url):
            raise ValueError("must look like http://host:port")
        return url.rstrip("/")

    @property
    def is_secure(self) -> bool:
        return (self.link_url or self.api_url).startswith("https:")

    @property
    def link_address(self) -> str:
        """Return host:port of the link, or nothing where there is no control plane."""
        if self.link_url:
            return self.link_url.split("://")[1]
        host = self.api_url.split("://")[-1].rpartition(":")[0] or self.api_url.split("://")[-1]
        return f"{host}:50052" if host else ""


class Listen(Section):
    """Where apps call; host:port, port 0 takes a free one."""

    grpc: str = "127.0.0.1:50051"
    http: str = "127.0.0.1:8080"
    insecure: bool = False
    """Allow an address other than loopback although there is no TLS or authentication yet."""

    @field_validator("grpc", "http")
    @classmethod
    def _is_address(cls, address: str) -> str:
        host, _, port = address.rpartition(":")
        if not host or not port.isdigit() or int(port) > 65_535:
            raise ValueError("must be host:port, such as 127.0.0.1:50051")
        return address


class Execution(Section):
    """How programs run."""

    worker_count: int = Field(default=4, ge=1, le=256)
    timeout_ms: float = Field(default=1000, gt=0, le=600_000)
    memory_mb: int = Field(default=128, ge=16)
    max_workers: int = Field(default=64, ge=1)
    queue_calls: int = Field(default=1024, ge=1)


class Sampling(Section):
    """Which executions are checked; the uniform audit channel is always on."""

    strategy: Literal["random", "uncertainty", "stratified", "temporal", "active"] = "random"
    rate: float = Field(default=0.05, ge=0.01, le=0.2)
    """Of the audit channel, the one that measures: this share of all executions."""
    uncertainty_rate: float = Field(default=0.05, gt=0, le=0.2)
    """With strategy uncertainty: as much again, at most, where the program was unsure."""


class Telemetry(Section):
    """What goes home: counts of every execution, and validated samples as the mode permits."""

    enabled: bool = True
    upload_interval_sec: float = Field(default=60, gt=0)
    batch_size: int = Field(default=1000, ge=1)
    privacy_mode: Literal["strict", "balanced", "permissive"] = "balanced"


class Storage(Section):
    data_dir: Path = Path("loopai-data")
    retention_days: int = Field(default=30, ge=1)
    max_size_gb: float = Field(default=100, gt=0)


class RetentionExecutions(Section):
    keep_days: int = Field(default=7, ge=1)
    compress_after: int = Field(default=1, ge=0)


class RetentionValidations(Section):
    keep_days: int = Field(default=30, ge=1)


class RetentionArtifacts(Section):
    keep_versions: int = Field(default=10, ge=1)


class Retention(Section):
    executions: RetentionExecutions = RetentionExecutions()
    validations: RetentionValidations = RetentionValidations()
    artifacts: RetentionArtifacts = RetentionArtifacts()


class Privacy(Section):
    """What the privacy filter does, in front of everything that leaves."""

    pii_detection: bool = True
    hash_inputs: bool = False
    sample_only: bool = True


class Artifacts(Section):
    """Programs from a folder, for an edge without a control plane."""

    folder: Path | None = None
    """Holds artifact ZIPs, or is itself an unpacked artifact; watched for new ones."""


class Comparison(Section):
    """When an output counts as right."""

    method: Literal["exact"] = "exact"
    ignore: tuple[str, ...] = ()
    """Fields that do not count, as dotted paths."""
    tolerance: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """For numbers, absolute."""


class HttpValidation(Section):
    """The truth comes from an HTTP endpoint of the customer's own."""

    oracle: Literal["http"]
    url: str
    timeout_ms: float = Field(default=5000, gt=0, le=600_000)
    budget_per_day: int = Field(default=10_000, ge=0)
    """Questions a UTC day; when it is spent, samples are skipped and counted."""
    cost: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """Of one answer that does not name its own, in US dollars."""
    insecure: bool = False
    """Send inputs in clear to an oracle that is not on this machine."""
    comparison: Comparison = Comparison()

    @field_validator("url")
    @classmethod
    def _is_url(cls, url: str) -> str:
        # No user:password@ either: every process of the edge inherits this section.
        host = r"([^/\s:@?#\[\]]+|\[[0-9a-fA-F:.]+\])"
        found = re.fullmatch(rf"https?://{host}(:(?P<port>\d{{1,5}}))?(/[^\s#]*)?", url)
        if found is None or int(found["port"] or 0) > 65_535:
            raise ValueError("must look like http://host:port/path")
        return url

    @property
    def is_local(self) -> bool:
        """Say whether a question stays on this machine."""
        return is_loopback_url(self.url)


class ProgramValidation(Section):
    """The truth comes from a reference artifact, run in the agent's own pool."""

    oracle: Literal["program"]
    artifact: Path
    """The artifact's ZIP."""
    timeout_ms: float = Field(default=5000, gt=0, le=600_000)
    comparison: Comparison = Comparison()


class OutcomeValidation(Section):
    """The truth comes later, from callers, by ReportOutcome."""

    oracle: Literal["outcome"]
    every_execution_reported: bool = False
    """Truths are not self-selected: then each of them counts like an audit sample."""
    comparison: Comparison = Comparison()


TaskValidation = Annotated[
    HttpValidation | ProgramValidation | OutcomeValidation, Field(discriminator="oracle")
]


class Deployment(Section):
    """deployment.yaml, whole; made by `load`, and by children from what they inherit."""

    runtime: Runtime = Runtime()
    cloud: Cloud = Cloud()
    listen: Listen = Listen()
    execution: Execution = Execution()
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

    @model_validator(mode="after")
    def _check_egress(self) -> Self:
        for task, validation in self.validation.items():
            if isinstance(validation, HttpValidation) and not validation.is_local:
                self._check_may_leave(task)
                _check_is_private(task, validation)
        return self

    def _check_may_leave(self, task: str) -> None:
        mode = self.telemetry.privacy_mode
        if mode == "strict" or (mode == "balanced" and self.privacy.hash_inputs):
            asked = "privacy_mode strict" if mode == "strict" else "hash_inputs"
            reason = f"leaves this machine with inputs, which {asked} forbids"
            raise ValueError(f"validation.{task}.url: {reason}")

    @property
    def pool(self) -> PoolSettings:
        execution = self.execution
        return PoolSettings(
            workers_per_version=execution.worker_count,
            max_workers=execution.max_workers,
            queue_calls=execution.queue_calls,
            time_limit_ms=execution.timeout_ms,
            memory_limit_mb=execution.memory_mb,
        )

    @property
    def without_effect(self) -> list[str]:
        """Return the keys and sections that were set and that nothing obeys yet."""
        unheeded = [name for name in WITHOUT_EFFECT if self._is_set(name)]
        if self.sampling.strategy not in STRATEGIES:
            unheeded.append(f"sampling.strategy={self.sampling.strategy}")
        return unheeded

    def _is_set(self, name: str) -> bool:
        section, _, key = name.partition(".")
        is_section_set = section in self.model_fields_set
        return is_section_set and (not key or key in getattr(self, section).model_fields_set)

    def render(self, *, with_key: bool) -> bytes:
        """Return JSON for a child process; only the agent's holds the API key."""
        key = self.cloud.api_key
        values = self.model_dump(mode="json", exclude_unset=True)
        values.setdefault("cloud", {}).pop("api_key", None)
        if with_key and key is not None:
            values["cloud"]["api_key"] = key.get_secret_value()
        return json.dumps(values).encode()

    @classmethod
    def inherited(cls, text: bytes) -> "Deployment":
        """Read what the supervisor rendered."""
        return cls.model_validate_json(text)


def _check_is_private(task: str, validation: HttpValidation) -> None:
    """Raise ValueError when inputs would travel in clear without anyone having said so."""
    if not validation.url.startswith("https:") and not validation.insecure:
        reason = "sends inputs in clear; use https, or set insecure: true"
        raise ValueError(f"validation.{task}.url: {reason}")
