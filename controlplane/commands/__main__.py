"""`python -m controlplane.commands`: how the server starts the jobs process."""

from controlplane.commands import app

app()
