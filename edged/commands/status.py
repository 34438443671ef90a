"""`edged status`: how an edge fares, also when parts of it do not run.

Runs in: a person's command. Talks to: the state folder, the agent, the gateway's ready page. Never:
changes anything, or shows an input, an output or a key.
"""

import http.client
import socket
import ssl
from pathlib import Path
from typing import Annotated, Any, Final

import orjson
import typer

from edged.commands.asking import AgentAway, ask, is_running, read_state
from edged.commands.status_page import page
from edged.config import find_data_dir
from edged.datasets.layout import Layout
from edged.errors import ConfigInvalid

READY_PAGE_S: Final = 3.0


def status(
    config: Annotated[Path | None, typer.Option(help="The deployment.yaml of the edge.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Its data_dir.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Show how an edge fares: doors, tasks, link, telemetry, validation, privacy, disk, problems.

    Exits 0 when it runs, 1 when it does not; what is wrong stands under problems.
    """
    try:
        found = collect(Layout(find_data_dir(config, data_dir)))
    except ConfigInvalid as error:
        typer.echo(f"edged: {error}; or name the folder with --data-dir", err=True)
        raise typer.Exit(1) from error
    shown = orjson.dumps(found, option=orjson.OPT_INDENT_2).decode() if as_json else page(found)
    typer.echo(shown)
    raise typer.Exit(0 if found["running"] else 1)


def collect(layout: Layout) -> dict[str, Any]:
    """Return everything that can be learnt from outside, with what is wrong first."""
    running = is_running(layout)
    supervisor = read_state(layout.state / "edged.json") or {}
    gateway: dict[str, Any] = {}
    agent: dict[str, Any] = {}
    problems = [] if running else [_absence(layout)]
    if running:
        gateway = _ready_page(supervisor.get("http", ""), is_tls=bool(supervisor.get("tls")))
        problems += _gateway_problems(gateway)
        try:
            agent = ask(layout, "status")
            problems += agent.pop("problems") + _link_problems(agent["link"])
        except AgentAway as error:
            problems.append(str(error))
    refused = (supervisor.get("config") or {}).get("refused")
    if refused:
        problems.append(f"since {refused['at']} the settings are refused: {refused['reason']}")
    return {
        "running": running,
        "problems": problems,
        "edged": supervisor,
        "gateway": gateway,
        "agent": agent or _from_disk(layout),
    }


def _absence(layout: Layout) -> str:
    return f"edged does not run on {layout.data_dir}; is it another --data-dir?"


def _ready_page(address: str, *, is_tls: bool) -> dict[str, Any]:
    if not address:
        return {"reachable": False, "reason": "it does not serve yet"}
    connection = _connection(address, is_tls=is_tls)
    try:
        if address.startswith("unix:"):
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.settimeout(READY_PAGE_S)
            connection.sock.connect(address.removeprefix("unix:"))
        connection.request("GET", "/readyz")
        answer: dict[str, Any] = orjson.loads(connection.getresponse().read())
    except (OSError, ValueError, http.client.HTTPException) as error:
        return {"reachable": False, "reason": str(error) or type(error).__name__}
    finally:
        connection.close()
    return {"reachable": True, **answer}


def _connection(address: str, *, is_tls: bool) -> http.client.HTTPConnection:
    if address.startswith("unix:"):
        return http.client.HTTPConnection("localhost")
    host, _, port = address.rpartition(":")
    if not is_tls:
        return http.client.HTTPConnection(host.strip("[]"), int(port), timeout=READY_PAGE_S)
    # Nothing secret is sent, and whom it reaches is known: the address is the supervisor's word.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return http.client.HTTPSConnection(
        host.strip("[]"), int(port), timeout=READY_PAGE_S, context=context
    )


def _gateway_problems(gateway: dict[str, Any]) -> list[str]:
    if not gateway["reachable"]:
        return [f"the gateway does not answer: {gateway['reason']}"]
    return [] if gateway.get("ready", True) else ["the gateway says that it is not ready"]


def _link_problems(link: dict[str, Any] | None) -> list[str]:
    if link is None or link["up"]:
        return []
    return [f"the control plane is away: {link['reason']}"]


def _from_disk(layout: Layout) -> dict[str, Any]:
    """Return what the files say while no agent does."""
    routes = read_state(layout.routes) or {}
    identity = read_state(layout.state / "identity.json") or {}
    return {
        "tasks": {
            task: {
                "state": "ON DISK",
                "arms": [
                    {key: arm[key] for key in ("version", "weight", "digest")}
                    | {"arm": arm["name"]}
                    for arm in route["arms"]
                ],
            }
            for task, route in routes.get("tasks", {}).items()
        },
        "link": {
            "deployment_id": identity.get("deployment_id"),
            "sequence": routes.get("sequence"),
        },
        "telemetry": {"batches_pending": sum(1 for _ in layout.batches.glob("*.batch"))},
    }
