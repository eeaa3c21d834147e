"""Whether the store can be used now: read, or written to."""

from __future__ import annotations

from contextlib import closing

from activitymodule.errors import StoreUnavailableError
from activitymodule.settings import Settings
from activitymodule.store.connection import connect, explained
from activitymodule.store.queries import execute

# Writes the row of the newest batch as it is, and is rolled back. Without a batch it writes nothing; a store that is
# read-only refuses it all the same.
_WRITE = """
UPDATE batches SET dropped_late = dropped_late
WHERE (query_id, batch_id) IN (SELECT query_id, batch_id FROM batches ORDER BY started_at DESC LIMIT 1)
"""


def why_not_connected(config: Settings) -> str | None:
    """Why the store accepts no connection now; None where it does.

    Raises ConfigError where it rejects the user or password.
    """
    try:
        connect(config, seconds=2).close()
    except StoreUnavailableError as error:
        return str(error)
    return None


def why_not_writable(config: Settings) -> str | None:
    """Why the store takes no writes now; None where it does. It is asked by a write, since a standby answers reads.

    Raises ConfigError where it rejects the user or password, SchemaError where it is not migrated.
    """
    try:
        with explained(config), closing(connect(config, seconds=2)) as connection:
            execute(connection, "SET LOCAL lock_timeout = '5s'")
            execute(connection, _WRITE)
            connection.rollback()
    except StoreUnavailableError as error:
        return str(error)
    return None
