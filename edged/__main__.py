"""`python -m edged`: the same as the command `edged`."""

from edged.commands import app

app()
