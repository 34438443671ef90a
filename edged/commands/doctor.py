"""`edged doctor`: lock a real worker here; say what holds, what does not, and how to get it.

Runs in: a person's shell, or a readiness script. Talks to: a pool of its own. Never: takes a
setting's word for a barrier; each was probed.
"""

import json
import logging
import os
import platform
from pathlib import Path
from typing import Annotated, Any

import typer

from edged import logs
from edged.config import load
from edged.errors import ConfigInvalid
from edged.pool.barriers import BARRIERS
from edged.pool.errors import PoolError
from edged.pool.report import JailReport

_CONTAINER_MARKS = {
    "/.dockerenv": "Docker",
    "/run/.containerenv": "Podman",
    "/var/run/secrets/kubernetes.io": "Kubernetes",
}


def doctor(
    config: Annotated[Path | None, typer.Option(help="deployment.yaml to judge by.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Explain what stands between programs and this machine.

    Exit code 0: all that isolation.require names holds. 1: something is missing, and `edged serve`
    would refuse to start. 2: the configuration is wrong.
    """
    import asyncio

    logs.configure("doctor", least=logging.CRITICAL)
    try:
        required = load(config, {}, None).isolation.require
        found = asyncio.run(_examine())
    except ConfigInvalid as error:
        typer.echo(f"edged: {error}", err=True)
        raise typer.Exit(2) from error
    except PoolError as error:
        typer.echo(f"edged: no worker can be started here: {error}", err=True)
        raise typer.Exit(1) from error
    report = judge(found, required)
    typer.echo(json.dumps(report) if as_json else in_words(report))
    raise typer.Exit(0 if report["ready"] else 1)


async def _examine() -> JailReport:
    from edged.pool.pool import Pool
    from edged.pool.settings import PoolSettings

    async with Pool(PoolSettings(require=())) as pool:
        report = pool.jail_report
    if report is None:
        raise AssertionError("a pool that is ready has a report")
    return report


def judge(found: JailReport, required: tuple[str, ...]) -> dict[str, Any]:
    """Return what `--json` prints."""
    missing = found.missing(required)
    return {
        "ready": not missing,
        "missing": missing,
        "machine": _machine(),
        "barriers": [
            {
                "name": barrier.name,
                "holds": found.holds(barrier.name),
                "required": barrier.name in required,
                "stops": barrier.stops,
                "get_it": barrier.get_it,
            }
            for barrier in BARRIERS
        ],
        "probed": found.as_json(),
    }


def _machine() -> dict[str, Any]:
    return {
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "root": os.geteuid() == 0,
        "container": _container(),
    }


def _container() -> str:
    if "gvisor" in Path("/proc/version").read_text().lower():
        return "gVisor"
    return next((name for mark, name in _CONTAINER_MARKS.items() if Path(mark).exists()), "")


def in_words(report: dict[str, Any]) -> str:
    """Return the same for a person."""
    machine = report["machine"]
    where = f" in {machine['container']}" if machine["container"] else ""
    user = "root" if machine["root"] else "an ordinary user"
    place = f"Linux {machine['kernel']} on {machine['architecture']}{where}"
    lines = [f"{place}, Python {machine['python']}, as {user}", ""]
    for barrier in report["barriers"]:
        mark = "holds  " if barrier["holds"] else "MISSING"
        required = "required" if barrier["required"] else "        "
        lines.append(f"{mark}  {required}  {barrier['name']}: stops {barrier['stops']}")
        if not barrier["holds"]:
            lines.append(f"{'':19}  to get it: {barrier['get_it']}")
    return "\n".join([*lines, "", _verdict(report)])


def _verdict(report: dict[str, Any]) -> str:
    if report["missing"]:
        return (
            f"edged serve would refuse to start: {', '.join(report['missing'])} missing, which"
            " isolation.require names. Provide it, or require less and accept the risk."
        )
    lacking = [barrier["name"] for barrier in report["barriers"] if not barrier["holds"]]
    if lacking:
        return f"All that is required holds. Without {', '.join(lacking)} it holds less deeply."
    return "Every barrier holds."
