"""Know lines again that were read before, however many they are.

Used by: `edged datasets import`. Talks to: a file of its own that the caller removes. Never: keeps
a line itself; a digest of each goes to disk, as a day may have more of them than memory holds.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from hashlib import blake2b
from pathlib import Path

_SETUP = """
    PRAGMA journal_mode = OFF;
    PRAGMA synchronous = OFF;
    CREATE TABLE known (digest BLOB PRIMARY KEY) WITHOUT ROWID;
"""


@contextmanager
def known_lines(path: Path, lines: Iterable[bytes]) -> Iterator[Callable[[bytes], bool]]:
    """Give a function that says whether a line is one of these. Raises OSError on a full disk."""
    try:
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(_SETUP)
            rows = ((_digest(line),) for line in lines)
            connection.executemany("INSERT OR IGNORE INTO known VALUES (?)", rows)
            yield lambda line: _has(connection, _digest(line))
    except sqlite3.Error as error:
        raise OSError(f"{path}: {error}") from error


def _has(connection: sqlite3.Connection, digest: bytes) -> bool:
    found = connection.execute("SELECT 1 FROM known WHERE digest = ?", (digest,))
    return found.fetchone() is not None


def _digest(line: bytes) -> bytes:
    return blake2b(line, digest_size=16).digest()
