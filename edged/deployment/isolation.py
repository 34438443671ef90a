"""Section isolation: what must stand between a program and this machine. Pure."""

from pydantic import field_validator

from edged.deployment.section import Section
from edged.pool.barriers import KNOWN_BARRIERS, MINIMUM


class Isolation(Section):
    """How far programs are kept apart from the machine."""

    require: tuple[str, ...] = MINIMUM
    """Barriers without which the edge refuses to start; `edged doctor` says what each one stops."""

    @field_validator("require")
    @classmethod
    def _are_known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        unknown = sorted(set(names) - KNOWN_BARRIERS)
        if unknown:
            known = ", ".join(sorted(KNOWN_BARRIERS))
            raise ValueError(f"unknown barrier {', '.join(unknown)}; there are {known}")
        return names
