"""The exit codes of a worker: what it says when it can say nothing else.

Runs in: the worker, and the process that owns the pool. Pure values.
"""

from typing import Final

EXIT_DONE: Final = 0
EXIT_TOO_WEAK: Final = 64  # a required barrier is missing
EXIT_BROKEN: Final = 70  # the harness itself failed, or the fork
EXIT_FULL: Final = 65  # no memory for one more program, besides those it has
EXIT_MEMORY: Final = 71  # memory ran out between two calls
