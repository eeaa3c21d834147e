"""Settings of one's own on the session's stack: what several fixtures are made of.

A module and no conftest: every folder of tests has its own conftest, and only one can be imported by that name.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from activitymodule import settings as config
from activitymodule.settings import Settings


def replaced(settings: Settings, **sections: dict[str, Any]) -> Settings:
    """Settings with some keys of some sections replaced, validated anew."""
    tree = config.reveal(settings)
    for section, keys in sections.items():
        tree[section].update(keys)
    return config.build(tree)


@contextmanager
def settings_of_ones_own(stack: Any, folder: Path, *, with_topics: bool = True) -> Iterator[Settings]:
    """Settings with a migrated database, three topics, model names and folders, while the block lasts.

    with_topics : whether Kafka has the topics, which take longer than the database
    """
    from activitymodule.kafka import topics

    token = secrets.token_hex(4)
    kafka, registry = stack.settings.kafka, stack.settings.registry
    own = replaced(
        stack.settings,
        store={"database": f"test_{token}"},
        kafka={"topic": f"{kafka.topic}-{token}", "truth_topic": f"{kafka.truth_topic}-{token}"},
        events={"enabled": True, "topic": f"{stack.settings.events.topic}-{token}"},
        registry={
            "classifier": f"{registry.classifier}-{token}",
            "regressor": f"{registry.regressor}-{token}",
            "days_prefix": f"{token}-",
        },
        spark={"checkpoints": str(folder / "checkpoints")},
        archive={"folder": str(folder / "lake" / "archive")},
        lake={"folder": str(folder / "lake")},
        reports={"folder": str(folder / "reports")},
    )
    # a test before may have killed a service
    if not all(service.healthy() for service in stack.services.values() if not service.optional):
        stack.up()
    create_database(own)
    if with_topics:
        topics.create(own)
    yield own
    drop_database(own)
    if with_topics:
        topics.delete(own, [own.kafka.topic, own.kafka.truth_topic, own.events.topic])


def register_champion(settings: Settings, trained: Path) -> Any:
    """Both models registered under the names of the settings, and serving; the classifier's version."""
    from activitymodule.registry.versions import register

    registry = settings.registry
    serving = register(settings, registry.classifier, trained / "activity", {})
    for version in (serving, register(settings, registry.regressor, trained / "energy", {})):
        serve(settings, version)
    return serving


def serve(settings: Settings, version: Any, *, sha256: str | None = None) -> None:
    """A version recorded as champion, and as tried, which takes seconds; sha256 : of its files, as registered."""
    from activitymodule.registry.versions import DIGEST
    from activitymodule.serving.checking import environment
    from activitymodule.serving.record import move_aliases, promoted
    from activitymodule.store.connection import session
    from activitymodule.store.model_checks import record_check
    from activitymodule.store.promotions import record_promotion

    sha256, named = sha256 or version.tags[DIGEST], {"name": version.name, "version": version.version}
    with session(settings) as connection:
        record_check(connection, **named, sha256=sha256, environment=environment(), refusal=None)
        before = promoted(connection, settings, version.name)
        record_promotion(
            connection,
            **named,
            before=before[-1].version if before else None,
            act="promoted by hand",
            by_whom="a test",
            why="for the test",
            sha256=sha256,
        )
        move_aliases(settings, promoted(connection, settings, version.name))


MIGRATED = "migrated_for_tests"


def create_database(settings: Settings) -> None:
    """The database of the settings: a copy of one that was migrated once, as migrating takes most of a second."""
    from psycopg2 import sql

    from activitymodule.embedded.postgres import Postgres
    from activitymodule.store.migrate import upgrade

    # of each day one of its own: a migrated store has tables for the next days
    migrated = f"{MIGRATED}_{datetime.now(UTC):%Y%m%d}"
    begun = replaced(settings, store={"database": f"{MIGRATED}_begun"})
    with closing(Postgres(settings).connect()) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (migrated,))
        if cursor.fetchone() is None:
            drop_database(begun)
            Postgres(begun).settle()
            upgrade(begun)
            names = sql.Identifier(begun.store.database), sql.Identifier(migrated)
            cursor.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(*names))
        cursor.execute(
            sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {}").format(
                *map(sql.Identifier, (settings.store.database, settings.store.user, migrated))
            )
        )


def drop_database(settings: Settings) -> None:
    from psycopg2 import sql

    from activitymodule.embedded.postgres import Postgres

    connection = Postgres(settings).connect()
    with connection.cursor() as cursor:
        cursor.execute(
            sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(settings.store.database))
        )
    connection.close()
