"""`loopai`: people's command line for a control plane and its edges.

Every command prints a table for people, or JSON with --json. Never: prints a key.
"""

import json
from pathlib import Path
from typing import Annotated, Any

import grpc
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from loopai.cli import improvements, reviews, rollouts, tickets
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
from loopai.client import EdgeClient

app = typer.Typer(
    name="loopai",
    help="Create tasks, generate programs, look at versions and edges, run inputs.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command("improvements")(improvements.list_improvements)
app.command("review")(reviews.review)
app.add_typer(tickets.app)
app.add_typer(rollouts.app)


@app.command()
def create(
    task: TaskArgument,
    description: Annotated[str, typer.Option(help="What the task is, in words.")] = "",
    examples: Annotated[
        Path | None, typer.Option(help="JSONL or CSV; `label` or `output` is the right answer.")
    ] = None,
    label_field: Annotated[str | None, typer.Option(help="Another name for `label`.")] = None,
    url: UrlOption = URL,
    api_key_file: KeyFileOption = None,
    api_key: KeyOption = "",
) -> None:
    """Create a task, with its examples if given."""
    with home_at(url, api_key_file, api_key) as home:
        home.create_task(task, description=description)
        if examples is not None:
            stored = home.add_examples(task, examples, label_field=label_field)
            typer.echo(f"{task}: {stored['stored']} examples stored")


@app.command()
def tasks(
    url: UrlOption = URL,
    api_key_file: KeyFileOption = None,
    api_key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """List the tasks."""
    with home_at(url, api_key_file, api_key) as home:
        show(home.tasks(), ("name", "description", "examples", "revision"), as_json=as_json)


@app.command()
def generate(
    task: TaskArgument,
    strategy: Annotated[list[str] | None, typer.Option(help="Only this one; repeatable.")] = None,
    url: UrlOption = URL,
    api_key_file: KeyFileOption = None,
    api_key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Generate a new version and wait for it."""
    columns = TextColumn("{task.description:<12}"), BarColumn(), TimeElapsedColumn()
    with (
        home_at(url, api_key_file, api_key) as home,
        Progress(*columns, console=Console(stderr=True), disable=as_json) as bar,
    ):
        shown = bar.add_task("queued", total=1.0)
        made = home.wait(
            home.generate(task, strategies=strategy),
            lambda status, part: bar.update(shown, description=status, completed=part),
        )
    if as_json:
        typer.echo(json.dumps(made))
    elif made["status"] == "done":
        typer.echo(
            f"{task} v{made['version']}: strategy {made['strategy']}, "
            f"held-out score at least {made['confidence_score']:.3f}"
        )
    if made["status"] != "done":
        fail(f"the generation failed: {made['reason']}")


@app.command()
def versions(
    task: TaskArgument,
    url: UrlOption = URL,
    api_key_file: KeyFileOption = None,
    api_key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """List a task's versions."""
    columns = ("version", "status", "synthesis_strategy", "confidence_score", "digest")
    with home_at(url, api_key_file, api_key) as home:
        show(home.versions(task), columns, as_json=as_json)


@app.command()
def download(
    task: TaskArgument,
    version: Annotated[int, typer.Argument(help="Its number.")],
    to: Annotated[Path | None, typer.Option(help="[default: TASK-vN.zip]")] = None,
    url: UrlOption = URL,
    api_key_file: KeyFileOption = None,
    api_key: KeyOption = "",
) -> None:
    """Save an artifact; run it alone with `python FILE < inputs.jsonl`."""
    path = to or Path(f"{task}-v{version}.zip")
    with home_at(url, api_key_file, api_key) as home:
        path.write_bytes(home.download(task, version))
    typer.echo(str(path))


@app.command()
def upload(
    task: TaskArgument,
    file: Annotated[Path, typer.Argument(help="An artifact ZIP or a program.py.", exists=True)],
    activate: Annotated[bool, typer.Option("--activate", help="Serve it at once.")] = False,
    url: UrlOption = URL,
    api_key_file: KeyFileOption = None,
    api_key: KeyOption = "",
) -> None:
    """Publish a program of your own, through the same gates as a generated one."""
    with home_at(url, api_key_file, api_key) as home:
        version = home.upload(task, file)["version"]
        if activate:
            home.activate(task, version)
    typer.echo(f"{task} v{version}{' is active' if activate else ''}")


@app.command()
def activate(
    task: TaskArgument,
    version: Annotated[int, typer.Argument(help="Its number.")],
    url: UrlOption = URL,
    api_key_file: KeyFileOption = None,
    api_key: KeyOption = "",
) -> None:
    """Make every edge serve this version."""
    with home_at(url, api_key_file, api_key) as home:
        home.activate(task, version)
    typer.echo(f"{task} v{version} is active")


@app.command()
def edges(
    url: UrlOption = URL,
    api_key_file: KeyFileOption = None,
    api_key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """List the enrolled edges."""
    columns = ("name", "deployment_id", "connected", "last_seen", "executions_total")
    with home_at(url, api_key_file, api_key) as home:
        show(home.edges(), columns, as_json=as_json)


@app.command()
def execute(
    value: Annotated[str, typer.Argument(help='The input as JSON, such as \'{"text": "hi"}\'.')],
    task: Annotated[str, typer.Option(help="Needed where the edge serves several.")] = "",
    edge: Annotated[
        str, typer.Option(envvar="LOOPAI_EDGE", help="The edge's gRPC address.")
    ] = "127.0.0.1:50051",
    as_json: JsonOption = False,
) -> None:
    """Run one input at an edge."""
    try:
        document = json.loads(value)
    except ValueError as error:
        fail(f"the input is not JSON: {error}")
    with EdgeClient(edge) as client:
        try:
            answer = client.execute(document, task=task)
        except grpc.RpcError as error:
            status: Any = error
            fail(f"{status.code().name}: {status.details()}")
    if as_json:
        facts = {name: getattr(answer, name) for name in answer.__slots__ if name != "output_json"}
        typer.echo(json.dumps(facts))
    elif answer.is_success:
        typer.echo(answer.output_json.decode())
    if not answer.is_success:
        fail(f"{answer.outcome}: {answer.error}")
