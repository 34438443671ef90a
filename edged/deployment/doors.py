"""Sections runtime and cloud: what this process is, and whom it talks to. Pure."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from edged.artifacts.manifest import TaskName
from edged.deployment.section import Section

if TYPE_CHECKING:
    from loopai.security import Tls


class Runtime(Section):
    """What this process is."""

    mode: Literal["edge", "central", "hybrid"] = "edge"
    name: str = ""
    """For people, in the fleet's list; empty: the host's name."""
    default_task: TaskName | None = None
    """Runs requests that name no task; with a single task that one is the default."""
    rpc_server: Literal["ngh2", "grpcio"] = "ngh2"
    """Ours on libnghttp2, or the reference, without TLS."""
    standby: bool = True
    """Keep a second gateway and agent started and waiting, some 40 MB each: they take over at once
    from one that dies, and a restart pauses nothing."""
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
    ca: Path | None = None
    """PEM of the private authority that signs home's certificate; none: those known to all."""
    client_certificate: Path | None = None
    """PEM, where home asks for one."""
    client_key: Path | None = None
    """PEM, unless the certificate's file holds it."""

    @field_validator("api_url", "link_url")
    @classmethod
    def _is_address(cls, url: str) -> str:
        if url and not re.fullmatch(r"https?://[^/\s:]+(:\d{1,5})?/?", url):
            raise ValueError("must look like http://host:port")
        return url.rstrip("/")

    @model_validator(mode="after")
    def _check_files(self) -> Self:
        if self.client_key is not None and self.client_certificate is None:
            raise ValueError("client_key needs client_certificate")
        if (self.ca or self.client_certificate) and self.link_address and not self.is_secure:
            raise ValueError("ca and client_certificate are for https:// addresses")
        return self

    @property
    def tls(self) -> "Tls":
        from loopai.security import Tls

        return Tls(ca=self.ca, certificate=self.client_certificate, key=self.client_key)

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
