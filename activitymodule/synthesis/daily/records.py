"""Daily records of synthesised people, in the columns of days/columns; and what was planted, apart from them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa

from activitymodule.days.columns import SCHEMA
from activitymodule.errors import ConfigError
from activitymodule.synthesis.daily import personas, workouts, zones
from activitymodule.synthesis.daily.days import ACTIVE, ACTIVITIES, Days, besides, days
from activitymodule.synthesis.draws import normal
from activitymodule.synthesis.plans import HABITS, OTHER

SOURCE = "synthetic"
PEOPLE_AT_ONCE = 64
_LONGEST_HOUR = 25

PEOPLE_SCHEMA = pa.schema(
    [
        ("participant", pa.string()),
        ("age_years", pa.float64()),
        ("sex", pa.string()),
        ("height_cm", pa.float64()),
        ("weight_kg", pa.float64()),
        ("resting_heart_rate_bpm", pa.float64()),
        ("zone", pa.string()),
    ]
)
"""What is known of the people, as it would be of real ones."""

TRUTH_SCHEMA = pa.schema(
    [
        ("participant", pa.string()),
        ("persona", pa.string()),
        ("fades", pa.bool_()),
        ("stopped", pa.date32()),
        ("reason", pa.string()),
        ("engagement", pa.float64()),
    ]
)
"""What was planted; `stopped`: the first day after the watch was put away for good, null while it is worn;
`reason`: `faded` or `broken`; `engagement`: the mean of the days before."""


@dataclass(frozen=True)
class HistoryRun:
    """Which people and days: persons 1 to `people`, `days` local dates from `start` on."""

    people: int
    days: int
    seed: int
    start: date
    reference: str = "wisdm"

    def __post_init__(self) -> None:
        if self.people < 1 or self.days < 1:
            raise ConfigError(
                f"a history needs at least one person and one day; given: {self.people} and {self.days}"
            )

    @property
    def dates(self) -> np.ndarray:
        """The local dates, (days,) datetime64[D]."""
        return np.datetime64(self.start, "D") + np.arange(self.days)

    def lived(self, device: np.ndarray) -> Days:
        """The days of some of the people."""
        return days(np.asarray(device, np.int64), self.dates, self.seed, reference=self.reference)


def person_name(number: int) -> str:
    """`person-00001` for person 1."""
    return f"person-{number:05d}"


def records(batches: Iterable[pa.RecordBatch], *, run: HistoryRun) -> Iterator[pa.RecordBatch]:
    """Daily records of the people in the column `person` of Arrow batches; a function for `mapInArrow`."""
    for batch in batches:
        numbers = batch.column("person").to_numpy()
        for first in range(0, len(numbers), PEOPLE_AT_ONCE):
            yield record_batch(run, numbers[first : first + PEOPLE_AT_ONCE])


def record_batch(run: HistoryRun, device: np.ndarray) -> pa.RecordBatch:
    """Daily records of some people, person after person, day after day."""
    lived = run.lived(device)
    n, d = lived.wear.shape
    worn = lived.life.worn.ravel()

    def number(values: np.ndarray, decimals: int = 1) -> pa.Array:
        flat = np.round(np.asarray(values, float).ravel(), decimals)
        return pa.array(flat, mask=~worn)

    def names(values: list[str], codes: np.ndarray) -> pa.Array:
        return pa.array(values, pa.string()).take(pa.array(codes))

    def moment(minutes: np.ndarray) -> pa.Array:
        at = lived.local.begins + (np.round(minutes * 6) * 10_000_000).astype("timedelta64[us]")
        return pa.array(at.ravel(), pa.timestamp("us"), mask=~worn).cast(pa.timestamp("us", "UTC"))

    has = worn & (lived.workout.kind.ravel() >= 0)
    kinds = pa.array(np.where(has, lived.workout.kind.ravel(), 0), mask=~has)
    active = lived.minutes[:, :, [ACTIVITIES.index(name) for name in ACTIVE]].sum(2)
    columns: dict[str, pa.Array] = {
        "participant": names([person_name(p) for p in device.tolist()], np.repeat(np.arange(n), d)),
        "date": pa.array(np.tile(run.dates, n)),
        "source": names([SOURCE], np.zeros(n * d, np.int8)),
        "zone": names(list(zones.NAMES), np.repeat(lived.zone, d)),
        "hours": pa.array(lived.local.hours.ravel()),
        "wear_minutes": pa.array(np.round(np.where(worn, lived.wear.ravel(), 0.0), 1)),
        "completeness": pa.array(np.round((lived.recorded / (60 * lived.local.hours)).ravel(), 4)),
        "active_minutes": number(active),
        "minutes": _maps(lived.minutes.reshape(n * d, -1), worn),
        "bouts": _maps(_bouts(lived, run.seed), worn),
        "hours_active": _hours_active(lived, active, run.seed),
        "workout": pa.array(workouts.NAMES).take(kinds),
        "workout_minutes": number(lived.workout.minutes),
        "workout_kcal": number(lived.workout_kcal),
        "steps": number(lived.steps, 0),
        "kcal": number(lived.kcal),
        "heart_resting": number(lived.heart_resting),
        "heart_mean": number(lived.heart_mean),
        "heart_max": number(lived.heart_max),
        "intensity": number(lived.intensity, 4),
        "first_wear": moment(lived.first),
        "last_wear": moment(lived.last),
    }
    return pa.RecordBatch.from_arrays(
        [columns[field.name].cast(field.type) for field in SCHEMA], schema=SCHEMA
    )


def record_table(run: HistoryRun) -> pa.Table:
    """Daily records of all people of a run, without Spark."""
    return pa.Table.from_batches([record_batch(run, device) for device in _groups(run)])


def people_table(run: HistoryRun) -> pa.Table:
    """Who the people are, one row a person."""
    parts = []
    for device in _groups(run):
        lived = run.lived(device)
        who = lived.who
        columns = [
            pa.array([person_name(p) for p in device.tolist()]),
            *(pa.array(a) for a in (who.age_years, np.where(who.female, "female", "male"), who.height_cm)),
            *(pa.array(a) for a in (who.weight_kg, who.resting_heart_rate_bpm)),
            pa.array([zones.NAMES[z] for z in lived.zone.tolist()]),
        ]
        parts.append(pa.table(columns, schema=PEOPLE_SCHEMA))
    return pa.concat_tables(parts)


def truth_table(run: HistoryRun) -> pa.Table:
    """What was planted, one row a person; never an input of a model."""
    parts = []
    for device in _groups(run):
        lived = run.lived(device)
        life, own = lived.life, lived.habits
        stays = life.stopped >= run.days
        when = run.dates[np.minimum(life.stopped, run.days - 1)]
        before = np.arange(run.days)[None, :] < np.maximum(life.stopped, 1)[:, None]
        columns = [
            pa.array([person_name(p) for p in device.tolist()]),
            pa.array([personas.NAMES[p] for p in own.persona.tolist()]),
            pa.array(own.fades),
            pa.array(when, mask=stays),
            pa.array(np.where(life.broken, "broken", "faded"), mask=stays),
            pa.array(np.round((life.engagement * before).sum(1) / before.sum(1), 3)),
        ]
        parts.append(pa.table(columns, schema=TRUTH_SCHEMA))
    return pa.concat_tables(parts)


def _groups(run: HistoryRun) -> Iterator[np.ndarray]:
    numbers = np.arange(1, run.people + 1)
    for first in range(0, run.people, PEOPLE_AT_ONCE):
        yield numbers[first : first + PEOPLE_AT_ONCE]


def _maps(values: np.ndarray, worn: np.ndarray) -> pa.Array:
    """Rows (rows, activities) as maps of what is above 0; null on days without wear."""
    there = (values > 0) & worn[:, None]
    offsets = np.concatenate([[0], np.cumsum(there.sum(1))]).astype(np.int32)
    _, column = np.nonzero(there)
    keys = pa.array(ACTIVITIES, pa.string()).take(pa.array(column))
    at = pa.array(offsets, mask=np.concatenate([~worn, [False]]))
    return pa.MapArray.from_arrays(at, keys, pa.array(values[there]))


def _bouts(lived: Days, seed: int) -> np.ndarray:
    """Bouts by activity (rows, activities): minutes over the mean bout of the day plan, workouts in one piece."""
    n, d, k = lived.minutes.shape
    person, day = lived.who.device[:, None], np.arange(d)[None, :]
    count, rest = np.empty((n, d, k)), besides(lived.minutes, lived.workout)
    for column, name in enumerate(ACTIVITIES):
        habit = HABITS.get(name, OTHER)
        mean = habit.median_seconds / 60 * np.exp(habit.spread**2 / 2)
        inside = lived.minutes[:, :, column] - rest[:, :, column] > 1
        noise = np.exp(0.15 * normal(f"bouts {name}", seed, person, day))
        count[:, :, column] = np.round(rest[:, :, column] / mean * noise) + inside
        count[:, :, column] = np.maximum(count[:, :, column], lived.minutes[:, :, column] >= 1)
    return count.reshape(n * d, k)


def _hours_active(lived: Days, active: np.ndarray, seed: int) -> pa.Array:
    """Active minutes by hour since local midnight; their sum is that of the day."""
    n, d = active.shape
    person, day = lived.who.device[:, None, None], np.arange(d)[None, :, None]
    hour = np.arange(_LONGEST_HOUR)[None, None, :]
    inside = hour < lived.local.hours[:, :, None]
    begins, ends = lived.first[:, :, None] / 60, lived.last[:, :, None] / 60
    awake = np.exp(-0.5 * ((hour + 0.5 - 13.5) / 4.6) ** 2) * (hour >= 6)
    awake = awake * np.clip(np.minimum(hour + 1, ends) - np.maximum(hour, begins), 0.0, 1.0) + 1e-6
    irregular = lived.habits.irregular[:, None, None]
    weight = awake * np.exp(irregular * normal("hour of activity", seed, person, day, hour)) * inside
    start = lived.workout.hour[:, :, None]
    length = lived.workout.minutes[:, :, None]
    moving = 60 * np.clip(np.minimum(hour + 1, start + length / 60) - np.maximum(hour, start), 0.0, 1.0)
    moving = np.minimum(moving, 60.0) * inside
    filled = moving * np.minimum(active / np.maximum(moving.sum(2), 1e-9), 1.0)[:, :, None]
    for _ in range(8):  # what does not fit into an hour goes to the others
        left = np.maximum(active - filled.sum(2), 0.0)[:, :, None]
        room = np.where(inside, 60.0 - filled, 0.0)
        open_ = weight * (room > 1e-9)
        share = left * open_ / np.maximum(open_.sum(2, keepdims=True), 1e-12)
        filled = filled + np.minimum(share, room)
    hours = lived.local.hours.astype(np.int64).ravel()
    worn = lived.life.worn.ravel()
    there = np.where(worn, hours, 0)
    offsets = np.concatenate([[0], np.cumsum(there)]).astype(np.int32)
    taken = (np.arange(_LONGEST_HOUR)[None, :] < there[:, None]) & worn[:, None]
    values = np.minimum(np.round(filled.reshape(n * d, -1)[taken], 2), 60.0)
    at = pa.array(offsets, mask=np.concatenate([~worn, [False]]))
    return pa.ListArray.from_arrays(at, pa.array(values))
