"""The verbs of `edged`, one file each."""

import typer

from edged.commands.privacy import privacy
from edged.commands.serve import serve

app = typer.Typer(
    name="edged",
    help="Runs Loopai programs in your own network.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command()(serve)
app.add_typer(privacy)
