"""`loopai execute`: run one input at an edge.

Never: sends an edge the control plane's key; an edge has callers and keys of its own.
"""

import json
from pathlib import Path
from typing import Annotated, Any

import grpc
import typer

from loopai.answers import Answer
from loopai.cli.terminal import (
    ClientCertificateOption,
    ClientKeyOption,
    InsecureOption,
    JsonOption,
    fail,
    tls_of,
)
from loopai.client import EdgeClient
from loopai.security import Tls


def execute(
    value: Annotated[str, typer.Argument(help='The input as JSON, such as \'{"text": "hi"}\'.')],
    task: Annotated[str, typer.Option(help="Needed where the edge serves several.")] = "",
    edge: Annotated[
        str, typer.Option(envvar="LOOPAI_EDGE", help="The edge's gRPC address.")
    ] = "127.0.0.1:50051",
    api_key_file: Annotated[
        Path | None,
        typer.Option(help="File with a key of the edge's callers; or LOOPAI_EDGE_API_KEY."),
    ] = None,
    api_key: Annotated[str, typer.Option(envvar="LOOPAI_EDGE_API_KEY", hidden=True)] = "",
    tls: Annotated[
        bool, typer.Option("--tls", help="Encrypt; trust the authorities known to all.")
    ] = False,
    ca: Annotated[
        Path | None,
        typer.Option(envvar="LOOPAI_EDGE_CA", help="Encrypt; PEM of a private authority."),
    ] = None,
    client_certificate: ClientCertificateOption = None,
    client_key: ClientKeyOption = None,
    insecure: InsecureOption = False,
    as_json: JsonOption = False,
) -> None:
    """Run one input at an edge."""
    try:
        document = json.loads(value)
    except ValueError as error:
        fail(f"the input is not JSON: {error}")
    try:
        key = api_key_file.read_text().strip() if api_key_file else api_key
        files = tls_of(ca, client_certificate, client_key) or (Tls() if tls else None)
        with EdgeClient(edge, api_key=key or None, tls=files, insecure=insecure) as client:
            answer = client.execute(document, task=task)
    except grpc.RpcError as error:
        status: Any = error
        is_away = status.code() is grpc.StatusCode.UNAVAILABLE
        fail(f"{status.code().name}: {status.details()}{_hint(edge, files) if is_away else ''}")
    except (OSError, ValueError) as error:
        fail(str(error))
    _print(answer, as_json=as_json)


def _hint(edge: str, files: Tls | None) -> str:
    if files is None:
        return f"; does an edge listen at {edge}? One that encrypts needs --tls or --ca"
    return (
        f"; does an edge with TLS listen at {edge}, with a certificate that --ca or --tls trusts?"
    )


def _print(answer: Answer, *, as_json: bool) -> None:
    if as_json:
        facts = {name: getattr(answer, name) for name in answer.__slots__ if name != "output_json"}
        typer.echo(json.dumps(facts))
    elif answer.is_success:
        typer.echo(answer.output_json.decode())
    if not answer.is_success:
        fail(f"{answer.outcome}: {answer.error}")
