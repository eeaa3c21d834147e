"""Training sets: windows of readings whose activity is known, by the code that the stream uses.

A window lies within one run: readings of one person, one watch and one activity, without a gap. So its label is
that of all its readings, and no window mixes two people or two activities. Windows start with their run and do
not overlap; those with less than `windows.queue_coverage` of their slots filled are left out.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from activitymodule.errors import DataError, NotEnoughDataError
from activitymodule.models.augmentation import copies_of_runs
from activitymodule.models.energy import PERSON_COLUMNS, PersonColumns
from activitymodule.settings import Augmentation, RunCopy, Windows
from activitymodule.telemetry.profiles import model_name
from activitymodule.windows.assembling import assemble
from activitymodule.windows.features import FEATURE_NAMES, features
from activitymodule.windows.grouping import Cut, cut, ordered_codes
from activitymodule.windows.packing import binary_of_records, to_records

GAP_SECONDS = 2.0  # a longer silence ends a run
Mirror = tuple[int, int, int]
AS_WORN: Mirror = (1, 1, 1)
OTHER_WRIST: Mirror = (
    -1,
    1,
    -1,
)  # signs of the axes of a watch turned about its middle, crown to the other side
_CHUNK = 8192  # windows at a time: 30 MB of grid


@dataclass(frozen=True)
class TrainingWindows:
    """Windows with what is known of them; every array has one row a window, runs in order of time.

    features : float32 (n, len(FEATURE_NAMES)); activity : str (n,), '' where it is not known
    person : str (n,); run : int64 (n,); kcal_per_min : float32 (n,), NaN where it is not known
    copied : bool (n,), windows that teach and never evaluate: of copies (models.augmentation), or under spans that
    people remember (learning/spans); none by default
    device_model : str (n,), by which reports are divided, '' where it is not known
    """

    features: np.ndarray
    activity: np.ndarray
    person: np.ndarray
    run: np.ndarray
    kcal_per_min: np.ndarray
    people: PersonColumns
    copied: np.ndarray = field(default_factory=lambda: np.empty(0, bool))
    device_model: np.ndarray = field(default_factory=lambda: np.empty(0, str))

    def __post_init__(self) -> None:
        for name in ("copied", "device_model"):
            given = getattr(self, name)
            if len(given) != len(self.features):
                object.__setattr__(self, name, np.zeros(len(self.features), given.dtype))

    def __len__(self) -> int:
        return len(self.features)

    def originals(self) -> TrainingWindows:
        """The windows that were recorded, without copies of them."""
        return self.take(np.flatnonzero(~self.copied)) if self.copied.any() else self

    def take(self, rows: np.ndarray) -> TrainingWindows:
        """Some of the windows: indices, or a mask."""
        arrays = {f.name: getattr(self, f.name) for f in fields(self)}
        return TrainingWindows(
            **{name: value.take(rows) if name == "people" else value[rows] for name, value in arrays.items()}
        )

    def sha256(self) -> str:
        """Fingerprint of all that a model learns from, in this order of rows."""
        digest = hashlib.sha256()
        digest.update("\n".join(FEATURE_NAMES).encode())
        digest.update(np.ascontiguousarray(self.features).tobytes())
        digest.update(np.ascontiguousarray(self.kcal_per_min).tobytes())
        for text in (self.activity, self.person, self.people.sex):
            digest.update("\n".join(str(value) for value in text).encode())
        for name in PERSON_COLUMNS:
            digest.update(np.asarray(getattr(self.people, name), np.float32).tobytes())
        if self.copied.any():
            digest.update(np.packbits(self.copied).tobytes())
        if (self.device_model != "").any():
            digest.update("\n".join(self.device_model.tolist()).encode())
        return digest.hexdigest()


def thinned(windows: TrainingWindows, most: int) -> TrainingWindows:
    """The originals, and as many of their copies, drawn at random, as make no more than `most` windows in all."""
    copies = np.flatnonzero(windows.copied)
    kept = max(most - (len(windows) - len(copies)), 0)
    if kept >= len(copies):
        return windows
    keep = ~windows.copied
    keep[np.random.default_rng(0).permutation(copies)[:kept]] = True
    return windows.take(np.flatnonzero(keep))


def concatenated(parts: Iterable[TrainingWindows], *, empty: bool = False) -> TrainingWindows:
    """Parts one after another; their runs stay apart. Raises DataError where there are no windows at all,
    unless that may be (`empty`)."""
    kept: list[TrainingWindows] = []
    runs = 0
    for part in parts:
        if len(part):
            kept.append(replace(part, run=part.run + runs))
            runs += int(part.run.max()) + 1
    if not kept and empty:
        return _nothing()
    if not kept:
        raise NotEnoughDataError(
            "the training data holds no whole window with a known activity; readings need `activity` and "
            "`person`, and runs of at least one window's length"
        )
    people = PersonColumns(
        **{f.name: np.concatenate([getattr(k.people, f.name) for k in kept]) for f in fields(PersonColumns)}
    )
    names = [f.name for f in fields(TrainingWindows) if f.name != "people"]
    return TrainingWindows(
        **{name: np.concatenate([getattr(k, name) for k in kept]) for name in names}, people=people
    )


def _codes(column: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """Text as codes, in the order of the texts, and the texts they stand for; null is -1, which stands for ''."""
    codes, names = ordered_codes(column)
    return codes, np.array([*names.to_pylist(), ""], object)


def in_nfc(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Text in NFC, as labels are stored: letters taken apart by a file system would be a class of their own."""
    text = column.cast(pa.string())
    names = pc.unique(text).to_pylist()
    if all(name is None or name.isascii() for name in names):
        return text
    # not Arrow's utf8_normalize: that of version 25 leaves letters apart, whatever the form
    composed = [None if name is None else unicodedata.normalize("NFC", name) for name in names]
    places = pc.index_in(text, pa.array(names, pa.string()))
    return pa.array(composed, pa.string()).take(places)


def _numbers(readings: pa.Table, name: str) -> np.ndarray:
    if name not in readings.column_names:
        return np.full(len(readings), np.nan, np.float32)
    return readings.column(name).cast(pa.float32()).to_numpy()


def windows_of_readings(
    readings: pa.Table,
    windows: Windows,
    people: pa.Table | None = None,
    *,
    mirror: Mirror = AS_WORN,
    augmentation: Augmentation | None = None,
) -> TrainingWindows:
    """Labelled readings to windows with features.

    readings : canonical readings (telemetry.schema) with `activity` (string), `person` (string; the device where
    it is absent) and, as far as known, `kcal_per_min` and the columns of PersonColumns; in any order. Readings
    with neither an activity nor an energy are passed over.
    people : one row a `device_id` with the columns of PersonColumns; stands in for those columns of `readings`
    mirror : a sign for each axis of the acceleration, to see what a model makes of the other wrist
    augmentation : which copies follow the windows; by default none
    """
    if people is not None:
        readings = _with_people(readings, people)
    columns = set(readings.column_names)
    for name in ("device_id", "stamp"):
        if name not in columns:
            raise DataError(f"the training data has no column {name}; `activity prepare` makes such files")
    if not columns & {"activity", "kcal_per_min"}:
        raise DataError("the training data has neither `activity` nor `kcal_per_min`: nothing to learn from")
    absent = pa.chunked_array([pa.nulls(len(readings), pa.string())])
    device, _ = _codes(readings.column("device_id"))
    person, person_names = _codes(readings.column("person" if "person" in columns else "device_id"))
    activity, activity_names = _codes(
        in_nfc(readings.column("activity")) if "activity" in columns else absent
    )
    sex, sex_names = _codes(readings.column("sex") if "sex" in columns else absent)
    model, said = _codes(readings.column("device_model") if "device_model" in columns else absent)
    model_names = np.array([model_name(one) or "" for one in said.tolist()], object)
    records = to_records(readings)
    records["values"][:, :3] *= np.array(mirror, np.float32)
    known = np.stack([_numbers(readings, name) for name in ("kcal_per_min", *PERSON_COLUMNS)])

    keep = (activity >= 0) | np.isfinite(known[0])
    order = np.lexsort((records["stamp_us"], device, person))
    order = order[keep[order]]
    if not len(order):
        return _nothing()
    device, person, activity, sex, model = (a[order] for a in (device, person, activity, sex, model))
    runs = _Runs(
        records=records[order],
        run=_runs(records["stamp_us"][order], device, person, activity),
        activity=activity_names[activity],
        person=person_names[person],
        sex=np.array([*sex_names[:-1], None], object)[sex],
        device_model=model_names[model],
        known=known[:, order],
    )
    parts = [_windows_of_runs(runs, windows)]
    if augmentation is not None:
        labelled = runs.take(np.flatnonzero(activity >= 0))
        for copy in augmentation.copies:
            made = _windows_of_runs(labelled.copied(copy, windows.rate_hz), windows)
            # a run that is long enough only as a slower copy has no window of its own
            made = made.take(np.flatnonzero(np.isin(made.run, parts[0].run)))
            parts.append(replace(made, copied=np.ones(len(made), bool)))
    return concatenated(parts, empty=True)


@dataclass(frozen=True)
class _Runs:
    """Readings in the order of runs and time, with what is known of them; every array has one row a reading.

    records : RECORD; run : int64, rising; activity, person, device_model : text, '' where it is not known; sex : text
    or None
    known : float32 (1 + len(PERSON_COLUMNS), n), kcal/min and the columns of a person, NaN where it is not known
    """

    records: np.ndarray
    run: np.ndarray
    activity: np.ndarray
    person: np.ndarray
    sex: np.ndarray
    device_model: np.ndarray
    known: np.ndarray

    def take(self, rows: np.ndarray) -> _Runs:
        """Some of the readings, by rising indices."""
        kept = {f.name: getattr(self, f.name)[..., rows] for f in fields(self)}
        return _Runs(**kept)

    def copied(self, copy: RunCopy, rate_hz: int) -> _Runs:
        """A copy of each run; its energy is not known."""
        records, origin = copies_of_runs(self.records, self.run, copy, rate_hz)
        copies = replace(self.take(origin), records=records)
        copies.known[0] = np.nan
        return copies


def _windows_of_runs(runs: _Runs, windows: Windows) -> TrainingWindows:
    if not len(runs.run):
        return _nothing()
    stamps = runs.records["stamp_us"]
    new = np.diff(runs.run, prepend=-1) != 0
    run_start = stamps[new][np.cumsum(new) - 1]
    panes = cut(runs.run, stamps, windows.length_seconds * 1_000_000, run_start)
    first = panes.first
    matrix, whole = _features_of(runs.records, panes, windows)
    everything = TrainingWindows(
        features=matrix,
        activity=runs.activity[first].astype(str),
        person=runs.person[first].astype(str),
        run=runs.run[first],
        kcal_per_min=_means(runs.known[0], first),
        people=PersonColumns(
            **{name: values[first] for name, values in zip(PERSON_COLUMNS, runs.known[1:], strict=True)},
            sex=runs.sex[first],
        ),
        device_model=runs.device_model[first].astype(str),
    )
    return everything.take(np.flatnonzero(whole))


def _runs(stamps: np.ndarray, *codes: np.ndarray) -> np.ndarray:
    """The run each reading belongs to, int64 (n,): a new one at every change of a code and after every gap."""
    new = np.ones(len(stamps), bool)
    new[1:] = np.diff(stamps) > GAP_SECONDS * 1_000_000
    for code in codes:
        new[1:] |= code[1:] != code[:-1]
    return np.cumsum(new) - 1


def _features_of(records: np.ndarray, panes: Cut, windows: Windows) -> tuple[np.ndarray, np.ndarray]:
    """Features of windows that are one pane each, float32 (n, len(FEATURE_NAMES)), and which are whole, bool (n,)."""
    n = len(panes.first)
    matrix, whole = np.empty((n, len(FEATURE_NAMES)), np.float32), np.empty(n, bool)
    ends = np.append(panes.first, len(records))
    for low in range(0, n, _CHUNK):
        high = min(low + _CHUNK, n)
        packed = binary_of_records(records[ends[low] : ends[high]], ends[low:high] - ends[low])
        one_each = pa.ListArray.from_arrays(pa.array(np.arange(high - low + 1, dtype=np.int32)), packed)
        batch = assemble(panes.start_us[low:high], one_each, windows)
        matrix[low:high] = features(batch, windows)
        whole[low:high] = batch.coverage >= windows.queue_coverage
    return matrix, whole


def _with_people(readings: pa.Table, people: pa.Table) -> pa.Table:
    device, names = _codes(readings.column("device_id"))
    row = {name: k for k, name in enumerate(people.column("device_id").to_pylist())}
    rows = pa.array([row.get(name) for name in names], pa.int64()).take(pa.array(device % len(names)))
    for name in ("sex", *PERSON_COLUMNS):
        if name in people.column_names:
            column = people.column(name).take(rows)
            readings = (
                readings.set_column(readings.column_names.index(name), name, column)
                if name in readings.column_names
                else readings.append_column(name, column)
            )
    return readings


def _means(values: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Means over stretches that begin at `first`, of what is there; NaN where nothing is."""
    there = np.isfinite(values)
    count = np.add.reduceat(there, first, dtype=np.int64)
    total = np.add.reduceat(np.where(there, values, 0.0), first, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        return (total / count).astype(np.float32)


def windows_of_table(table: pa.Table) -> TrainingWindows:
    """A user's own table of windows: feature columns by name (an absent one is missing) and, as far as known,
    `activity`, `person`, `kcal_per_min`, `device_model`, `run`, `copied` and the columns of PersonColumns."""
    n = len(table)
    columns = table.column_names
    if not set(columns) & set(FEATURE_NAMES):
        raise DataError("the table has no column that is a feature; `activity features` lists their names")
    matrix = np.full((n, len(FEATURE_NAMES)), np.nan, np.float32)
    for k, name in enumerate(FEATURE_NAMES):
        if name in columns:
            matrix[:, k] = table.column(name).cast(pa.float32()).to_numpy()

    def text(name: str, nothing: str | None) -> np.ndarray:
        if name not in columns:
            return np.full(n, nothing, object)
        values = in_nfc(table.column(name)).to_pylist()
        return np.array([nothing if value is None else value for value in values], object)

    if "person" not in columns:
        raise DataError("the table has no column `person`: models are evaluated on people they have not seen")
    return TrainingWindows(
        features=matrix,
        activity=text("activity", "").astype(str),
        person=text("person", "").astype(str),
        run=table.column("run").to_numpy().astype(np.int64) if "run" in columns else np.arange(n),
        kcal_per_min=_numbers(table, "kcal_per_min"),
        people=PersonColumns(
            sex=text("sex", None), **{name: _numbers(table, name) for name in PERSON_COLUMNS}
        ),
        copied=_numbers(table, "copied") == 1,
        device_model=text("device_model", "").astype(str),
    )


def _nothing() -> TrainingWindows:
    text = np.empty(0, str)
    return TrainingWindows(
        features=np.empty((0, len(FEATURE_NAMES)), np.float32),
        activity=text,
        person=text,
        run=np.empty(0, np.int64),
        kcal_per_min=np.empty(0, np.float32),
        people=PersonColumns.unknown(0),
    )
