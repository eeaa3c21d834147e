"""The one table of columns of daily records: schema, checks and documentation are made from it.

A new stored column is an entry of COLUMNS, a derived one an entry of DERIVED and its formula in days/derived.py.
Null means unknown, never 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

MINUTES = 1500.0  # of the longest local day, 25 h
NUMBER = pa.float64()
AMOUNTS = pa.map_(pa.string(), NUMBER)
TIME = pa.timestamp("us", "UTC")


@dataclass(frozen=True)
class Column:
    """A column of daily records.

    type : Arrow's; in a map the keys are names of activities
    formula, source : how it is computed from a watch, and from what; an import has what its source gives
    low, high : inclusive bounds of a number, or of each number of a list or map
    required : never null
    """

    name: str
    type: pa.DataType
    unit: str
    meaning: str
    formula: str
    source: str
    low: float | None = None
    high: float | None = None
    required: bool = False


def _amount(
    name: str,
    unit: str,
    meaning: str,
    formula: str,
    source: str,
    high: float | None,
    *,
    low: float = 0.0,
    type_: pa.DataType = NUMBER,
    required: bool = False,
) -> Column:
    return Column(name, type_, unit, meaning, formula, source, low, high, required)


_PREDICTIONS, _ARCHIVE = "predictions", "archived readings"

COLUMNS: tuple[Column, ...] = (
    Column(
        "participant",
        pa.string(),
        "",
        "the person, by pseudonym",
        "the one who wore the watch; the watch itself where nobody is assigned",
        "participant_devices",
        required=True,
    ),
    Column("date", pa.date32(), "", "the person's local date", "by `zone`", "window start", required=True),
    Column(
        "source",
        pa.string(),
        "",
        "`devices`, `apple-health`, `fitbit`, `garmin`, `table:NAME` or `synthetic`",
        "`devices` for watches",
        "",
        required=True,
    ),
    Column(
        "zone",
        pa.string(),
        "",
        "the time zone of the day, an IANA name",
        "the person's, else `days.zone`",
        "participants",
        required=True,
    ),
    _amount(
        "hours",
        "h",
        "length of the local day",
        "24; 23 or 25 where the clock changes",
        "`zone`",
        26.0,
        required=True,
    ),
    _amount(
        "wear_minutes",
        "min",
        "time the watch was worn",
        "recorded windows outside stillness of an hour or more",
        f"{_PREDICTIONS}, {_ARCHIVE}",
        MINUTES,
    ),
    _amount(
        "completeness",
        "",
        "share of the day that is recorded, worn or not",
        "recorded time / `hours`",
        _PREDICTIONS,
        1.0,
    ),
    _amount(
        "active_minutes",
        "min",
        "time in active activities, those above 1.5 MET",
        "sum of `minutes` without those of `days.inactive`",
        f"{_PREDICTIONS}, `days.inactive`",
        MINUTES,
    ),
    _amount(
        "minutes",
        "min",
        "worn time by activity",
        "time of the windows of each activity, the smoothed one where there is one",
        _PREDICTIONS,
        MINUTES,
        type_=AMOUNTS,
    ),
    _amount(
        "bouts",
        "",
        "number of bouts by activity",
        "stretches of one activity of a minute or more, begun this "
        "day; an interruption of 20 s or less does not end one",
        _PREDICTIONS,
        MINUTES,
        type_=AMOUNTS,
    ),
    _amount(
        "hours_active",
        "min",
        "active minutes by hour since local midnight: 23, 24 or 25 values",
        "`active_minutes` by hour",
        _PREDICTIONS,
        60.0,
        type_=pa.list_(NUMBER),
    ),
    Column(
        "workout",
        pa.string(),
        "",
        "activity of the main workout; null without one",
        "the longest session of 10 active minutes or more; its most frequent active activity",
        _PREDICTIONS,
    ),
    _amount(
        "workout_minutes",
        "min",
        "active time of the main workout; 0 without one",
        "active windows of the session",
        _PREDICTIONS,
        MINUTES,
    ),
    _amount(
        "workout_kcal",
        "kcal",
        "energy of the main workout; 0 without one",
        "sum over the session",
        _PREDICTIONS,
        20000.0,
    ),
    _amount("steps", "", "steps", "sum of the readings' steps while worn", _ARCHIVE, 200000.0),
    _amount(
        "kcal",
        "kcal",
        "energy expenditure, resting included: of the worn time for watches, as the source counts "
        "it for imports",
        "sum of `kcal_per_min` x time while worn",
        _PREDICTIONS,
        30000.0,
    ),
    _amount(
        "heart_resting",
        "bpm",
        "resting heart rate",
        "5th percentile of the minute means while worn and not active; needs 30 such minutes",
        _ARCHIVE,
        220.0,
        low=15.0,
    ),
    _amount(
        "heart_mean",
        "bpm",
        "mean heart rate",
        "mean of the minute means while worn",
        _ARCHIVE,
        300.0,
        low=15.0,
    ),
    _amount(
        "heart_max",
        "bpm",
        "greatest heart rate",
        "greatest minute mean while worn",
        _ARCHIVE,
        300.0,
        low=15.0,
    ),
    _amount(
        "intensity",
        "g",
        "mean movement",
        "mean over worn windows of the mean absolute deviation of the size of the acceleration",
        _ARCHIVE,
        16.0,
    ),
    Column("first_wear", TIME, "UTC", "begin of the first worn window", "", _PREDICTIONS),
    Column("last_wear", TIME, "UTC", "end of the last worn window", "", _PREDICTIONS),
)
KEY = ("participant", "date", "source")
SCHEMA = pa.schema([pa.field(c.name, c.type, nullable=not c.required) for c in COLUMNS])
"""Arrow schema of stored daily records; `pa.Table.from_pylist(rows, SCHEMA)` leaves what is missing null."""

WORN_MINUTES = 600.0
"""A day with so much wear counts as worn: 10 h, the usual criterion of a valid day (Migueles et al. 2017,
Sports Medicine 47:1821-1845)."""
ACTIVE_GOAL_MINUTES = 30.0

_ROLLED = {"steps": "", "kcal": "kcal", "active_minutes": "min", "wear_minutes": "min"}


def _rolling() -> tuple[Column, ...]:
    return tuple(
        Column(
            f"{name}_{days}d",
            NUMBER,
            unit,
            f"mean `{name}` of the last {days} days, this one included",
            f"mean over the known ones, at least {days // 2 + 1}; else null",
            f"`{name}`",
        )
        for name, unit in _ROLLED.items()
        for days in (7, 28)
    )


ROLLED = tuple(_ROLLED)
DERIVED: tuple[Column, ...] = (
    Column(
        "worn",
        pa.bool_(),
        "",
        "whether it counts as a worn day",
        f"`wear_minutes` >= {WORN_MINUTES:g}; null where unknown",
        "`wear_minutes`",
    ),
    Column(
        "active_share",
        NUMBER,
        "",
        "active share of the worn time",
        "`active_minutes` / `wear_minutes`; null at 0",
        "`active_minutes`, `wear_minutes`",
    ),
    Column(
        "kcal_per_step",
        NUMBER,
        "kcal",
        "energy a step",
        "`kcal` / `steps`; null at 0",
        "`kcal`, `steps`",
    ),
    Column(
        "steps_per_hour",
        NUMBER,
        "1/h",
        "steps an hour worn",
        "60 `steps` / `wear_minutes`; null at 0",
        "`steps`, `wear_minutes`",
    ),
    *_rolling(),
    Column(
        "steps_change",
        NUMBER,
        "",
        "week over week",
        "`steps_7d` / its value 7 days before - 1; null at 0",
        "`steps`",
    ),
    Column("active_minutes_change", NUMBER, "", "week over week", "as `steps_change`", "`active_minutes`"),
    Column(
        "worn_streak",
        pa.int32(),
        "days",
        "worn days in a row up to this one; 0 on a day not worn or unknown",
        "a missing date ends it",
        "`worn`",
    ),
    Column(
        "active_streak",
        pa.int32(),
        "days",
        f"days in a row of {ACTIVE_GOAL_MINUTES:g} active minutes or more",
        "as `worn_streak`",
        "`active_minutes`",
    ),
)
"""Computed when daily records are read (days/derived.py), by participant and source; never stored."""


def markdown(columns: tuple[Column, ...] = COLUMNS) -> str:
    """The table of columns as docs/days.md holds it."""
    lines = ["| column | type | unit | meaning | formula | from |", "|---|---|---|---|---|---|"]
    for column in columns:
        name = f"**`{column.name}`**" if column.required else f"`{column.name}`"
        lines.append(
            f"| {name} | {_type_name(column.type)} | {column.unit} | {column.meaning} | {column.formula} | "
            f"{column.source} |"
        )
    return "\n".join(lines) + "\n"


def _type_name(kind: pa.DataType) -> str:
    names = {
        pa.string(): "text",
        NUMBER: "number",
        pa.date32(): "date",
        TIME: "time",
        pa.bool_(): "yes or no",
    }
    if kind in names:
        return names[kind]
    return (
        "map of numbers"
        if pa.types.is_map(kind)
        else "list of numbers"
        if pa.types.is_list(kind)
        else "whole number"
    )
