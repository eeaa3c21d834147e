"""Samples of an export on their way to days: on disk by spans of days, so that memory does not grow with the export.

An export holds millions of records in any order. Each becomes a row of 28 bytes in the temporary file of its span;
the spans are then read one after the other, and the days that are whole leave.
"""

from __future__ import annotations

import math
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import IntEnum
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

from activitymodule.days.imports import zones
from activitymodule.days.imports.ledger import Ledger
from activitymodule.errors import DataError

_DAY = 86_400
_SPAN = 8 * _DAY  # s of one temporary file
_BUFFERED = 100_000  # rows
_MOST_IN_SPAN = 2_500_000  # rows: three readings a second for eight days
_MOST_SOURCES = 10_000
_SHIFT = 15 * 3600  # s that a wall-clock time can lie from its instant, and more
_EARLIEST, _LATEST = 631_152_000.0, 4_102_444_800.0  # 1990 to 2100
ROW = np.dtype(
    [("kind", "u1"), ("wall", "?"), ("source", "u2"), ("start", "f8"), ("end", "f8"), ("value", "f8")]
)
"""start, end : seconds since 1970, of UTC or, with `wall`, of the local clock."""


class Kind(IntEnum):
    """What a sample measures. Amounts belong to their whole interval."""

    steps = 0
    energy = 1
    """kcal, all of it"""
    active_energy = 2
    resting_energy = 3
    heart_rate = 4
    resting_heart_rate = 5


BOUNDS = {
    Kind.steps: (0.0, 100_000.0),
    Kind.energy: (0.0, 20_000.0),
    Kind.active_energy: (0.0, 20_000.0),
    Kind.resting_energy: (0.0, 20_000.0),
    Kind.heart_rate: (20.0, 300.0),
    Kind.resting_heart_rate: (20.0, 200.0),
}


@dataclass(frozen=True)
class DayRows:
    """The samples of one local day; start, end : its bounds, seconds since 1970 (UTC); rows : of ROW, cut at them."""

    day: date
    start: float
    end: float
    rows: np.ndarray


class Samples:
    """Takes the samples of an export, and gives them back by local day. Its files are in `folder`."""

    def __init__(self, folder: Path, ledger: Ledger) -> None:
        self._folder, self.ledger = folder, ledger
        self._buffer: list[tuple[int, bool, int, float, float, float]] = []
        self._last: dict[tuple[int, int], tuple[float, float, float]] = {}
        self._rows: Counter[int] = Counter()
        self._sources: dict[tuple[str, bool], int] = {}
        self.utc_kinds: frozenset[Kind] = frozenset()
        """Kinds whose times of the local clock turned out to be UTC."""

    @property
    def sources(self) -> list[tuple[str, bool]]:
        """Name of each source, and whether it is a watch, by its number."""
        return list(self._sources)

    def source(self, name: str, is_watch: bool = False) -> int:
        """The number of a source. Raises DataError where there are too many to be true."""
        number = self._sources.setdefault((name, is_watch), len(self._sources))
        if number >= _MOST_SOURCES:
            raise DataError(f"the export names more than {_MOST_SOURCES:,} sources; it cannot be right")
        return number

    def add(
        self, kind: Kind, source: int, start: float, end: float, value: float, *, wall: bool = False
    ) -> None:
        """Take a sample; one that cannot be right is counted."""
        low, high = BOUNDS[kind]
        if not (low <= value <= high):
            self.ledger.leave_out(f"{kind.name}: impossible value")
        elif not (_EARLIEST <= start <= end <= _LATEST and end - start <= 2 * _DAY):
            self.ledger.leave_out(f"{kind.name}: impossible time")
        elif self._last.get((kind, source)) == (start, end, value):
            self.ledger.read[kind.name] += 1
            self.ledger.merged[f"{kind.name}: duplicate"] += 1
        else:
            self.ledger.read[kind.name] += 1
            self._last[kind, source] = start, end, value
            self._buffer.append((kind, wall, source, start, end, value))
            if len(self._buffer) >= _BUFFERED:
                self._flush()

    def _flush(self) -> None:
        rows = np.array(self._buffer, ROW)
        self._buffer.clear()
        spans = np.floor(rows["start"] / _SPAN).astype(np.int64)
        order = np.argsort(spans, kind="stable")
        names, first = np.unique(spans[order], return_index=True)
        for name, part in zip(names, np.split(rows[order], first[1:]), strict=True):
            self._write(int(name), part)

    def _write(self, span: int, rows: np.ndarray) -> None:
        file = self._folder / str(span)
        with open(file, "ab") as target:
            target.write(rows.tobytes())
        self._rows[span] += len(rows)
        if self._rows[span] > _MOST_IN_SPAN:
            kept = self._distinct(self._read(span))
            if len(kept) > _MOST_IN_SPAN // 2:
                since = datetime.fromtimestamp(span * _SPAN, UTC).date()
                raise DataError(
                    f"the export has more than {_MOST_IN_SPAN // 2:,} different samples in eight days from {since}; "
                    "it cannot be right"
                )
            file.write_bytes(kept.tobytes())
            self._rows[span] = len(kept)

    def _read(self, span: int) -> np.ndarray:
        return np.fromfile(self._folder / str(span), ROW)

    def _distinct(self, rows: np.ndarray) -> np.ndarray:
        """Rows without repetitions, sorted; how many there were is counted."""
        rows = rows[np.lexsort([rows[name] for name in reversed(ROW.names or ())])]
        same = np.zeros(len(rows), bool)
        same[1:] = np.logical_and.reduce([rows[name][1:] == rows[name][:-1] for name in ROW.names or ()])
        for kind, count in zip(*np.unique(rows["kind"][same], return_counts=True), strict=True):
            self.ledger.merged[f"{Kind(kind).name}: duplicate"] += int(count)
        return rows[~same]

    def spans(self) -> Iterator[np.ndarray]:
        """All samples as they were taken, a span of days at a time and in its order."""
        if self._buffer:
            self._flush()
        for span in sorted(self._rows):
            yield self._read(span)

    def days(self, zone: ZoneInfo) -> Iterator[DayRows]:
        """The samples by local day, in its order; what lasts over midnight is divided between its days."""
        rest = np.empty(0, ROW)
        for rows in self.spans():
            edge = (math.floor(rows["start"][0] / _SPAN) + 1) * _SPAN - _SHIFT
            ready = np.concatenate([rest, self._as_instants(self._distinct(rows), zone)])
            found = list(_by_day(ready, zone))
            rest = np.concatenate([np.empty(0, ROW), *(one.rows for one in found if one.end > edge)])
            yield from (one for one in found if one.end <= edge)
        yield from _by_day(rest, zone)

    def _as_instants(self, rows: np.ndarray, zone: ZoneInfo) -> np.ndarray:
        wall = rows["wall"] & ~np.isin(rows["kind"], list(self.utc_kinds))
        if wall.any():
            seconds = rows["end"][wall] - rows["start"][wall]
            rows["start"][wall] = zones.instants(rows["start"][wall], zone)
            rows["end"][wall] = rows["start"][wall] + seconds
        rows["wall"] = False
        return rows


@contextmanager
def collected(ledger: Ledger) -> Iterator[Samples]:
    """An empty collection, whose files are gone after the block."""
    with tempfile.TemporaryDirectory(prefix="activity-days-") as folder:
        yield Samples(Path(folder), ledger)


def _by_day(rows: np.ndarray, zone: ZoneInfo) -> Iterator[DayRows]:
    if not len(rows):
        return
    first = zones.date_of(float(rows["start"].min()), zone)
    last = zones.date_of(float(rows["end"].max()), zone)
    starts = zones.day_starts(first, (last - first).days + 1, zone)
    pieces = []
    while len(rows):
        place = np.searchsorted(starts, rows["start"], "right") - 1
        over = rows["end"] > starts[place + 1]
        share = np.where(
            over, (starts[place + 1] - rows["start"]) / np.maximum(rows["end"] - rows["start"], 1e-9), 1.0
        )
        here, later = rows.copy(), rows[over]
        amount = here["kind"] <= Kind.resting_energy
        here["value"] = np.where(amount, here["value"] * share, here["value"])
        here["end"] = np.minimum(here["end"], starts[place + 1])
        pieces.append(here)
        later["value"] = np.where(amount[over], later["value"] * (1 - share[over]), later["value"])
        later["start"] = starts[place[over] + 1]
        rows = later
    rows = np.concatenate(pieces)
    place = np.searchsorted(starts, rows["start"], "right") - 1
    order = np.lexsort((rows["value"], rows["end"], rows["start"], rows["source"], rows["kind"], place))
    rows, place = rows[order], place[order]
    for k in np.unique(place):
        low, high = np.searchsorted(place, [k, k + 1])
        yield DayRows(first + timedelta(days=int(k)), float(starts[k]), float(starts[k + 1]), rows[low:high])
