"""Apple Health: the export.zip that the Health app shares, its folder, or the XML file in it.

The XML is read as a stream, so that gigabytes of it need no more memory than a day. Steps, energy and heart rate
become days; workouts are kept; everything else, sleep among it, is left out and counted by its type. Steps and energy
that a phone and a watch count at the same minute count once.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from pathlib import Path
from zoneinfo import available_timezones

from activitymodule.days.imports.building import Export
from activitymodule.days.imports.files import Guarded, each_file
from activitymodule.days.imports.samples import Kind
from activitymodule.days.imports.workouts import Workout, kind_of
from activitymodule.days.imports.xml import parse
from activitymodule.errors import DataError

GAP_MINUTES = 15  # a watch measures the heart rate of a resting wrist every five to ten minutes
_QUANTITY = "HKQuantityTypeIdentifier"
_KINDS = {
    f"{_QUANTITY}StepCount": Kind.steps,
    f"{_QUANTITY}ActiveEnergyBurned": Kind.active_energy,
    f"{_QUANTITY}BasalEnergyBurned": Kind.resting_energy,
    f"{_QUANTITY}HeartRate": Kind.heart_rate,
    f"{_QUANTITY}RestingHeartRate": Kind.resting_heart_rate,
}
_UNITS = {
    "count": 1.0, "count/min": 1.0, "count/s": 60.0, "bpm": 1.0, "Cal": 1.0, "kcal": 1.0, "cal": 1e-3, "kJ": 1 / 4.184,
    "J": 1 / 4184,
}  # fmt: skip
_REMEMBERED = 20_000
_MINUTES = {"min": 1.0, "s": 1 / 60, "hr": 60.0, "h": 60.0}
_WATCH = re.compile(r"model:\s*Watch\b|name:\s*Apple Watch")
_HOUR = re.compile(
    r"(?P<date>\d{4}-\d\d-\d\d) (?P<hour>[01]\d|2[0-3]): (?P<sign>[+-])(?P<hours>[01]\d)(?P<minutes>[0-5]\d)",
    re.ASCII,
)
_PREFIX = re.compile("^HK(?:QuantityTypeIdentifier|CategoryTypeIdentifier|DataType)?")


def read(path: Path, export: Export) -> None:
    """Read an export into `export`. Raises DataError where it is none, damaged, or made to do harm."""
    found: list[str] = []
    for name, stream in each_file(path, _may_hold_it):
        peeked = _Peeked(stream)
        if b"<HealthData" not in peeked.head:
            if path.is_file() and path.suffix.lower() == ".xml":
                raise DataError(f"{name} is no export of Apple Health: it holds no <HealthData>")
            continue
        if found:
            raise DataError(f"{path} holds two exports, {found[0]} and {name}; import one at a time")
        found.append(name)
        _Reader(export).read(peeked, name)
    if not found:
        raise DataError(f"{path} holds no export.xml of Apple Health; share one by Export All Health Data")


def _may_hold_it(name: str) -> bool:
    """The file has another name in each language; documents of clinics lie beside it."""
    low = name.lower()
    return low.endswith(".xml") and not low.endswith("_cda.xml") and "/clinical" not in f"/{low}"


class _Peeked:
    """A stream whose beginning was looked at."""

    def __init__(self, stream: Guarded) -> None:
        self._stream = stream
        self.head = stream.read(1 << 18)
        self._rest = self.head

    def read(self, size: int, /) -> bytes:
        if self._rest:
            data, self._rest = self._rest, b""
            return data
        return self._stream.read(size)


class _Reader:
    """The elements of the document."""

    def __init__(self, export: Export) -> None:
        self._export, self._samples, self._ledger = export, export.samples, export.ledger
        self._workout: dict[str, str] | None = None
        self._energy: dict[str, float] = {}
        self._in_correlation = 0
        self._zones: Counter[str] = Counter()
        self._hours: dict[str, float] = {}
        self._sources: dict[tuple[str, str], int] = {}

    def read(self, stream: _Peeked, name: str) -> None:
        parse(stream, name, "HealthData", self._begin, self._end)
        if self._zones:
            self._export.zone = max(self._zones, key=lambda zone: (self._zones[zone], zone))

    def _begin(self, element: str, attributes: Mapping[str, str]) -> None:
        if element == "Record":
            if not self._in_correlation:  # its records stand in the document too
                self._record(attributes)
        elif element == "Correlation":
            self._in_correlation += 1
            self._ledger.leave_out(_short(attributes.get("type", element)))
        elif element == "Workout":
            self._workout, self._energy = dict(attributes), {}
        elif element == "WorkoutStatistics":
            self._statistics(attributes)
        elif element == "MetadataEntry":
            self._metadata(attributes)
        elif element in (
            "ActivitySummary",
            "ClinicalRecord",
            "Audiogram",
            "VisionPrescription",
            "StateOfMind",
        ):
            self._ledger.leave_out(element)

    def _end(self, element: str) -> None:
        if element == "Correlation":
            self._in_correlation -= 1
        elif element == "Workout" and self._workout is not None:
            self._add_workout(self._workout)
            self._workout = None

    def _record(self, attributes: Mapping[str, str]) -> None:
        kind = _KINDS.get(attributes.get("type", ""))
        if kind is None:
            self._ledger.leave_out(_short(attributes.get("type", "record without a type")))
            return
        try:
            factor = _UNITS[attributes["unit"]]
            begin, finish = attributes["startDate"], attributes["endDate"]
            start = self._stamp(begin)
            end = start if finish == begin else self._stamp(finish)
            value = float(attributes["value"]) * factor
        except (KeyError, ValueError):
            self._ledger.leave_out(f"{kind.name}: unreadable record")
            return
        source = self._source(attributes.get("sourceName", ""), attributes.get("device", ""))
        self._samples.add(kind, source, start, end, value)

    def _source(self, name: str, device: str) -> int:
        known = self._sources.get((name, device))
        if known is None:
            known = self._samples.source(name[:200], _WATCH.search(device) is not None)
            if len(self._sources) < _REMEMBERED:
                self._sources[name, device] = known
        return known

    def _stamp(self, text: str) -> float:
        """`2024-01-01 01:01:36 +0200` in seconds since 1970. Raises ValueError."""
        hour = text[:14] + text[19:]
        known = self._hours.get(hour)
        if known is None:
            known, offset = hour_of(hour)
            self._export.offsets[text[:7], offset] += 1
            if len(self._hours) >= _REMEMBERED:
                self._hours.clear()
            self._hours[hour] = known
        minute, second = int(text[14:16]), int(text[17:19])
        if text[16] != ":" or minute > 59 or second > 60:
            raise ValueError(text)
        return known + 60 * minute + second

    def _metadata(self, attributes: Mapping[str, str]) -> None:
        zone = attributes.get("value", "")
        if attributes.get("key") == "HKTimeZone" and zone in _zones():
            self._zones[zone] += 1

    def _statistics(self, attributes: Mapping[str, str]) -> None:
        kind = _KINDS.get(attributes.get("type", ""))
        if self._workout is None or kind not in (Kind.active_energy, Kind.resting_energy):
            return
        try:
            self._energy[kind.name] = float(attributes["sum"]) * _UNITS[attributes["unit"]]
        except (KeyError, ValueError):
            self._ledger.leave_out("workout: unreadable energy")

    def _add_workout(self, attributes: Mapping[str, str]) -> None:
        try:
            start, end = self._stamp(attributes["startDate"]), self._stamp(attributes["endDate"])
            minutes = (end - start) / 60
            if "duration" in attributes:
                minutes = float(attributes["duration"]) * _MINUTES[attributes.get("durationUnit", "min")]
            if not self._energy and "totalEnergyBurned" in attributes:
                unit = attributes.get("totalEnergyBurnedUnit", "kcal")
                self._energy["all"] = float(attributes["totalEnergyBurned"]) * _UNITS[unit]
        except (KeyError, ValueError):
            self._ledger.leave_out("workout: unreadable")
            return
        kind = kind_of(attributes.get("workoutActivityType", ""))
        energy = sum(self._energy.values())
        known = bool(self._energy) and 0 <= energy <= 20_000
        self._export.add_workout(Workout(kind, start, end, minutes, energy if known else None))


@lru_cache(maxsize=1)
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


@lru_cache(maxsize=4096)
def _short(kind: str) -> str:
    return _PREFIX.sub("", kind)[:80]


def hour_of(text: str) -> tuple[float, int]:
    """The hour `2024-01-01 01: +0200` in seconds since 1970, and its offset from UTC in seconds. Raises ValueError."""
    found = _HOUR.fullmatch(text)
    if found is None:
        raise ValueError(text)
    days = date.fromisoformat(found["date"]).toordinal() - 719_163
    offset = int(found["hours"]) * 3600 + int(found["minutes"]) * 60
    offset = -offset if found["sign"] == "-" else offset
    return days * 86_400 + int(found["hour"]) * 3600 - offset, offset
