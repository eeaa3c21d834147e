"""Migrations: Alembic over sql/migrations, under a lock, so that two processes that start at once migrate once.

The grants (sql/grants.sql) follow, so that a new table is open to the services that need it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from activitymodule.errors import ConfigError
from activitymodule.settings import Settings, resource
from activitymodule.store.connection import connect, explained
from activitymodule.store.locks import MIGRATING
from activitymodule.store.prediction_days import make_days_ahead


@dataclass(frozen=True)
class Schema:
    """The store's revision, the newest one, and the pending revisions between them."""

    current: str | None
    head: str
    pending: tuple[str, ...]

    @property
    def up_to_date(self) -> bool:
        """Whether no revision is pending."""
        return not self.pending


def _config() -> Config:
    folder = resource("sql/migrations")
    if not (folder / "env.py").is_file():
        raise ConfigError(f"there are no migrations in {folder}; set ACTIVITY_HOME to the project's folder")
    config = Config()
    # Alembic reads its options through a template syntax in which % is special
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    return config


def _engine(config: Settings) -> Engine:
    return create_engine("postgresql+psycopg2://", creator=lambda: connect(config), poolclass=NullPool)


@contextmanager
def _connected(config: Settings) -> Iterator[Connection]:
    """A transaction of SQLAlchemy's whose errors of the driver are those of the project."""
    with explained(config):
        try:
            with _engine(config).begin() as connection:
                yield connection
        except DBAPIError as error:
            raise (error.orig or error) from error


def _schema(connection: Connection, config: Config) -> Schema:
    scripts = ScriptDirectory.from_config(config)
    current = MigrationContext.configure(connection).get_current_revision()
    head = scripts.get_current_head()
    assert head is not None
    if current is not None and current not in {script.revision for script in scripts.walk_revisions()}:
        raise ConfigError(
            f"the store is at revision {current}, which this version of the project does not know; "
            "use a newer one"
        )
    pending = [script.revision for script in scripts.iterate_revisions(head, current or "base")]
    return Schema(current, head, tuple(reversed(pending)))


def schema(config: Settings) -> Schema:
    """The store's revision and what is pending. Raises ConfigError for a revision this version does not know."""
    with _connected(config) as connection:
        return _schema(connection, _config())


def upgrade(config: Settings) -> Schema:
    """Migrate the store to the newest revision, in one transaction; returns the schema before.

    May be called at any time, also by several processes at once: they wait for each other.
    """
    migrations = _config()
    with _connected(config) as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATING})
        before = _schema(connection, migrations)
        if before.pending:
            migrations.attributes["connection"] = connection
            command.upgrade(migrations, "head")
        _grant(connection)
        driver = connection.connection.driver_connection
        assert driver is not None
        make_days_ahead(driver, datetime.now(UTC).date())
    return before


def _grant(connection: Connection) -> None:
    """Apply sql/grants.sql to the roles that exist; idempotent."""
    statement = resource("sql/grants.sql").read_text(encoding="utf-8")
    # by a cursor of the driver, so that SQLAlchemy does not look for bound values in it
    with closing(connection.connection.cursor()) as cursor:
        cursor.execute(statement)
