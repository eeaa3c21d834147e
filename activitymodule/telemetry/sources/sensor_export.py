"""Sensor Logger: recordings that the app exported (github.com/tszheichoi/awesome-sensor-logger, UNITS.md)."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa

from activitymodule.errors import DataError
from activitymodule.telemetry.gravity import STANDARD_GRAVITY
from activitymodule.telemetry.merging import merged
from activitymodule.telemetry.resampling import Resampler, Rows
from activitymodule.telemetry.sources.base import Chunk, Ledger, Unit, opened, register
from activitymodule.telemetry.sources.csv_blocks import numbers, stream_csv
from activitymodule.telemetry.sources.exports import (
    beside,
    device_of,
    none_found,
    place_of,
    pseudonym,
    recordings_at,
)

_HEAD_BYTES = 1 << 14
_NAMED_BY_TIME = re.compile(r"(?:.*?[_ -])?\d{4}-\d{2}-\d{2}_\d{2}-\d{2}-\d{2}.*")
_OF_DEVICE = 8  # characters of its id
_METRES = 4.0  # gravity that is longer than this is in m/s2


@dataclass(frozen=True)
class _File:
    """A file of the export: its columns, by the name that they get here."""

    name: str
    columns: Mapping[str, str]
    in_metres: bool = False  # accelerations in m/s2, whatever the settings


def _axes(target: str, names: Sequence[str]) -> dict[str, str]:
    return {name: f"{target}_{axis}" for name, axis in zip(names, "xyz", strict=True)}


_WRIST = _File(
    "WristMotion.csv",
    {
        **_axes("user_acceleration", ["accelerationX", "accelerationY", "accelerationZ"]),
        **_axes("gravity", ["gravityX", "gravityY", "gravityZ"]),
        **_axes("rotation_rate", ["rotationRateX", "rotationRateY", "rotationRateZ"]),
        "yaw": "yaw",
    },
)
_WRIST_RAW = _File("WatchAccelerometerUncalibrated.csv", _axes("acceleration", "xyz"))
_HEART = _File("HeartRate.csv", {"bpm": "heart_rate"})
_ANDROID = (
    _File("Accelerometer.csv", _axes("user_acceleration", "xyz"), True),
    _File("Gravity.csv", _axes("gravity", "xyz"), True),
)
_TOTAL = _File("TotalAcceleration.csv", _axes("acceleration", "xyz"), True)
_GYROSCOPE = _File("Gyroscope.csv", _axes("rotation_rate", "xyz"))


@register
class SensorLogger:
    """Exports of Sensor Logger: a folder or zip with `WristMotion.csv` and others; a folder, zip or tar of these.

    Of an Apple Watch `WristMotion.csv` is read (user acceleration, gravity, rotation rate, yaw), where it is missing
    `WatchAccelerometerUncalibrated.csv`, and `HeartRate.csv`; of other devices `Accelerometer.csv` and `Gravity.csv`,
    or `TotalAcceleration.csv`, and `Gyroscope.csv`. Times are nanoseconds of UTC. Values are g with Core Motion's
    signs, or, where `Metadata.csv` says `standardisation` or Android, m/s2 with Android's, which are turned.
    `device_model` is apple-watch for wrist motion, wear-os where the platform says so, else none. All other files are
    not read. The person is the recording's folder or zip; where that is named by its time, the folder above it within
    the path, else the beginning of the device's id.
    """

    name = "sensor-logger"

    def scan(self, path: Path) -> list[Unit]:
        """One unit a recording; ConfigError or DataError where there is none."""
        units: dict[tuple[str, str], Unit] = {}
        for wanted in (_WRIST, _WRIST_RAW, *_ANDROID[:1], _TOTAL):
            for file, member in recordings_at(path, wanted.name):
                *folders, name = place_of(path, file, member)
                if f"{name}.csv" == wanted.name:
                    at = (file if member else str(Path(file).parent), (member or "").rpartition("/")[0])
                    units.setdefault(at, _unit(Unit(self.name, file, "", member), folders))
        if not units:
            raise none_found(path, "recording of Sensor Logger (WristMotion.csv, Accelerometer.csv ...)")
        return sorted(units.values(), key=str)

    def read(self, unit: Unit) -> Iterator[Chunk]:
        """The recording's readings in the order of time; DataError where a file has another format."""
        about = _about(unit)
        android = about.get("platform", "").lower() in ("android", "wearos")
        sign = -1.0 if android or about.get("standardisation", "").lower() == "true" else 1.0
        wrist = str(unit).endswith((_WRIST.name, _WRIST_RAW.name))
        files = [_of_name(unit), _HEART]
        if not wrist:
            files += [_GYROSCOPE, *(_ANDROID[1:] if files[0] is _ANDROID[0] else ())]
        model = (
            "apple-watch" if wrist else "wear-os" if about.get("platform", "").lower() == "wearos" else None
        )
        resampler = Resampler(unit.person, device_of(unit), model)
        with ExitStack() as stack:
            streams = [
                _stream(stack.enter_context(opened(there)), there, file, sign)
                for file in files
                if (there := unit if file is files[0] else beside(unit, file.name)) is not None
            ]
            for rows in merged(streams):
                yield from resampler.push(rows)
            yield from resampler.finish()


def _unit(unit: Unit, folders: Sequence[str]) -> Unit:
    """The unit with its person: the innermost name that is no time, else the device that recorded."""
    given = [name for name in folders if not _NAMED_BY_TIME.fullmatch(name)]
    device = "" if given else _about(unit).get("device id", "")[:_OF_DEVICE]
    return replace(unit, person=pseudonym(given[-1] if given else device or folders[-1]))


def _of_name(unit: Unit) -> _File:
    name = (unit.member or unit.path).rpartition("/")[2]
    return next(file for file in (_WRIST, _WRIST_RAW, *_ANDROID, _TOTAL) if file.name == name)


def _about(unit: Unit) -> dict[str, str]:
    """The one row of Metadata.csv by its header; nothing where there is no such file."""
    there = beside(unit, "Metadata.csv")
    if there is None:
        return {}
    with opened(there) as file:
        rows = list(csv.reader(file.read(_HEAD_BYTES).decode("utf-8-sig", "replace").splitlines()[:2]))
    return dict(zip(rows[0], rows[1], strict=False)) if len(rows) == 2 else {}


def _stream(file: IO[bytes], unit: Unit, wanted: _File, sign: float) -> Iterator[Rows]:
    """The rows of a file, in g, rad/s and rad with Core Motion's signs."""
    header = file.readline(_HEAD_BYTES).decode("utf-8-sig", "replace").strip().split(",")
    needed = ["time", *(name for name in wanted.columns if name != "yaw")]
    lacking = [name for name in needed if name not in header]
    if lacking:
        raise DataError(f"{unit} is not of Sensor Logger: it has no column {lacking[0]}")
    taken = [name for name in wanted.columns if name in header]
    for table, malformed in stream_csv(file, header, ["time", *taken]):
        ledger = Ledger(malformed, 0, {"malformed_row": malformed} if malformed else {})
        time_ns, _ = numbers(table.column("time"))
        known = np.isfinite(time_ns) & (np.abs(time_ns) < 2**62)
        bad = int((~known).sum())
        ledger += Ledger(bad, 0, {"bad_stamp": bad} if bad else {})
        table = table.filter(pa.array(known))
        columns = {wanted.columns[name]: numbers(table.column(name))[0] for name in taken}
        yield Rows((time_ns[known] / 1000).astype(np.int64), _in_g(columns, wanted, sign), ledger)


def _in_g(columns: dict[str, np.ndarray], wanted: _File, sign: float) -> dict[str, np.ndarray]:
    """Accelerations in g with Core Motion's signs; where wrist motion is standardised, its gravity is some 9.8 long."""
    scale: np.ndarray | float = sign / STANDARD_GRAVITY if wanted.in_metres else 1.0
    if wanted is _WRIST:
        length = np.sqrt(sum(columns[f"gravity_{axis}"] ** 2 for axis in "xyz"))
        scale = np.where(length > _METRES, -1 / STANDARD_GRAVITY, 1.0)
    elif wanted is _WRIST_RAW and sign < 0:
        scale = -1 / STANDARD_GRAVITY
    return {
        name: values * scale if name.startswith(("acceleration", "user_", "gravity")) else values
        for name, values in columns.items()
    }
