"""ActiGraph: .gt3x files (formats: github.com/actigraph/GT3X-File-Format and NHANES-GT3X-File-Format)."""

from __future__ import annotations

import re
import struct
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np

from activitymodule.errors import DataError
from activitymodule.telemetry.resampling import Resampler, Rows
from activitymodule.telemetry.sources.archives import spooled
from activitymodule.telemetry.sources.base import Chunk, Ledger, Unit, register
from activitymodule.telemetry.sources.exports import (
    device_of,
    none_found,
    opened_whole,
    recordings_at,
    unit_of,
)

_LOG, _OLD_LOG, _INFO = "log.bin", "activity.bin", "info.txt"
_MOST_INFO_BYTES = 1 << 16
_READ_BYTES = 1 << 20
_TICKS_OF_1970 = 621_355_968_000_000_000  # .NET: tenths of microseconds since the year 1
_SEPARATOR = 0x1E
_HEAD = struct.Struct(
    "<BBIH"
)  # separator, kind, epoch seconds, bytes of the payload; a checksum follows that
_PACKED, _EVENT, _WORN, _WORDS = 0x00, 0x03, 0x0D, 0x1A
_KINDS = 0x20
_YEARS = range(946_684_800, 4_102_444_800)  # epoch seconds of 2000 to 2099
_ENTERS_SLEEP = 8
_SCALES = {
    "NEO": 341.0,
    "CLE": 341.0,
    "MRA": 341.0,
    "MOS": 256.0,
    "TAS": 256.0,
}  # counts in a g, by serial number
_ZONE = re.compile(r"(-?)(\d{1,2}):(\d{2}):\d{2}")
_AXES = ("acceleration_x", "acceleration_y", "acceleration_z")


@register
class ActiGraph:
    """`.gt3x` files of ActiGraph GT3X+, wGT3X-BT and Link (or `.gz`): a folder, zip or tar of them, or one.

    `info.txt` says rate, scale and time zone (local times become UTC); `log.bin` holds a record a second with its
    time and checksum, `activity.bin` (firmware up to 2.5) only samples. Acceleration has gravity; the sensor measures
    the force that holds it, so values are turned to Core Motion's signs, and the axes stay the device's
    (`device_model` actigraph-gt3x). In idle sleep mode the device measures nothing: ActiLife repeats the last sample
    there, here the gap stays, and `idle_sleep` counts how often. `not_worn` counts the times at which the wear sensor
    found no wrist; a damaged record counts as one row, `damaged_record`. Gyroscope, heart rate, light and battery are
    not read. The person is the file's name.
    """

    name = "actigraph"

    def scan(self, path: Path) -> list[Unit]:
        """One unit a file; ConfigError where there is none."""
        units = [unit_of(self.name, path, *one) for one in recordings_at(path, ".gt3x")]
        if not units:
            raise none_found(path, "recording of an ActiGraph (.gt3x)")
        return units

    def read(self, unit: Unit) -> Iterator[Chunk]:
        """The unit's readings in the order of time; DataError where it has another format."""
        with opened_whole(unit) as stream, spooled(stream) as file, _unzipped(file, unit) as archive:
            about = _about(archive)
            serial = about.get("Serial Number", "")
            resampler = Resampler(unit.person, device_of(unit, serial), "actigraph-gt3x")
            rate, scale, zone_us = _rate(about, unit), _scale(about), _zone_us(about)
            if _LOG in archive.namelist():
                with archive.open(_LOG) as log:
                    for rows in _of_records(log, rate):
                        yield from resampler.push(_in_g(rows, scale, zone_us))
            else:
                with archive.open(_OLD_LOG) as log:
                    for rows in _of_samples(log, rate, _start_us(about, unit)):
                        yield from resampler.push(_in_g(rows, scale, zone_us))
            yield from resampler.finish()


@contextmanager
def _unzipped(file: IO[bytes], unit: Unit) -> Iterator[zipfile.ZipFile]:
    with zipfile.ZipFile(file) as archive:
        names = {info.filename: info for info in archive.infolist()}
        if _INFO not in names or not {_LOG, _OLD_LOG} & set(names):
            raise DataError(
                f"{unit} is not a recording of an ActiGraph: it lacks info.txt, or log.bin and activity.bin"
            )
        if any(info.flag_bits & 1 for info in names.values()):
            raise DataError(f"{unit} is encrypted; export it without a password")
        yield archive


def _about(archive: zipfile.ZipFile) -> dict[str, str]:
    with archive.open(_INFO) as file:
        text = file.read(_MOST_INFO_BYTES).decode("utf-8-sig", "replace")
    pairs = (line.partition(": ") for line in text.splitlines())
    return {name.strip(): value.strip() for name, found, value in pairs if found}


def _rate(about: Mapping[str, str], unit: Unit) -> int:
    text = about.get("Sample Rate", "")
    rate = int(text) if re.fullmatch(r"\d{1,4}", text) else 0
    if not 1 <= rate <= 1000:
        raise DataError(f"{unit} is damaged: its info.txt gives no sample rate between 1 and 1000 Hz")
    return rate


def _scale(about: Mapping[str, str]) -> float:
    text = about.get("Acceleration Scale", "").replace(",", ".")
    given = float(text) if re.fullmatch(r"\d{1,5}(\.\d{1,6})?", text) else 0.0
    return given or _SCALES.get(about.get("Serial Number", "")[:3], 256.0)


def _zone_us(about: Mapping[str, str]) -> int:
    """How far local times are ahead of UTC, microseconds."""
    zone = _ZONE.fullmatch(about.get("TimeZone", ""))
    return 0 if not zone else int(f"{zone[1]}1") * (int(zone[2]) * 60 + int(zone[3])) * 60_000_000


def _start_us(about: Mapping[str, str], unit: Unit) -> int:
    text = about.get("Start Date", "")
    if not re.fullmatch(r"\d{18}", text):
        raise DataError(f"{unit} is damaged: its info.txt has no start date")
    return (int(text) - _TICKS_OF_1970) // 10


def _in_g(rows: Rows, scale: float, zone_us: int) -> Rows:
    columns = {name: values / -scale for name, values in rows.columns.items()}
    return Rows(rows.time_us - zone_us, columns, rows.ledger)


def _of_samples(log: IO[bytes], rate: int, start_us: int) -> Iterator[Rows]:
    """The samples of a file without times, in counts: two in nine bytes."""
    done = 0
    while data := log.read(9 * (1 << 16)):
        counts = unpacked(data)
        time_us = start_us + _offsets_us(done, len(counts), rate)
        done += len(counts)
        yield Rows(time_us, dict(zip(_AXES, counts.T, strict=True)))


def _offsets_us(first: int, n: int, rate: int) -> np.ndarray:
    return np.round((first + np.arange(n)) * (1e6 / rate)).astype(np.int64)


def unpacked(data: bytes) -> np.ndarray:
    """Samples of three signed numbers of 12 bits, in the order y, x, z, as x, y, z: float64 (n, 3)."""
    triple = np.frombuffer(data + b"\0" * (-len(data) % 3), np.uint8).astype(np.int32).reshape(-1, 3)
    numbers = np.stack(
        [triple[:, 0] << 4 | triple[:, 1] >> 4, (triple[:, 1] & 15) << 8 | triple[:, 2]], axis=1
    ).ravel()
    n = len(data) * 8 // 36
    signed = np.where(numbers > 2047, numbers - 4096, numbers)[: 3 * n].reshape(n, 3)
    return signed[:, [1, 0, 2]].astype(np.float64)


def _of_records(log: IO[bytes], rate: int) -> Iterator[Rows]:
    """The samples of records, in counts. A record spans a second; what is damaged is passed over and counted."""
    rest, lost = b"", False
    while True:
        data = log.read(_READ_BYTES)
        rest += data
        times, counts, noticed = [np.empty(0, np.int64)], [np.empty((0, 3))], Counter[str]()
        at, damaged = 0, 0
        while (end := _end_of_record(rest, at)) is not None or (not data and at < len(rest)):
            if not end:
                damaged += not lost
                lost = True
                at = _next_record(rest, at + 1)
                continue
            lost = False
            _, kind, seconds, size = _HEAD.unpack_from(rest, at)
            payload = rest[at + _HEAD.size : at + _HEAD.size + size]
            at = end
            if kind in (_PACKED, _WORDS):
                sample = (
                    unpacked(payload)
                    if kind == _PACKED
                    else np.frombuffer(payload[: size // 6 * 6], "<i2").reshape(-1, 3)
                )
                times.append(seconds * 1_000_000 + _offsets_us(0, len(sample), rate))
                counts.append(sample.astype(np.float64))
            elif kind == _EVENT and payload[:1] == bytes([_ENTERS_SLEEP]):
                noticed["idle_sleep"] += 1
            elif kind == _WORN and size >= 5 and not payload[4]:
                noticed["not_worn"] += 1
        rest = rest[at:]
        columns = dict(zip(_AXES, np.concatenate(counts).T, strict=True))
        ledger = Ledger(damaged, 0, {"damaged_record": damaged} if damaged else {}, dict(noticed))
        yield Rows(np.concatenate(times), columns, ledger)
        if not data:
            return


def _end_of_record(data: bytes, at: int) -> int | None:
    """Where the record that begins here ends; 0 where none begins here, None where it may go on beyond the data."""
    if len(data) < at + _HEAD.size:
        return None
    separator, kind, seconds, size = _HEAD.unpack_from(data, at)
    if separator != _SEPARATOR or kind > _KINDS or seconds not in _YEARS:
        return 0
    end = at + _HEAD.size + size + 1
    if len(data) < end:
        return None
    return 0 if np.bitwise_xor.reduce(np.frombuffer(data, np.uint8, end - at, at)) != 0xFF else end


def _next_record(data: bytes, at: int) -> int:
    """The next place that may be the beginning of a record; the end of the data where there is none."""
    found = data.find(bytes([_SEPARATOR]), at)
    return len(data) if found < 0 else found
