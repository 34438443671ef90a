"""Generate the wire code from `proto/` into `clients/python/loopai`, or check that it is current.

Runs in: a developer's shell and `scripts/check`. Never: edits a `.proto`.
"""

import argparse
import filecmp
import shutil
import sys
import tempfile
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "proto"
PACKAGE = ROOT / "clients" / "python"
GENERATED = ("loopai/edge", "loopai/control")
NOTE = (
    '"""Generated wire code only; its source is `proto/`. Change that and run `scripts/proto`."""\n'
)


def generate(into: Path) -> None:
    """Write the messages, services and their stubs below `into`.

    Raises SystemExit when the compiler refuses a file; it has printed why.
    """
    files = sorted(str(path.relative_to(SOURCES)) for path in SOURCES.rglob("*.proto"))
    bundled = str(resources.files("grpc_tools") / "_proto")
    outputs = [f"--{kind}_out={into}" for kind in ("python", "grpc_python", "mypy", "mypy_grpc")]
    code = protoc.main(["protoc", f"-I{SOURCES}", f"-I{bundled}", *outputs, *files])
    if code:
        raise SystemExit(code)
    for folder in GENERATED:
        for package in (into / folder, into / folder / "v1"):
            (package / "__init__.py").write_text(NOTE)


def differences(fresh: Path, committed: Path) -> Iterator[str]:
    """Yield the name of every generated file that differs, is missing or has no source."""
    for folder in GENERATED:
        names = {
            path.relative_to(base)
            for base in (fresh, committed)
            for path in (base / folder).rglob("*.py*")
            if path.suffix != ".pyc"
        }
        for name in sorted(names):
            ours, theirs = fresh / name, committed / name
            if not (ours.exists() and theirs.exists() and filecmp.cmp(ours, theirs, shallow=False)):
                yield str(name)


def main() -> int:
    """Generate, or with --check compare and say what drifted."""
    parser = argparse.ArgumentParser(prog="scripts/proto", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 on drift")
    is_check = parser.parse_args().check
    with tempfile.TemporaryDirectory() as temporary:
        fresh = Path(temporary)
        generate(fresh)
        drifted = list(differences(fresh, PACKAGE))
        if is_check:
            for name in drifted:
                print(f"out of date: {name}; run scripts/proto", file=sys.stderr)
            return 1 if drifted else 0
        for folder in GENERATED:
            shutil.rmtree(PACKAGE / folder, ignore_errors=True)
            shutil.copytree(fresh / folder, PACKAGE / folder)
    print(f"{len(drifted)} generated files changed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
