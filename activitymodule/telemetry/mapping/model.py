"""The mapping language: how columns of tables become canonical readings, as frozen pydantic models.

docs/recordings.md explains it with examples; docs/mapping.schema.json is its JSON Schema.
"""

from __future__ import annotations

import re
from datetime import datetime
from fractions import Fraction
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from activitymodule.telemetry.profiles import Axes
from activitymodule.telemetry.schema import FLOAT_FIELDS

Moment = Literal["epoch_s", "epoch_ms", "epoch_us", "epoch_ns"]
Elapsed = Literal["elapsed_s", "elapsed_ms", "elapsed_us", "elapsed_ns"]
OTHER_CHANNELS = tuple(
    f.name
    for f in FLOAT_FIELDS
    if not f.name.startswith(("user_acceleration", "rotation_rate"))
    and f.name not in ("yaw", "pitch", "roll")
)
"""The numbers of a reading that a mapping names under `channels`."""


def _number(value: object) -> object:
    """A fraction such as 1/64 as a number."""
    if isinstance(value, str):
        return float(Fraction(value.replace(" ", "")))
    return value


def _name(value: object) -> object:
    """A column's name as text: YAML reads the name 1 as a number."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Scale = Annotated[float, BeforeValidator(_number)]
Column = Annotated[str, BeforeValidator(_name), Field(min_length=1)]


class Part(BaseModel):
    """A part of a mapping: frozen, and without keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, populate_by_name=True)


class Windows(Part):
    """An array (windows, samples, channels) in a .npy file, cut from a signal; the channels are `format.columns`."""

    overlap: int = Field(0, ge=0, description="samples that a window shares with the one before, bit for bit")
    per_window: dict[Column, str] = Field(
        {}, description="further columns, by name the .npy file beside it with one value a window"
    )


class Format(Part):
    """How a file is written. Parquet and NumPy files need none of it but `windows`."""

    delimiter: str = Field(",", description="one character, `tab` or `whitespace` (any run of blanks)")
    decimal: Literal[".", ","] = Field(".", description="the decimal separator")
    encoding: str = Field("utf-8", description="Python's name of it; a byte order mark is taken off")
    skip_rows: int = Field(0, ge=0, description="lines before the header")
    header_rows: int = Field(1, ge=0, description="the first of them has the names; 0: there is none")
    columns: tuple[Column, ...] | None = Field(
        None, description="names of the columns, where the file has none or others; else they are 1, 2, 3 ..."
    )
    row_end: str = Field("", description="what ends each row, such as `;`, and is no part of a value")
    windows: Windows | None = Field(None, description="NumPy arrays of windows")

    @field_validator("delimiter")
    @classmethod
    def _one_character(cls, value: str) -> str:
        value = {"tab": "\t", "whitespace": " "}.get(value, value)
        if len(value) != 1:
            raise ValueError("a delimiter is one character, `tab` or `whitespace`")
        return value

    @field_validator("encoding")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            "".encode(value)
        except LookupError:
            raise ValueError(f"there is no encoding {value}; try utf-8, utf-16, latin-1 or cp1252") from None
        return value


class Time(Part):
    """When a row was measured."""

    is_: Moment | Elapsed | Literal["iso", "local", "rows"] = Field(
        alias="is",
        description="epoch_s to epoch_ns; iso (with offset); local (in `zone`); elapsed_s to elapsed_ns since the "
        "trial's start; rows (no column: rows follow each other at `rate_hz`)",
    )
    column: Column | None = None
    columns: tuple[Column, ...] | None = Field(None, description="date and time apart: joined with a space")
    zone: str | None = Field(None, description="of local times: Europe/Madrid, UTC or +02:00")
    format: str | None = Field(None, description="of local times that are not ISO 8601, as strptime has it")
    rate_hz: float | None = Field(None, gt=0, le=1000)
    start: str | None = Field(
        None, description="when the first trial begins, ISO 8601 with offset; 2019-01-01 if not given"
    )
    spread: bool = Field(False, description="the times are those of arrival, in bursts: space rows evenly")

    @field_validator("zone")
    @classmethod
    def _zone(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[+-]\d{2}:\d{2}", value):
            try:
                ZoneInfo(value)
            except (KeyError, ValueError, OSError):
                raise ValueError(
                    f"there is no time zone {value}; write it as Europe/Madrid or +02:00"
                ) from None
        return value

    @field_validator("start")
    @classmethod
    def _moment(cls, value: str | None) -> str | None:
        if value is not None and datetime.fromisoformat(value).tzinfo is None:
            raise ValueError("needs an offset, such as 2024-05-01T10:00:00+02:00 or ...Z")
        return value

    @model_validator(mode="after")
    def _whole(self) -> Time:
        named = (self.column is not None) + (self.columns is not None)
        if self.is_ == "rows":
            if named or self.rate_hz is None:
                raise ValueError("times by rows need rate_hz and no column")
        elif named != 1:
            raise ValueError(f"times that are {self.is_} need `column` (or `columns`)")
        if self.is_ == "local" and self.zone is None:
            raise ValueError("local times need a zone, such as `zone: Europe/Madrid`")
        return self

    @property
    def relative(self) -> bool:
        """Whether times count from the start of a trial."""
        return self.is_ == "rows" or self.is_.startswith("elapsed")


class Vector(Part):
    """A sensor of three axes: its columns, and its unit."""

    x: Column
    y: Column
    z: Column
    scale: Scale = Field(1.0, description="every value times this is in the unit: 1/64, 0.00781")


class Acceleration(Vector):
    """The accelerometer. Android's sign is that of the force that holds the watch: face up it reads z = +1 g."""

    unit: Literal["g", "mg", "m/s2", "counts"] = Field(description="counts: raw; then `scale` is g per count")
    gravity: Literal["included", "removed"]
    sign: Literal["core_motion", "android"]

    @model_validator(mode="after")
    def _scaled(self) -> Acceleration:
        if self.unit == "counts" and self.scale == 1:
            raise ValueError("raw counts need `scale`, in g per count, such as 1/64")
        return self


class Gravity(Vector):
    """Gravity in the watch's frame, where the source knows it."""

    unit: Literal["g", "mg", "m/s2"]
    sign: Literal["core_motion", "android"]


class Rotation(Vector):
    """The gyroscope."""

    unit: Literal["rad/s", "deg/s", "mdeg/s"]


class Attitude(Part):
    """Pitch and roll as Core Motion has them: where given, gravity is computed from them."""

    pitch: Column
    roll: Column
    yaw: Column | None = None
    unit: Literal["rad", "deg"]


class Channel(Part):
    """Another number: heart_rate in bpm, steps, speed in m/s."""

    column: Column
    scale: Scale = 1.0
    cumulative: bool = Field(False, description="a counter: the difference from the row before is taken")
    when: dict[Column, str] = Field({}, description="only rows in which these columns have these values")


class Named(Part):
    """A person, device, label or trial by a column, or one for all."""

    column: Column | None = None
    value: str | None = None

    @model_validator(mode="after")
    def _one(self) -> Named:
        if (self.column is None) == (self.value is None):
            raise ValueError("give `column` or `value`")
        return self


class Spans(Part):
    """A second file: from when to when a person did what. Times since a start are those of each file of the person."""

    file: str = Field(description="its name, beside the recordings or in their archive")
    start: Column
    end: Column
    label: Column
    person: Column | None = None
    format: Format = Format()
    is_: Moment | Elapsed | Literal["iso", "local"] | None = Field(
        None, alias="is", description="how its times are written, if not as those of the rows; see time.is"
    )
    zone: str | None = None
    time_format: str | None = Field(None, description="of local times, as strptime has it")


class Table(Part):
    """Files of one kind, and what their columns are."""

    files: str = Field("*", description="which files, by a pattern over name or path, such as */*_accel.csv")
    path: str | None = Field(
        None,
        description="a regular expression over the file's path; its groups person, device, label and trial",
    )
    format: Format = Format()
    time: Time
    acceleration: Acceleration | None = None
    gravity: Gravity | None = None
    rotation: Rotation | None = None
    attitude: Attitude | None = None
    channels: dict[str, Channel] = {}
    person: Named | None = None
    device: Named | None = None
    label: Named | None = None
    trial: Named | None = Field(None, description="rows begin a new trial where this column changes")

    @field_validator("path")
    @classmethod
    def _compiles(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                groups = set(re.compile(value).groupindex)
            except re.error as error:
                raise ValueError(f"is no regular expression: {error}") from None
            if unknown := groups - {"person", "device", "label", "trial"}:
                raise ValueError(
                    f"has a group {sorted(unknown)[0]}; groups are person, device, label and trial"
                )
        return value

    @field_validator("channels", mode="before")
    @classmethod
    def _short(cls, value: object) -> object:
        """`heart_rate: bpm` is short for `heart_rate: {column: bpm}`."""
        if isinstance(value, dict):
            return {k: v if isinstance(v, dict | Channel) else {"column": v} for k, v in value.items()}
        return value

    @field_validator("channels")
    @classmethod
    def _fields(cls, value: dict[str, Channel]) -> dict[str, Channel]:
        for name in value:
            if name not in OTHER_CHANNELS:
                raise ValueError(f"has no channel {name}; there are {', '.join(OTHER_CHANNELS)}")
        return value

    @model_validator(mode="after")
    def _something(self) -> Table:
        if not (self.acceleration or self.rotation or self.channels):
            raise ValueError("needs acceleration, rotation or channels")
        return self


class Mapping(Table):
    """A mapping: a table, further ones that are joined to it by time, and what its labels mean."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,59}$", description="of the prepared recordings")
    description: str = ""
    device_model: str | None = Field(None, description="the watch's model; its profile turns its axes")
    axes: Axes = Field(Axes(), description="`x: -y` takes the file's y, reversed, for x")
    labels: dict[str, str | None] | None = Field(
        None, description="what each label is called here; null or not listed: no activity, and counted"
    )
    spans: Spans | None = None
    also: tuple[Table, ...] = Field((), description="files of the same trials, whose rows are merged by time")

    @field_validator("labels", mode="before")
    @classmethod
    def _texts(cls, value: object) -> object:
        """Labels as text: YAML reads 1 as a number and `no` as a boolean."""
        if isinstance(value, dict):
            return {str(k): v if v is None else str(v) for k, v in value.items()}
        return value

    @model_validator(mode="after")
    def _complete(self) -> Mapping:
        if self.person is None and "(?P<person>" not in (self.path or ""):
            raise ValueError(
                "says nowhere who the person is: give `person: {column: ...}`, `person: {value: ...}`, "
                "or `path` with a group (?P<person>...)"
            )
        for table in self.also:
            if table.time.relative != self.time.relative:
                raise ValueError(
                    "joined tables need times of the same kind: all of a trial, or all of a clock"
                )
        return self


def json_schema() -> dict[str, object]:
    """JSON Schema (draft 2020-12) of a mapping."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | Mapping.model_json_schema()
