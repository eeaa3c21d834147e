"""Migrations: Alembic over sql/migrations, under a lock, so that two that start at once do it once.

After them come the grants (sql/grants.sql), so that a new table is at once open to the services that need it.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from activitymodule.errors import ConfigError
from activitymodule.settings import Settings, resource
from activitymodule.store.connection import connect, explained

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy import Connection, Engine

_LOCK = 7_204_110_001  # any number, as long as it is this one everywhere


@dataclass(frozen=True)
class Schema:
    """Which revision the store has, which the code needs, and what stands between them."""

    current: str | None
    head: str
    pending: tuple[str, ...]

    @property
    def up_to_date(self) -> bool:
        return not self.pending


def _config() -> Config:
    from alembic.config import Config

    folder = resource("sql/migrations")
    if not (folder / "env.py").is_file():
        raise ConfigError(f"there are no migrations in {folder}; set ACTIVITY_HOME to the project's folder")
    config = Config()
    # Alembic reads its options through a template syntax in which % is special
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    return config


def _engine(settings: Settings) -> Engine:
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    return create_engine("postgresql+psycopg2://", creator=lambda: connect(settings), poolclass=NullPool)


def _schema(connection: Connection, config: Config) -> Schema:
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

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


def schema(settings: Settings) -> Schema:
    """The revision of the store, and what is pending."""
    with explained(settings), _engine(settings).connect() as connection:
        return _schema(connection, _config())


def upgrade(settings: Settings) -> Schema:
    """Bring the store's tables up to date, all or nothing; returns what was there before.

    May be called at any time, also by several at once: they wait for each other.
    """
    from alembic import command
    from sqlalchemy import text

    config = _config()
    with explained(settings), _engine(settings).begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        before = _schema(connection, config)
        if before.pending:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
        _grant(connection)
    return before


def _grant(connection: Connection) -> None:
    """Give the roles that exist what sql/grants.sql says; it may be done again and again."""
    statement = resource("sql/grants.sql").read_text()
    # as it stands: no driver is to look for places of values in it
    with closing(connection.connection.cursor()) as cursor:
        cursor.execute(statement)
