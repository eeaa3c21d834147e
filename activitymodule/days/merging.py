"""One record a participant and day, of those that several sources have of it.

Amounts of different sources are never added: both count the same steps. The source of most wear time comes first;
where it is unknown or equal, the order is that of ORDER. Each group of columns is the first source's that knows any of
the group, so an hour of a watch does not hide a whole day of a phone, and what a watch does not measure is filled.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from activitymodule.days.columns import SCHEMA

ORDER = ("devices", "apple-health", "garmin", "fitbit")
"""Before all other sources, which follow by name."""

GROUPS: tuple[tuple[str, ...], ...] = (
    ("wear_minutes", "completeness", "first_wear", "last_wear"),
    ("active_minutes", "minutes", "bouts", "hours_active"),
    ("workout", "workout_minutes", "workout_kcal"),
    ("steps",),
    ("kcal",),
    ("heart_resting", "heart_mean", "heart_max"),
    ("intensity",),
)
"""What one source has together: columns of a group are never of two sources."""
_OF_THE_FIRST = ("participant", "date", "source", "zone", "hours")


def merged(days: pa.Table) -> pa.Table:
    """Daily records with each participant and date once, sorted by them; `source` is the one that came first.

    days : columns.SCHEMA
    """
    days = days.select(SCHEMA.names)
    source = days.column("source").to_pylist()
    place = {name: number for number, name in enumerate((*ORDER, *sorted({*source} - {*ORDER})))}
    wear = np.asarray(days.column("wear_minutes").to_numpy(), np.float64)
    by = pa.table(
        {
            "participant": days.column("participant"),
            "date": days.column("date"),
            "wear": -np.nan_to_num(wear, nan=-1.0),
            "place": [place[name] for name in source],
        }
    )
    order = pc.sort_indices(by, [(name, "ascending") for name in by.column_names])
    days = days.take(order)
    if len(days) < 2:
        return days
    same = pc.and_(
        *(
            pc.equal(days[name].slice(1), days[name].slice(0, len(days) - 1))
            for name in ("participant", "date")
        )
    )
    first = np.append(True, ~np.asarray(same.to_numpy()))
    record = np.cumsum(first) - 1
    columns = {name: days.column(name).take(pa.array(np.flatnonzero(first))) for name in _OF_THE_FIRST}
    for group in GROUPS:
        known = np.any([np.asarray(pc.is_valid(days.column(name)).to_numpy()) for name in group], axis=0)
        chosen = np.full(int(record[-1]) + 1, -1)
        rows = np.flatnonzero(known)[::-1]
        chosen[record[rows]] = rows  # the first of them is written last
        take = pa.array(chosen, mask=chosen < 0)
        columns |= {name: days.column(name).take(take) for name in group}
    return pa.table([columns[name] for name in SCHEMA.names], schema=SCHEMA)
