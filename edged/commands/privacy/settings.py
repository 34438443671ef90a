"""What the verbs of `edged privacy` have in common: settings, folder, key.

Used by: the verbs. Never: makes a key or a folder; looking changes nothing.
"""

import secrets
from typing import Annotated

import typer

from edged.agent.privacy.hashing import KEY_BYTES
from edged.agent.privacy.modes import Mode
from edged.commands.settings import refused
from edged.datasets.layout import Layout

ModeOption = Annotated[
    Mode | None, typer.Option(help="Look through this mode. [default: the configured one]")
]


def key_of(layout: Layout) -> bytes:
    """Return the deployment's key; before its agent ever ran, one of this run only."""
    path = layout.state / "privacy.key"
    try:
        key = path.read_bytes()
    except FileNotFoundError:
        return secrets.token_bytes(KEY_BYTES)
    except OSError as error:
        raise refused(f"{path}: {error.strerror}") from error
    if len(key) != KEY_BYTES:
        raise refused(f"{path}: has {len(key)} bytes, not {KEY_BYTES}")
    return key
