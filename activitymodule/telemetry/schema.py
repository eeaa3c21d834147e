"""The telemetry message: one table of fields makes the JSON, the Arrow and the Spark schema.

A message is one reading or an array of readings. Only `device_id` and `stamp` are required; every
channel may be missing or null. Names follow CASAS; units are SI, or g for accelerations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from activitymodule.telemetry.identifiers import DEVICE_ID_TEXT, WHOLE_DEVICE_ID

Kind = Literal["string", "stamp", "float"]


@dataclass(frozen=True)
class Field:
    """One field of a reading: its name, kind, unit, plausible range (inclusive) and meaning.

    none_up_to : such a value, and any below, means that nothing was measured: it becomes null.
    """

    name: str
    kind: Kind
    unit: str
    low: float | None
    high: float | None
    meaning: str
    required: bool = False
    none_up_to: float | None = None


_TURN = 6.2832  # rad; a little over a full turn either way, so that rounding does not reject a reading

FIELDS: tuple[Field, ...] = (
    Field("device_id", "string", "", None, None, f"the watch: {DEVICE_ID_TEXT}", True),
    Field("stamp", "stamp", "ISO-8601 with offset, or epoch ms", None, None, "when it was measured", True),
    Field("yaw", "float", "rad", -_TURN, _TURN, "attitude about the vertical axis"),
    Field("pitch", "float", "rad", -_TURN, _TURN, "attitude about the lateral axis"),
    Field("roll", "float", "rad", -_TURN, _TURN, "attitude about the longitudinal axis"),
    Field("rotation_rate_x", "float", "rad/s", -100, 100, "angular velocity about x"),
    Field("rotation_rate_y", "float", "rad/s", -100, 100, "angular velocity about y"),
    Field("rotation_rate_z", "float", "rad/s", -100, 100, "angular velocity about z"),
    Field("user_acceleration_x", "float", "g", -64, 64, "acceleration along x, gravity removed"),
    Field("user_acceleration_y", "float", "g", -64, 64, "acceleration along y, gravity removed"),
    Field("user_acceleration_z", "float", "g", -64, 64, "acceleration along z, gravity removed"),
    Field("latitude_distance_from_mean", "float", "degrees", -180, 180, "latitude less the person's mean"),
    Field("longitude_distance_from_mean", "float", "degrees", -360, 360, "longitude less the person's mean"),
    Field("altitude_distance_from_mean", "float", "m", -20000, 20000, "altitude less the person's mean"),
    Field("course", "float", "degrees", -1, 360, "direction of travel; -1 where unknown"),
    Field("speed", "float", "m/s", -1, 400, "ground speed; -1 where unknown"),
    Field("horizontal_accuracy", "float", "m", -1, 1e7, "radius of uncertainty; -1 where unknown"),
    Field("vertical_accuracy", "float", "m", -1, 1e7, "altitude uncertainty; -1 where unknown"),
    Field("location_type", "string", "", None, None, "kind of place, where a source knows it"),
    Field(
        "device_model", "string", "", None, None, "the watch's model: a device profile's name, where known"
    ),
    Field("battery_state", "string", "", None, None, "charging, unplugged, full or unknown"),
    Field("user_activity_label", "string", "", None, None, "the person's own label; almost always null"),
    Field("heart_rate", "float", "bpm", 0, 300, "heart rate; 0 or below: none was found", none_up_to=0),
    Field("steps", "float", "steps", 0, 1000, "steps since the last reading"),
)

FIELD_NAMES: tuple[str, ...] = tuple(f.name for f in FIELDS)
FLOAT_FIELDS: tuple[Field, ...] = tuple(f for f in FIELDS if f.kind == "float")

_ARROW = {"string": pa.string(), "stamp": pa.timestamp("us", tz="UTC"), "float": pa.float32()}
_SPARK = {"string": "string", "stamp": "timestamp", "float": "float"}


def arrow_schema() -> pa.Schema:
    """Arrow schema of canonical readings: one row a reading, stamps in UTC microseconds."""
    return pa.schema([pa.field(f.name, _ARROW[f.kind], nullable=not f.required) for f in FIELDS])


def spark_schema() -> str:
    """The same as a Spark DDL string (a string, so that this floor does not import pyspark)."""
    return ", ".join(f"{f.name} {_SPARK[f.kind]}" + (" not null" if f.required else "") for f in FIELDS)


def reading_schema() -> dict[str, object]:
    """JSON Schema of one reading."""
    return {
        "type": "object",
        "required": [f.name for f in FIELDS if f.required],
        "properties": {f.name: _property(f) for f in FIELDS},
        "additionalProperties": True,
    }


def _property(f: Field) -> dict[str, object]:
    spec: dict[str, object] = {"type": ["string", "null"]}
    if f.kind == "stamp":
        spec = {"oneOf": [{"type": "string", "format": "date-time"}, {"type": "integer", "minimum": 0}]}
    elif f.kind == "float":
        spec = {"type": ["number", "null"]}
        if f.low is not None and f.none_up_to is None:
            spec["minimum"] = f.low
        if f.high is not None:
            spec["maximum"] = f.high
    elif f.name == "device_id":
        spec = {"type": "string", "pattern": WHOLE_DEVICE_ID}
    return spec | {"description": f.meaning + (f" ({f.unit})" if f.unit else "")}


def json_schema() -> dict[str, object]:
    """JSON Schema (draft 2020-12) of a message: a reading, or an array of readings."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Telemetry message of the topic ticker-watch-data",
        "description": "One reading of a watch, or an array of readings. The Kafka key is the device_id.",
        "oneOf": [
            {"$ref": "#/$defs/reading"},
            {"type": "array", "items": {"$ref": "#/$defs/reading"}, "minItems": 1},
        ],
        "$defs": {"reading": reading_schema()},
    }


def fields_table() -> str:
    """The fields as a Markdown table, for docs/telemetry.md."""
    lines = ["| field | unit | range | meaning |", "|---|---|---|---|"]
    for f in FIELDS:
        span = "" if f.low is None else f"{f.low:g} to {f.high:g}"
        name = f"**`{f.name}`**" if f.required else f"`{f.name}`"
        lines.append(f"| {name} | {f.unit} | {span} | {f.meaning} |")
    return "\n".join(lines) + "\n"
