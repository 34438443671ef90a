"""Make the privacy filter that deployment.yaml asks for.

Used by: the agent's composition root and the commands of `edged privacy`. Never: makes a laxer one
than it was told.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from edged.agent.privacy.filter import PrivacyFilter
from edged.agent.privacy.modes import Mode
from edged.deployment import Deployment

if TYPE_CHECKING:
    from edged.agent.privacy.detection import Pattern


def make_filter(deployment: Deployment, key: bytes, mode: Mode | None = None) -> PrivacyFilter:
    """mode: in place of the configured one."""
    privacy = deployment.privacy
    return PrivacyFilter(
        mode or Mode(deployment.telemetry.privacy_mode),
        key,
        hash_inputs=privacy.hash_inputs,
        detect=privacy.pii_detection,
        sample_only=privacy.sample_only,
        patterns=_patterns(privacy.patterns) if privacy.patterns else (),
        rules=privacy.rules,
    )


def _patterns(written: Mapping[str, str]) -> "tuple[Pattern, ...]":
    # Like the detectors: only where text is looked at.
    from edged.agent.privacy.detection import Pattern
    from edged.agent.privacy.forms import Form

    return tuple(Pattern(name.upper(), Form(text)) for name, text in written.items())
