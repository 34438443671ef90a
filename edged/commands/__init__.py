"""The verbs of `edged`, one file each."""

import typer

from edged.commands.doctor import doctor
from edged.commands.privacy import privacy
from edged.commands.sandbox import sandbox
from edged.commands.serve import serve

app = typer.Typer(
    name="edged",
    help="Runs Loopai programs in your own network.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command()(serve)
app.command()(doctor)
app.add_typer(privacy)
app.add_typer(sandbox)
