"""CASAS smartwatch recordings (casas.wsu.edu/datasets/smartwatch)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa

from activitymodule.errors import ConfigError, DataError
from activitymodule.telemetry.schema import FLOAT_FIELDS
from activitymodule.telemetry.sources.base import (
    Chunk,
    Ledger,
    Unit,
    chunk_table,
    must_exist,
    opened,
    register,
)
from activitymodule.telemetry.sources.casas_labels import activity_of, label_table
from activitymodule.telemetry.sources.clock import LocalClock
from activitymodule.telemetry.sources.csv_blocks import naive_stamps, numbers, stream_csv

BACKFILL_US = 300_000_000
HOLD_US = 600_000_000
_TYPES = {"dt", "f", "s", "i"}
_POSITION = ("latitude", "longitude", "altitude")
_HELD = (
    *(f"{name}_distance_from_mean" for name in _POSITION),
    "course",
    "speed",
    "horizontal_accuracy",
    "vertical_accuracy",
)
_HELD_TEXT = ("battery_state", "location_type")
_FLOATS = tuple(f.name for f in FLOAT_FIELDS)


@register
class Casas:
    """CSVs of CASAS smartwatch studies, one a person at 10 Hz: a folder of them, or one file.

    There are two header rows: names, then types (`dt` a time, `f` a number, `s` text). Stamps are local times
    without an offset; they are taken as UTC, so that the hour of the day is the wearer's. Where the clock was set back
    (the hour that comes twice in autumn, a journey, a correction) the readings after it are moved on by as much, until
    some are missing for as long, so that no time counts twice; `clock_set_back` counts how often. GPS and battery stand
    in one row every five minutes and are held forward for ten minutes at most. Positions become distances from
    the person's mean, for which a file is read twice. Only the row at which the wearer answered a prompt has a
    label; the label is back-filled over the 300 s before it, up to the previous prompt, and mapped by
    `telemetry/sources/casas_labels.csv`. Labels that are not wanted or not listed there give no activity; both
    are counted.
    """

    name = "casas"
    file_suffix = ".csv"

    def person_of(self, file: str) -> str:
        """Whose recording a file is, by its name."""
        return re.sub(r"[^A-Za-z0-9._-]", "_", file.removesuffix(self.file_suffix))

    def scan(self, path: Path) -> list[Unit]:
        """One unit a file; ConfigError or DataError where there is no such file."""
        must_exist(path)
        files = sorted(path.rglob("*.csv")) if path.is_dir() else [path]
        if not files:
            raise ConfigError(f"{path} holds no CSV file")
        units = [Unit(self.name, str(file), self.person_of(file.name)) for file in files]
        for unit in units:  # better now than after hours
            with opened(unit) as stream:
                _header(stream, unit)
        return units

    def read(self, unit: Unit) -> Iterator[Chunk]:
        """The unit's readings in the order of time; DataError where it has another format."""
        means = self._position_means(unit)
        device_id = f"casas-{unit.person}"[:128]
        labels = label_table()
        held = _Held()
        backfill = _Backfill()
        with opened(unit) as file:
            header = _header(file, unit)
            clock = LocalClock()
            for rows, malformed in stream_csv(file, header, header):
                yield from backfill.add(
                    *_columns(rows, malformed, means, held, labels, clock), unit, device_id
                )
        yield from backfill.finish(unit, device_id)

    def _position_means(self, unit: Unit) -> dict[str, float]:
        with opened(unit) as file:
            header = _header(file, unit)
            names = [name for name in _POSITION if name in header]
            sums, counts = Counter[str](), Counter[str]()
            if names:
                for rows, _ in stream_csv(file, header, names):
                    for name in names:
                        values = numbers(rows.column(name))[0]
                        values = values[np.isfinite(values)]
                        sums[name] += values.sum()
                        counts[name] += len(values)
        return {name: sums[name] / counts[name] for name in names if counts[name]}


def _header(file: IO[bytes], unit: Unit) -> list[str]:
    """Names of the columns; reads the stream up to the first row of data."""
    names = [
        name.strip() for name in file.readline().decode("utf-8-sig", "replace").rstrip("\r\n").split(",")
    ]
    types = [kind.strip() for kind in file.readline().decode("utf-8", "replace").rstrip("\r\n").split(",")]
    if not set(types) <= _TYPES or len(types) != len(names):
        raise DataError(
            f"{unit} is not a CASAS recording: its second row must hold the types of the columns (dt, f or s)"
        )
    if "stamp" not in names or not any(name in names for name in _FLOATS):
        raise DataError(
            f"{unit} is not a CASAS recording: it needs the column stamp and a channel such as pitch"
        )
    return names


class _Held:
    """Values that are in a row every few minutes and hold until the next, ten minutes at most."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[int, object]] = {}

    def fill(self, name: str, values: np.ndarray, missing: np.ndarray, stamps: np.ndarray) -> np.ndarray:
        """Values : ndarray of shape (n,); missing : bool; stamps : int64 microseconds, rising."""
        if not len(values):
            return values
        at = np.maximum.accumulate(np.where(missing, -1, np.arange(len(values))))
        seen = np.maximum(at, 0)
        filled = np.where(missing & (at >= 0) & (stamps - stamps[seen] <= HOLD_US), values[seen], values)
        if name in self._last:
            before_us, value = self._last[name]
            filled[(at < 0) & (stamps - before_us <= HOLD_US)] = value
        if at[-1] >= 0:
            self._last[name] = (int(stamps[at[-1]]), values[at[-1]])
        return filled


def _is_none(values: np.ndarray) -> np.ndarray:
    return np.array([value is None for value in values], bool)


def _columns(
    rows: pa.Table,
    malformed: int,
    means: dict[str, float],
    held: _Held,
    labels: dict[str, str | None],
    clock: LocalClock,
) -> tuple[dict[str, np.ndarray], Ledger]:
    """Columns of a block, `answer` the activity of a label ('' for a prompt without one)."""
    removed = {"malformed_row": malformed} if malformed else {}
    noticed = Counter[str]()
    total = len(rows) + malformed
    stamps, known = naive_stamps(rows.column("stamp"))
    if not known.all():
        removed["bad_stamp"] = int((~known).sum())
        rows, stamps = rows.filter(pa.array(known)), stamps[known]
    targets = {
        name: f"{name}_distance_from_mean" if name in _POSITION else name for name in rows.column_names
    }
    parsed = {name: numbers(rows.column(name)) for name, target in targets.items() if target in _FLOATS}
    stamps, moves = clock.moved(stamps, _hashes([values for values, _ in parsed.values()], len(rows)))
    noticed.update(moves)
    columns: dict[str, np.ndarray] = {"stamp": stamps}
    for name, target in targets.items():
        if name in parsed:
            values, bad = parsed[name]
            if bad:
                noticed[f"not_a_number:{name}"] += bad
            if name in _POSITION:
                values = values - means.get(name, np.nan)
            if target in _HELD:
                values = held.fill(target, values, np.isnan(values), stamps)
            columns[target] = values
        elif name in _HELD_TEXT:
            texts = np.array(_texts(rows.column(name)), object)
            columns[name] = held.fill(name, texts, _is_none(texts), stamps)
    if "user_activity_label" in rows.column_names:
        raw = _texts(rows.column("user_activity_label"))
        activities, counts = activity_of(raw, labels)
        noticed.update(counts)
        noticed["answered_prompt"] += sum(label is not None for label in raw)
        columns["user_activity_label"] = np.array(raw, object)
        columns["answer"] = np.array(
            [
                None if label is None else activity or ""
                for label, activity in zip(raw, activities, strict=True)
            ],
            object,
        )
    return columns, Ledger(total, len(rows), removed, {k: v for k, v in noticed.items() if v})


def _hashes(columns: list[np.ndarray], n: int) -> np.ndarray:
    """A number for each row, int64 (n,), equal for rows of equal values."""
    total = np.zeros(n, np.int64)
    for values in columns:
        total = total * 1_000_003 + np.nan_to_num(values).view(np.int64)  # wraps around
    return total


def _texts(column: pa.ChunkedArray) -> list[str | None]:
    values = [
        None if v is None else v.decode("utf-8", "replace").strip()
        for v in column.cast(pa.binary()).to_pylist()
    ]
    return [value or None for value in values]


class _Backfill:
    """Keeps the last five minutes until the label that reaches them, if any, is known."""

    def __init__(self) -> None:
        self._columns: dict[str, np.ndarray] = {}
        self._ledger = Ledger()
        self._answers_us = np.empty(0, np.int64)
        self._answers = np.empty(0, object)

    def add(
        self, columns: dict[str, np.ndarray], ledger: Ledger, unit: Unit, device_id: str
    ) -> Iterator[Chunk]:
        if self._columns:
            columns = {name: np.concatenate([self._columns[name], columns[name]]) for name in columns}
        self._columns = columns
        self._ledger += ledger
        stamps = columns["stamp"]
        if len(stamps):
            yield from self._release(stamps <= stamps.max() - BACKFILL_US - 1, unit, device_id)

    def finish(self, unit: Unit, device_id: str) -> Iterator[Chunk]:
        if self._columns:
            yield from self._release(np.ones(len(self._columns["stamp"]), bool), unit, device_id)

    def _release(self, ready: np.ndarray, unit: Unit, device_id: str) -> Iterator[Chunk]:
        stamps, answers = self._columns["stamp"], self._columns.get("answer")
        activity = np.full(len(stamps), None, object)
        if answers is not None:
            answered = ~_is_none(answers)
            at = np.concatenate([self._answers_us, stamps[answered]])
            order = np.argsort(at, kind="stable")
            at, labels = at[order], np.concatenate([self._answers, answers[answered]])[order]
            if len(at):
                following = np.searchsorted(at, stamps, side="left")
                inside = np.minimum(following, len(at) - 1)
                reached = (following < len(at)) & (at[inside] - stamps <= BACKFILL_US)
                activity[reached] = labels[inside][reached]
            # an answer is kept for rows that come out of order
            done = answered & ready
            self._answers_us, self._answers = stamps[done][-100:], answers[done][-100:]
        activity[activity == ""] = None
        columns = {name: values[ready] for name, values in self._columns.items() if name != "answer"}
        columns["activity"] = activity[ready]
        n = int(ready.sum())
        ledger = self._ledger
        chunk = Ledger(n + sum(ledger.removed.values()), n, ledger.removed, ledger.noticed)
        self._ledger = Ledger()
        self._columns = {name: values[~ready] for name, values in self._columns.items()}
        yield Chunk(chunk_table(columns, unit.person, device_id, n), chunk)
