"""The callers file: who may call this edge, and for what. Pure but for reading the file.

    callers:
      - {name: checkout, key_sha256: 9f86d081884c7d65…, scopes: [execute, report]}
      - {name: prometheus, identity: ops.example.com, scopes: [admin]}

Keys stand there as hashes; `edged keys new` makes both. An identity is a name in a client's
certificate.
"""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator

from edged.deployment.complaints import complaint
from edged.deployment.document import MAX_BYTES, DocumentInvalid, parse
from edged.deployment.section import Section
from edged.errors import ConfigInvalid

Scope = Literal["execute", "report", "admin"]


class Caller(Section):
    """One application or person."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
    key_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    identity: Annotated[str, Field(min_length=1, max_length=255)] | None = None
    scopes: frozenset[Scope]

    @model_validator(mode="after")
    def _check_known_by(self) -> Self:
        if (self.key_sha256 is None) == (self.identity is None):
            raise ValueError("needs either key_sha256 or identity")
        return self


class _File(Section):
    callers: tuple[Caller, ...]  # an empty file is one that is being written


def read_callers(path: Path) -> tuple[Caller, ...]:
    """Raises ConfigInvalid with one line that names the place."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ConfigInvalid(source=str(path), reason=f"larger than {MAX_BYTES} bytes")
        found = _File.model_validate(parse(path.read_text())).callers
    except OSError as error:
        raise ConfigInvalid(source=str(path), reason=error.strerror) from error
    except (DocumentInvalid, UnicodeDecodeError) as error:
        raise ConfigInvalid(source=str(path), reason=str(error)) from error
    except ValidationError as error:
        raise ConfigInvalid(source=str(path), reason=complaint(error, _File)) from error
    _check_distinct(path, found)
    return found


def _check_distinct(path: Path, callers: tuple[Caller, ...]) -> None:
    for key in ("name", "key_sha256", "identity"):
        values = [value for caller in callers if (value := getattr(caller, key)) is not None]
        if len(values) != len(set(values)):
            raise ConfigInvalid(source=str(path), reason=f"two callers have the same {key}")
