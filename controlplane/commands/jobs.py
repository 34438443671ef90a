"""`controlplane jobs`: the server's child; not for people.

Runs in: jobs. Never: reads the environment or arguments for anything but its parent.
"""

import sys
from typing import Annotated

import typer


def jobs(
    parent_pid: Annotated[int, typer.Option(help="The server; this process ends with it.")],
) -> None:
    """Make programs for a server: its settings come as JSON on standard input."""
    from controlplane import logs
    from controlplane.config import JobsSettings
    from controlplane.jobs import run

    logs.set_up(process="jobs")
    run(JobsSettings.inherited(sys.stdin.buffer.read()), parent_pid=parent_pid)
