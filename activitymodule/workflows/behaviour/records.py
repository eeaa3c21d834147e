"""Daily records to learn from: those of the lake, of synthesised people, or of a file."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds

from activitymodule.behaviour.grid import DayGrid, grid_of
from activitymodule.behaviour.workouts import BODY
from activitymodule.days.columns import SCHEMA
from activitymodule.days.imports import table_mapping
from activitymodule.days.imports.table import import_table
from activitymodule.days.merging import merged
from activitymodule.errors import ConfigError, DataError
from activitymodule.lake import daily, history
from activitymodule.settings import Settings, resolve
from activitymodule.workflows.behaviour.requests import DayTrainingRequest


@dataclass(frozen=True)
class Learned:
    """The grid; body : BODY column -> float64 (n_people,); planted : the true persona of each person, where known;
    source : of the records, for lineage"""

    grid: DayGrid
    body: dict[str, np.ndarray]
    planted: list[str | None] | None
    source: str


def load(config: Settings, request: DayTrainingRequest) -> Learned:
    """The records that a request names. Raises ConfigError for a path that is not there, DataError for other files,
    NotEnoughDataError where there is nothing."""
    if request.days in (daily.DAILY, daily.HISTORY):
        table, source = merged(daily.read(config, folder=request.days)), request.days
    elif (mapping := request.days.partition(":"))[1] and mapping[0] in table_mapping.shipped():
        if "\0" in mapping[2]:
            raise ConfigError("the path of a table holds NUL")
        found = import_table(table_mapping.load(mapping[0]), Path(mapping[2]))
        table, source = pa.Table.from_pylist(found.rows, SCHEMA), f"{mapping[0]}:{Path(mapping[2]).name}"
    else:
        table, source = _parquet(Path(request.days)), Path(request.days).name
    grid = grid_of(table)
    people = _named(request.people, "participant") if request.people else None
    truth = _named(request.truth, "persona") if request.truth else None
    if request.days == daily.HISTORY:
        # what the history was generated with lies beside it
        people = history.read(config, history.PEOPLE) if people is None else people
        truth = history.read(config, history.TRUTH) if truth is None else truth
    return Learned(grid, _body(grid, people), _planted(grid, truth), source)


def _parquet(path: Path) -> pa.Table:
    found = resolve(str(path))
    if "\0" in str(path) or not os.path.exists(found):
        raise ConfigError(
            f"{str(path)[:200]!r} is not there; name daily, history or a file or folder of Parquet"
        )
    try:
        return ds.dataset(found, format="parquet", partitioning="hive").to_table()
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"{path} cannot be read as Parquet: {str(error).splitlines()[0]}") from None


def _planted(grid: DayGrid, table: pa.Table | None) -> list[str | None] | None:
    if table is None:
        return None
    known = dict(zip(table["participant"].to_pylist(), table["persona"].to_pylist(), strict=True))
    return [known.get(person) for person in grid.people]


def _body(grid: DayGrid, table: pa.Table | None) -> dict[str, np.ndarray]:
    if table is None:
        return {}
    place = {person: k for k, person in enumerate(table["participant"].to_pylist())}
    at = np.array([place.get(person, -1) for person in grid.people])
    out: dict[str, np.ndarray] = {}
    for name in BODY:
        if name == "female" and "sex" in table.column_names:
            values = np.array(
                [np.nan if one is None else float(one == "female") for one in table["sex"].to_pylist()]
            )
        elif name in table.column_names:
            values = np.array(table[name].cast(pa.float64()).to_numpy(), np.float64)
        else:
            continue
        out[name] = np.where(at >= 0, values[at], np.nan)
    return out


def _named(path: Path, column: str) -> pa.Table:
    table = _parquet(path)
    lacking = [name for name in ("participant", column) if name not in table.column_names]
    if lacking:
        raise DataError(f"{path} has no column {lacking[0]}")
    return table
