"""The mapping of a table of days: what its columns are, in which units, and which of its days were not worn."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated

import pyarrow as pa
from pydantic import BeforeValidator, Field, field_validator, model_validator

from activitymodule.days.columns import COLUMNS
from activitymodule.days.local import zone_info
from activitymodule.errors import ConfigError, DataError
from activitymodule.telemetry.mapping.loading import parsed
from activitymodule.telemetry.mapping.model import Column, Format, Part, Scale

_SHIPPED = Path(__file__).parent / "mappings"
_DOCUMENT = "docs/days.md"
_FIXED = ("participant", "date", "source", "zone", "hours")
_BY_NAME = {column.name: column for column in COLUMNS if column.name not in _FIXED}
NUMBERS = tuple(name for name, column in _BY_NAME.items() if column.type == pa.float64())
MAPS = tuple(name for name, column in _BY_NAME.items() if pa.types.is_map(column.type))
UNITS: dict[str, dict[str, float]] = {
    "min": {"min": 1, "h": 60, "s": 1 / 60, "ms": 1 / 60_000},
    "kcal": {"kcal": 1, "Cal": 1, "cal": 1e-3, "kJ": 1 / 4.184, "J": 1 / 4184},
    "bpm": {"bpm": 1, "Hz": 60},
    "g": {"g": 1, "mg": 1e-3, "m/s2": 1 / 9.80665},
    "": {"": 1, "count": 1, "%": 0.01, "k": 1000},
}
"""By the unit of a column of daily records, the units that a table may have, and what they are of it."""


def _short(value: object) -> object:
    """`steps: TotalSteps` is short for `steps: {column: TotalSteps}`."""
    return {"column": value} if isinstance(value, str | int) and not isinstance(value, bool) else value


class Value(Part):
    """A number of a day: a column, or the sum of several, and its unit."""

    column: Column | None = None
    columns: tuple[Column, ...] = Field((), description="their sum; unknown where one of them is")
    unit: str | None = Field(None, description="as docs/days.md lists them; the column's own if not given")
    scale: Scale = Field(1.0, description="every value times this is in the unit")

    @model_validator(mode="after")
    def _one(self) -> Value:
        if (self.column is None) == (not self.columns):
            raise ValueError("give `column` or `columns`")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """The table's columns that it needs."""
        return self.columns or (self.column or "",)


class Day(Part):
    """The local date of a row."""

    column: Column
    formats: tuple[str, ...] = Field(
        ("%Y-%m-%d",),
        description="as strptime has them, tried in this order; a time after the date is cut off",
    )


class Who(Part):
    """The participant: by a column, or one for all."""

    column: Column | None = None
    value: str | None = None
    prefix: str = Field("", description="set before each, such as `study1-`")

    @model_validator(mode="after")
    def _one(self) -> Who:
        if (self.column is None) == (self.value is None):
            raise ValueError("give `column` or `value`")
        return self


Given = Annotated[Value, BeforeValidator(_short)]


class DayTable(Part):
    """Files of one kind, with a row a day."""

    files: str = Field("*", description="which files, by a pattern over name or path")
    format: Format = Format()
    participant: Annotated[Who, BeforeValidator(_short)] | None = Field(
        None, description="if not given, `--participant` says who"
    )
    date: Annotated[Day, BeforeValidator(_short)]
    columns: dict[str, Given] = Field(
        min_length=1, description="columns of daily records; `minutes.NAME` and `bouts.NAME` for an activity"
    )
    workout: Column | None = Field(None, description="column with the kind of the main workout")
    missing: tuple[float, ...] = Field((), description="numbers that mean unknown, such as -1")
    not_worn: tuple[dict[Column, float], ...] = Field(
        (), description="a day is not worn where all columns of one of these have these values"
    )
    fullest: Column | None = Field(
        None,
        description="of several rows of a day the one with the largest number here counts; steps, if not given",
    )

    @field_validator("columns")
    @classmethod
    def _known(cls, values: dict[str, Value]) -> dict[str, Value]:
        for name, value in values.items():
            base, _, activity = name.partition(".")
            known = [*NUMBERS, *(f"{one}.NAME" for one in MAPS)]
            if not (name in NUMBERS or (base in MAPS and 0 < len(activity) <= 60)):
                near = difflib.get_close_matches(name, known, 1, 0.5)
                hint = f"did you mean {near[0]}? " if near else ""
                raise ValueError(f"has no column {name}; {hint}There are {', '.join(known)}")
            units = UNITS[_BY_NAME[base].unit]
            if value.unit is not None and value.unit not in units:
                raise ValueError(
                    f"{name} cannot be in {value.unit}; its units are {', '.join(filter(None, units))}"
                )
        return values

    def factor(self, name: str) -> float:
        """What a number of the table is multiplied with."""
        value, own = self.columns[name], _BY_NAME[name.partition(".")[0]].unit
        return value.scale * (1.0 if value.unit is None else UNITS[own][value.unit])

    @property
    def names(self) -> list[str]:
        """The table's columns that the mapping needs, each once."""
        who = [self.participant.column] if self.participant and self.participant.column else []
        more = [name for one in self.not_worn for name in one] + [
            one for one in (self.workout, self.fullest) if one
        ]
        return list(
            dict.fromkeys(
                [*who, self.date.column, *(n for v in self.columns.values() for n in v.names), *more]
            )
        )


class DayMapping(DayTable):
    """A mapping: a table of days, and further ones whose columns are joined by participant and date."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,59}$", description="the source is `table:NAME`")
    description: str = ""
    zone: str | None = Field(None, description="of all participants, an IANA name")
    also: tuple[DayTable, ...] = Field(
        (), description="tables whose columns are added to days that are there"
    )

    @field_validator("zone")
    @classmethod
    def _zone(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                zone_info(value)
            except DataError as error:
                raise ValueError(str(error)) from None
        return value


def bounds_of(name: str) -> tuple[float, float]:
    """Lowest and highest number of a column, `minutes.NAME` included."""
    column = _BY_NAME[name.partition(".")[0]]
    return (
        column.low if column.low is not None else float("-inf"),
        column.high if column.high is not None else float("inf"),
    )


def shipped() -> dict[str, Path]:
    """The mappings of tables of days that come with the project, by name."""
    return {file.stem: file for file in sorted(_SHIPPED.glob("*.yaml"))}


def load(name: str) -> DayMapping:
    """The mapping of a YAML file, or the shipped one of that name. Raises ConfigError."""
    path = Path(name).expanduser()
    try:
        there = path.is_file()
    except OSError:  # a name that is too long for a file
        there = False
    if not there:
        if name not in shipped():
            raise ConfigError(
                f"there is no mapping {name[:200]}; give a YAML file or one of {', '.join(shipped())}; "
                f"{_DOCUMENT} explains how one is written"
            )
        path = shipped()[name]
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the mapping {path}: {error}") from error
    return parsed(DayMapping, text, str(path), _DOCUMENT)
