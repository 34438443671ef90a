"""What all commands share: where the control plane is, how they print and how they fail.

Never: prints a key, but the one just made.
"""

import inspect
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import httpx2
import typer
from rich.console import Console
from rich.table import Table

from loopai.controlplane import ControlPlane, ControlPlaneError
from loopai.security import Tls

_WIDE = 10_000  # columns, where the reader is a program: one row a line

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
TaskArgument = Annotated[str, typer.Argument(help="The task's name.")]
ClientCertificateOption = Annotated[
    Path | None, typer.Option("--client-certificate", help="PEM, where the server asks for one.")
]
ClientKeyOption = Annotated[
    Path | None, typer.Option("--client-key", help="PEM, unless the certificate's file holds it.")
]
InsecureOption = Annotated[
    bool, typer.Option("--insecure", help="Permit the API key in clear to another machine.")
]


def _home_options(
    url: Annotated[
        str, typer.Option("--url", envvar="LOOPAI_URL", help="The control plane.")
    ] = "http://127.0.0.1:8000",
    api_key_file: Annotated[
        Path | None,
        typer.Option("--api-key-file", help="File with the API key; or LOOPAI_API_KEY."),
    ] = None,
    # Read from the environment only: a key on a command line shows in every process list.
    api_key: Annotated[str, typer.Option(envvar="LOOPAI_API_KEY", hidden=True)] = "",
    ca: Annotated[
        Path | None,
        typer.Option("--ca", envvar="LOOPAI_CA", help="PEM of a private authority, for https://."),
    ] = None,
    client_certificate: ClientCertificateOption = None,
    client_key: ClientKeyOption = None,
    insecure: InsecureOption = False,
) -> dict[str, Any]:
    """Return what a command was told about its control plane."""
    return {
        "url": url,
        "api_key": key_of(api_key_file, api_key, "LOOPAI_API_KEY"),
        "tls": tls_of(ca, client_certificate, client_key),
        "insecure": insecure,
    }


_HOME_PARAMETERS = inspect.signature(_home_options).parameters


def calls_home(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command its control plane as `home`, and people the options that say which.

    A group's own command stands aside for its subcommands.
    """
    own = [each for name, each in inspect.signature(command).parameters.items() if name != "home"]

    @wraps(command)
    def run(**given: Any) -> None:
        context = given.get("context")
        if context is not None and context.invoked_subcommand is not None:
            return
        told = {name: given.pop(name) for name in _HOME_PARAMETERS}
        with _home_at(told) as home:
            command(home=home, **given)

    signature = inspect.Signature([*own, *_HOME_PARAMETERS.values()])
    run.__signature__ = signature  # type: ignore[attr-defined]  # how functools.wraps tells it too
    return run


@contextmanager
def _home_at(told: dict[str, Any]) -> Iterator[ControlPlane]:
    """Yield the control plane; what it refuses becomes one line and exit code 1."""
    try:
        with ControlPlane(**_home_options(**told)) as home:
            yield home
    except ControlPlaneError as error:
        fail(str(error))
    except httpx2.ConnectError as error:
        answers = f"no control plane answers at {told['url']}"
        fail(f"{answers}; is `controlplane serve` running? ({error})")
    except (httpx2.HTTPError, OSError, ValueError) as error:
        fail(str(error) or type(error).__name__)


def key_of(file: Path | None, given: str, variable: str) -> str:
    """Return the key of the file, else of the environment; fail without one."""
    key = file.read_text().strip() if file else given
    if not key:
        fail(f"no API key: set {variable} or give --api-key-file")
    return key


def tls_of(ca: Path | None, certificate: Path | None, key: Path | None) -> Tls | None:
    """Return the files that were given; None without any. Raises ValueError."""
    return Tls(ca=ca, certificate=certificate, key=key) if ca or certificate or key else None


def fail(message: str) -> Any:
    typer.echo(f"loopai: {message}", err=True)
    raise typer.Exit(1)


def show(rows: Any, columns: tuple[str, ...], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(rows))
        return
    if not rows:
        typer.echo("none", err=True)
        return
    table = Table(box=None)
    for column in columns:
        table.add_column(column, overflow="fold")  # an id that is cut cannot be copied
    for item in rows:
        table.add_row(*("" if item.get(name) is None else str(item[name]) for name in columns))
    terminal = Console()
    terminal.print(table, width=None if terminal.is_terminal else _WIDE)
