"""`loopai rollouts`: follow the way of a version to all traffic, and have a word with the edges."""

import json
import time
from typing import Annotated, Any

import typer

from loopai.cli.terminal import (
    JsonOption,
    TaskArgument,
    calls_home,
    fail,
    show,
)
from loopai.controlplane import ControlPlane

app = typer.Typer(
    name="rollouts", help="Bring versions to all traffic step by step.", no_args_is_help=True
)
RolloutArgument = Annotated[str, typer.Argument(help="The rollout's id.")]
ReasonOption = Annotated[str, typer.Option(help="For the log of everybody concerned.")]
COLUMNS = ("id", "task", "from_version", "to_version", "status", "created_at", "reason")
LOOK_INTERVAL_S = 0.5
OPEN = {"running", "paused"}


@app.command("list")
@calls_home
def list_rollouts(
    home: ControlPlane,
    task: Annotated[str | None, typer.Option(help="Only this task's.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List rollouts, newest first."""
    show(home.rollouts(task=task), COLUMNS, as_json=as_json)


@app.command()
@calls_home
def start(
    home: ControlPlane,
    task: TaskArgument,
    version: Annotated[int, typer.Argument(help="Its number.")],
) -> None:
    """Begin with a version of your choice."""
    typer.echo(home.start_rollout(task, version)["id"])


@app.command("show")
@calls_home
def show_rollout(
    home: ControlPlane,
    rollout: RolloutArgument,
    as_json: JsonOption = False,
) -> None:
    """Show one with every decision of its edges."""
    found = home.rollout(rollout)
    if as_json:
        typer.echo(json.dumps(found))
        return
    typer.echo(_summary(found))
    for step in found["steps"]:
        typer.echo(_line(step))


@app.command()
@calls_home
def watch(
    home: ControlPlane,
    rollout: RolloutArgument,
) -> None:
    """Print every decision as it comes, until the rollout ends; exit code 1 unless promoted."""
    seen = 0
    while True:
        found = home.rollout(rollout)
        for step in found["steps"][seen:]:
            typer.echo(_line(step))
        seen = len(found["steps"])
        if found["status"] not in OPEN:
            break
        time.sleep(LOOK_INTERVAL_S)
    if found["status"] != "promoted":
        fail(_summary(found))
    typer.echo(_summary(found))


@app.command()
@calls_home
def pause(home: ControlPlane, rollout: RolloutArgument, reason: ReasonOption = "") -> None:
    """Hold the candidate's share where it is."""
    typer.echo(_summary(home.order_rollout(rollout, "pause", reason)))


@app.command()
@calls_home
def resume(home: ControlPlane, rollout: RolloutArgument, reason: ReasonOption = "") -> None:
    """Go on after a pause."""
    typer.echo(_summary(home.order_rollout(rollout, "resume", reason)))


@app.command()
@calls_home
def abort(home: ControlPlane, rollout: RolloutArgument, reason: ReasonOption = "") -> None:
    """Take the candidate back everywhere."""
    typer.echo(_summary(home.order_rollout(rollout, "abort", reason)))


@app.command()
@calls_home
def force(home: ControlPlane, rollout: RolloutArgument, reason: ReasonOption = "") -> None:
    """Go one step on without the evidence."""
    typer.echo(_summary(home.order_rollout(rollout, "force", reason)))


def _summary(rollout: Any) -> str:
    reason = f": {rollout['reason']}" if rollout["reason"] else ""
    way = f"v{rollout['from_version']} → v{rollout['to_version']}"
    return f"{rollout['task']} {way} {rollout['status']}{reason}"


def _line(step: Any) -> str:
    where = f"{step['phase']} {step['stage']}" if step["phase"] == "stage" else step["phase"]
    return (
        f"{step['decided_at'][:19]}  {step['edge'][-8:]}  {where:<12} {step['action']:<9} "
        f"{step['verdict']:<12} {step['reason']}"
    )
