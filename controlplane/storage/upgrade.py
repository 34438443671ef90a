"""Bring the database to the newest schema at start; the migrations are part of the package.

Runs in: the server, before anything else uses the database. Never: in jobs, or backwards.
"""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

from controlplane.storage.database import Database

MIGRATIONS = Path(__file__).parent / "migrations"


async def upgrade(database: Database) -> None:
    """Run what is missing, in one transaction; safe to call again."""
    async with database.connection() as connection:
        await connection.run_sync(_upgrade)


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
