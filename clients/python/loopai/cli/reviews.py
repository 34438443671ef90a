"""`loopai review EXECUTION LABEL`: say what was right; it wins over every oracle."""

import json
from typing import Annotated, Any

import typer

from loopai.cli.terminal import calls_home
from loopai.controlplane import ControlPlane


@calls_home
def review(
    home: ControlPlane,
    execution: Annotated[str, typer.Argument(help="The execution's id.")],
    label: Annotated[str, typer.Argument(help="The right output: JSON, or a plain word.")],
) -> None:
    """Label an execution that an edge sent home."""
    stored = home.review(execution, _value(label))
    typer.echo(f"{stored['task']}: {execution} should be {json.dumps(stored['label'])}")


def _value(text: str) -> Any:
    """Take JSON where it is some: a label is most often a bare word."""
    try:
        return json.loads(text)
    except ValueError:
        return text
