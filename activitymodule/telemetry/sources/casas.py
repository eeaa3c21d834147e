"""CASAS smartwatch recordings (casas.wsu.edu/datasets/smartwatch): one CSV a person, 10 Hz.

Two header rows: names, then types (dt a time, f a number, s text). Stamps are local times without an offset;
they are taken as UTC, so that the hour of the day is the wearer's. GPS and battery stand in a row every five
minutes and are held forward (ten minutes at the most). Only the row at which the wearer answered a prompt
carries a label; it is back-filled over the 300 s before it, up to the prompt before. Labels are mapped by
casas_labels.csv; those not wanted and those not known there are no truth, and both are counted.
Latitude, longitude and altitude become distances from the person's mean, for which the file is read twice.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from activitymodule.errors import ConfigError, DataError
from activitymodule.telemetry.decode import parse_stamps
from activitymodule.telemetry.schema import FIELDS
from activitymodule.telemetry.sources.base import Chunk, Ledger, Unit, chunk_table, must_exist, opened

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
_FLOATS = tuple(f.name for f in FIELDS if f.kind == "float")
_BLOCK_BYTES = 8 << 20
_MISSING = ["", "nan", "NaN", "None", "null", "NULL"]
_NUMBER = r"^\s*[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?\s*$"


class Casas:
    """Reads a folder of CSVs, or one."""

    name = "casas"

    def scan(self, path: Path) -> list[Unit]:
        must_exist(path)
        files = sorted(path.rglob("*.csv")) if path.is_dir() else [path]
        if not files:
            raise ConfigError(f"{path} holds no CSV file")
        units = [Unit(self.name, str(file), _person_of(file)) for file in files]
        for unit in units:  # better now than after hours
            with opened(unit) as stream:
                _header(stream, unit)
        return units

    def read(self, unit: Unit) -> Iterator[Chunk]:
        means = self._position_means(unit)
        device_id = f"casas-{unit.person}"[:128]
        labels = label_table()
        held = _Held()
        backfill = _Backfill()
        with opened(unit) as file:
            header = _header(file, unit)
            for rows, malformed in stream_csv(file, header, header):
                yield from backfill.add(*_columns(rows, malformed, means, held, labels), unit, device_id)
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


def _person_of(file: Path) -> str:
    name = file.name.removesuffix(".csv")
    return re.sub(r"[^A-Za-z0-9._-]", "_", name)


def _header(file: IO[bytes], unit: Unit) -> list[str]:
    """Names of the columns; the stream stands at the first row of data afterwards."""
    names = [
        name.strip() for name in file.readline().decode("utf-8-sig", "replace").rstrip("\r\n").split(",")
    ]
    types = [kind.strip() for kind in file.readline().decode("utf-8", "replace").rstrip("\r\n").split(",")]
    if not set(types) <= _TYPES or len(types) != len(names):
        raise DataError(
            f"{unit} is no CASAS recording: its second row must hold the types of the columns (dt, f or s)"
        )
    if "stamp" not in names or not any(name in names for name in _FLOATS):
        raise DataError(
            f"{unit} is no CASAS recording: it needs the column stamp and a channel such as pitch"
        )
    return names


# ---- pieces that other CSV sources use as well


def stream_csv(
    file: IO[bytes], header: Sequence[str], wanted: Sequence[str]
) -> Iterator[tuple[pa.Table, int]]:
    """Blocks of rows as text, with the number of rows of a wrong length left out of each; header rows read."""
    malformed = 0

    def skip(_row: object) -> str:
        nonlocal malformed
        malformed += 1
        return "skip"

    try:
        reader = pacsv.open_csv(
            file,
            read_options=pacsv.ReadOptions(
                column_names=list(header), block_size=_BLOCK_BYTES, use_threads=False
            ),
            parse_options=pacsv.ParseOptions(invalid_row_handler=skip),
            convert_options=pacsv.ConvertOptions(
                column_types={name: pa.string() for name in header},
                include_columns=list(wanted),
                strings_can_be_null=True,
                null_values=_MISSING,
                check_utf8=False,
            ),
        )
    except pa.ArrowInvalid as error:
        if "Empty CSV" in str(error):
            return
        raise DataError(f"not a readable CSV file: {error}") from error
    try:
        for batch in reader:
            count, malformed = malformed, 0
            yield pa.Table.from_batches([batch]), count
    except pa.ArrowInvalid as error:
        raise DataError(f"not a readable CSV file: {error}") from error
    if malformed:
        yield reader.schema.empty_table(), malformed


def numbers(column: pa.ChunkedArray) -> tuple[np.ndarray, int]:
    """float64 ndarray of shape (n,), NaN where missing or no number, and how many were no number."""
    try:
        return pc.cast(column, pa.float64()).to_numpy(zero_copy_only=False), 0
    except pa.ArrowInvalid:
        is_number = pc.match_substring_regex(column, _NUMBER)
        good = pc.if_else(is_number, pc.utf8_trim_whitespace(column), None)
        bad = len(column) - column.null_count - pc.sum(is_number).as_py()
        return pc.cast(good, pa.float64()).to_numpy(zero_copy_only=False), bad


def naive_stamps(column: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """Local times taken as UTC (an offset, where there is one, is honoured): int64 microseconds, and which
    could be read; both ndarrays of shape (n,)."""
    text = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], pa.string())
    text = pc.fill_null(text, "")
    has_offset = pc.match_substring_regex(text, r"\d{2}:\d{2}.*(Z|[+-]\d{2}(:?\d{2})?)$")
    return parse_stamps(pc.if_else(has_offset, text, pc.binary_join_element_wise(text, "Z", "")))


@lru_cache(maxsize=1)
def label_table() -> dict[str, str | None]:
    """Spelling -> activity, None where it is not wanted (casas_labels.csv)."""
    text = (resources.files(__package__) / "casas_labels.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))
    return {row["label"]: row["activity"] or None for row in rows}


def activity_of(
    labels: Sequence[str | None], table: dict[str, str | None]
) -> tuple[list[str | None], dict[str, int]]:
    """The activity of each label (None where there is none), and counts of what gave none."""
    noticed = Counter[str]()
    activities: list[str | None] = []
    for label in labels:
        label = label.strip() if label else None
        activities.append(table.get(label) if label else None)
        if label and label not in table:
            noticed[f"unknown_label:{label}"] += 1
        elif label and table[label] is None:
            noticed[f"unwanted_label:{label}"] += 1
    return activities, dict(noticed)


# ---- columns, values held forward, labels filled backward


class _Held:
    """Values that stand in a row now and then and hold until the next, ten minutes at the most."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[int, object]] = {}

    def fill(self, name: str, values: np.ndarray, missing: np.ndarray, stamps: np.ndarray) -> np.ndarray:
        """values : ndarray of shape (n,); missing : bool; stamps : int64 microseconds, rising."""
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
    rows: pa.Table, malformed: int, means: dict[str, float], held: _Held, labels: dict[str, str | None]
) -> tuple[dict[str, np.ndarray], Ledger]:
    """Columns of a block, `label` the raw one and `answer` its activity ('' for a prompt that gives none)."""
    removed = {"malformed_row": malformed} if malformed else {}
    noticed = Counter[str]()
    total = len(rows) + malformed
    stamps, known = naive_stamps(rows.column("stamp"))
    if not known.all():
        removed["bad_stamp"] = int((~known).sum())
        rows, stamps = rows.filter(pa.array(known)), stamps[known]
    columns: dict[str, np.ndarray] = {"stamp": stamps}
    for name in rows.column_names:
        target = f"{name}_distance_from_mean" if name in _POSITION else name
        if target in _FLOATS:
            values, bad = numbers(rows.column(name))
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


def _texts(column: pa.ChunkedArray) -> list[str | None]:
    values = [
        None if v is None else v.decode("utf-8", "replace").strip()
        for v in column.cast(pa.binary()).to_pylist()
    ]
    return [value or None for value in values]


class _Backfill:
    """Holds the last five minutes back until it is known which label, if any, reaches them."""

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
            yield from self._give(stamps <= stamps.max() - BACKFILL_US - 1, unit, device_id)

    def finish(self, unit: Unit, device_id: str) -> Iterator[Chunk]:
        if self._columns:
            yield from self._give(np.ones(len(self._columns["stamp"]), bool), unit, device_id)

    def _give(self, ready: np.ndarray, unit: Unit, device_id: str) -> Iterator[Chunk]:
        stamps, answers = self._columns["stamp"], self._columns.get("answer")
        activity = np.full(len(stamps), None, object)
        if answers is not None:
            answered = ~_is_none(answers)
            at = np.concatenate([self._answers_us, stamps[answered]])
            order = np.argsort(at, kind="stable")
            at, said = at[order], np.concatenate([self._answers, answers[answered]])[order]
            if len(at):
                following = np.searchsorted(at, stamps, side="left")
                inside = np.minimum(following, len(at) - 1)
                reached = (following < len(at)) & (at[inside] - stamps <= BACKFILL_US)
                activity[reached] = said[inside][reached]
            # an answer stays known for rows that come out of order
            given = answered & ready
            self._answers_us, self._answers = stamps[given][-100:], answers[given][-100:]
        activity[activity == ""] = None
        columns = {name: values[ready] for name, values in self._columns.items() if name != "answer"}
        columns["activity"] = activity[ready]
        n = int(ready.sum())
        ledger = self._ledger
        chunk = Ledger(n + sum(ledger.removed.values()), n, ledger.removed, ledger.noticed)
        self._ledger = Ledger()
        self._columns = {name: values[~ready] for name, values in self._columns.items()}
        yield Chunk(chunk_table(columns, unit.person, device_id, n), chunk)
