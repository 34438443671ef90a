"""A Python whose wall clock a scenario sets: libfaketime under the edge's own processes.

Runs in: scripts/chaos. Never: fakes the monotonic clock, or anything in the jail.

Children of the edge get an environment of their own, so the library cannot come by way of ours. It
comes by way of the interpreter: a script of that name which loads it and goes on as the real one.
Workers are started in isolated mode (-I), by which the script tells them.
"""

import importlib.util
import subprocess
import sys
import time
from pathlib import Path

from edged.files import write_whole
from scripts.support.stack import StackError

_LIBRARY = "vendor/libfaketime/src/libfaketime.so.1"
_REREAD_S = 1  # a process goes on for longer than this by what it read last
_SCRIPT = """#!/usr/bin/env bash
[ "$1" = "-I" ] && exec env -u _ -u OLDPWD -u PWD -u SHLVL '{ours}' "$@"
export LD_PRELOAD='{library}' FAKETIME_TIMESTAMP_FILE='{clock}' FAKETIME_CACHE_DURATION={reread_s}
export FAKETIME_DONT_FAKE_MONOTONIC=1 NO_FAKE_STAT=1
exec -a "$0" '{python}' "$@"
"""
_DAY_S = 86_400


class FakedClock:
    """python: the interpreter to start an edge with. Raises StackError where it has no effect."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._clock = folder / "clock"
        self.python = str(self._make_interpreter(folder))
        self.set_back(_DAY_S)
        command = [self.python, "-c", "import time; print(time.time())"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        if abs(time.time() - float(done.stdout) - _DAY_S) > _DAY_S / 2:
            raise StackError(f"libfaketime does not work here: {done.stderr.strip()}")

    def set_back(self, seconds: float) -> None:
        """Have it be so long ago, within two seconds."""
        write_whole(self._clock, f"-{seconds:.0f}\n".encode())

    def _make_interpreter(self, folder: Path) -> Path:
        """Return a script in a virtual environment of its own with the packages of ours."""
        found = importlib.util.find_spec("libfaketime")
        if found is None or not found.submodule_search_locations:
            raise StackError("libfaketime is not installed; scripts/test installs it")
        library = Path(found.submodule_search_locations[0]) / _LIBRARY
        script = folder / "bin" / "python"
        script.parent.mkdir()
        script.write_text(
            _SCRIPT.format(
                library=library,
                clock=self._clock,
                reread_s=_REREAD_S,
                ours=sys.executable,
                python=Path(sys.executable).resolve(),  # past the link in a virtual environment
            )
        )
        script.chmod(0o755)
        (folder / "lib").symlink_to(Path(sys.prefix) / "lib")
        (folder / "pyvenv.cfg").write_text((Path(sys.prefix) / "pyvenv.cfg").read_text())
        return script
