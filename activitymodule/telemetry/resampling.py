"""Rows at any rate, with jitter and gaps, to canonical readings on a grid of 10 Hz: the back end of importers.

A source hands over `Rows` in the order in which they were recorded and gets chunks with their ledger:

    resampler = Resampler(person, device_id)
    for block in ...:
        yield from resampler.push(Rows(time_us, {"acceleration_x": ..., "acceleration_y": ..., ...}))
    yield from resampler.finish()

Readings stand at multiples of 0.1 s of the epoch. Accelerations, gravity and rotation rates are low-pass filtered (a
sinc in a Hamming window, 1.5 s to either side; Oppenheim and Schafer 2010, 7.5): a sine below 4 Hz is kept, one above
5 Hz is removed where the recording is faster than 10 Hz, and at 10 Hz or below samples are interpolated at their own
bandwidth. Samples are weighted by the time they stand for, so that jitter does no harm. Only samples at most 0.3 s
apart are connected: what is missing for longer stays missing. No result depends on how rows are cut into blocks.

All computing is in float64. Memory holds some ten seconds of rows beside those of one call.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from activitymodule.telemetry.chunks import Chunk, Ledger, chunk_table
from activitymodule.telemetry.cleaning import possible_stamps
from activitymodule.telemetry.gravity import attitude_and_rest
from activitymodule.telemetry.lowpass import SLOT_US, in_slots, nearest_of, own_slot
from activitymodule.telemetry.schema import FIELDS

HOLD_US = 10_000_000
"""How long a heart rate, speed or position counts after it was measured."""
LATE_US = 5_000_000
"""Rows that come later than this after newer ones begin a recording of their own."""

_BLOCK = 600  # slots that are computed together; absolute, so that results do not depend on what came when
_PAD_US = 10_500_000  # what a slot's value may depend on: the hold, the filter and the mean of gravity
_GRAVITY_SLOTS = 10  # gravity is the mean over so many slots to either side, 2.1 s (as gravity.split_gravity)

_AXES = "xyz"
_GROUPS = {
    name: tuple(f"{name}_{axis}" for axis in _AXES)
    for name in ("acceleration", "gravity", "user_acceleration", "rotation_rate")
}
_TEXTS = tuple(f.name for f in FIELDS if f.kind == "string" and f.name != "device_id")
_FILTERED = {name for names in _GROUPS.values() for name in names}
_HELD = tuple(
    f.name
    for f in FIELDS
    if f.kind == "float" and f.name not in _FILTERED | {"yaw", "pitch", "roll", "steps"}
)


@dataclass(frozen=True)
class Rows:
    """Rows of one watch, in the order in which they were recorded.

    time_us : int64 ndarray of shape (n,), UTC microseconds; neighbours may be out of order by a few seconds
    columns : by name an ndarray of shape (n,); float64 with NaN for what is missing, or objects (text, None):
        acceleration_x/y/z, g, with gravity, Core Motion's sign (face up: z = -1)
        gravity_x/y/z, g, where the source knows it; without it the mean over 2.1 s is taken for gravity
        user_acceleration_x/y/z, g, without gravity; with gravity_* it makes the total acceleration, without it
            readings have no total acceleration
        rotation_rate_x/y/z, rad/s; yaw, rad: that of the first row of a slot
        heart_rate, speed and the other numbers of telemetry.schema: the mean of a slot, held for HOLD_US
        steps: since the last row; added up
        activity and the text fields of telemetry.schema; the activity is that of the nearest row that has motion
      Other columns are ignored. Not every call needs the same columns, so rows of several files of one recording,
      merged by time, are simply rows.
    ledger : rows that the source left out before, and what it noticed; not the rows given here
    begins : whether these rows are another recording than those before, with which nothing of them is mixed
    """

    time_us: np.ndarray
    columns: Mapping[str, np.ndarray]
    ledger: Ledger = field(default_factory=Ledger)
    begins: bool = False


class Resampler:
    """Makes the readings of one watch from its rows. Every row is counted: see Ledger.

    removed : `averaged_into_a_reading` (the others of its slot), `no_value` (no sensor has a value), and
    `impossible_stamp` (before the year 2000 or in the future);
    added : `interpolated` (slots between two samples); noticed : `time_goes_back` (rows that begin anew).
    device_model : stamped on every reading.
    """

    def __init__(self, person: str, device_id: str, device_model: str | None = None) -> None:
        self._person, self._device_id, self._model = person, device_id, device_model
        self._rows: dict[str, np.ndarray] = {"time_us": np.empty(0, np.int64)}
        self._newest: int | None = None
        self._next = 0  # the first block that is not made yet
        self._ledger = Ledger()

    def push(self, rows: Rows) -> Iterator[Chunk]:
        """The readings that these rows complete; one chunk at most, none if no reading is complete yet."""
        self._ledger += rows.ledger
        tables: list[Chunk] = []
        if rows.begins:
            tables += self._flush()
        time_us = np.asarray(rows.time_us, np.int64)
        columns = {name: _cleaned(values) for name, values in rows.columns.items()}
        possible = possible_stamps(time_us)
        if not possible.all():
            impossible = int((~possible).sum())
            self._ledger += Ledger(impossible, 0, {"impossible_stamp": impossible})
            time_us = time_us[possible]
            columns = {name: values[possible] for name, values in columns.items()}
        start = 0
        while start < len(time_us):
            newest = np.maximum.accumulate(time_us[start:])
            if self._newest is not None:
                newest = np.maximum(newest, self._newest)
            back = np.flatnonzero(time_us[start:] < newest - LATE_US)
            end = start + int(back[0]) if len(back) else len(time_us)
            if end > start:
                part = {name: values[start:end] for name, values in columns.items()}
                part.setdefault("labelled", np.full(end - start, float("activity" in columns)))
                self._add(part | {"time_us": time_us[start:end]})
                self._newest = int(newest[end - start - 1])
            if end < len(time_us):
                self._ledger += Ledger(noticed={"time_goes_back": 1})
                tables += self._flush()
            start = end
        if self._newest is not None:
            tables += self._blocks((self._newest - LATE_US - _PAD_US) // (SLOT_US * _BLOCK))
        yield from self._joined(tables)

    def finish(self) -> Iterator[Chunk]:
        """The readings that are left; the resampler can be used again."""
        tables = self._flush()
        if self._ledger != Ledger():
            tables.append(Chunk(chunk_table({}, self._person, self._device_id, 0), Ledger()))
        yield from self._joined(tables)

    def _joined(self, chunks: list[Chunk]) -> Iterator[Chunk]:
        if chunks:
            total, self._ledger = sum((chunk.ledger for chunk in chunks), self._ledger), Ledger()
            yield Chunk(pa.concat_tables([chunk.readings for chunk in chunks]), total)

    def _add(self, rows: dict[str, np.ndarray]) -> None:
        n, more = len(self._rows["time_us"]), len(rows["time_us"])
        joined = {}
        for name in {**self._rows, **rows}:
            kind = (self._rows if name in self._rows else rows)[name].dtype
            parts = (
                self._rows[name] if name in self._rows else _missing(n, kind),
                rows[name] if name in rows else _missing(more, kind),
            )
            joined[name] = np.concatenate(parts)
        order = np.argsort(joined["time_us"], kind="stable")
        if (np.diff(order) < 0).any():
            joined = {name: values[order] for name, values in joined.items()}
        self._rows = joined

    def _flush(self) -> list[Chunk]:
        chunks = self._blocks(None)
        self._rows, self._newest, self._next = {"time_us": np.empty(0, np.int64)}, None, 0
        return chunks

    def _blocks(self, end: int | None) -> list[Chunk]:
        """The blocks before `end` that are not made yet, all of them where it is None; old rows are forgotten."""
        time_us = self._rows["time_us"]
        block = own_slot(time_us) // _BLOCK
        due = np.unique(block[(block >= self._next) & (block < end if end is not None else True)])
        chunks = []
        for number in due.tolist():
            first_us = number * _BLOCK * SLOT_US
            low, high = np.searchsorted(
                time_us, [first_us - _PAD_US, first_us + _BLOCK * SLOT_US + _PAD_US]
            ).tolist()
            near = {name: values[low:high] for name, values in self._rows.items()}
            columns, ledger = _block_of(near, number * _BLOCK)
            if self._model is not None:
                columns["device_model"] = np.full(ledger.readings, self._model, object)
            chunks.append(Chunk(chunk_table(columns, self._person, self._device_id, ledger.readings), ledger))
        if len(due):
            self._next = int(due[-1]) + 1
            keep = int(np.searchsorted(time_us, self._next * _BLOCK * SLOT_US - _PAD_US))
            self._rows = {name: values[keep:] for name, values in self._rows.items()}
        return chunks


def _cleaned(values: np.ndarray) -> np.ndarray:
    if values.dtype.kind == "O":
        return values
    values = np.asarray(values, np.float64)
    return np.where(np.isfinite(values), values, np.nan)


def _missing(n: int, kind: np.dtype) -> np.ndarray:
    return np.full(n, None, object) if kind.kind == "O" else np.full(n, np.nan)


def _block_of(rows: dict[str, np.ndarray], first: int) -> tuple[dict[str, np.ndarray], Ledger]:
    """Columns of the readings in the slots from `first` on, of rows in the order of time that reach beyond them."""
    time_us = rows["time_us"]
    groups = {}
    motion = np.zeros(len(time_us), bool)
    usable = np.zeros(len(time_us), bool)
    for name, axes in _GROUPS.items():
        if all(axis in rows for axis in axes):
            values = np.stack([rows[axis] for axis in axes], axis=1)
            known = np.isfinite(values).all(axis=1)
            groups[name] = (time_us[known], values[known])
            motion |= known
    usable |= motion
    for name in (*_HELD, "steps"):
        if name in rows:
            usable |= np.isfinite(rows[name])

    margin = _GRAVITY_SLOTS
    slots = np.arange(first - margin, first + _BLOCK + margin)
    inner = slice(margin, margin + _BLOCK)
    vectors = {name: in_slots(*group, slots) for name, group in groups.items()}
    columns = _motion_columns(vectors, inner)

    slots = slots[inner]
    own = own_slot(time_us)
    here = (own >= first) & (own < first + _BLOCK)
    owned = np.unique(own[usable & here])
    filled = np.isin(slots, owned)
    for values in columns.values():
        filled |= np.isfinite(values)
    columns = {name: values[filled] for name, values in columns.items()}
    slots = slots[filled]
    columns["stamp"] = slots * SLOT_US
    columns |= _other_columns(rows, own, slots)
    if "activity" in rows:
        labelled = rows["labelled"] == 1  # a file of heart rates, merged in, has no column of labels
        judged = labelled & (motion if (motion & labelled).any() else usable)
        if judged.any():
            columns["activity"] = rows["activity"][judged][nearest_of(time_us[judged], slots * SLOT_US)]
    count = Counter(
        rows=int(here.sum()), usable=int((usable & here).sum()), owned=len(owned), readings=len(slots)
    )
    removed = {
        "averaged_into_a_reading": count["usable"] - count["owned"],
        "no_value": count["rows"] - count["usable"],
    }
    added = {"interpolated": count["readings"] - count["owned"]}
    return columns, Ledger(
        count["rows"],
        count["readings"],
        {reason: n for reason, n in removed.items() if n},
        added={reason: n for reason, n in added.items() if n},
    )


def _motion_columns(vectors: dict[str, np.ndarray], inner: slice) -> dict[str, np.ndarray]:
    """Fields of a reading in the slots `inner`, from the filtered vectors (slots, 3) around them; NaN where none."""
    columns: dict[str, np.ndarray] = {}
    if "rotation_rate" in vectors:
        columns |= _by_axis("rotation_rate", vectors["rotation_rate"][inner])
    n = len(next(iter(vectors.values()))) if vectors else 0
    none = np.full((n, 3), np.nan)
    total, pull = vectors.get("acceleration", none), vectors.get("gravity", none)
    user = vectors.get("user_acceleration", none)
    total = np.where(np.isfinite(total), total, user + pull)
    if np.isfinite(total).any():
        down = np.where(np.isfinite(pull), pull, _mean_around(total))[inner]
        pitch, roll, rest = attitude_and_rest(total[inner], down)
        columns |= {"pitch": pitch, "roll": roll} | _by_axis(
            "user_acceleration", np.where(np.isfinite(rest), rest, user[inner])
        )
    elif "user_acceleration" in vectors:
        columns |= _by_axis("user_acceleration", user[inner])
    return columns


def _by_axis(name: str, values: np.ndarray) -> dict[str, np.ndarray]:
    return {f"{name}_{axis}": values[:, i] for i, axis in enumerate(_AXES)}


def _mean_around(values: np.ndarray) -> np.ndarray:
    """Mean of what is there in each slot and _GRAVITY_SLOTS to either side; (n, 3), NaN where a slot is empty."""
    there = np.isfinite(values)
    sums = np.vstack([np.zeros((1, 3)), np.cumsum(np.where(there, values, 0.0), axis=0)])
    counts = np.vstack([np.zeros((1, 3)), np.cumsum(there, axis=0)])
    low = np.maximum(np.arange(len(values)) - _GRAVITY_SLOTS, 0)
    high = np.minimum(np.arange(len(values)) + _GRAVITY_SLOTS + 1, len(values))
    mean = (sums[high] - sums[low]) / np.maximum(counts[high] - counts[low], 1)
    return np.asarray(np.where(there, mean, np.nan))


def _other_columns(rows: dict[str, np.ndarray], own: np.ndarray, slots: np.ndarray) -> dict[str, np.ndarray]:
    """Numbers that are not filtered, and texts, in the slots (rising)."""
    columns: dict[str, np.ndarray] = {}
    at_us = slots * SLOT_US
    for name in (*_HELD, "steps", "yaw"):
        if name not in rows:
            continue
        known = np.isfinite(rows[name])
        mine, first = np.unique(own[known], return_index=True)
        if not len(mine):
            continue
        total = np.add.reduceat(rows[name][known], first)
        if name == "steps":
            columns[name] = _placed(mine, total, slots)
        elif name == "yaw":
            columns[name] = _placed(mine, rows[name][known][first], slots)
        else:
            mean = total / np.diff(np.append(first, known.sum()))
            last = np.searchsorted(mine, slots, side="right") - 1
            recent = (last >= 0) & (at_us - mine[last] * SLOT_US <= HOLD_US)
            columns[name] = np.where(recent, mean[last], np.nan)
    for name in _TEXTS:
        if name in rows:
            known = np.array([text is not None for text in rows[name]], bool)
            mine, first = np.unique(own[known], return_index=True)
            columns[name] = np.full(len(slots), None, object)
            hit = np.isin(slots, mine)
            columns[name][hit] = rows[name][known][first][np.searchsorted(mine, slots[hit])]
    return columns


def _placed(mine: np.ndarray, values: np.ndarray, slots: np.ndarray) -> np.ndarray:
    """Values of the slots `mine` (rising) in `slots`; NaN in all others."""
    place = np.minimum(np.searchsorted(mine, slots), len(mine) - 1)
    return np.where(mine[place] == slots, values[place], np.nan)
