"""`edged datasets` in a process of its own, as people call it, on a folder of two days."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edged.datasets.archives import archive, stored_files
from edged.datasets.layout import Layout
from edged.datasets.sealing import Keyring
from tests.edged.commands.datasets.keys import KEY
from tests.fakes.clock import FakeClock
from tests.fakes.execution_log import ExecutionLog

DAY_S = 86_400


@pytest.fixture
def run(tmp_path: Path):
    def run(*arguments: str, keys: str = "", folder: str = "data") -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "edged.commands", "datasets", *arguments]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("LOOPAI_")}
        if keys:
            environment["LOOPAI_STORAGE__ENCRYPTION__KEY"] = keys
        environment["LOOPAI_STORAGE__DATA_DIR"] = str(tmp_path / folder)
        return subprocess.run(
            command, capture_output=True, text=True, cwd=tmp_path, check=False, env=environment
        )

    return run


@pytest.fixture(params=["", KEY], ids=["clear", "encrypted"])
def keys(request) -> str:
    return request.param


@pytest.fixture
def layout(tmp_path: Path, keys: str) -> Layout:
    """A data_dir with an archived yesterday (3 executions) and a today (2 and a timeout)."""
    layout = Layout(tmp_path / "data", Keyring.parse([keys]))
    clock = FakeClock(time.time() - DAY_S)
    log = ExecutionLog(layout, clock)
    log.append(3, latency_ms=1.0)
    clock.advance(DAY_S)
    log.append(2, latency_ms=4.0, version=3, output_json=b'"spam"')
    log.append(1, latency_ms=9.0, status="timeout", error_type="Timeout")
    log.close()
    (_, yesterday), _ = stored_files(layout, "spam", "executions")
    archive(yesterday, layout.keyring)
    return layout
