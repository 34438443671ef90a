"""`edged sandbox try`: run payload programs in real jailed workers and say what stopped each.

Runs in: a person's shell, or CI. Talks to: pools of its own. Never: touches a running daemon.
"""

import json
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edged import logs
from edged.errors import PlatformError
from edged.sandbox.backend import Backend, missing_monty
from edged.sandbox.layers import LAYERS

if TYPE_CHECKING:
    from edged.trial.interpreters import Search
    from edged.trial.judging import Judgement
    from edged.trial.trial import Trial

sandbox = typer.Typer(
    name="sandbox", help="Look into the sandbox that programs run in.", no_args_is_help=True
)


@sandbox.callback()
def _root() -> None:
    """Keep `try` a verb of its own while it is the only one."""


@sandbox.command("try")
def try_(
    file: Annotated[Path, typer.Argument(help="Payload programs, one JSON object a line.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    without: Annotated[
        list[str] | None,
        typer.Option(help=f"Leave a layer out: {', '.join(LAYERS)}; may be repeated."),
    ] = None,
    python: Annotated[
        list[str] | None,
        typer.Option(help="Only this Python, by version or path; may be repeated."),
    ] = None,
    backend: Annotated[
        Backend, typer.Option(help="The interpreter; monty is tried in this Python alone.")
    ] = Backend.PYTHON,
    timeout_ms: Annotated[float, typer.Option(min=1, help="Time limit of one call.")] = 1000.0,
) -> None:
    """Run every program of FILE in real jailed workers, on every supported Python that is here.

    FILE holds {"name", "category", "code", "expect"} a line; expect is one or more of ok, blocked,
    timeout, memory, joined by |. A program that must be blocked returns PWNED… if it got through.
    `code` defines run(input_data).

    Exit code 0: all as expected. 1: at least one differs. 2: the file, an option or this machine
    does not allow the trial.
    """
    logs.configure("sandbox", least=logging.CRITICAL)
    layers = _known(without or [])
    if backend is Backend.MONTY:
        python = [_with_monty()]
    try:
        search, trials = _try(
            file, layers, python or [], timeout_ms, backend=backend, quiet=as_json
        )
    except PlatformError as error:
        typer.echo(f"edged: {error}", err=True)
        raise typer.Exit(2) from error
    report = {"backend": backend, **_report(search, trials, layers)}
    typer.echo(json.dumps(report) if as_json else _in_words(report))
    raise typer.Exit(0 if report["as_expected"] else 1)


def _known(without: list[str]) -> frozenset[str]:
    names = {name for entry in without for name in entry.split(",")}
    unknown = sorted(names - set(LAYERS))
    if unknown:
        typer.echo(f"edged: no layer {', '.join(unknown)}; there are {', '.join(LAYERS)}", err=True)
        raise typer.Exit(2)
    return frozenset(names)


def _with_monty() -> str:
    """Return the Python that has it: this one."""
    missing = missing_monty()
    if missing:
        typer.echo(f"edged: {missing}", err=True)
        raise typer.Exit(2)
    return sys.executable


def _try(
    file: Path,
    layers: frozenset[str],
    pythons: list[str],
    timeout_ms: float,
    *,
    backend: Backend,
    quiet: bool,
) -> "tuple[Search, list[Trial]]":
    import asyncio
    import tempfile

    from edged.trial import interpreters
    from edged.trial.payloads import read_payloads
    from edged.trial.trial import try_all

    payloads = read_payloads(file)
    trials = []
    with tempfile.TemporaryDirectory(prefix="edged-trial-") as folder:
        path = interpreters.lend_restricted_python(Path(folder))
        search = interpreters.find(pythons, path)
        for interpreter in search.usable:
            if not quiet:
                typer.echo(f"Python {interpreter.version} ({interpreter.path})")
            trial = try_all(
                payloads, interpreter, path, without=layers, time_limit_ms=timeout_ms,
                backend=backend, say=_ignore if quiet else _say,
            )  # fmt: skip
            trials.append(asyncio.run(trial))
    return search, trials


def _ignore(_judgement: "Judgement") -> None:
    """The report will have it."""


def _say(judgement: "Judgement") -> None:
    row = judgement.as_json()
    mark = "     " if row["as_expected"] else "DIFF "
    stopped = "" if row["layer"] == "none" else f"by {row['layer']}"
    typer.echo(f"{mark}{row['name']:<34} {row['verdict']:<8} {stopped:<15} {row['ms']:>8.1f} ms")
    if not row["as_expected"]:
        typer.echo(f"     expected {row['expect']}; {row['detail']}")


def _report(search: "Search", trials: "list[Trial]", layers: frozenset[str]) -> dict[str, Any]:
    differing = sum(len(trial.differing) for trial in trials)
    return {
        "as_expected": differing == 0 and bool(trials),
        "programs": len(trials[0].judgements) if trials else 0,
        "differing": differing,
        "without": sorted(layers),
        "pythons": {
            "tried": [trial.interpreter.version for trial in trials],
            "missing": search.missing,
            "unusable": search.unusable,
        },
        "trials": [trial.as_json() for trial in trials],
    }


def _in_words(report: dict[str, Any]) -> str:
    pythons = report["pythons"]
    lines = [
        f"tried on Python {', '.join(pythons['tried']) or 'none'}",
        f"missing here: {', '.join(pythons['missing']) or 'none'}",
    ]
    lines += [f"not usable: {path} ({why})" for path, why in pythons["unusable"].items()]
    if report["without"]:
        lines.append(f"left out: {', '.join(report['without'])}")
    ended = f"{report['programs']} programs, {report['differing']} not as expected"
    return "\n".join([*lines, ended])
