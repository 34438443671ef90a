"""The verbs of `controlplane`, one file each."""

import typer

from controlplane.commands.jobs import jobs
from controlplane.commands.serve import serve

app = typer.Typer(
    name="controlplane",
    help="Makes programs, keeps their versions and serves the fleet of edges.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command()(serve)
app.command(hidden=True)(jobs)
