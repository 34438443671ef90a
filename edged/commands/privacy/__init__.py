"""`edged privacy`: look through the privacy filter, and take a subject's data out."""

import typer

from edged.commands.privacy.erase import erase
from edged.commands.privacy.preview import preview
from edged.commands.privacy.scrub import scrub

privacy = typer.Typer(
    name="privacy",
    help="See what may leave this edge, and erase what must not stay.",
    no_args_is_help=True,
)
privacy.command()(preview)
privacy.command()(scrub)
privacy.command()(erase)
