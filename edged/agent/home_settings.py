"""Take the settings that home wants of this edge: what is permitted, valid and not local.

Runs in: the agent. Talks to: state/home_settings.json, which holds the last good ones for a start
without home. Never: takes an oracle, an address, a detector or a door from home; those are the
customer's own, and privacy comes as a floor that only tightens.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
import structlog
from pydantic import ValidationError

from edged.datasets.layout import Layout
from edged.deployment import Deployment
from edged.deployment.checking import Sampling
from edged.deployment.complaints import complaint, one_line
from edged.deployment.section import Section
from edged.deployment.telling import Telemetry
from edged.files import write_whole

log = structlog.get_logger()
PERMITTED: Final[Mapping[str, frozenset[str]]] = {
    "sampling": frozenset(Sampling.model_fields),
    "telemetry": frozenset({"batch_size", "upload_interval_sec"}),
}
LOCAL: Final = "is set in this edge's deployment.yaml alone"
FLOOR: Final = "is tightened by the privacy floor of the state, and loosened by nobody from afar"
MAX_BYTES: Final = 64 * 1024
MAX_LEVELS: Final = 16  # of values within each other; orjson reads deeper ones than it writes


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What comes of home's wish: both sections in force, and what was kept out, by key."""

    sampling: Sampling
    telemetry: Telemetry
    refused: Mapping[str, str] = field(default_factory=dict)


class HomeSettings:
    """apply: puts the sections into force."""

    def __init__(self, layout: Layout, local: Deployment, apply: Callable[[Wanted], None]) -> None:
        self._path = layout.state / "home_settings.json"
        self._local = local
        self._apply = apply
        self._written = b""  # home's, as it came
        self.in_force = Wanted(sampling=local.sampling, telemetry=local.telemetry)

    def resume(self) -> None:
        """Take up what home wanted last."""
        try:
            self._take(self._path.read_bytes())
        except OSError:
            return

    def receive(self, settings_json: bytes) -> Mapping[str, str]:
        """Put home's settings into force, and keep them; returns what was kept out, and why."""
        if settings_json != self._written:
            self._take(settings_json)
            write_whole(self._path, settings_json)
        return self.in_force.refused

    def status(self) -> dict[str, Any]:
        """Return what a person asks for."""
        return {
            "wanted": _read(self._written) or {},
            "refused": dict(self.in_force.refused),
        }

    def _take(self, settings_json: bytes) -> None:
        self._written = settings_json
        self.in_force = decide(settings_json, self._local)
        log.info("home_settings", refused=dict(self.in_force.refused))
        self._apply(self.in_force)


def decide(settings_json: bytes, local: Deployment) -> Wanted:
    """Return what home's settings come to over the local ones. Pure; never raises."""
    wanted = _read(settings_json)
    if wanted is None:
        return Wanted(
            sampling=local.sampling,
            telemetry=local.telemetry,
            refused={"settings": "is not a JSON object of sections"},
        )
    refused: dict[str, str] = {}
    for section, keys in wanted.items():
        refused |= _not_permitted(section, keys)
    sampling, faults = _merged(local.sampling, _permitted(wanted, "sampling"), "sampling")
    telemetry, more = _merged(local.telemetry, _permitted(wanted, "telemetry"), "telemetry")
    return Wanted(sampling=sampling, telemetry=telemetry, refused=refused | faults | more)


def _read(settings_json: bytes) -> dict[str, Any] | None:
    if not settings_json:
        return {}
    if len(settings_json) > MAX_BYTES:
        return None
    try:
        wanted = orjson.loads(settings_json)
    except orjson.JSONDecodeError:
        return None
    return wanted if isinstance(wanted, dict) and _is_flat(wanted, MAX_LEVELS) else None


def _is_flat(value: Any, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return True
    inner = value.values() if isinstance(value, dict) else value
    return levels > 0 and all(_is_flat(each, levels - 1) for each in inner)


def _not_permitted(section: str, keys: Any) -> dict[str, str]:
    if not isinstance(keys, dict):
        return {one_line(section): "must be a mapping of keys"}
    permitted = PERMITTED.get(section, frozenset())
    return {
        one_line(f"{section}.{key}"): FLOOR if _is_of_privacy(section, key) else LOCAL
        for key in keys
        if key not in permitted
    }


def _is_of_privacy(section: str, key: str) -> bool:
    return section == "privacy" or (section, key) == ("telemetry", "privacy_mode")


def _permitted(wanted: Mapping[str, Any], section: str) -> dict[str, Any]:
    keys = wanted.get(section)
    if not isinstance(keys, dict):
        return {}
    return {key: value for key, value in keys.items() if key in PERMITTED[section]}


def _merged(local: Section, wanted: Mapping[str, Any], section: str) -> tuple[Any, dict[str, str]]:
    """Return the section with every wanted key that is valid in it, and the others' faults."""
    values, refused = local.model_dump(mode="json"), {}
    for key, value in wanted.items():
        try:
            type(local).model_validate_json(orjson.dumps(values | {key: value}))
        except ValidationError as error:
            refused[f"{section}.{key}"] = complaint(error, type(local))
        else:
            values[key] = value
    return type(local).model_validate_json(orjson.dumps(values)), refused
