"""What the verbs of `edged privacy` have in common: settings, folder, key.

Used by: the verbs. Never: makes a key or a folder; looking changes nothing.
"""

import secrets
from pathlib import Path
from typing import Annotated

import typer

from edged.agent.privacy.hashing import KEY_BYTES
from edged.agent.privacy.modes import Mode
from edged.config import load
from edged.datasets.layout import Layout
from edged.deployment import Deployment
from edged.errors import ConfigInvalid, LoopaiError

Config = Annotated[
    Path | None,
    typer.Option(help="The edge's deployment.yaml. [default: DATA_DIR/config/deployment.yaml]"),
]
DataDir = Annotated[Path | None, typer.Option(help="Where the edge keeps its logs and state.")]
ModeOption = Annotated[
    Mode | None, typer.Option(help="Look through this mode. [default: the configured one]")
]


def read_deployment(config: Path | None, data_dir: Path | None) -> Deployment:
    """Return the settings, from the file in data_dir where none is named; exit 2 with one line."""
    if config is None and data_dir is not None:
        beside = data_dir / "config" / "deployment.yaml"
        config = beside if beside.exists() else None
    flags = {} if data_dir is None else {"storage": {"data_dir": data_dir}}
    try:
        return load(config, flags, None)
    except ConfigInvalid as error:
        raise refused(error) from error


def refused(error: LoopaiError | str) -> typer.Exit:
    """Say why on standard error; return the exit to raise."""
    typer.echo(f"edged: {error}", err=True)
    return typer.Exit(2)


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
