"""Let values out to an oracle or a judge: filtered, and written down before they leave.

Runs in: the agent. Talks to: the privacy filter in force, the audit log. Never: sends.
"""

from collections.abc import Callable
from urllib.parse import urlsplit

from edged.agent.oracles.protocol import QuestionRefused
from edged.agent.privacy.audit import AuditLog, Sent
from edged.agent.privacy.egress import is_on_this_machine
from edged.agent.privacy.errors import Withheld
from edged.agent.privacy.filter import PrivacyFilter
from edged.agent.privacy.scrubbing import Erasure


class Egress:
    """The way out to one address. privacy: returns the filter, which home may tighten any time."""

    def __init__(self, url: str, privacy: Callable[[], PrivacyFilter], audit: AuditLog) -> None:
        self._url = url
        self._privacy = privacy
        self._audit = audit

    def check(self) -> None:
        """Raise QuestionRefused while no value may leave to there, whatever it is."""
        if not self._privacy().permits_egress_to(self._url):
            raise QuestionRefused(reason=str(Withheld("egress")))

    def released(self, value_json: bytes, root: str = "input") -> tuple[bytes, tuple[Erasure, ...]]:
        """Return a value as it may leave, and what was erased. Raises QuestionRefused."""
        try:
            return self._privacy().release_to(self._url, value_json, root)
        except Withheld as error:
            raise QuestionRefused(reason=str(error)) from None

    def note(self, execution_id: str, size_bytes: int, erased: tuple[Erasure, ...]) -> None:
        """Write down what is about to leave. Raises LogUnwritable: then do not send."""
        if is_on_this_machine(self._url):
            return
        sent = Sent(
            what="oracle_call",
            mode=self._privacy().mode,
            size_bytes=size_bytes,
            destination=urlsplit(self._url).netloc,
            execution_id=execution_id,
            erased=erased,
        )
        self._audit.append([sent])
