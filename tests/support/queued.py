"""Queue items to annotate, and what the store holds of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from activitymodule.store import answers, leases
from activitymodule.store.connection import Connection
from activitymodule.store.queue import QueueItem, put
from activitymodule.windows.packing import RECORD

LABELS = ("sitting", "walking", "Nordic Walking")
START_US = 1_790_000_000_000_000
MINUTES = 5.0


def make_item(number: int, **changes: Any) -> QueueItem:
    """One of many items: a watch of its own every second one, ten seconds after each other."""
    start = START_US + number * 10_000_000
    records = np.zeros(100, RECORD)
    records["stamp_us"] = start + np.arange(100) * 100_000
    return replace(
        QueueItem(
            device_id=f"watch-{number % 2}",
            window_start_us=start,
            window_end_us=start + 10_000_000,
            stratum="doubt",
            reason="margin",
            doubt=0.5,
            doubts={},
            propensity=0.5,
            decision={},
            required_labels=1,
            readings=records.tobytes(),
            features=np.array([number, np.nan, -1.5], np.float32),
            features_version="1",
            activity="walking",
            probabilities=np.array([0.2, 0.5, 0.3], np.float32),
            conformal_set=("walking",),
            kcal_per_min=float("nan"),
            model_version="1",
            energy_version=None,
            expire_hours=1,
        ),
        **changes,
    )


def rows(connection: Connection, sql: str, values: Any = None) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchall() if cursor.description else []


def fill(connection: Connection, count: int, **changes: Any) -> list[int]:
    # a time of their own each: items that came together are not ordered among themselves
    for number in range(count):
        put(connection, [make_item(number, **changes)])
        connection.commit()
    return [row[0] for row in rows(connection, "SELECT item_id FROM queue_items ORDER BY item_id")]


def state(connection: Connection, item_id: int) -> str | None:
    return rows(connection, "SELECT closed_because FROM queue_items WHERE item_id = %s", (item_id,))[0][0]


def label(connection: Connection, item_id: int, who: str, said: str = "walking", **more: Any) -> int:
    """Lease an item, if it is free, and answer it."""
    leases.lease_these(connection, [item_id], who, MINUTES)
    return answers.answer(connection, item_id, who, "label", said, minutes=MINUTES, **more)
