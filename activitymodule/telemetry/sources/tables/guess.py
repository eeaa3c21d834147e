"""A first mapping for files that nobody has described: every line with its reason, and ten readings to look at."""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from activitymodule.errors import ActivityError, DataError
from activitymodule.telemetry.chunks import Chunk, Ledger
from activitymodule.telemetry.gravity import gravity_of
from activitymodule.telemetry.mapping import Mapping, parse
from activitymodule.telemetry.mapping.model import Named
from activitymodule.telemetry.resampling import Resampler
from activitymodule.telemetry.sources.archives import opened_file
from activitymodule.telemetry.sources.base import must_exist
from activitymodule.telemetry.sources.tables.files import is_table, open_table, unzipped
from activitymodule.telemetry.sources.tables.finding import listed
from activitymodule.telemetry.sources.tables.layout import Layout, layout_of
from activitymodule.telemetry.sources.tables.roles import Columns, gravity_unit, triples
from activitymodule.telemetry.sources.tables.rows import Rowmaker, Trials, columns_of
from activitymodule.telemetry.sources.tables.written import written

_HEAD = 1 << 20
_LOOKED_AT = 12


@dataclass(frozen=True)
class Guess:
    """yaml : the mapping, with its reasons as comments; notes : what a person should look at, line by line."""

    yaml: str
    notes: list[str]


@dataclass(frozen=True)
class Seen:
    """A file that was looked at. head : its first bytes"""

    path: str
    member: str | None
    name: str
    columns: Columns
    layout: Layout | None

    @property
    def kind(self) -> tuple[str, ...]:
        """Files that are equal in this are of one kind."""
        return (re.sub(r"\d+", "#", PurePosixPath(self.name).suffix), *self.columns.names)


def guess(path: Path) -> Guess:
    """Look at the files of a path and write a mapping for those that hold accelerations; prepares nothing.

    Raises ConfigError where there is no such path, and DataError where no file holds a table with an acceleration.
    """
    must_exist(path)
    every = [(file, member, name) for file, member, name in listed(path) if is_table(name)]
    if not every:
        raise DataError(f"{path} holds no table (.csv, .txt, .tsv, .dat, .parquet, also with .gz)")
    seen, passed = [], []
    shapes: Counter[str] = Counter()
    for file, member, name in every:
        shape = re.sub(r"\d+", "#", PurePosixPath(name).name)
        shapes[shape] += 1
        if shapes[shape] > 1 or len(shapes) > _LOOKED_AT:
            continue
        try:
            seen.append(_look(file, member, name))
        except ActivityError as error:
            passed.append(f"not looked into: {name}: {error}")
    with_motion = [one for one in seen if any(t.sensor == "acceleration" for t in triples(one.columns))]
    if not with_motion:
        raise DataError(
            f"no file of {path} has three columns that look like an acceleration; "
            f"looked at {', '.join(one.name for one in seen[:5])}"
        )
    chosen = max(with_motion, key=lambda one: (_worth(one), -len(one.name)))
    shape = re.sub(r"\d+", "#", PurePosixPath(chosen.name).name)
    alike = [name for _, _, name in every if re.sub(r"\d+", "#", PurePosixPath(name).name) == shape]
    yaml = written(path, chosen.name, chosen.columns, chosen.layout, alike, len(every))
    notes = [f"looked at {chosen.name}, one of {len(alike)} files of its kind; {len(every)} tables in all"]
    notes += passed + [
        f"another kind of file: {one.name}: {', '.join(one.columns.names[:9])}"
        for one in seen
        if one is not chosen and one.kind != chosen.kind
    ]
    return Guess(yaml, notes + _shown(yaml, chosen))


def _worth(seen: Seen) -> tuple[int, int]:
    kinds = {t.sensor for t in triples(seen.columns)}
    size = next((t.size for t in triples(seen.columns) if t.sensor == "acceleration"), 0.0)
    return int(gravity_unit(size) is not None or "gravity" in kinds), len(kinds & {"rotation", "gravity"})


def _look(path: str, member: str | None, name: str) -> Seen:
    low = name.lower().removesuffix(".gz")
    if low.endswith(".npy"):
        raise DataError("NumPy arrays have no names; see the shipped mapping twristar")
    with opened_file(path, member, name) as raw, unzipped(raw, name) as stream:
        if low.endswith(".parquet"):
            file = pq.ParquetFile(io.BytesIO(stream.read()))
            table = next((pa.Table.from_batches([b]) for b in file.iter_batches(20_000)), None)
            if table is None:
                raise DataError("it has no rows")
            return Seen(path, member, name, _of_parquet(table), None)
        layout = layout_of(stream.read(_HEAD))
    columns = Columns(list(layout.names), {}, {})
    for place, column in enumerate(layout.names):
        values = layout.numbers(place)
        given = [row[place] for row in layout.rows if place < len(row)]
        if sum(v is not None for v in values) >= 0.9 * sum(bool(text) for text in given) and any(given):
            columns.numbers[column] = np.array([np.nan if v is None else v for v in values], float)
        else:
            columns.texts[column] = given
    return Seen(path, member, name, columns, layout)


def _of_parquet(table: pa.Table) -> Columns:
    columns = Columns(list(table.column_names), {}, {})
    for name in table.column_names:
        column = table.column(name)
        if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
            columns.numbers[name] = pc.cast(column, pa.float64(), safe=False).to_numpy()
        elif pa.types.is_timestamp(column.type):
            utc = "+00:00" if column.type.tz else ""
            columns.texts[name] = [
                str(v)[:26] + utc for v in pc.cast(column, pa.timestamp("us"), safe=False).to_pylist()
            ]
        else:
            columns.texts[name] = [str(v) for v in column.to_pylist()]
    return columns


def _shown(yaml: str, seen: Seen) -> list[str]:
    """Ten readings that the mapping makes of the file's beginning, with rate and units."""
    try:
        mapping = parse(yaml)
        chunks = list(_beginning(mapping, seen))
    except ActivityError as error:
        return [f"the guess is not complete: {error}"]
    ledger = sum((chunk.ledger for chunk in chunks), Ledger())
    table = pa.concat_tables([chunk.readings for chunk in chunks]) if chunks else None
    if table is None or not len(table):
        reasons = ", ".join(f"{n} {reason.replace('_', ' ')}" for reason, n in ledger.removed.items())
        return [f"none of the first {ledger.rows} rows is a reading ({reasons}); correct the mapping by hand"]
    return [*_rates(table, ledger), "", *_ten(table)]


def _beginning(mapping: Mapping, seen: Seen) -> Iterator[Chunk]:
    """The readings of the first block of a file, whoever's they are."""
    anybody = mapping.model_copy(update={"person": Named(value="somebody"), "device": None, "trial": None})
    resampler = Resampler("somebody", "watch")
    maker = Rowmaker(
        anybody, anybody, Trials(), person="", device=None, label=None, spans=None, joined=False, counts=True
    )
    with (
        opened_file(seen.path, seen.member, seen.name) as stream,
        open_table(stream, seen.name, anybody.format, lambda name: np.empty(0)) as opened,
    ):
        for rows in maker.rows(islice(opened.blocks(columns_of(anybody)), 1)):
            yield from resampler.push(rows)
    yield from resampler.finish()


def _rates(table: pa.Table, ledger: Ledger) -> list[str]:
    """How many rows and readings there are, how fast, and whether the acceleration has the length of gravity."""
    stamp = table.column("stamp").cast(pa.int64()).to_numpy()
    seconds = len(stamp) / 10
    length = np.linalg.norm(_total(table), axis=1)
    counts = [
        f"{n:,} {reason.replace('_', ' ')}"
        for reason, n in (*ledger.removed.items(), *ledger.noticed.items())
    ]
    lines = [
        f"its first {ledger.rows:,} rows make {len(table):,} readings: {seconds:,.0f} s at "
        f"{ledger.rows / seconds:.1f} rows a second, {int((np.diff(stamp) > 100_000).sum())} gaps",
        f"rows: {', '.join(counts)}",
    ]
    if np.isfinite(length).any():
        lines.append(
            f"length of the acceleration: {np.nanmedian(length):.2f} g (about 1 is right), "
            f"from {np.nanmin(length):.2f} to {np.nanmax(length):.2f}"
        )
    else:
        lines.append("gravity is not known: windows will lack the channels of the acceleration")
    return lines


def _total(table: pa.Table) -> np.ndarray:
    columns = [table.column(f"user_acceleration_{axis}").to_numpy() for axis in "xyz"]
    pitch, roll = (
        table.column("pitch").to_numpy().astype(float),
        table.column("roll").to_numpy().astype(float),
    )
    return np.stack(columns, axis=1) + gravity_of(pitch, roll)


def _ten(table: pa.Table) -> list[str]:
    """Ten readings, evenly chosen, as a table."""
    rows = np.unique(np.linspace(0, len(table) - 1, 10).astype(int))
    chosen, total = table.take(pa.array(rows)), _total(table)[rows]
    shown = {"stamp": [str(stamp)[:22] for stamp in chosen.column("stamp").to_pylist()]}
    for i, axis in enumerate("xyz"):
        shown[f"{axis} (g)"] = [f"{value:.3f}" for value in total[:, i]]
    for name, title in (
        *((f"rotation_rate_{axis}", f"turn {axis} (rad/s)") for axis in "xyz"),
        ("heart_rate", "heart (bpm)"), ("steps", "steps"), ("activity", "activity"),
    ):  # fmt: skip
        values = chosen.column(name).to_pylist()
        if chosen.column(name).null_count < len(chosen):
            shown[title] = ["" if v is None else v if isinstance(v, str) else f"{v:.3g}" for v in values]
    lines = [list(shown), *map(list, zip(*shown.values(), strict=True))]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return ["  ".join(text.rjust(width) for text, width in zip(line, widths, strict=True)) for line in lines]
