"""Assemble the settings from the environment and flags; only this file reads the environment.

Flags win over `LOOPAI_…`, which wins over the defaults. The jobs process inherits what it needs
as JSON on its standard input, so that no database password shows in a process list.
Runs in: both processes. Never: logs a value.
"""

import ipaddress
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from controlplane.errors import ConfigInvalid
from controlplane.generator.llm_settings import LlmSettings
from controlplane.improvement.settings import ImprovementSettings
from controlplane.link.settings import LinkDoor, LinkSettings, RpcServer
from controlplane.rollouts.plan import RolloutSettings
from edged.rpc.tls import Tls, TlsUnusable

# What a child needs to find its libraries and temporary folder; no LOOPAI_…, so no key.
INHERITED = (
    "PATH",
    "HOME",
    "TMPDIR",
    "LANG",
    "LC_ALL",
    "TZ",
    "PYTHONPATH",
    "LD_LIBRARY_PATH",
    "OMP_NUM_THREADS",
)
INHERITED_LLM = ("api_key", "base_url", "model", "budget_usd")  # what may be configured


class Environment(BaseSettings):
    """`LOOPAI_DATA_DIR`, `LOOPAI_IMPROVEMENT__MIN_LABELS` …; keyword arguments are the flags."""

    model_config = SettingsConfigDict(
        env_prefix="LOOPAI_", env_nested_delimiter="__", frozen=True, extra="ignore"
    )

    data_dir: Path = Path("loopai-controlplane")
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65_535)
    link_port: int = Field(default=50052, ge=0, le=65_535)
    rpc_server: RpcServer = "ngh2"
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    tls_client_ca: Path | None = None
    tls_require_client_certificate: bool = False
    database_url: SecretStr | None = None
    insecure: bool = False
    api_key: SecretStr | None = None
    llm_api_key: SecretStr | None = None
    llm_base_url: str = LlmSettings().base_url
    llm_model: str = LlmSettings().model
    llm_budget_usd: float = Field(default=LlmSettings().budget_usd, gt=0)
    improvement: ImprovementSettings = ImprovementSettings()
    rollout: RolloutSettings = RolloutSettings()
    link: LinkSettings = LinkSettings()


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorSettings:
    """Where people, CI and edges reach the server."""

    host: str
    port: int
    """REST; 0 takes a free port."""
    link_port: int
    """gRPC for edges; 0 takes a free port."""
    rpc_server: RpcServer
    tls: Tls | None
    """Of both doors."""
    is_insecure: bool
    """An address other than loopback was asked for and permitted, without TLS."""
    stop_timeout_s: float = 3.0
    """Running requests get this long after SIGTERM."""

    @property
    def link(self) -> LinkDoor:
        return LinkDoor(
            host=self.host, port=self.link_port, rpc_server=self.rpc_server, tls=self.tls
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageSettings:
    """Where everything is kept."""

    data_dir: Path
    database_url: str

    def render(self) -> bytes:
        """Return JSON for the jobs process."""
        return json.dumps(
            {"data_dir": str(self.data_dir), "database_url": self.database_url}
        ).encode()

    @classmethod
    def inherited(cls, text: bytes) -> "StorageSettings":
        """Read what the server rendered."""
        values = json.loads(text)
        return cls(data_dir=Path(values["data_dir"]), database_url=values["database_url"])


@dataclass(frozen=True, slots=True, kw_only=True)
class JobsSettings:
    """What the server tells the jobs process."""

    storage: StorageSettings
    llm: LlmSettings
    improvement: ImprovementSettings = field(default_factory=ImprovementSettings)
    rollout: RolloutSettings = field(default_factory=RolloutSettings)

    def render(self) -> bytes:
        """Return JSON with the model's key in it: for a pipe, never for a log or a file."""
        llm = {name: getattr(self.llm, name) for name in INHERITED_LLM}
        document = {
            "storage": self.storage.render().decode(),
            "llm": llm,
            "improvement": asdict(self.improvement),
            "rollout": asdict(self.rollout),
        }
        return json.dumps(document).encode()

    @classmethod
    def inherited(cls, text: bytes) -> "JobsSettings":
        """Read what the server rendered."""
        values = json.loads(text)
        return cls(
            storage=StorageSettings.inherited(values["storage"].encode()),
            llm=LlmSettings(**values["llm"]),
            improvement=ImprovementSettings(**values["improvement"]),
            rollout=RolloutSettings(
                **values["rollout"] | {"stage_weights": tuple(values["rollout"]["stage_weights"])}
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything the server is told at its start."""

    doors: DoorSettings
    storage: StorageSettings
    link: LinkSettings
    llm: LlmSettings
    improvement: ImprovementSettings
    rollout: RolloutSettings
    api_key: str | None = field(repr=False)

    @property
    def jobs(self) -> JobsSettings:
        return JobsSettings(
            storage=self.storage,
            llm=self.llm,
            improvement=self.improvement,
            rollout=self.rollout,
        )


def load(**flags: Any) -> Settings:
    """Assemble; flags that are None were not given.

    Raises ConfigInvalid naming the setting.
    """
    try:
        given = Environment(**{name: value for name, value in flags.items() if value is not None})
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        setting = "LOOPAI_" + "__".join(str(step) for step in first["loc"]).upper()
        raise ConfigInvalid(setting=setting, reason=first["msg"]) from error
    tls = _tls(given)
    _check_doors(given, tls)
    folder = given.data_dir.absolute()
    return Settings(
        doors=DoorSettings(
            host=given.host,
            port=given.port,
            link_port=given.link_port,
            rpc_server=given.rpc_server,
            tls=tls,
            is_insecure=tls is None and not _is_loopback(given.host),
        ),
        storage=StorageSettings(data_dir=folder, database_url=_database_url(given, folder)),
        link=given.link,
        llm=_llm(given),
        improvement=given.improvement,
        rollout=given.rollout,
        api_key=given.api_key.get_secret_value() if given.api_key else None,
    )


def _llm(given: Environment) -> LlmSettings:
    return LlmSettings(
        api_key=given.llm_api_key.get_secret_value() if given.llm_api_key else "",
        base_url=given.llm_base_url,
        model=given.llm_model,
        budget_usd=given.llm_budget_usd,
    )


def child_environment() -> dict[str, str]:
    """Return the environment of the jobs process."""
    return {name: os.environ[name] for name in INHERITED if name in os.environ}


def _database_url(given: Environment, folder: Path) -> str:
    if given.database_url is not None:
        return given.database_url.get_secret_value()
    return f"sqlite+aiosqlite:///{folder / 'controlplane.sqlite'}"


def _tls(given: Environment) -> Tls | None:
    """Return what the doors need for TLS, with files that work; None where it is off."""
    certificate, key = given.tls_certificate, given.tls_key
    if certificate is None or key is None:
        for name in ("certificate", "key", "client_ca", "require_client_certificate"):
            if getattr(given, f"tls_{name}"):
                reason = "TLS needs a certificate and its key: set tls_certificate and tls_key"
                raise ConfigInvalid(setting=f"tls_{name}", reason=reason)
        return None
    try:
        tls = Tls(
            certificate=certificate,
            key=key,
            client_ca=given.tls_client_ca,
            require_client_certificate=given.tls_require_client_certificate,
        )
        tls.context()
    except TlsUnusable as error:
        raise ConfigInvalid(setting="tls_certificate", reason=str(error)) from error
    return tls


def _check_doors(given: Environment, tls: Tls | None) -> None:
    if tls is not None and given.rpc_server == "grpcio":
        reason = "grpcio cannot be held to TLS 1.3: use ngh2, or leave TLS to a proxy"
        raise ConfigInvalid(setting="rpc_server", reason=reason)
    if tls is not None or _is_loopback(given.host) or given.insecure:
        return
    reason = (
        f"{given.host} is reachable from other machines and there is no TLS: keys would travel "
        "in clear. Give --tls-certificate and --tls-key, use 127.0.0.1 behind a TLS proxy, or say "
        "--insecure if you accept that"
    )
    raise ConfigInvalid(setting="host", reason=reason)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
