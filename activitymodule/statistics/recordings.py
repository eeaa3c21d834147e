"""Recordings: the total acceleration of one person doing one activity, on the 10 Hz grid.

Read from prepared Parquet (`activity prepare`) or straight from a source's own files.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from activitymodule.errors import ConfigError, DataError, NotEnoughDataError
from activitymodule.statistics.profile import RATE_HZ
from activitymodule.telemetry.sources import SOURCES, is_source, source_named
from activitymodule.telemetry.untrusted import readable
from activitymodule.windows.frame import turn_readings
from activitymodule.windows.packing import stamps_us, total_acceleration

PERIOD_US = 1_000_000 // RATE_HZ
LONGEST_GAP_US = 500_000
"""Readings further apart than this belong to different stretches."""
LEAST_STRETCH = 10 * RATE_HZ
"""A shorter stretch is left out."""
MOST_SECONDS = 1200
"""Of each person and activity so much is used, from the beginning."""

_ANGLES = ("pitch", "roll")
_USER = tuple(f"user_acceleration_{axis}" for axis in "xyz")
COLUMNS = ("device_id", "stamp", *_ANGLES, *_USER, "activity", "person")
_MODEL = "device_model"  # recordings that an older version prepared lack it


@dataclass(frozen=True)
class Recording:
    """One person doing one activity.

    acceleration: (n, 3) total acceleration (user plus gravity) in g at 10 Hz, in the canonical frame and with Core
    Motion's signs (a watch lying face up reads z = -1); stretches of several occasions stand one after another.
    """

    person: str
    activity: str
    acceleration: np.ndarray


def select(recordings: Sequence[Recording], people: Collection[str]) -> list[Recording]:
    """The recordings of some people; raises DataError where there are none."""
    wanted = set(people)
    kept = [r for r in recordings if r.person in wanted]
    if not kept:
        raise NotEnoughDataError(f"there is no recording of {', '.join(sorted(wanted)) or 'nobody'}")
    return kept


def _on_grid(stamp_us: np.ndarray, x: np.ndarray) -> np.ndarray:
    """(m, 3) readings of a stretch on the 10 Hz grid from its first stamp: means of a slot, gaps bridged."""
    slot = np.rint((stamp_us - stamp_us[0]) / PERIOD_US).astype(np.int64)
    filled, start, count = np.unique(slot, return_index=True, return_counts=True)
    mean = np.add.reduceat(x, start, axis=0) / count[:, None]
    grid = np.arange(filled[-1] + 1)
    if len(grid) == len(filled):
        return mean.astype(np.float32)
    return np.stack([np.interp(grid, filled, mean[:, c]) for c in range(3)], axis=1).astype(np.float32)


def _columns(present: Sequence[str]) -> list[str]:
    return [*COLUMNS, *([_MODEL] if _MODEL in present else [])]


def from_readings(readings: pa.Table, most_seconds: int = MOST_SECONDS) -> list[Recording]:
    """Recordings of canonical readings with the columns `activity` and `person`.

    Readings without an activity or an acceleration are passed over, and so are stretches under 10 s.
    """
    missing = [name for name in COLUMNS if name not in readings.column_names]
    if missing:
        raise DataError(
            f"the readings lack the column {missing[0]}; use Parquet that `activity prepare` wrote"
        )
    readings = readings.select(_columns(readings.column_names)).filter(
        pc.is_valid(readings.column("activity"))
    )
    x = np.stack(
        total_acceleration(
            *(
                readings.column(name).to_numpy(zero_copy_only=False).astype(np.float32)
                for name in (*_ANGLES, *_USER)
            )
        ),
        axis=1,
    )
    turn_readings(x, readings)
    known = np.isfinite(x).all(axis=1)
    readings, x = readings.filter(pa.array(known)), x[known]
    if not len(readings):
        return []
    stamp = stamps_us(readings.column("stamp"))
    names = {}
    codes = []
    for name in ("device_id", "activity", "person"):
        encoded = readings.column(name).cast(pa.string()).combine_chunks().dictionary_encode()
        names[name] = encoded.dictionary.to_pylist()
        codes.append(encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64))
    device, activity, person = codes
    order = np.lexsort((stamp, device, activity, person))
    x, stamp, device, activity, person = (a[order] for a in (x, stamp, device, activity, person))
    whose = np.stack([person, activity, device])
    broken = (np.diff(whose, axis=1) != 0).any(axis=0) | (np.diff(stamp) > LONGEST_GAP_US)
    edges = np.r_[0, np.flatnonzero(broken) + 1, len(x)]
    stretches: dict[tuple[str, str], list[np.ndarray]] = {}
    for begin, end in itertools.pairwise(edges):
        key = (names["person"][person[begin]], names["activity"][activity[begin]])
        held = stretches.setdefault(key, [])
        if sum(map(len, held)) < most_seconds * RATE_HZ:
            stretch = _on_grid(stamp[begin:end], x[begin:end])
            if len(stretch) >= LEAST_STRETCH:
                held.append(stretch)
    return [
        Recording(who, what, np.concatenate(parts)[: most_seconds * RATE_HZ])
        for (who, what), parts in sorted(stretches.items())
        if parts
    ]


def _person_tables(path: Path, people: Collection[str] | None) -> Iterator[pa.Table]:
    layout = ds.partitioning(
        pa.schema([("person", pa.string()), ("date", pa.string())]), flavor="hive"
    )  # as text: a person may be called 007
    with readable(path):
        dataset = ds.dataset(path, format="parquet", partitioning=layout)
        missing = [name for name in COLUMNS if name not in dataset.schema.names]
        if missing:
            raise DataError(f"{path} has no column {missing[0]}; use what `activity prepare` wrote")
        everybody = dataset.to_table(columns=["person"]).column("person").cast(pa.string()).unique()
        for person in sorted(everybody.to_pylist()):
            if people is None or person in people:
                yield dataset.to_table(
                    columns=_columns(dataset.schema.names), filter=ds.field("person") == person
                )


def read(
    what: str,
    prepared: Path,
    people: Collection[str] | None = None,
    most_seconds: int = MOST_SECONDS,
) -> list[Recording]:
    """Recordings of `what`: a prepared source by its name, SOURCE:PATH (its own files), or a path of Parquet.

    `prepared` is the folder of prepared sources. Raises ConfigError where there is no such thing.
    """
    name, colon, rest = what.partition(":")
    found: list[Recording] = []
    if colon and is_source(name):
        source = source_named(name)
        for unit in source.scan(Path(rest).expanduser()):
            if people is None or unit.person in people:
                chunks = [chunk.readings for chunk in source.read(unit)]
                found += from_readings(pa.concat_tables(chunks), most_seconds)
    else:
        path = Path(what).expanduser()
        if not path.exists() and (prepared / what).exists():
            path = prepared / what
        if not path.exists():
            hint = (
                f"run `activity prepare {what} PATH` first, or write {what}:PATH"
                if what in SOURCES
                else f"give a path of prepared Parquet, or SOURCE:PATH with one of {', '.join(SOURCES)}"
            )
            raise ConfigError(f"there are no recordings {what}; {hint}")
        for table in _person_tables(path, people):
            found += from_readings(table, most_seconds)
    if not found:
        whom = "" if people is None else f" by {', '.join(sorted(people))}"
        raise NotEnoughDataError(
            f"{what} holds no stretch of 10 s{whom} with an activity and an acceleration"
        )
    return found


def range_of(recordings: Sequence[Recording]) -> float:
    """Largest acceleration along an axis, in g, rounded up to a tenth: how far the sensor reaches."""
    return math.ceil(10 * max(float(np.abs(r.acceleration).max()) for r in recordings) - 1e-3) / 10
