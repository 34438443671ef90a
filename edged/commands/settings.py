"""What the verbs that look into a data_dir have in common: its settings, and one clear refusal.

Used by: the verbs. Never: makes a folder; looking changes nothing.
"""

from pathlib import Path
from typing import Annotated

import typer

from edged.config import load
from edged.deployment import Deployment
from edged.errors import ConfigInvalid

Config = Annotated[
    Path | None,
    typer.Option(help="The edge's deployment.yaml. [default: DATA_DIR/config/deployment.yaml]"),
]
DataDir = Annotated[Path | None, typer.Option(help="Where the edge keeps its logs and state.")]


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


def refused(error: Exception | str) -> typer.Exit:
    """Say why on standard error; return the exit to raise."""
    typer.echo(f"edged: {error}", err=True)
    return typer.Exit(2)
