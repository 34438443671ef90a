"""Where a version gets its workers, as the version sees it: `crew` lends them.

Pure declarations.
"""

from typing import TYPE_CHECKING, Protocol

from edged.pool.worker import Worker

if TYPE_CHECKING:
    from edged.pool.version import Version


class Lender(Protocol):
    """Where workers come from."""

    def want(self, version: "Version", *, takes_idle: bool) -> bool:
        """Ask for one more worker; False when none can be had now.

        takes_idle: from another version, where there is no room for one more.
        """
        ...

    @property
    def is_awaited(self) -> bool:
        """Whether a version waits for its turn on a shared worker."""
        ...

    def pass_on(self, worker: Worker) -> None:
        """Give a shared worker that holds nothing to the version that waits longest."""
        ...

    def forget(self, version: "Version") -> int:
        """Drop what was wanted for it; return how many workers will not come."""
        ...
