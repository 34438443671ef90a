"""The verbs of `edged`, one file each."""

import typer

from edged.commands.datasets import datasets
from edged.commands.doctor import doctor
from edged.commands.flush import flush
from edged.commands.keys import app as keys
from edged.commands.privacy import privacy
from edged.commands.sandbox import sandbox
from edged.commands.serve import serve
from edged.commands.status import status

app = typer.Typer(
    name="edged",
    help="Runs Loopai programs in your own network.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for verb in (serve, status, flush, doctor):
    app.command()(verb)
for verbs in (datasets, privacy, sandbox):
    app.add_typer(verbs)
app.add_typer(keys, name="keys")
