"""Where a data_dir keeps what, and under which keys: the paths of the specification, in one place.

Pure. Never: touches the disk.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, get_args

from edged.datasets.sealing import Keyring

LogKind = Literal["executions", "outcomes", "validations", "decisions"]
KINDS: Final[tuple[LogKind, ...]] = get_args(LogKind)


@dataclass(frozen=True, slots=True)
class Layout:
    """The folders below one edge's data_dir. keyring: None where logs are in clear."""

    data_dir: Path
    keyring: Keyring | None = None

    @property
    def datasets(self) -> Path:
        return self.data_dir / "datasets"

    @property
    def artifacts(self) -> Path:
        return self.data_dir / "artifacts"

    @property
    def state(self) -> Path:
        return self.data_dir / "state"

    @property
    def routes(self) -> Path:
        return self.state / "routes.json"

    @property
    def quarantine(self) -> Path:
        return self.state / "quarantine.json"

    @property
    def batches(self) -> Path:
        return self.state / "batches"

    @property
    def audit(self) -> Path:
        return self.state / "audit"

    def analytics(self, task: str) -> Path:
        return self.datasets / task / "analytics"

    def log(self, task: str, kind: LogKind) -> Path:
        return self.datasets / task / kind

    def version(self, task: str, version: int) -> Path:
        return self.artifacts / task / f"v{version}"

    def active(self, task: str) -> Path:
        return self.artifacts / task / "active"
