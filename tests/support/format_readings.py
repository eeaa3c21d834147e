"""What tests of file formats compare: the readings of a file, and those that its samples should give."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import watch_files as made

from activitymodule.telemetry.gravity import gravity_of
from activitymodule.telemetry.resampling import Resampler, Rows
from activitymodule.telemetry.sources import SOURCES, Ledger
from activitymodule.telemetry.sources.base import chunk_schema

MOTION = ["stamp", "pitch", "roll", *(f"user_acceleration_{axis}" for axis in "xyz")]
TURNED = [f"rotation_rate_{axis}" for axis in "xyz"]


def read(source: str, path: Path) -> tuple[pa.Table, Ledger]:
    tables, total = [chunk_schema().empty_table()], Ledger()
    for unit in SOURCES[source].scan(path):
        for chunk in SOURCES[source].read(unit):
            assert chunk.ledger.balanced
            tables.append(chunk.readings)
            total += chunk.ledger
    return pa.concat_tables(tables), total


def made_of(time_us: np.ndarray, columns: dict[str, np.ndarray]) -> pa.Table:
    resampler = Resampler("p", "d")
    chunks = [*resampler.push(Rows(np.asarray(time_us), columns)), *resampler.finish()]
    return pa.concat_tables([chunk.readings for chunk in chunks])


def total(force: np.ndarray) -> dict[str, np.ndarray]:
    """Columns of the force that holds a sensor, (n, 3) in g."""
    return {f"acceleration_{axis}": -np.asarray(force)[:, i] for i, axis in enumerate("xyz")}


def assert_same(found: pa.Table, wanted: pa.Table, columns: list[str] = MOTION, within: float = 2e-6) -> None:
    assert found.column("stamp").equals(wanted.column("stamp"))
    for name in columns[1:]:
        np.testing.assert_allclose(
            found.column(name).to_numpy(), wanted.column(name).to_numpy(), atol=within, err_msg=name
        )


def force(table: pa.Table) -> np.ndarray:
    """Total acceleration, g (n, 3)."""
    pitch, roll = (table.column(name).to_numpy().astype(float) for name in ("pitch", "roll"))
    user = np.stack([table.column(name).to_numpy() for name in MOTION[3:]], axis=1)
    return user + gravity_of(pitch, roll)


def at_rate(n: int, rate: float) -> np.ndarray:
    return made.START_US + np.round(np.arange(n) * 1e6 / rate).astype(np.int64)
