"""Which interpreter runs a program.

Runs in: everywhere. Pure but for `missing_monty`, which looks at what is installed.
"""

from enum import StrEnum
from importlib import metadata
from typing import Final

MONTY_VERSION: Final = "0.0.18"
"""The last one that runs inside of a process, and so behind our filter (docs/decisions/0010)."""


class Backend(StrEnum):
    PYTHON = "python"  # CPython behind the language policy
    MONTY = "monty"  # pydantic-monty: an interpreter of its own, in Rust


def missing_monty() -> str:
    """Return why programs cannot run on monty here, with what to do; empty when they can."""
    try:
        found = metadata.version("pydantic-monty")
    except metadata.PackageNotFoundError:
        found = "none"
    if found == MONTY_VERSION:
        return ""
    return (
        f"backend monty needs pydantic-monty {MONTY_VERSION}, here is {found};"
        " install it with: pip install 'loopai[monty]'"
    )
