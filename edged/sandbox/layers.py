"""The layers between a program and the machine that a trial may leave out, one by one.

A barrier that nobody sees fail may have been dead for months. So `edged sandbox try --without` and
the tests remove a layer and watch the matching attack get further. No setting of a daemon leads
here: its pool has no way to say `without`.

Runs in: everywhere. Pure values.
"""

from typing import Final

LANGUAGE: Final = "language"
SECCOMP: Final = "seccomp"
LANDLOCK: Final = "landlock"
RLIMITS: Final = "rlimits"
UID: Final = "uid"
NAMESPACES: Final = "namespaces"

LAYERS: Final = (LANGUAGE, SECCOMP, LANDLOCK, RLIMITS, UID, NAMESPACES)
NOTHING: Final[frozenset[str]] = frozenset()
