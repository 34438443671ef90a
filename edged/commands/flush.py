"""`edged flush`: send what is pending now. Runs in: a person's command."""

from pathlib import Path
from typing import Annotated

import orjson
import typer

from edged.commands.asking import AgentAway, ask
from edged.config import find_data_dir
from edged.datasets.layout import Layout
from edged.errors import ConfigInvalid


def flush(
    config: Annotated[Path | None, typer.Option(help="The deployment.yaml of the edge.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Its data_dir.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Send the telemetry that is pending now; returns when the control plane has it.

    Exits 1 when something is still pending: it stays on disk and goes with the next connection.
    """
    try:
        answer = ask(Layout(find_data_dir(config, data_dir)), "flush")
    except (AgentAway, ConfigInvalid) as error:
        typer.echo(f"edged: {error}; start it with: edged serve", err=True)
        raise typer.Exit(2) from error
    if as_json:
        typer.echo(orjson.dumps(answer).decode())
        raise typer.Exit(1 if answer["pending"] else 0)
    sent = f"sent {answer['sent']} batch{'' if answer['sent'] == 1 else 'es'}"
    left = f"{answer['pending']} wait on disk" if answer["pending"] else "nothing is pending"
    because = f": {answer['reason']}" if answer["reason"] else ""
    typer.echo(f"{sent}; {left}{because}")
    raise typer.Exit(1 if answer["pending"] else 0)
