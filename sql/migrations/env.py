"""Alembic's entry point. `activitymodule.store.migrate` runs it on a connection that holds the lock."""

from alembic import context

connection = context.config.attributes.get("connection")
if connection is None:
    raise SystemExit("run the migrations by `activity db upgrade`")

context.configure(connection=connection, target_metadata=None, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
