"""Who this edge is: its deployment_id, the key it pinned, the id of its log.

Runs in: the agent. Talks to: data_dir/state. Never: stores the API key.
"""

import json
from base64 import b64decode, b64encode
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from edged.artifacts.signing import VerifyingKey
from edged.datasets.layout import Layout
from edged.files import write_whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Given at enrolment and kept for ever."""

    deployment_id: str
    signing_public_key: bytes

    @property
    def key(self) -> VerifyingKey:
        return VerifyingKey.from_bytes(self.signing_public_key)


class IdentityFile:
    """state/identity.json; the first enrolment wins until someone deletes it."""

    def __init__(self, layout: Layout) -> None:
        self._path = layout.state / "identity.json"

    def read(self) -> Identity | None:
        """Return the identity, or None before enrolment. Raises ValueError when it is damaged."""
        if not self._path.exists():
            return None
        document = json.loads(self._path.read_text())
        return Identity(
            deployment_id=document["deployment_id"],
            signing_public_key=b64decode(document["signing_public_key"]),
        )

    def write(self, identity: Identity) -> None:
        document = {
            "deployment_id": identity.deployment_id,
            "signing_public_key": b64encode(identity.signing_public_key).decode(),
        }
        write_whole(self._path, json.dumps(document, indent=2).encode() + b"\n", mode=0o600)


def log_id(layout: Layout) -> str:
    """Return the id of this data_dir's log; a wiped edge gets another one."""
    path: Path = layout.state / "log_id"
    if not path.exists():
        write_whole(path, str(uuid4()).encode())
    return path.read_text().strip()
