"""Webhooks: addresses that get activity events by HTTP, how far each has come, and what keeps it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from activitymodule.errors import NotFoundError
from activitymodule.store.connection import Connection
from activitymodule.store.events import newest_sequence
from activitymodule.store.queries import Row, execute, fetch_all, fetch_row, fetch_value


@dataclass(frozen=True)
class Webhook:
    """One webhook. sequence : the last event it got, or that was none of its kinds"""

    webhook_id: int
    url: str
    events: tuple[str, ...]
    added_at: datetime
    added_by: str
    sequence: int
    delivered: int
    delivered_at: datetime | None
    attempts: int
    failing_since: datetime | None
    next_try_at: datetime | None
    error: str | None
    dead_at: datetime | None

    @property
    def state(self) -> str:
        """`ok`, `failing` or `dead`."""
        return "dead" if self.dead_at else "failing" if self.failing_since else "ok"


_COLUMNS = (
    "webhook_id, url, events, added_at, added_by, sequence, delivered, delivered_at, attempts, failing_since, "
    "next_try_at, error, dead_at"
)


def _webhook(row: Row) -> Webhook:
    number, url, events, *rest = row
    return Webhook(number, url, tuple(events), *rest)


def add_webhook(connection: Connection, url: str, events: Sequence[str], secret: str, by: str) -> Webhook:
    """Add a webhook that gets the events from now on."""
    sql = (
        f"INSERT INTO webhooks (url, events, sequence, added_by) VALUES (%s, %s, %s, %s) RETURNING {_COLUMNS}"
    )
    row = fetch_row(connection, sql, (url, list(events), newest_sequence(connection), by))
    assert row is not None
    made = _webhook(row)
    execute(connection, "INSERT INTO webhook_secrets VALUES (%s, %s)", (made.webhook_id, secret))
    return made


def list_webhooks(connection: Connection) -> list[Webhook]:
    """All, in the order they were added."""
    return [
        _webhook(row) for row in fetch_all(connection, f"SELECT {_COLUMNS} FROM webhooks ORDER BY webhook_id")
    ]


def find_webhook(connection: Connection, webhook_id: int) -> Webhook:
    """One. Raises NotFoundError."""
    row = fetch_row(connection, f"SELECT {_COLUMNS} FROM webhooks WHERE webhook_id = %s", (webhook_id,))
    if row is None:
        raise _not_found(webhook_id)
    return _webhook(row)


def _not_found(webhook_id: int) -> NotFoundError:
    return NotFoundError(f"there is no webhook {webhook_id}; `activity webhooks list` shows all of them")


def remove_webhook(connection: Connection, webhook_id: int) -> None:
    """Remove it, its secret too. Raises NotFoundError."""
    if not execute(connection, "DELETE FROM webhooks WHERE webhook_id = %s", (webhook_id,)):
        raise _not_found(webhook_id)


def secret_of(connection: Connection, webhook_id: int) -> str:
    """What signs its requests."""
    sql = "SELECT secret FROM webhook_secrets WHERE webhook_id = %s"
    return str(fetch_value(connection, sql, (webhook_id,)))


# One that has come to the end is not looked at until there are events again.
_DUE = f"""
SELECT {_COLUMNS} FROM webhooks
WHERE dead_at IS NULL AND (next_try_at IS NULL OR next_try_at <= clock_timestamp())
  AND sequence < (SELECT coalesce(max(sequence), 0) FROM activity_events)
ORDER BY webhook_id
"""


def due_webhooks(connection: Connection) -> list[Webhook]:
    """Those that have events to get and may be tried now."""
    return [_webhook(row) for row in fetch_all(connection, _DUE)]


_DELIVERED = """
UPDATE webhooks SET sequence = %(sequence)s, delivered = delivered + %(count)s,
    delivered_at = CASE WHEN %(count)s > 0 THEN clock_timestamp() ELSE delivered_at END,
    attempts = 0, failing_since = NULL, next_try_at = NULL, error = NULL, dead_at = NULL
WHERE webhook_id = %(id)s
"""


def record_delivery(connection: Connection, webhook_id: int, sequence: int, count: int) -> None:
    """It got `count` events, the last of them `sequence`; a dead one lives again."""
    execute(connection, _DELIVERED, {"id": webhook_id, "sequence": sequence, "count": count})


_FAILED = f"""
UPDATE webhooks SET attempts = attempts + 1, error = %(error)s,
    failing_since = coalesce(failing_since, clock_timestamp()),
    next_try_at = clock_timestamp() + %(wait)s,
    dead_at = CASE WHEN %(gone)s OR clock_timestamp() - failing_since >= %(patience)s THEN clock_timestamp() END
WHERE webhook_id = %(id)s RETURNING {_COLUMNS}
"""


def record_failure(
    connection: Connection,
    webhook_id: int,
    error: str,
    *,
    wait: timedelta,
    patience: timedelta,
    gone: bool = False,
) -> Webhook | None:
    """An attempt failed; the next one comes after `wait`. None where it was removed meanwhile.

    patience : dead once it has failed for so long; gone : dead now, as the address said
    """
    values = {"id": webhook_id, "error": error, "wait": wait, "patience": patience, "gone": gone}
    row = fetch_row(connection, _FAILED, values)
    return _webhook(row) if row else None
