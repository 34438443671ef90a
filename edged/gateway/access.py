"""Who may call this gateway, for what: one answer for both doors.

Runs in: the gateway. Never: keeps a key; the file holds hashes, and so does this.

A key is 256 random bits, so its plain SHA-256 cannot be guessed and needs no salt. A caller found
once is remembered by its header, which costs a lookup a call.
"""

import asyncio
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Final

import structlog

from edged.deployment.callers import Caller, read_callers
from edged.errors import CallerForbidden, CallerUnknown, ConfigInvalid, LoopaiError
from edged.rpc.codes import RpcError
from edged.rpc.peer import Peer
from edged.rpc.status import details_of, status_of

log = structlog.get_logger()

RELOAD_S: Final = 1.0
_REMEMBERED: Final = 4_096  # headers; above it all are forgotten
_EDGE: Final = b"/loopai.edge.v1.EdgeService/"
_HEALTH: Final = b"/grpc.health.v1.Health/"
_SCOPES: Final[dict[bytes, str]] = {
    _EDGE + b"Execute": "execute",
    _EDGE + b"ExecuteBatch": "execute",
    _EDGE + b"ExecuteStream": "execute",
    _EDGE + b"ListTasks": "execute",
    _EDGE + b"ReportOutcome": "report",
}


class Access:
    """The callers of one file, as of its last valid version."""

    def __init__(self, path: Path) -> None:
        """Raises ConfigInvalid."""
        self._path = path
        self._stamp = _stamp(path)
        self._by_key: dict[str, Caller] = {}
        self._by_identity: dict[bytes, Caller] = {}
        self._by_header: dict[bytes, Caller] = {}
        self._changed = asyncio.Event()  # set when these callers are no longer the file's
        self._learn(read_callers(path))

    async def run(self) -> None:
        """Follow the file."""
        while True:
            await asyncio.sleep(RELOAD_S)
            self.refresh()

    def refresh(self) -> None:
        """Read the file if it has changed; one that is invalid changes nothing."""
        stamp = _stamp(self._path)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._learn(read_callers(self._path))
        except ConfigInvalid as error:
            log.warning("callers_refused", reason=str(error))
        else:
            log.info("callers_read", path=str(self._path), callers=len(self._by_key))

    def admit(self, scope: str, headers: Mapping[bytes, bytes], peer: Peer) -> None:
        """Raise CallerUnknown or CallerForbidden. headers: lower-case names."""
        caller = self._find(headers.get(b"authorization"), peer)
        if scope not in caller.scopes:
            raise CallerForbidden(caller=caller.name, scope=scope)

    async def refusal(self, scope: str, headers: Mapping[bytes, bytes], peer: Peer) -> LoopaiError:
        """Wait until this caller may not call any more, and return why."""
        while True:
            changed = self._changed
            try:
                self.admit(scope, headers, peer)
            except (CallerUnknown, CallerForbidden) as error:
                return error
            await changed.wait()

    def admit_rpc(self, path: bytes, headers: Mapping[bytes, bytes], peer: Peer) -> None:
        """Raise RpcError. What is no method of ours, such as reflection, is for administrators."""
        if path.startswith(_HEALTH):
            return  # a probe holds no key, and learns nothing but up or down
        try:
            self.admit(_SCOPES.get(path, "admin"), headers, peer)
        except (CallerUnknown, CallerForbidden) as error:
            details = (("grpc-status-details-bin", details_of(error)),)
            raise RpcError(status_of(error), str(error), details) from error

    def _find(self, header: bytes | None, peer: Peer) -> Caller:
        if header is not None:
            caller = self._by_header.get(header)
            return caller if caller is not None else self._look_up(header)
        for identity in peer.identities:
            if identity in self._by_identity:
                return self._by_identity[identity]
        raise CallerUnknown(reason="no API key was sent (authorization: Bearer …)")

    def _look_up(self, header: bytes) -> Caller:
        kind, _, key = header.partition(b" ")
        if kind.lower() != b"bearer":
            raise CallerUnknown(reason="the authorization is not a Bearer key")
        caller = self._by_key.get(sha256(key.strip()).hexdigest())
        if caller is None:
            raise CallerUnknown(reason="the API key is unknown or was revoked")
        if len(self._by_header) >= _REMEMBERED:
            self._by_header.clear()
        self._by_header[header] = caller
        return caller

    def _learn(self, callers: tuple[Caller, ...]) -> None:
        self._by_key = {c.key_sha256: c for c in callers if c.key_sha256 is not None}
        self._by_identity = {c.identity.encode(): c for c in callers if c.identity is not None}
        self._by_header = {}
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


def _stamp(path: Path) -> tuple[int, int, int]:
    try:
        status = path.stat()
    except OSError:
        return 0, 0, 0
    return status.st_mtime_ns, status.st_ino, status.st_size
