"""`edged keys new`: make an API key, and the line of the callers file that knows it.

Runs in: a person's shell. Never: stores the key.
"""

import json
import secrets
from hashlib import sha256
from typing import Annotated

import typer

app = typer.Typer(help="API keys of those who call this edge.", no_args_is_help=True)


@app.callback()
def _root() -> None:
    """Keep `new` a verb of its own while it is the only one."""


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="Of the caller, such as the app's.")],
    scope: Annotated[
        list[str] | None, typer.Option(help="execute, report or admin; may be repeated.")
    ] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Print a new key, once, and the entry for access.callers_file, which holds its hash."""
    from pydantic import ValidationError

    from edged.deployment.callers import Caller
    from edged.deployment.complaints import complaint

    key = f"edge_{secrets.token_urlsafe(32)}"
    try:
        caller = Caller.model_validate(
            {
                "name": name,
                "key_sha256": sha256(key.encode()).hexdigest(),
                "scopes": scope or ["execute"],
            }
        )
    except ValidationError as error:
        raise typer.BadParameter(complaint(error, Caller)) from error
    entry = {"name": name, "key_sha256": caller.key_sha256, "scopes": sorted(caller.scopes)}
    if json_output:
        typer.echo(json.dumps({"key": key, "caller": entry}))
        return
    typer.echo(f"key, shown once: {key}")
    typer.echo("in the callers file, below `callers:`")
    typer.echo(
        f"  - {{name: {name}, key_sha256: {caller.key_sha256}, "
        f"scopes: [{', '.join(entry['scopes'] or ())}]}}"
    )
