"""`loopai review`, `questions`, `answer`: say what was right."""

import json
from typing import Annotated, Any

import typer

from loopai.cli.terminal import JsonOption, TaskArgument, calls_home, show
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


@calls_home
def questions(home: ControlPlane, task: TaskArgument, as_json: JsonOption = False) -> None:
    """List what edges ask: inputs whose right output nobody has said yet."""
    show(home.questions(task), ("execution_id", "asked_at", "input"), as_json=as_json)


@calls_home
def answer(
    home: ControlPlane,
    execution: Annotated[str, typer.Argument(help="The execution's id.")],
    output: Annotated[str, typer.Argument(help="The right output: JSON, or a plain word.")],
) -> None:
    """Answer an edge's question."""
    stored = home.answer(execution, _value(output))
    typer.echo(f"{stored['task']}: {execution} should be {json.dumps(stored['output'])}")


def _value(text: str) -> Any:
    """Take JSON where it is some: a label is most often a bare word."""
    try:
        return json.loads(text)
    except ValueError:
        return text
