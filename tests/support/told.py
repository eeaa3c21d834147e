"""What the outbox told of bouts, against what the store has."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from activitymodule.store.connection import Connection
from activitymodule.store.events import ActivityEvent, events_after
from activitymodule.store.queries import fetch_all

Bout = tuple[str, datetime, str, datetime | None, float | None, float | None]

_STORED = """
SELECT device_id, bout_start, activity, bout_end, round(minutes::numeric, 4)::double precision,
       round(kcal::numeric, 3)::double precision
FROM bouts
"""


def stored_bouts(connection: Connection) -> set[Bout]:
    """The bouts of the predictions table, as it has them."""
    return set(fetch_all(connection, _STORED))


def all_events(connection: Connection) -> list[ActivityEvent]:
    return events_after(connection, 0, limit=1_000_000)


def told_bouts(events: Iterable[ActivityEvent]) -> set[Bout]:
    """What a receiver knows at the end: of each bout the greatest revision holds, whatever order and copies came."""
    newest: dict[object, ActivityEvent] = {}
    for event in events:
        known = newest.get(event.bout)
        if known is None or event.revision > known.revision:
            newest[event.bout] = event
    return {
        (one.device_id, one.start, one.activity, one.end, one.minutes, one.kcal)
        for one in newest.values()
        if one.kind != "withdrawn"
    }


def assert_in_order(events: list[ActivityEvent]) -> None:
    """Of every bout each revision comes once and in order, and the sequence of all rises."""
    told: dict[object, int] = {}
    for event in events:
        assert event.revision == told.get(event.bout, -1) + 1, event
        assert (event.revision == 0) <= (event.kind == "began"), event
        told[event.bout] = event.revision
    numbers = [event.sequence for event in events]
    assert numbers == sorted(set(numbers))
    assert len({event.id for event in events}) == len(events)
