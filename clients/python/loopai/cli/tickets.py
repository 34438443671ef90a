"""`loopai tickets`: what the loop asks people, and their answers."""

import json
from typing import Annotated, Any

import typer

from loopai.cli.terminal import (
    JsonOption,
    calls_home,
    show,
)
from loopai.controlplane import ControlPlane

app = typer.Typer(name="tickets", help="What the loop asks people; without a command, list them.")
TicketArgument = Annotated[str, typer.Argument(help="The ticket's id.")]


@app.callback(invoke_without_command=True)
@calls_home
def list_tickets(
    home: ControlPlane,
    context: typer.Context,
    status: Annotated[str, typer.Option(help="open, resolved or all.")] = "open",
    as_json: JsonOption = False,
) -> None:
    """List tickets."""
    if context.invoked_subcommand is not None:
        return
    rows = home.tickets(status=None if status == "all" else status)
    show(rows, ("id", "task", "status", "created_at", "reason"), as_json=as_json)


@app.command("show")
@calls_home
def show_ticket(
    home: ControlPlane,
    ticket: TicketArgument,
    as_json: JsonOption = False,
) -> None:
    """Show one with its slices, failures and doubtful labels."""
    found = home.ticket(ticket)
    if as_json:
        typer.echo(json.dumps(found))
        return
    _print(found)


@app.command()
@calls_home
def resolve(
    home: ControlPlane,
    ticket: TicketArgument,
    note: Annotated[str, typer.Option(help="What was done.")] = "",
) -> None:
    """Answer a ticket; the loop goes on."""
    found = home.resolve_ticket(ticket, note)
    typer.echo(f"{found['task']}: ticket {found['id']} is resolved")


def _print(ticket: Any) -> None:
    content = ticket["content"]
    failing = content["failure_rate"]
    low, high = failing["interval"]
    typer.echo(f"{ticket['task']}: {ticket['status']}: {ticket['reason']}")
    typer.echo(
        f"v{failing['version']} failed {failing['failures']} of {failing['labels']} audited "
        f"executions: {failing['rate']:.1%} (95 % interval {low:.1%} to {high:.1%})"
    )
    for pattern in content["slices"]:
        typer.echo(f"  {pattern['words']}")
    columns = ("execution_id", "output", "label", "labelled_by", "input")
    for title in ("examples", "suspected_label_errors"):
        if content[title]:
            typer.echo(title.replace("_", " ") + ":")
            show(content[title], columns, as_json=False)
