"""Readings of a synthesised fleet as a table with the truth beside them, without Spark: what models train on.

The readings are the ones `activity generate` would send for the same seed, devices and time, to the last
digit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from activitymodule.errors import ConfigError
from activitymodule.synthesis.attitude import RATE_HZ
from activitymodule.synthesis.people import device_name, people_table, wearers
from activitymodule.synthesis.places import places
from activitymodule.synthesis.readings import DECIMALS, MOTION, Watches, watches
from activitymodule.telemetry.schema import arrow_schema

DEFAULT_START = 1_767_254_400  # 2026-01-01 08:00 UTC, in seconds; any time does


@dataclass(frozen=True)
class Training:
    """Canonical readings with `activity` (string) and `kcal_per_min` (float32); people, one row a watch."""

    readings: pa.Table
    people: pa.Table


def training_readings(
    devices: int, minutes: int, seed: int, *, start: int = DEFAULT_START, reference: str = "wisdm"
) -> Training:
    """Readings of watches 1 to `devices` over `minutes` from `start` (UTC seconds), device after device.

    About 600 rows and 100 kB a device minute: for many, take `training_parts`.
    """
    parts = list(training_parts(devices, minutes, seed, start=start, reference=reference))
    return Training(
        pa.concat_tables([p.readings for p in parts]), pa.concat_tables([p.people for p in parts])
    )


def training_parts(
    devices: int,
    minutes: int,
    seed: int,
    *,
    start: int = DEFAULT_START,
    reference: str = "wisdm",
    devices_at_once: int = 16,
) -> Iterator[Training]:
    """The same, some devices at a time, so that memory does not grow with the fleet."""
    if devices < 1 or minutes < 1:
        raise ConfigError(
            f"a training set needs at least one device and one minute; given: {devices}, {minutes}"
        )
    source = watches(reference, seed)
    for first in range(1, devices + 1, devices_at_once):
        numbers = np.arange(first, min(first + devices_at_once, devices + 1))
        second = np.tile(start + np.arange(minutes * 60), len(numbers))
        yield Training(
            readings_table(source, np.repeat(numbers, minutes * 60), second),
            people_table(wearers(numbers, seed)),
        )


def readings_table(source: Watches, device: np.ndarray, second: np.ndarray) -> pa.Table:
    """Canonical readings of (device, UTC second) rows, ten a row, with the truth columns."""
    rows = source.seconds(device, second)
    where = places(source.seed, device, second)
    n = len(device) * RATE_HZ
    names, index = np.unique(device, return_inverse=True)
    each = np.repeat(np.arange(len(device)), RATE_HZ)

    def dictionary(values: list[str], codes: np.ndarray) -> pa.Array:
        return pa.array(values, pa.string()).take(pa.array(codes))

    def number(values: np.ndarray, decimals: int) -> pa.Array:
        return pa.array((values / 10**decimals).astype(np.float32))

    stamps = (second[:, None] * 1_000_000 + np.arange(RATE_HZ) * (1_000_000 // RATE_HZ)).ravel()
    columns: dict[str, pa.Array] = {
        "device_id": dictionary([device_name(d) for d in names.tolist()], index[each]),
        "stamp": pa.array(stamps).cast(pa.timestamp("us", "UTC")),
        "latitude_distance_from_mean": number(where.latitude[each], 5),
        "longitude_distance_from_mean": number(where.longitude[each], 5),
        "altitude_distance_from_mean": number(where.altitude[each], 1),
        "course": number(rows.course[each], DECIMALS["course"]),
        "speed": number(rows.speed[each], DECIMALS["speed"]),
        "horizontal_accuracy": number(where.horizontal_accuracy[each], 0),
        "vertical_accuracy": number(where.vertical_accuracy[each], 0),
        "battery_state": dictionary(["unplugged"], np.zeros(n, np.int8)),
        "heart_rate": number(rows.heart_rate[each], DECIMALS["heart_rate"]),
        "steps": number(rows.steps.ravel(), 0),
    }
    motion = rows.motion.reshape(n, len(MOTION))
    columns |= {name: number(motion[:, i], DECIMALS[name]) for i, name in enumerate(MOTION)}
    schema = arrow_schema()
    arrays = [columns.get(field.name, None) for field in schema]
    filled = [pa.nulls(n, f.type) if a is None else a for a, f in zip(arrays, schema, strict=True)]
    schema = schema.append(pa.field("activity", pa.string())).append(pa.field("kcal_per_min", pa.float32()))
    activity = dictionary(list(source.activities), rows.activity[each].astype(np.int64))
    return pa.table([*filled, activity, pa.array(rows.kcal_per_min[each])], schema=schema)
