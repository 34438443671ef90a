"""`python -m edged.commands`: the same as the command `edged`."""

from edged.commands import app

app()
