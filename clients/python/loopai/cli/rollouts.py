"""`loopai rollouts`: follow the way of a version to all traffic, and have a word with the edges."""

import json
import time
from typing import Annotated, Any

import typer

from loopai.cli.terminal import (
    URL,
    JsonOption,
    KeyFileOption,
    KeyOption,
    TaskArgument,
    UrlOption,
    fail,
    home_at,
    show,
)

app = typer.Typer(
    name="rollouts", help="Bring versions to all traffic step by step.", no_args_is_help=True
)
RolloutArgument = Annotated[str, typer.Argument(help="The rollout's id.")]
ReasonOption = Annotated[str, typer.Option(help="For the log of everybody concerned.")]
COLUMNS = ("id", "task", "from_version", "to_version", "status", "created_at", "reason")
LOOK_INTERVAL_S = 0.5
OPEN = {"running", "paused"}


@app.command("list")
def list_rollouts(
    task: Annotated[str | None, typer.Option(help="Only this task's.")] = None,
    url: UrlOption = URL,
    api_key_file: KeyFileOption = None,
    api_key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """List rollouts, newest first."""
    with home_at(url, api_key_file, api_key) as home:
        show(home.rollouts(task=task), COLUMNS, as_json=as_json)


@app.command()
def start(
    task: TaskArgument,
    version: Annotated[int, typer.Argument(help="Its number.")],
    url: UrlOption = URL,
    api_key_file: KeyFileOption = None,
    api_key: KeyOption = "",
) -> None:
    """Begin with a version of your choice."""
    with home_at(url, api_key_file, api_key) as home:
        typer.echo(home.start_rollout(task, version)["id"])


@app.command("show")
def show_rollout(
    rollout: RolloutArgument,
    url: UrlOption = URL,
    api_key_file: KeyFileOption = None,
    api_key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Show one with every decision of its edges."""
    with home_at(url, api_key_file, api_key) as home:
        found = home.rollout(rollout)
    if as_json:
        typer.echo(json.dumps(found))
        return
    typer.echo(_summary(found))
    for step in found["steps"]:
        typer.echo(_line(step))


@app.command()
def watch(
    rollout: RolloutArgument,
    url: UrlOption = URL,
    api_key_file: KeyFileOption = None,
    api_key: KeyOption = "",
) -> None:
    """Print every decision as it comes, until the rollout ends; exit code 1 unless promoted."""
    seen = 0
    with home_at(url, api_key_file, api_key) as home:
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
def pause(
    rollout: RolloutArgument,
    reason: ReasonOption = "",
    url: UrlOption = URL,
    api_key_file: KeyFileOption = None,
    api_key: KeyOption = "",
) -> None:
    """Hold the candidate's share where it is."""
    _order(rollout, "pause", reason, url, api_key_file, api_key)


@app.command()
def resume(
    rollout: RolloutArgument,
    reason: ReasonOption = "",
    url: UrlOption = URL,
    api_key_file: KeyFileOption = None,
    api_key: KeyOption = "",
) -> None:
    """Go on after a pause."""
    _order(rollout, "resume", reason, url, api_key_file, api_key)


@app.command()
def abort(
    rollout: RolloutArgument,
    reason: ReasonOption = "",
    url: UrlOption = URL,
    api_key_file: KeyFileOption = None,
    api_key: KeyOption = "",
) -> None:
    """Take the candidate back everywhere."""
    _order(rollout, "abort", reason, url, api_key_file, api_key)


@app.command()
def force(
    rollout: RolloutArgument,
    reason: ReasonOption = "",
    url: UrlOption = URL,
    api_key_file: KeyFileOption = None,
    api_key: KeyOption = "",
) -> None:
    """Go one step on without the evidence."""
    _order(rollout, "force", reason, url, api_key_file, api_key)


def _order(
    rollout: str,
    order: str,
    reason: str,
    url: str,
    api_key_file: KeyFileOption,
    api_key: str,
) -> None:
    with home_at(url, api_key_file, api_key) as home:
        typer.echo(_summary(home.order_rollout(rollout, order, reason)))


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
