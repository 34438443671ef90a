"""What a key is good for. Pure."""

from dataclasses import dataclass
from typing import Final, Literal, get_args

from controlplane.errors import ScopeMissing

Scope = Literal["edge", "read", "admin"]
SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Whose data the caller may see, by which key.

    scope: `edge` may enrol and connect, `read` may look, `admin` may everything.
    """

    organisation_id: str
    key_id: str
    key_name: str
    scope: str

    def check(self, needed: Scope) -> None:
        """Raises ScopeMissing."""
        if self.scope not in ("admin", needed):
            raise ScopeMissing(key=self.key_name, scope=self.scope, needed=needed)
