"""The page of memory that a worker and its pool share: which call runs, and since when.

Runs in: the worker (writes) and the process that owns the pool (reads). Never: a lock. The writer
stores two words without a fence, so a reader that is about to act on them reads twice.

A program that has broken out of its language may write here. It gains nothing: the pool bounds the
head of its queue by its own clock as well, and a wrong index charges another call of this program.
"""

import fcntl
import mmap
import os
import struct
from typing import Final, NamedTuple, Self

_LAYOUT: Final = struct.Struct("<QQ")
_SEALS: Final = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


class Running(NamedTuple):
    """call_index: counted by the pool. since_ns: monotonic; 0 when it has ended."""

    call_index: int
    since_ns: int


class SharedPage:
    """One side's view of the page."""

    def __init__(self, memory: mmap.mmap) -> None:
        self._memory = memory

    @classmethod
    def create(cls) -> tuple[Self, int]:
        """Return the pool's view and the worker's file descriptor, which the caller closes."""
        fd = os.memfd_create("loopai-page", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(fd, mmap.PAGESIZE)
        # A worker that shrank the file would kill the reader with SIGBUS.
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
        return cls.open(fd), fd

    @classmethod
    def open(cls, fd: int) -> Self:
        return cls(mmap.mmap(fd, mmap.PAGESIZE))

    def begin(self, index: int, now_ns: int) -> None:
        _LAYOUT.pack_into(self._memory, 0, index, now_ns)

    def end(self, index: int) -> None:
        _LAYOUT.pack_into(self._memory, 0, index, 0)

    def read(self) -> Running:
        return Running._make(_LAYOUT.unpack_from(self._memory, 0))

    def close(self) -> None:
        self._memory.close()
