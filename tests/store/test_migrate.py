"""Migrations: once, whole, and from a store of the version before."""

from __future__ import annotations

import threading

import pytest

from activitymodule.errors import ConfigError, SchemaError
from activitymodule.store import migrate
from activitymodule.store.connection import session
from activitymodule.store.people import people_for

integration = pytest.mark.integration


@integration
def test_parallel_migrations_migrate_once(fresh_settings):
    with session(fresh_settings) as connection, connection.cursor() as cursor:
        cursor.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    found, errors = [], []

    def run():
        try:
            found.append(migrate.upgrade(fresh_settings))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert sum(bool(before.pending) for before in found) == 1
    assert migrate.schema(fresh_settings).up_to_date
    assert migrate.upgrade(fresh_settings).pending == ()


@integration
def test_an_unknown_revision_is_refused(fresh_settings):
    with session(fresh_settings) as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(ConfigError):
        migrate.upgrade(fresh_settings)


@integration
def test_a_store_without_tables_has_another_schema(fresh_settings):
    with session(fresh_settings) as connection, connection.cursor() as cursor:
        cursor.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    with (
        pytest.raises(SchemaError),
        session(fresh_settings) as connection,
    ):
        people_for(connection, ["a"])
