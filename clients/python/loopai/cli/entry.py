"""The console scripts: start a command, or say which extra it needs.

Never: imports a command's package before the command is asked for.
"""

import importlib
import sys
from typing import Any


def edged() -> None:
    _run("edged.commands", extra="edge")


def controlplane() -> None:
    _run("controlplane.commands", extra="controlplane")


def loopai() -> None:
    _run("loopai.cli.commands", extra="")


def loopai_runtime() -> None:
    """Translate `loopai-runtime start --task-id …` into `edged serve --task …`."""
    words = sys.argv[1:]
    if not words or words[0] != "start":
        print("usage: loopai-runtime start [--task-id TASK] [--data-dir DIR] …", file=sys.stderr)
        raise SystemExit(0 if words in (["-h"], ["--help"]) else 2)
    translated = [
        "--task" + word.removeprefix("--task-id") if _is_task_id(word) else word
        for word in words[1:]
    ]
    sys.argv[1:] = ["serve", *translated]
    _run("edged.commands", extra="edge")


def _is_task_id(word: str) -> bool:
    return word == "--task-id" or word.startswith("--task-id=")


def _run(module: str, *, extra: str) -> None:
    try:
        app: Any = importlib.import_module(module).app
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] in {"edged", "controlplane", "loopai"}:
            raise
        print(
            f"{error.name} is not installed; install it with: pip install 'loopai[{extra}]'",
            file=sys.stderr,
        )
        raise SystemExit(1) from error
    app()
