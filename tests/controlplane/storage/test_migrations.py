from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from controlplane.storage.columns import Base
from controlplane.storage.upgrade import upgrade


def differences(connection):
    return compare_metadata(MigrationContext.configure(connection), Base.metadata)


async def test_migrated_database_has_exactly_the_tables_of_the_models(database):
    async with database.connection() as connection:
        assert await connection.run_sync(differences) == []


async def test_migrating_twice_changes_nothing(database):
    await upgrade(database)

    async with database.connection() as connection:
        assert await connection.run_sync(differences) == []


def test_every_table_names_its_organisation():
    assert all("organisation_id" in table.columns for table in Base.metadata.tables.values())


async def test_sqlite_is_safe_for_two_processes(database):
    async with database.reading() as session:
        journal = await session.scalar(text("PRAGMA journal_mode"))
        foreign_keys = await session.scalar(text("PRAGMA foreign_keys"))

    assert (journal, foreign_keys) == ("wal", 1)
