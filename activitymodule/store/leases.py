"""Leases of queue items: which annotator holds which item, so that no two label one that needs a single label.

An expired lease has no effect. Everything happens in the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from activitymodule.store.connection import Connection
from activitymodule.store.items import Item, get_item
from activitymodule.store.queries import execute, fetch_all, fetch_row

# First what the annotator already holds (the page was reloaded), then the item that has waited longest: audit and
# selected items come in the order they were queued, so neither waits for the other.
_CANDIDATE = """
SELECT q.item_id
FROM queue_items q
LEFT JOIN leases own ON own.item_id = q.item_id AND own.annotator = %(annotator)s
     AND own.expires_at > clock_timestamp()
WHERE q.closed_at IS NULL AND q.expires_at > clock_timestamp()
  AND q.item_id <> ALL (%(besides)s)
  AND NOT EXISTS (SELECT FROM annotations_not_undone a
                  WHERE a.item_id = q.item_id AND a.annotator = %(annotator)s)
  AND (SELECT count(*) FROM leases l WHERE l.item_id = q.item_id AND l.annotator <> %(annotator)s
       AND l.expires_at > clock_timestamp())
    + (SELECT count(DISTINCT a.annotator) FROM annotations_not_undone a
       WHERE a.item_id = q.item_id AND a.answer = 'label') < q.required_labels
ORDER BY own.item_id IS NULL, q.queued_at, q.item_id
LIMIT 1 FOR UPDATE OF q SKIP LOCKED
"""
_STANDING = """
SELECT q.required_labels, q.closed_at IS NULL, q.expires_at > clock_timestamp(),
       (SELECT count(*) FROM leases l WHERE l.item_id = q.item_id AND l.annotator <> %(annotator)s
        AND l.expires_at > clock_timestamp()),
       (SELECT count(DISTINCT a.annotator) FROM annotations_not_undone a
        WHERE a.item_id = q.item_id AND a.answer = 'label' AND NOT a.adjudicates),
       EXISTS (SELECT FROM annotations_not_undone a
               WHERE a.item_id = q.item_id AND a.annotator = %(annotator)s AND NOT a.adjudicates),
       EXISTS (SELECT FROM leases l WHERE l.item_id = q.item_id AND l.annotator = %(annotator)s
               AND l.expires_at > clock_timestamp()),
       q.stratum
FROM queue_items q WHERE q.item_id = %(item_id)s
"""
_LEASE = """
INSERT INTO leases (item_id, annotator, expires_at)
VALUES (%(item_id)s, %(annotator)s, clock_timestamp() + make_interval(secs => %(seconds)s))
ON CONFLICT (item_id, annotator) DO UPDATE SET
    leased_at = CASE WHEN leases.expires_at > clock_timestamp() THEN leases.leased_at ELSE clock_timestamp() END,
    expires_at = excluded.expires_at
"""
# In one order, as they are taken: the page may be renewing them at the same time.
_RELEASE = """
DELETE FROM leases WHERE (item_id, annotator) IN (
    SELECT item_id, annotator FROM leases
    WHERE annotator = %s AND item_id = ANY (%s) ORDER BY item_id FOR UPDATE)
"""


class Standing(NamedTuple):
    """An item as one annotator finds it."""

    required_labels: int
    is_open: bool
    current: bool  # not expired
    held_by_others: int
    labelled: int  # annotators whose label counts
    answered: bool  # by this annotator
    leased: bool  # by this annotator, and the lease has not expired
    stratum: str

    @property
    def has_room(self) -> bool:
        """Whether fewer annotators hold or labelled it than it needs."""
        return self.held_by_others + self.labelled < self.required_labels


def standing(connection: Connection, item_id: int, annotator: str) -> Standing | None:
    """The item as the annotator finds it now; None where it does not exist."""
    row = fetch_row(connection, _STANDING, {"item_id": item_id, "annotator": annotator})
    return None if row is None else Standing(*row)


def lease_if_free(connection: Connection, item_id: int, annotator: str, minutes: float) -> bool:
    """Lease an item whose row is locked; False where the annotator may not have it."""
    found = standing(connection, item_id, annotator)
    if found is None or not (found.is_open and found.current and not found.answered and found.has_room):
        return False
    execute(connection, _LEASE, {"item_id": item_id, "annotator": annotator, "seconds": minutes * 60})
    return True


def lease_next(
    connection: Connection, annotator: str, minutes: float, *, besides: Sequence[int] = ()
) -> Item | None:
    """Lease the next item for an annotator, or None where no item waits for them.

    Never one they answered, skipped or flagged, and never one that as many others hold or have labelled as it
    needs. `besides`: items to leave out (those on their screen).
    """
    passed = list(besides)
    while row := fetch_row(connection, _CANDIDATE, {"annotator": annotator, "besides": passed}):
        # the row is locked now; whoever had it before us may have leased it meanwhile
        if lease_if_free(connection, row[0], annotator, minutes):
            return get_item(connection, row[0])
        passed.append(row[0])
    return None


def renew(connection: Connection, item_ids: Sequence[int], annotator: str, minutes: float) -> list[int]:
    """Extend the annotator's leases of these items, expired ones too if the item is still free; returns which."""
    sql = "SELECT item_id FROM leases WHERE annotator = %s AND item_id = ANY (%s)"
    held = [row[0] for row in fetch_all(connection, sql, (annotator, list(item_ids)))]
    return lease_these(connection, held, annotator, minutes)


def lease_these(connection: Connection, item_ids: Sequence[int], annotator: str, minutes: float) -> list[int]:
    """Lease those of these items that are free, or extend the annotator's leases; returns which."""
    lock = "SELECT 1 FROM queue_items WHERE item_id = %s FOR UPDATE SKIP LOCKED"
    # in one order, so that two annotators who want the same items do not wait for each other
    return [
        item_id
        for item_id in sorted(set(item_ids))
        if fetch_row(connection, lock, (item_id,)) and lease_if_free(connection, item_id, annotator, minutes)
    ]


def release(connection: Connection, item_ids: Sequence[int], annotator: str) -> None:
    """Give items back unanswered."""
    execute(connection, _RELEASE, (annotator, list(item_ids)))
