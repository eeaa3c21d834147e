"""Fitbit: the JSON files of an account's export or of Google Takeout, in a folder, zip or tar, or one of them.

Minutes of steps, calories and heart rate become days; exercises are workouts; the daily files of resting heart rate
and of minutes by intensity are taken as they are. Everything else, sleep among it, is left out and counted by file.

Files of minutes have times without a zone. Exports differ: some write the person's clock, some UTC. Where the export
has logs of sleep, which are in the person's clock, the reading is taken in which they slept the more quietly; else
the person's clock. `times` settles it.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from functools import lru_cache
from pathlib import Path, PurePosixPath
from zoneinfo import ZoneInfo

import numpy as np

from activitymodule.days.imports import zones
from activitymodule.days.imports.building import Export
from activitymodule.days.imports.files import each_file, whole
from activitymodule.days.imports.samples import Kind, Samples
from activitymodule.days.imports.workouts import Workout, kind_of
from activitymodule.errors import DataError
from activitymodule.telemetry.untrusted import UnusableError, parse_json

GAP_MINUTES = 5  # a worn watch measures the heart rate every few seconds
_LARGEST_FILE = 256 << 20
_NAME = re.compile(r"^([a-z_]+?)-\d[\d-]*[^/]*\.json$", re.IGNORECASE)
_SERIES = {"steps": Kind.steps, "calories": Kind.energy}
_INTENSITIES = {
    "sedentary_minutes": "sedentary",
    "lightly_active_minutes": "lightly active",
    "moderately_active_minutes": "fairly active",
    "very_active_minutes": "very active",
}
_SLEEP_SECONDS = 3 * 3600  # of a log of sleep that says something about the clock
_ENOUGH = 120  # samples in sleep, likewise


class Reader:
    """The files of an export. sleep : of each log its begin and end by the person's clock, seconds since 1970."""

    def __init__(self, export: Export) -> None:
        self._export, self._ledger = export, export.ledger
        self._watch = export.samples.source("Fitbit", True)
        self.sleep: list[tuple[float, float]] = []
        self.exercises: list[tuple[str, float, float, float, float | None]] = []

    def read(self, path: Path) -> None:
        """Read every file. Raises DataError where none is Fitbit's, or one is damaged."""
        files = 0
        for name, stream in each_file(path, lambda _: True):
            base = PurePosixPath(name).name
            if base.lower() == "profile.csv":
                self._profile(whole(stream, name, _LARGEST_FILE))
            kind = found[1].lower() if (found := _NAME.match(base)) else None
            if kind in (*_SERIES, "heart_rate", "resting_heart_rate", "exercise", "sleep", *_INTENSITIES):
                files += 1
                self._file(kind, _objects(whole(stream, name, _LARGEST_FILE), name))
            else:
                self._ledger.leave_out(f"file of {kind}" if kind else f"file {base[-60:]}")
        if not files:
            raise DataError(
                f"{path} holds no file of a Fitbit export, such as steps-2024-01-31.json; import its folder or its zip"
            )

    def _file(self, kind: str, items: Iterator[Mapping[str, object]]) -> None:
        for item in items:
            try:
                if kind == "sleep":
                    self._ledger.leave_out("sleep")
                    self.sleep.append((moment(_text(item["startTime"])), moment(_text(item["endTime"]))))
                elif kind == "exercise":
                    self._exercise(item)
                elif kind in _SERIES:
                    at = moment(_text(item["dateTime"]))
                    self._export.samples.add(
                        _SERIES[kind], self._watch, at, at + 60, _number(item["value"]), wall=True
                    )
                elif kind == "heart_rate":
                    self._heart_rate(item)
                else:
                    self._figure(kind, item)
            except (KeyError, TypeError, ValueError):
                self._ledger.leave_out(f"{kind}: unreadable record")

    def _heart_rate(self, item: Mapping[str, object]) -> None:
        value = _object(item["value"])
        if _number(value.get("confidence", 1)) < 1:  # what a watch writes that does not feel a pulse
            self._ledger.leave_out("heart_rate: without confidence")
            return
        at = moment(_text(item["dateTime"]))
        self._export.samples.add(Kind.heart_rate, self._watch, at, at, _number(value["bpm"]), wall=True)

    def _figure(self, kind: str, item: Mapping[str, object]) -> None:
        day = date.fromordinal(719_163 + int(moment(_text(item["dateTime"])) // 86_400))
        if kind == "resting_heart_rate":
            value = _number(_object(item["value"])["value"])
            if not 20 <= value <= 200:  # 0 where there is none
                self._ledger.leave_out("resting_heart_rate: none on this day")
                return
            column = "heart_resting"
        else:
            value, column = _number(item["value"]), f"minutes.{_INTENSITIES[kind]}"
            if not 0 <= value <= 1500:
                raise ValueError(value)
        self._ledger.read[kind] += 1
        self._export.figures[day][column] = value

    def _exercise(self, item: Mapping[str, object]) -> None:
        start = moment(_text(item["startTime"]))
        milliseconds = _number(item["duration"])
        active = _number(item.get("activeDuration", milliseconds))
        kcal = _number(item["calories"]) if item.get("calories") is not None else None
        name = kind_of(_text(item.get("activityName") or "other"))
        self.exercises.append((name, start, start + milliseconds / 1000, active / 60_000, kcal))

    def _profile(self, text: bytes) -> None:
        for row in csv.DictReader(io.StringIO(text.decode("utf-8-sig", "replace"))):
            for key, value in row.items():
                if str(key).strip().lower() in ("timezone", "time_zone") and value:
                    self._export.zone = value.strip()


def read(path: Path, export: Export) -> Reader:
    """Read an export into `export`; `settle` puts its times right. Raises DataError where it is none, or damaged."""
    reader = Reader(export)
    reader.read(path)
    return reader


def settle(reader: Reader, export: Export, zone: ZoneInfo, times: str | None) -> None:
    """Say how the files of minutes are to be read: `local`, `utc`, or None: by the logs of sleep."""
    utc = {kind: _is_utc(export.samples, kind, reader.sleep, zone) for kind in Kind} if times is None else {}
    for kind, other in ((Kind.steps, Kind.heart_rate), (Kind.heart_rate, Kind.steps)):
        if utc and utc[kind] is None:  # the two are written alike
            utc[kind] = utc[other]
    chosen = {kind: times == "utc" if times else bool(utc[kind]) for kind in Kind}
    for kind in (Kind.steps, Kind.energy, Kind.heart_rate):
        if export.ledger.read[kind.name]:
            how = "UTC" if chosen[kind] else "the person's clock"
            why = (
                "as asked"
                if times
                else ("by the logs of sleep" if utc[kind] is not None else "no sleep to judge by")
            )
            export.ledger.noticed[f"{kind.name}: times read as {how} ({why})"] += export.ledger.read[
                kind.name
            ]
    export.samples.utc_kinds = frozenset(kind for kind in Kind if chosen[kind])
    is_utc = chosen[Kind.steps]
    for name, start, end, minutes, kcal in reader.exercises:
        begin = start if is_utc else float(zones.instants(np.array([start]), zone)[0])
        export.add_workout(Workout(name, begin, begin + end - start, minutes, kcal))


def _is_utc(samples: Samples, kind: Kind, sleep: list[tuple[float, float]], zone: ZoneInfo) -> bool | None:
    """Whether times of a kind are rather UTC than the person's clock; None where sleep does not tell."""
    spans = sorted(one for one in sleep if one[1] - one[0] >= _SLEEP_SECONDS)
    if not spans:
        return None
    begin, end = (zones.instants(np.array(side), zone) for side in zip(*spans, strict=True))
    wall_begin, wall_end = (np.array(side) for side in zip(*spans, strict=True))
    sums = np.zeros((2, 2))
    for rows in samples.spans():
        rows = rows[rows["kind"] == kind]
        for place, (low, high) in enumerate(((wall_begin, wall_end), (begin, end))):
            asleep = _within(rows, low, high)
            sums[place] += asleep.sum(), rows["value"][asleep].sum()
    counts, totals = sums.T
    if (counts < _ENOUGH).any() or totals[0] / counts[0] == totals[1] / counts[1]:
        return None
    return bool(totals[1] / counts[1] < totals[0] / counts[0])


def _within(rows: np.ndarray, begin: np.ndarray, end: np.ndarray) -> np.ndarray:
    place = np.searchsorted(begin, rows["start"], "right") - 1
    return np.asarray((place >= 0) & (rows["start"] < end[np.maximum(place, 0)]))


def _objects(content: bytes, name: str) -> Iterator[Mapping[str, object]]:
    try:
        items = parse_json(content.removeprefix(b"\xef\xbb\xbf"))
    except UnusableError as error:
        raise DataError(
            f"{name} is no whole JSON: {error}; nothing was imported, unpack the export again"
        ) from None
    if not isinstance(items, list):
        raise DataError(f"{name} holds no list of records; it is no file of a Fitbit export")
    return (item if isinstance(item, dict) else {} for item in items)


def _object(value: object) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise TypeError(value)
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TypeError(value)
    return float(value)


def moment(text: str) -> float:
    """`06/24/95 16:00:10` or an ISO time without a zone, in seconds since 1970 of that clock. Raises ValueError."""
    if len(text) == 17 and text[2] == "/" and text[5] == "/":
        return _midnight(text[:8]) + int(text[9:11]) * 3600 + int(text[12:14]) * 60 + int(text[15:17])
    at = datetime.fromisoformat(text)
    if at.tzinfo is not None:
        raise ValueError(text)
    return (at - datetime(1970, 1, 1)).total_seconds()


@lru_cache(maxsize=4096)
def _midnight(text: str) -> float:
    return (datetime.strptime(text, "%m/%d/%y") - datetime(1970, 1, 1)).total_seconds()
