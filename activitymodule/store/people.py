"""Who wears the watches, as far as it is known."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from psycopg2.extras import execute_values

from activitymodule.errors import DataError
from activitymodule.store.connection import Connection

COLUMNS = ("age_years", "sex", "height_cm", "weight_kg", "resting_heart_rate_bpm")

_UPSERT = """
INSERT INTO people AS p (device_id, age_years, sex, height_cm, weight_kg, resting_heart_rate_bpm)
VALUES %s
ON CONFLICT (device_id) DO UPDATE SET
    age_years = excluded.age_years, sex = excluded.sex, height_cm = excluded.height_cm,
    weight_kg = excluded.weight_kg, resting_heart_rate_bpm = excluded.resting_heart_rate_bpm,
    updated_at = clock_timestamp()
WHERE (p.age_years, p.sex, p.height_cm, p.weight_kg, p.resting_heart_rate_bpm)
      IS DISTINCT FROM (excluded.age_years, excluded.sex, excluded.height_cm, excluded.weight_kg,
                        excluded.resting_heart_rate_bpm)
"""


class Person(NamedTuple):
    """One wearer; None where unknown."""

    age_years: float | None
    sex: str | None  # female or male
    height_cm: float | None
    weight_kg: float | None
    resting_heart_rate_bpm: float | None


class PeopleRows(NamedTuple):
    """Everybody that is known, by columns, and the newest change among them (None: nobody)."""

    device_id: list[str]
    age_years: np.ndarray  # (n,) float32, NaN where unknown; so are the others
    sex: list[str | None]
    height_cm: np.ndarray
    weight_kg: np.ndarray
    resting_heart_rate_bpm: np.ndarray
    updated_at: datetime | None


def upsert_people(connection: Connection, people: pa.Table) -> int:
    """Write people (columns device_id and COLUMNS; missing columns, nulls and NaN mean unknown).

    Returns how many rows were new or different. The last of several rows of one device counts.
    """
    if "device_id" not in people.column_names:
        raise DataError(
            f"people need a column device_id; there are {', '.join(people.column_names) or 'none'}"
        )
    columns = [
        people.column(name).to_pylist() if name in people.column_names else [None] * people.num_rows
        for name in COLUMNS
    ]
    by_device = {
        device: (device, *(None if value != value else value for value in values))
        for device, *values in zip(people.column("device_id").to_pylist(), *columns, strict=True)
    }
    changed = 0
    # sorted: two writers of the same people take their locks in the same order
    rows = [by_device[device] for device in sorted(by_device)]
    with connection.cursor() as cursor:
        for first in range(0, len(rows), 1000):
            execute_values(cursor, _UPSERT, rows[first : first + 1000], page_size=1000)
            changed += cursor.rowcount
    return changed


def people_for(connection: Connection, device_ids: Sequence[str]) -> dict[str, Person]:
    """Those of these watches whose wearers are known."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT device_id, age_years, sex, height_cm, weight_kg, resting_heart_rate_bpm FROM people "
            "WHERE device_id = ANY (%s)",
            (list(device_ids),),
        )
        return {row[0]: Person(*row[1:]) for row in cursor.fetchall()}


def people_of(connection: Connection) -> PeopleRows:
    """Everybody, in the order of device_id."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT device_id, age_years, sex, height_cm, weight_kg, resting_heart_rate_bpm, updated_at "
            "FROM people ORDER BY device_id"
        )
        rows = cursor.fetchall()
    device, age, sex, height, weight, resting, updated = zip(*rows, strict=True) if rows else ((),) * 7
    return PeopleRows(
        list(device),
        np.array(age, np.float32),
        list(sex),
        np.array(height, np.float32),
        np.array(weight, np.float32),
        np.array(resting, np.float32),
        max(updated, default=None),
    )


def people_changed(connection: Connection) -> tuple[int, datetime | None]:
    """How many people are known and when one last changed: tells cheaply whether to read them again."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT (SELECT count(*) FROM people), (SELECT max(updated_at) FROM people)")
        return cursor.fetchone()
