"""`edged datasets`: look into what this edge kept, search it, back it up."""

import typer

from edged.commands.datasets.backup import export, import_
from edged.commands.datasets.cat import cat
from edged.commands.datasets.latency import latency
from edged.commands.datasets.query import query
from edged.commands.datasets.rekey import rekey
from edged.commands.datasets.stats import stats

datasets = typer.Typer(
    name="datasets",
    help="Look into what this edge kept of every call, search it, back it up.",
    no_args_is_help=True,
)
for verb in (stats, latency, query, cat, export, rekey):
    datasets.command()(verb)
datasets.command(name="import")(import_)
