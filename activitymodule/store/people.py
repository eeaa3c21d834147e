"""Wearers of the watches, as far as they are known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import pyarrow as pa
from psycopg2.extras import execute_values

from activitymodule.errors import DataError
from activitymodule.store.connection import Connection
from activitymodule.store.queries import fetch_all, only_row
from activitymodule.store.times import AS_TIME

COLUMNS = ("age_years", "sex", "height_cm", "weight_kg", "resting_heart_rate_bpm")

# A watch that nobody is known to wear gets a participant of its own name, unless its wearer was erased. Who was
# assigned a watch is not changed.
_UPSERT = """
WITH given (device_id, age_years, sex, height_cm, weight_kg, resting_heart_rate_bpm) AS (VALUES %s),
made AS (
    INSERT INTO participants (participant, age_years, sex, height_cm, weight_kg, resting_heart_rate_bpm)
    SELECT * FROM given g
    WHERE NOT EXISTS (SELECT FROM participant_devices w WHERE w.device_id = g.device_id)
      AND NOT EXISTS (SELECT FROM erased_periods e
                      WHERE e.device_sha256 = sha256(e.salt || convert_to(g.device_id, 'UTF8')))
    ON CONFLICT (participant) DO NOTHING
    RETURNING participant
), worn AS (
    INSERT INTO participant_devices (participant, device_id, worn_from)
    SELECT participant, participant, '-infinity' FROM made
), updated AS (
    UPDATE participants p SET
        age_years = g.age_years, sex = g.sex, height_cm = g.height_cm, weight_kg = g.weight_kg,
        resting_heart_rate_bpm = g.resting_heart_rate_bpm, updated_at = clock_timestamp()
    FROM given g
    WHERE p.participant = g.device_id
      AND (p.age_years, p.sex, p.height_cm, p.weight_kg, p.resting_heart_rate_bpm)
          IS DISTINCT FROM (g.age_years, g.sex, g.height_cm, g.weight_kg, g.resting_heart_rate_bpm)
      AND EXISTS (SELECT FROM participant_devices w WHERE w.participant = p.participant AND w.device_id = p.participant)
    RETURNING 1
)
SELECT (SELECT count(*) FROM made) + (SELECT count(*) FROM updated)
"""
_TEMPLATE = "(%s, %s::real, %s, %s::real, %s::real, %s::real)"
_FOR = """
SELECT device_id, age_years, sex, height_cm, weight_kg, resting_heart_rate_bpm FROM people WHERE device_id = ANY (%s)
"""
_AT = f"""
SELECT p.age_years, p.sex, p.height_cm, p.weight_kg, p.resting_heart_rate_bpm
FROM unnest(%s::text[], %s::bigint[]) WITH ORDINALITY AS given (device, us, place)
LEFT JOIN participants p ON p.participant = person_of(device, {AS_TIME.format("us")})
ORDER BY place
"""


class Person(NamedTuple):
    """One wearer; None where unknown."""

    age_years: float | None
    sex: str | None  # female or male
    height_cm: float | None
    weight_kg: float | None
    resting_heart_rate_bpm: float | None


UNKNOWN_PERSON = Person(None, None, None, None, None)


def upsert_people(connection: Connection, people: pa.Table) -> int:
    """Write the wearers of watches; returns how many were new or different.

    people : columns device_id and COLUMNS; missing columns, nulls and NaN mean unknown, and the last of several rows
        of one device counts. Raises DataError without a device_id.
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
            execute_values(cursor, _UPSERT, rows[first : first + 1000], template=_TEMPLATE, page_size=1000)
            changed += int(only_row(cursor)[0])
    return changed


def people_for(connection: Connection, device_ids: Sequence[str]) -> dict[str, Person]:
    """Who wears these watches now, where it is known."""
    rows = fetch_all(connection, _FOR, (list(device_ids),))
    return {row[0]: Person(*row[1:]) for row in rows}


def people_at(connection: Connection, device_ids: Sequence[str], us: Sequence[int]) -> list[Person]:
    """Who wore each of n watches at times (UTC microseconds); UNKNOWN_PERSON where it is not known."""
    rows = fetch_all(connection, _AT, (list(device_ids), [int(one) for one in us]))
    return [Person(*row) for row in rows]
