"""What all commands share: where the control plane is, how they print and how they fail.

Never: prints a key.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import httpx2
import typer
from rich.console import Console
from rich.table import Table

from loopai.controlplane import ControlPlane, ControlPlaneError

UrlOption = Annotated[str, typer.Option("--url", envvar="LOOPAI_URL", help="The control plane.")]
KeyFileOption = Annotated[
    Path | None, typer.Option("--api-key-file", help="File with the API key; or LOOPAI_API_KEY.")
]
# Read from the environment only: a key on a command line shows in every process list.
KeyOption = Annotated[str, typer.Option(envvar="LOOPAI_API_KEY", hidden=True)]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
TaskArgument = Annotated[str, typer.Argument(help="The task's name.")]
URL = "http://127.0.0.1:8000"


@contextmanager
def home_at(url: str, api_key_file: Path | None, api_key: str) -> Iterator[ControlPlane]:
    """Yield the control plane; what it refuses becomes one line and exit code 1."""
    try:
        key = api_key_file.read_text().strip() if api_key_file else api_key
        if not key:
            fail("no API key: set LOOPAI_API_KEY or give --api-key-file")
        with ControlPlane(url, key) as home:
            yield home
    except ControlPlaneError as error:
        fail(str(error))
    except httpx2.ConnectError:
        fail(f"no control plane answers at {url}; is `controlplane serve` running?")
    except (httpx2.HTTPError, OSError) as error:
        fail(str(error) or type(error).__name__)


def fail(message: str) -> Any:
    typer.echo(f"loopai: {message}", err=True)
    raise typer.Exit(1)


def show(rows: Any, columns: tuple[str, ...], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(rows))
        return
    table = Table(*columns, box=None)
    for item in rows:
        table.add_row(*(str(item.get(column, "")) for column in columns))
    Console().print(table)
