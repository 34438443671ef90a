"""`controlplane serve`: REST and link on nothing but a folder.

Runs in: the server. Never: takes a key on the command line, where everybody could read it.
"""

from pathlib import Path
from typing import Annotated

import structlog
import typer

log = structlog.get_logger()

EXIT_CONFIG = 2
EXIT_FAILED = 1


def serve(
    data_dir: Annotated[
        Path | None,
        typer.Option(help="Everything is kept here. [default: ./loopai-controlplane]"),
    ] = None,
    host: Annotated[
        str | None, typer.Option(help="Address of both doors. [default: 127.0.0.1]")
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="REST; 0 takes a free port. [default: 8000]")
    ] = None,
    link_port: Annotated[
        int | None, typer.Option(help="gRPC for edges; 0 takes a free port. [default: 50052]")
    ] = None,
    rpc_server: Annotated[
        str | None,
        typer.Option(help="Of the link: ngh2, or grpcio, the reference. [default: ngh2]"),
    ] = None,
    tls_certificate: Annotated[
        Path | None, typer.Option(help="PEM; both doors then speak TLS 1.3 only.")
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option(help="PEM, without a password. Renewed files are followed.")
    ] = None,
    tls_client_ca: Annotated[
        Path | None, typer.Option(help="PEM; who signs the certificates of callers.")
    ] = None,
    tls_require_client_certificate: Annotated[
        bool,
        typer.Option(
            "--tls-require-client-certificate", help="Refuse callers without a certificate."
        ),
    ] = False,
    database_url: Annotated[
        str | None, typer.Option(help="SQLAlchemy URL. [default: SQLite in the data folder]")
    ] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Permit an address that is not loopback without TLS.")
    ] = False,
) -> None:
    """Run the control plane until SIGTERM or Ctrl-C.

    Every option may come as LOOPAI_DATA_DIR, LOOPAI_PORT and so on. The API key is LOOPAI_API_KEY,
    or made at the first start and written to DATA_DIR/keys/api-key.
    """
    from controlplane import logs, server
    from controlplane.config import load
    from edged.errors import LoopaiError

    logs.set_up(process="server")
    try:
        settings = load(
            data_dir=data_dir,
            host=host,
            port=port,
            link_port=link_port,
            rpc_server=rpc_server,
            tls_certificate=tls_certificate,
            tls_key=tls_key,
            tls_client_ca=tls_client_ca,
            tls_require_client_certificate=tls_require_client_certificate or None,
            database_url=database_url,
            insecure=insecure or None,
        )
        server.run(settings)
    except LoopaiError as error:
        log.error("controlplane_failed", code=error.code, reason=str(error))
        raise typer.Exit(EXIT_CONFIG) from error
    except OSError as error:
        log.error("controlplane_failed", reason=str(error))
        raise typer.Exit(EXIT_FAILED) from error
