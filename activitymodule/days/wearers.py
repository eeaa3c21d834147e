"""Which person and which local days windows belong to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import pyarrow as pa

from activitymodule.days.local import midnights_us
from activitymodule.days.records import MARGIN_US, WINDOWS

KEYED = pa.schema(
    [
        pa.field("participant", pa.string()),
        pa.field("zone", pa.string()),
        pa.field("date", pa.date32()),
        *WINDOWS,
    ]
)
_EVER = np.iinfo(np.int64)


@dataclass(frozen=True)
class Wearing:
    """A watch that a participant wore; from_us (included), until_us (not included): None without a limit."""

    device_id: str
    participant: str
    zone: str
    from_us: int | None = None
    until_us: int | None = None


@dataclass(frozen=True)
class Wearers:
    """Who wore which watch, when. zone : of a watch that nobody is assigned to, which then counts as a person."""

    zone: str
    of_device: dict[str, tuple[Wearing, ...]] = field(default_factory=dict)

    @property
    def zones(self) -> list[str]:
        """All time zones, sorted."""
        return sorted({self.zone, *(one.zone for several in self.of_device.values() for one in several)})


def wearers(zone: str, known: Iterable[Wearing]) -> Wearers:
    """Wearers by watch."""
    by_device: dict[str, list[Wearing]] = {}
    for one in known:
        by_device.setdefault(one.device_id, []).append(one)
    return Wearers(zone, {device: tuple(several) for device, several in by_device.items()})


def keyed(windows: pa.Table, people: Wearers, first: date, last: date) -> pa.Table:
    """Windows with the person and each local day of first to last (both included) that they matter for: their own, and
    within records.MARGIN_US of midnight the next or the previous one.

    windows : WINDOWS; returns KEYED
    """
    start_us = np.asarray(windows.column("start_us").to_numpy(), np.int64)
    device = windows.column("device_id").combine_chunks().dictionary_encode()
    rows: list[np.ndarray] = []
    names: list[np.ndarray] = []
    zones: list[np.ndarray] = []
    code = device.indices.to_numpy()
    by_device = np.argsort(code, kind="stable")
    edges = np.searchsorted(code[by_device], np.arange(len(device.dictionary) + 1))
    for number, name in enumerate(device.dictionary.to_pylist()):
        mine = by_device[edges[number] : edges[number + 1]]
        for one, chosen in _by_wearer(name, start_us[mine], people):
            rows.append(mine[chosen])
            names.append(np.full(len(chosen), one.participant, object))
            zones.append(np.full(len(chosen), one.zone, object))
    if not rows:
        return KEYED.empty_table()
    row, name, zone = np.concatenate(rows), np.concatenate(names), np.concatenate(zones)
    parts = [_by_day(windows, row[zone == one], name[zone == one], one, first, last) for one in people.zones]
    return pa.concat_tables(parts)


def _by_wearer(device_id: str, start_us: np.ndarray, people: Wearers) -> Iterable[tuple[Wearing, np.ndarray]]:
    free = np.ones(len(start_us), bool)
    for one in people.of_device.get(device_id, ()):
        low = _EVER.min if one.from_us is None else one.from_us
        high = _EVER.max if one.until_us is None else one.until_us
        mine = (start_us >= low) & (start_us < high)
        free &= ~mine
        yield one, np.flatnonzero(mine)
    yield Wearing(device_id, device_id, people.zone), np.flatnonzero(free)


def _by_day(
    windows: pa.Table, row: np.ndarray, name: np.ndarray, zone: str, first: date, last: date
) -> pa.Table:
    midnights = midnights_us(first, last, zone)
    start_us = np.asarray(windows.column("start_us").to_numpy(), np.int64)[row]
    # a window is near a day where it is in the day with its margins
    low = np.searchsorted(midnights[1:], start_us - MARGIN_US, side="right")
    high = np.searchsorted(midnights[:-1], start_us + MARGIN_US, side="right")
    count = np.maximum(high - low, 0)
    repeated = np.repeat(np.arange(len(row)), count)
    day = np.repeat(low - np.concatenate([[0], np.cumsum(count)[:-1]])[: len(count)], count) + np.arange(
        len(repeated)
    )
    date32 = (day + (first - date(1970, 1, 1)).days).astype(np.int32)
    taken = windows.take(pa.array(row[repeated]))
    columns = [
        pa.array(name[repeated], pa.string()),
        pa.repeat(pa.scalar(zone), len(repeated)),
        pa.array(date32).cast(pa.date32()),
        *taken.columns,
    ]
    return pa.table(columns, schema=KEYED)
