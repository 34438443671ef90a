"""Open the database and hand out sessions: one for reading, one that commits.

SQLite is set to WAL, foreign keys and a busy timeout. A writing session takes SQLite's write lock
at its start (BEGIN IMMEDIATE), because a reading transaction that turns into a writing one fails
at once when another process wrote in between; PostgreSQL is left as it is.
Runs in: server and jobs. Never: knows a table.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self

from sqlalchemy import Connection, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import (
    AsyncConnection,
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)

BUSY_TIMEOUT_MS = 10_000  # the other process's longest write is a bulk insert of some seconds
MAX_WRITERS = 10  # of the engine's 15 connections, so that readers always find one
PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=NORMAL",
    "PRAGMA foreign_keys=ON",
    f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}",
)


class Database:
    """One engine; use as `async with`."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._engine: AsyncEngine
        # SQLite has one writer at a time, and one that finds it busy sleeps and polls: queue here.
        self._turns = asyncio.Semaphore(1 if url.startswith("sqlite") else MAX_WRITERS)

    async def __aenter__(self) -> Self:
        self._engine = create_async_engine(self._url)
        if self._engine.dialect.name == "sqlite":
            event.listen(self._engine.sync_engine, "connect", _prepare_sqlite)
            event.listen(self._engine.sync_engine, "begin", _begin_sqlite)
        writing = self._engine.execution_options(is_writing=True)
        self._readers = async_sessionmaker(self._engine, expire_on_commit=False)
        self._writers = async_sessionmaker(writing, expire_on_commit=False)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._engine.dispose()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncSession]:
        """Yield a session whose changes are thrown away."""
        async with self._readers() as session:
            yield session

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncSession]:
        """Yield a session that commits at the end, or rolls back on any error."""
        async with self._turns, self._writers() as session, session.begin():
            yield session

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[AsyncConnection]:
        """Yield a connection in a writing transaction, for the migrations."""
        async with self._engine.execution_options(is_writing=True).begin() as connection:
            yield connection


def _prepare_sqlite(connection: DBAPIConnection, _record: Any) -> None:
    # We send BEGIN ourselves; the driver would delay it until the first change.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in PRAGMAS:
        cursor.execute(pragma)
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    is_writing = connection.get_execution_options().get("is_writing", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writing else "BEGIN")
