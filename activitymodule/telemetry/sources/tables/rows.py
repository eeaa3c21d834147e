"""Blocks of a file as rows of one watch: times, units, signs, axes, labels and counters, as the mapping says."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from activitymodule.telemetry.chunks import Ledger
from activitymodule.telemetry.gravity import STANDARD_GRAVITY, gravity_of
from activitymodule.telemetry.mapping.model import Mapping, Table, Vector
from activitymodule.telemetry.profiles import Axes
from activitymodule.telemetry.resampling import LATE_US, Rows
from activitymodule.telemetry.sources.tables.files import Block
from activitymodule.telemetry.sources.tables.spans import SpansOf
from activitymodule.telemetry.sources.tables.times import Clock, spread, to_numbers

_PER_UNIT = {
    "g": 1.0,
    "mg": 1e-3,
    "m/s2": 1 / STANDARD_GRAVITY,
    "counts": 1.0,
    "rad/s": 1.0,
    "deg/s": np.pi / 180,
    "mdeg/s": np.pi / 180_000,
}
_MOST = {"acceleration": 64.0, "user_acceleration": 64.0, "gravity": 64.0, "rotation_rate": 100.0}
START_US = 1_546_300_800_000_000  # 2019-01-01T00:00Z: times since a trial's start count from here
_TRIAL_US = 300_000_000  # trials without a clock start at multiples of it


def columns_of(table: Table) -> list[str]:
    """The columns that a mapping uses, each once."""
    found: list[str | None] = [table.time.column, *(table.time.columns or ())]
    for vector in (table.acceleration, table.gravity, table.rotation):
        if vector is not None:
            found += [vector.x, vector.y, vector.z]
    if table.attitude is not None:
        found += [table.attitude.pitch, table.attitude.roll, table.attitude.yaw]
    for channel in table.channels.values():
        found += [channel.column, *channel.when]
    for named in (table.person, table.device, table.label, table.trial):
        found.append(named.column if named else None)
    return list(dict.fromkeys(name for name in found if name is not None))


def texts(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column as text without blanks around it: 1.0 as 1; empty becomes null."""
    if pa.types.is_floating(column.type):
        whole = pc.all(pc.equal(column, pc.floor(column))).as_py()
        column = pc.cast(column, pa.int64()) if whole else column
    text = pc.utf8_trim_whitespace(pc.cast(column, pa.string()))
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)


@dataclass
class Trials:
    """Where trials whose times count from their own start lie in time: one after another, for one watch."""

    next_us: int = START_US
    _offset: int = 0

    def begin(self, first_us: int, joined: bool) -> int:
        """What is added to the times of a new trial, whose first is this; joined : that of the trial that it joins."""
        if not joined:
            start = self.next_us - (self.next_us - START_US) % -_TRIAL_US
            self.next_us = start + 1
            self._offset = start - first_us
        return self._offset

    def reached(self, time_us: int) -> None:
        """A row of the present trial has this time."""
        self.next_us = max(self.next_us, time_us + 1)


class Rowmaker:
    """Rows of one file. person, device : only rows that have these in their columns; None where they have none."""

    def __init__(
        self,
        mapping: Mapping,
        table: Table,
        trials: Trials,
        *,
        person: str,
        device: str | None,
        label: str | None,
        spans: SpansOf | None,
        joined: bool,
        counts: bool,
    ) -> None:
        self._mapping, self._table, self._trials = mapping, table, trials
        self._person, self._device, self._label, self._spans = person, device, label, spans
        self._joined, self._counts = joined, counts
        self._first = table.time.relative and not joined
        self._clock = Clock(table.time, table.format.decimal == ",")
        self._before: dict[str, float] = {}
        self._last_us: int | None = None
        self._offset: int | None = None
        self._trial: object = None

    def rows(self, blocks: Iterable[Block]) -> Iterator[Rows]:
        """The rows of a file, those of each trial apart."""
        for block in blocks:
            yield from self._block(block)

    def _block(self, block: Block) -> Iterator[Rows]:
        columns, begins = block.columns, block.begins
        mine = self._mine(columns)
        removed = Counter(malformed_row=block.malformed if self._counts else 0)
        if self._counts and (named := self._table.person) is not None and named.column is not None:
            removed["no_person"] = texts(columns.column(named.column)).null_count
        if not mine.all():
            columns = columns.filter(pa.array(mine))
            begins = begins[mine] if begins is not None else None
        time_us, known, noticed, reason = self._clock.read(columns)
        removed[reason] += int((~known).sum())
        if not known.all():
            columns, time_us = columns.filter(pa.array(known)), time_us[known]
            begins = begins[known] if begins is not None else None
        values = self._values(columns, noticed)
        cuts = self._cuts(columns, time_us, begins, noticed)
        left = sum(removed.values())
        ledger = Ledger(left, 0, dict(+removed), dict(+noticed))
        bounds = [0, *[cut for cut in cuts if cut], len(time_us)]
        for low, high in itertools.pairwise(bounds):
            new = low in cuts
            part = self._timed(time_us[low:high], new)
            made = {name: column[low:high] for name, column in values.items()}
            if self._spans is not None and "activity" not in made:
                when = time_us[low:high] if self._table.time.relative else part
                labels = self._spans.labels(when)
                made["activity"] = self._mapped(labels, noticed := Counter())
                ledger += Ledger(noticed=dict(noticed))
            yield Rows(part, made, ledger, begins=new)
            ledger = Ledger()

    def _mine(self, columns: pa.Table) -> np.ndarray:
        mine = np.ones(len(columns), bool)
        for named, value in ((self._table.person, self._person), (self._table.device, self._device)):
            if named is not None and named.column is not None and value is not None:
                same = pc.equal(texts(columns.column(named.column)), value)
                mine &= np.asarray(pc.fill_null(same, False).to_numpy())
        return mine

    def _cuts(
        self, columns: pa.Table, time_us: np.ndarray, begins: np.ndarray | None, noticed: Counter[str]
    ) -> list[int]:
        """Where a new trial begins: the first row of the file, and where the trial's column or the time says so."""
        n = len(time_us)
        new = np.zeros(n, bool) if begins is None else begins.copy()
        if n and self._first:
            new[0], self._first = True, False
        named = self._table.trial
        if named is not None and named.column is not None and n:
            codes = np.asarray(texts(columns.column(named.column)).to_pylist(), object)
            new |= codes != np.r_[[self._trial if self._trial is not None else codes[0]], codes[:-1]]
            self._trial = codes[-1]
        if self._table.time.relative and n:
            last = self._last_us if self._last_us is not None else time_us[0]
            again = np.diff(time_us, prepend=last) < -LATE_US // 5
            if self._table.time.is_ != "rows":
                noticed["time_starts_again"] += int((again & ~new).sum())
                new |= again
            self._last_us = int(time_us[-1])
        return np.flatnonzero(new).tolist()

    def _timed(self, time_us: np.ndarray, new: bool) -> np.ndarray:
        """Times of rows of one trial, on the clock."""
        if self._table.time.spread and len(time_us):
            time_us = _spread(time_us, self._table.time.rate_hz)
        if not self._table.time.relative or not len(time_us):
            return time_us
        if new or self._offset is None:
            self._offset = self._trials.begin(int(time_us[0]), self._joined)
        made = time_us + self._offset
        self._trials.reached(int(made.max()))
        return np.asarray(made)

    def _values(self, columns: pa.Table, noticed: Counter[str]) -> dict[str, np.ndarray]:
        """Canonical columns of resampling.Rows."""
        table = self._table
        found: dict[str, np.ndarray] = {}
        if table.acceleration is not None:
            name = "acceleration" if table.acceleration.gravity == "included" else "user_acceleration"
            sign = -1.0 if table.acceleration.sign == "android" else 1.0
            found |= self._vector(name, table.acceleration, columns, sign, noticed)
        if table.gravity is not None:
            sign = -1.0 if table.gravity.sign == "android" else 1.0
            found |= self._vector("gravity", table.gravity, columns, sign, noticed)
        if table.rotation is not None:
            found |= self._vector("rotation_rate", table.rotation, columns, 1.0, noticed)
        if table.attitude is not None:
            unit = np.pi / 180 if table.attitude.unit == "deg" else 1.0
            pitch, roll = (
                self._numbers(columns, name, noticed) * unit
                for name in (table.attitude.pitch, table.attitude.roll)
            )
            if table.gravity is None:
                found |= turned("gravity", gravity_of(pitch, roll), self._mapping.axes)
            if table.attitude.yaw is not None:
                found["yaw"] = self._numbers(columns, table.attitude.yaw, noticed) * unit
        for name, channel in table.channels.items():
            values = self._numbers(columns, channel.column, noticed) * channel.scale
            for column, wanted in channel.when.items():
                values[np.asarray(texts(columns.column(column)).to_pylist(), object) != wanted] = np.nan
            found[name] = self._since_before(name, values) if channel.cumulative else values
        label = self._labels(columns)
        if label is not None:
            found["activity"] = self._mapped(label, noticed)
        return found

    def _vector(
        self, name: str, vector: Vector, columns: pa.Table, sign: float, noticed: Counter[str]
    ) -> dict[str, np.ndarray]:
        per = sign * vector.scale * _PER_UNIT[getattr(vector, "unit", "g")]
        values = (
            np.stack([self._numbers(columns, n, noticed) for n in (vector.x, vector.y, vector.z)], axis=1)
            * per
        )
        with np.errstate(invalid="ignore"):
            impossible = np.abs(values) > _MOST[name]
        if impossible.any():  # not into the filter, which would spread it
            noticed[f"impossible_value:{name}"] += int(impossible.any(axis=1).sum())
            values[impossible] = np.nan
        return turned(name, values, self._mapping.axes)

    def _numbers(self, columns: pa.Table, name: str, noticed: Counter[str]) -> np.ndarray:
        values, bad = to_numbers(columns.column(name), self._table.format.decimal == ",")
        if bad:
            noticed[f"not_a_number:{name}"] += bad
        return np.array(values, float)

    def _since_before(self, name: str, values: np.ndarray) -> np.ndarray:
        """A counter as what it has grown by since its last value; one that goes back began anew."""
        known = np.flatnonzero(np.isfinite(values))
        made = np.full(len(values), np.nan)
        if len(known):
            counts = values[known]
            before = np.r_[self._before.get(name, counts[0]), counts[:-1]]
            made[known] = np.where(counts >= before, counts - before, counts)
            self._before[name] = float(counts[-1])
        return made

    def _labels(self, columns: pa.Table) -> pa.Array | pa.ChunkedArray | None:
        named = self._table.label
        if named is not None and named.column is not None:
            return texts(columns.column(named.column))
        value = named.value if named is not None else self._label
        return None if value is None else pa.repeat(pa.scalar(value), len(columns))

    def _mapped(self, labels: pa.Array | pa.ChunkedArray, noticed: Counter[str]) -> np.ndarray:
        """Labels as activities, object (n,), None where there is none or it is not listed, which is counted."""
        encoded = labels.combine_chunks() if isinstance(labels, pa.ChunkedArray) else labels
        encoded = pc.dictionary_encode(encoded)
        if isinstance(encoded, pa.ChunkedArray):
            encoded = encoded.combine_chunks()
        given = encoded.dictionary.to_pylist()
        codes = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False)
        known = self._mapping.labels
        names = [label if known is None else known.get(label) for label in given]
        for code, label in enumerate(given):
            if known is not None and known.get(label) is None:
                reason = "unwanted_label" if label in known else "unmapped_label"
                noticed[f"{reason}:{label}"] += int((codes == code).sum())
        return np.array([*names, None], object)[codes]


def turned(name: str, values: np.ndarray, axes: Axes) -> dict[str, np.ndarray]:
    """A vector (n, 3) in the file's axes as columns in the readings' axes."""
    signs = axes.signs * (axes.handedness if name == "rotation_rate" else 1.0)
    values = values[:, axes.order] * signs
    return {f"{name}_{axis}": values[:, i] for i, axis in enumerate("xyz")}


def _spread(time_us: np.ndarray, rate_hz: float | None) -> np.ndarray:
    """Times of arrival spread evenly within stretches that no gap cuts."""
    step = np.diff(time_us)
    if not len(step):
        return time_us
    waits = step[step >= step.mean()]
    gap = max(1_000_000.0, 3 * float(np.percentile(waits, 90)))
    parts = np.split(time_us, np.flatnonzero((step > gap) | (step < -LATE_US)) + 1)
    return np.concatenate([spread(part, rate_hz) for part in parts])


def safe_name(text: str) -> str:
    """A text as part of a device id."""
    return re.sub(r"[^A-Za-z0-9._:-]", "_", text)
