"""Find the Pythons of this machine that workers can run on.

The clean zygote imports the standard library and RestrictedPython, nothing else, and that package
is plain Python text. So an interpreter without it can be lent this one's: a folder that holds it
alone, at the end of the path.

Runs in: `edged sandbox try`. Never: installs anything.
"""

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import RestrictedPython

import edged
from edged.errors import PlatformError

SUPPORTED: Final = ("3.11", "3.12", "3.13")
_ROOT: Final = Path(edged.__file__).parents[1]
_COMMON_PLACES: Final = (
    "/usr/bin",
    "/usr/local/bin",
    "/opt/*/bin",
    "~/.local/bin",
    "~/.pyenv/versions/{version}*/bin",
    "~/.local/share/uv/python/*-{version}*/bin",
)
_PROBE: Final = (
    "import sys; sys.path.extend(sys.argv[1:]); import edged.sandbox.zygote;"
    " print(*sys.version_info[:3], sep='.')"
)
_PROBE_TIMEOUT_S: Final = 30.0


class NoSuchPython(PlatformError):
    code = "python_missing"
    text = "no Python here answers to {wanted}: {reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """path: the program; version: in full."""

    path: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """usable: one for each version that is here. unusable: of the others, by path, with why."""

    usable: list[Interpreter]
    unusable: dict[str, str]
    missing: list[str]


def lend_restricted_python(folder: Path) -> tuple[str, ...]:
    """Return the path that any interpreter gets, made in `folder`."""
    package = Path(RestrictedPython.__file__).parent
    (folder / package.name).symlink_to(package, target_is_directory=True)
    return str(_ROOT), str(folder)


def find(wanted: Sequence[str], path: tuple[str, ...]) -> Search:
    """Look for what is wanted, by version ("3.12") or path; by default for all that is supported.

    path: what they are lent. Raises NoSuchPython for one that was named.
    """
    search = Search(usable=[], unusable={}, missing=[])
    for name in wanted or SUPPORTED:
        unusable: dict[str, str] = {}
        found = _find_one(name, path, unusable)
        if found is not None:
            search.usable.append(found)
        elif wanted:
            reason = "; ".join(f"{program}: {why}" for program, why in unusable.items())
            raise NoSuchPython(wanted=name, reason=reason or "not on PATH or in the usual places")
        else:
            search.missing.append(name)
            search.unusable.update(unusable)
    return search


def _find_one(wanted: str, path: tuple[str, ...], unusable: dict[str, str]) -> Interpreter | None:
    if wanted in SUPPORTED:
        return _first_usable(_candidates(wanted), wanted, path, unusable)
    return _first_usable([wanted], "", path, unusable)


def _first_usable(
    candidates: Iterable[str], version: str, path: tuple[str, ...], unusable: dict[str, str]
) -> Interpreter | None:
    for candidate in candidates:
        try:
            found = _probe(candidate, path)
        except (OSError, subprocess.SubprocessError, ValueError) as error:
            unusable[candidate] = str(error)
            continue
        if found.startswith(version):
            return Interpreter(path=candidate, version=found)
    return None


def _candidates(version: str) -> Iterator[str]:
    """Yield programs that may be this version, ourselves first, each place once."""
    name = f"python{version}"
    seen: set[str] = set()
    if version == "{}.{}".format(*sys.version_info):
        seen.add(sys.executable)
        yield sys.executable
    for place in (*os.get_exec_path(), *_common_places(version)):
        program = str(Path(place) / name)
        if program not in seen and os.access(program, os.X_OK):
            seen.add(program)
            yield program


def _common_places(version: str) -> Iterator[str]:
    for pattern in _COMMON_PLACES:
        place = Path(pattern.format(version=version)).expanduser()
        yield from map(str, sorted(Path("/").glob(str(place.relative_to("/")))))


def _probe(program: str, path: tuple[str, ...]) -> str:
    """Return the version of an interpreter that can import what a zygote does.

    Raises OSError, SubprocessError or ValueError, whose text says why it cannot.
    """
    ended = subprocess.run(
        [program, "-I", "-c", _PROBE, *path],
        capture_output=True, text=True, timeout=_PROBE_TIMEOUT_S, check=False,
    )  # fmt: skip
    if ended.returncode:
        raise ValueError(ended.stderr.strip() or "it ended without a word")
    return ended.stdout.strip()
