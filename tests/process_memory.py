"""Every readable byte of a process, for tests that look for what must not be there; needs root."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_UNREADABLE = ("[vvar]", "[vvar_vclock]", "[vsyscall]")


def memory_of(pid: int) -> bytes:
    """Return every readable byte of a process."""
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        return b"".join(_regions(pid, memory))


def _regions(pid: int, memory: BinaryIO) -> Iterator[bytes]:
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        start, end, rights = re.match(r"(\w+)-(\w+) (\S+)", line).groups()
        if "r" in rights and not line.endswith(_UNREADABLE):
            memory.seek(int(start, 16))
            try:
                yield memory.read(int(end, 16) - int(start, 16))
            except OSError:
                continue
