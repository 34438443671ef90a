"""Read the settings again when their file changed or someone asks; a refused one changes nothing.

Runs in: the supervisor. Talks to: deployment.yaml, state/edged.json, which `edged status` reads.
Never: applies settings; it says what is in force and what waits.
"""

import os
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import orjson
import structlog

from edged.datasets.layout import Layout
from edged.deployment import Deployment
from edged.errors import ConfigInvalid
from edged.files import write_whole

log = structlog.get_logger()
# Who reads what: the agent can be started anew, and the gateway rolled, without a caller noticing.
OF_GATEWAY: Final = frozenset({"execution", "isolation"})
OF_AGENT: Final = frozenset(
    {
        "anthropic",
        "artifacts",
        "cloud",
        "privacy",
        "retention",
        "sampling",
        "tasks",
        "telemetry",
        "validation",
    }
)
Stamp = tuple[int, int, int] | None


class Configuration:
    """The settings in force. file: None without one. read: assembles all sources anew."""

    def __init__(
        self, deployment: Deployment, file: Path | None, read: Callable[[], Deployment]
    ) -> None:
        self.current = deployment
        self._file = file
        self._read = read
        self._seen = self._read_stamp = _stamp(file)
        self._told: dict[str, Any] = {
            "version": metadata.version("loopai"),
            "pid": os.getpid(),
            "started_at": _now(),
            "config": {
                "file": str(file.absolute()) if file else None,
                "loaded_at": _now(),
                "refused": None,
                "waits_for_restart": [],
            },
        }

    def tell(self, **doors: str | bool) -> None:
        """Write down what `edged status` asks for. doors: the addresses really served."""
        self._told |= doors
        path = Layout(self.current.storage.data_dir).state / "edged.json"
        try:
            write_whole(path, orjson.dumps(self._told, option=orjson.OPT_INDENT_2))
        except OSError as error:
            log.warning("status_not_written", path=str(path), reason=error.strerror)

    def has_changed(self) -> bool:
        """Say whether the file is another one than was read, and has been so since the last call.

        Twice the same, so that a file is not read while an editor writes it.
        """
        before, self._seen = self._seen, _stamp(self._file)
        return self._seen is not None and self._seen == before and self._seen != self._read_stamp

    def reload(self) -> frozenset[str]:
        """Read all sources again; returns the sections that changed and come into force now."""
        self._read_stamp = _stamp(self._file)
        told = self._told["config"]
        try:
            wanted = self._read()
        except ConfigInvalid as error:
            log.error("configuration_refused", reason=str(error))
            told["refused"] = {"at": _now(), "reason": str(error)}
            self.tell()
            return frozenset()
        changed = [name for name in Deployment.model_fields if self._differs(name, wanted)]
        live = [name for name in changed if name in OF_AGENT | OF_GATEWAY]
        waiting = [name for name in changed if name not in live]
        log.info("configuration_read", applied=live, waits_for_restart=waiting)
        told |= {"loaded_at": _now(), "refused": None, "waits_for_restart": waiting}
        self.current = self.current.model_copy(
            update={name: getattr(wanted, name) for name in live}
        )
        self.tell()
        return frozenset(live)

    def _differs(self, name: str, wanted: Deployment) -> bool:
        return bool(getattr(self.current, name) != getattr(wanted, name))


def _stamp(file: Path | None) -> Stamp:
    """Return what changes with a file's content; None where there is no file to read."""
    try:
        status = file.stat() if file else None
    except OSError:  # moved away for a moment, by an editor perhaps
        return None
    return (status.st_ino, status.st_mtime_ns, status.st_size) if status else None


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
