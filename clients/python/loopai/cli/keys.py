"""`loopai keys`: who may call the control plane, and for what.

Never: prints a key but the one just made.
"""

import json
from typing import Annotated

import typer

from loopai.cli.terminal import JsonOption, calls_home, show
from loopai.controlplane import ControlPlane

app = typer.Typer(
    name="keys", help="API keys of the control plane; needs the scope admin.", no_args_is_help=True
)
COLUMNS = ("name", "scope", "created_at", "revoked_at", "id")


@app.command()
@calls_home
def create(
    home: ControlPlane,
    name: Annotated[str, typer.Argument(help="Whose it is, such as edge-berlin or ci.")],
    scope: Annotated[
        str,
        typer.Option(help="edge: enrol and connect; read: look; admin: everything."),
    ],
    as_json: JsonOption = False,
) -> None:
    """Make a key and print it, this once: only its hash is kept."""
    made = home.create_key(name, scope)
    typer.echo(json.dumps(made) if as_json else made["key"])
    if not as_json:
        typer.echo(f"'{name}' has the scope {scope}; the key is not shown again", err=True)


@app.command("list")
@calls_home
def list_keys(home: ControlPlane, as_json: JsonOption = False) -> None:
    """List all keys, revoked ones too."""
    show(home.keys(), COLUMNS, as_json=as_json)


@app.command()
@calls_home
def revoke(
    home: ControlPlane,
    key: Annotated[str, typer.Argument(help="Its name or id.")],
    as_json: JsonOption = False,
) -> None:
    """End a key, and at once whatever it holds open."""
    ended = home.revoke_key(key)
    typer.echo(json.dumps(ended) if as_json else f"'{ended['name']}' is revoked")
