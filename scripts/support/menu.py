"""A script that does one of several things by name, in a folder of its own.

Used by: scripts/bench and scripts/chaos. Never: leaves the folder, or what was started, behind.
"""

import argparse
import math
import shutil
import signal
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, TextIO


def count(text: str) -> int:
    """Read an option of at least one."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {number}")
    return number


def amount(text: str) -> float:
    """Read an option above nothing."""
    number = float(text)
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"must be above 0, not {text}")
    return number


def choose(
    script: str, description: str | None, modules: Mapping[str, ModuleType]
) -> tuple[ModuleType, argparse.Namespace]:
    """Read the command line. A module offers add_arguments(parser); its docstring is its help."""
    parser = argparse.ArgumentParser(prog=f"scripts/{script}", description=description)
    parsers = parser.add_subparsers(dest="what", required=True)
    for name, module in modules.items():
        one = parsers.add_parser(name, help=(module.__doc__ or "").splitlines()[0])
        module.add_arguments(one)
        one.add_argument("--json", action="store_true", help="print the JSON only")
    options = parser.parse_args()
    return modules[options.what], options


def run(script: str, module: ModuleType, options: argparse.Namespace, out: TextIO) -> Any:
    """Return what `module.run(folder, options, say)` reports. SIGTERM ends it in order too."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    folder = Path(tempfile.mkdtemp(prefix=f"loopai-{script}-"))
    try:
        return module.run(folder, options, lambda text: print(text, file=out, flush=True))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
