"""Column types and the base of all tables, the same on SQLite and PostgreSQL.

Pure. Never: stores a time without its zone.
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, DateTime, Dialect, Integer, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

Id = String(36)
Name = String(63)
# SQLite counts rows only for a column of exactly this type.
Counted = BigInteger().with_variant(Integer(), "sqlite")
Json = JSON(none_as_null=True)


class Moment(TypeDecorator[datetime]):
    """An aware time in UTC; SQLite forgets the zone, so it is put back on reading."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 the library's signature
        return value.astimezone(UTC) if value else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 the library's signature
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """Every table names the organisation that owns the row."""

    type_annotation_map = {  # noqa: RUF012 the library's own name and type
        datetime: Moment(),
        dict[str, Any]: Json,
        list[Any]: Json,
    }

    organisation_id: Mapped[str] = mapped_column(Id, index=True)
