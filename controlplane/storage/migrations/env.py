"""Alembic's entry: runs the migrations on the connection that `storage.upgrade` hands over.

Runs in: the server, at start. Never: opens a connection of its own.
"""

from alembic import context

from controlplane.storage import loop_models, models
from controlplane.storage.columns import Base

for declared in (models.OutboxRow, loop_models.TicketRow):
    assert declared.metadata is Base.metadata  # noqa: S101 the tables must be declared

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
)
context.run_migrations()
