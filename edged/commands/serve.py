"""`edged serve`: assemble the settings and supervise.

Runs in: the supervisor. Never: puts a key on a command line.
"""

import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import structlog
import typer

from edged import logs
from edged.activation import address_of
from edged.config import activated_sockets, load
from edged.deployment import Deployment
from edged.deployment.addresses import is_loopback
from edged.deployment.callers import read_callers
from edged.deployment.doors import Cloud
from edged.deployment.listening import ListenTls, exposure
from edged.errors import ConfigInvalid

log = structlog.get_logger()


def serve(
    config: Annotated[
        Path | None, typer.Option(help="deployment.yaml; every key is optional.")
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Where logs, artifacts and state live.")
    ] = None,
    artifacts: Annotated[
        Path | None, typer.Option(help="Serve the artifacts of this folder, and watch it.")
    ] = None,
    control_plane: Annotated[
        str | None, typer.Option(help="The control plane's address, such as http://127.0.0.1:8000.")
    ] = None,
    link: Annotated[
        str | None, typer.Option(help="The link's address, unless it is port 50052 of that host.")
    ] = None,
    api_key_file: Annotated[
        Path | None, typer.Option(help="File with the API key; or set LOOPAI_API_KEY.")
    ] = None,
    grpc: Annotated[str | None, typer.Option(help="gRPC door; else 127.0.0.1:50051.")] = None,
    http: Annotated[str | None, typer.Option(help="HTTP door; else 127.0.0.1:8080.")] = None,
    task: Annotated[
        list[str] | None, typer.Option(help="Serve only this task; may be repeated.")
    ] = None,
    default_task: Annotated[
        str | None, typer.Option(help="The task of requests that name none.")
    ] = None,
    rpc_server: Annotated[
        str | None, typer.Option(help="ngh2, unless grpcio, the reference.")
    ] = None,
    insecure: Annotated[
        bool,
        typer.Option(
            "--insecure", help="Permit other addresses than loopback without TLS or keys."
        ),
    ] = False,
) -> None:
    """Serve programs over gRPC and HTTP until SIGTERM; a second SIGTERM stops at once.

    Settings come from flags, then LOOPAI_SECTION__KEY variables, then the file, then defaults.
    A changed file is read again, also on SIGHUP; one that is refused leaves everything as it was.
    """
    logs.configure("supervisor")
    flags: dict[str, Any] = {
        "storage": {"data_dir": data_dir},
        "artifacts": {"folder": artifacts},
        "cloud": {"api_url": control_plane, "link_url": link},
        "listen": {"grpc": grpc, "http": http, "insecure": insecure or None},
        "runtime": {"default_task": default_task, "rpc_server": rpc_server},
        "tasks": tuple(task) if task else None,
    }
    try:
        sockets = activated_sockets()
        flags["listen"] |= {name: address_of(one) for name, one in sockets.items()}
        code = _supervise(config, lambda: _read(config, _given(flags), api_key_file), sockets)
    except ConfigInvalid as error:
        typer.echo(f"edged: {error}", err=True)
        raise typer.Exit(2) from error
    raise typer.Exit(code)


def _supervise(
    config: Path | None, read: Callable[[], Deployment], sockets: Mapping[str, socket.socket]
) -> int:
    from edged.supervisor.main import supervise
    from edged.supervisor.reloading import Configuration

    deployment = read()
    if deployment.without_effect:
        log.warning("settings_without_effect", sections=deployment.without_effect)
    return supervise(Configuration(deployment, config, read), sockets)


def _read(config: Path | None, flags: dict[str, Any], api_key_file: Path | None) -> Deployment:
    deployment = load(config, flags, api_key_file)
    _check_cloud(deployment.cloud)
    _check_doors(deployment)
    if deployment.unmet:
        key, _, reason = deployment.unmet.partition(": ")
        raise ConfigInvalid(source=key, reason=f"is not set, and {reason}")
    return deployment


def _check_cloud(cloud: Cloud) -> None:
    """Raise ConfigInvalid when home is named and cannot be talked to safely."""
    address = cloud.link_address
    if address and cloud.api_key is None:
        reason = "a control plane is named but no key: set LOOPAI_API_KEY or give --api-key-file"
        raise ConfigInvalid(source="cloud.api_key", reason=reason)
    if address and not (cloud.is_secure or cloud.insecure or is_loopback(address)):
        reason = f"{address} would get the API key in clear; use https:// or set cloud.insecure"
        raise ConfigInvalid(source="cloud.api_url", reason=reason)
    try:
        cloud.tls.context()
    except OSError as error:
        raise ConfigInvalid(source="cloud.ca", reason=str(error)) from error


def _check_doors(deployment: Deployment) -> None:
    """Raise ConfigInvalid when strangers could call, or a file of the doors does not hold."""
    listen, access = deployment.listen, deployment.access
    if listen.tls.certificate is not None:
        _check_tls(listen.tls)
    if access.callers_file is not None:
        read_callers(access.callers_file)
    exposed = exposure(listen, access)
    if exposed is None:
        return
    key, reason = exposed
    if not listen.insecure:
        remedy = "listen on 127.0.0.1, or set listen.insecure: true (--insecure)"
        raise ConfigInvalid(source=key, reason=f"{reason}; {remedy}")
    log.warning("insecure", door=key, reason=reason)


def _check_tls(tls: ListenTls) -> None:
    from edged.rpc.tls import TlsUnusable

    try:
        settings = tls.settings()
        if settings is not None:
            settings.context()
    except TlsUnusable as error:
        raise ConfigInvalid(source="listen.tls", reason=str(error)) from error


def _given(values: dict[str, Any]) -> dict[str, Any]:
    """Return the nested mapping without what was not set."""
    given = {}
    for key, value in values.items():
        kept = _given(value) if isinstance(value, dict) else value
        if kept is not None and kept != {}:
            given[key] = kept
    return given
