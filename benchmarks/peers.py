"""What the peers share with our job: windows of readings to committed rows, by the project's own code.

Only what comes before differs between the engines: how messages are read, parsed and gathered into windows.
Assembling, features, models and the upsert are the very functions that Spark's workers call.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import datetime
from math import nan
from operator import itemgetter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa

from activitymodule.models.bundle import BundleBytes
from activitymodule.models.export import Card
from activitymodule.settings import load
from activitymodule.store.connection import connect
from activitymodule.store.models import record_model_version
from activitymodule.store.predictions import write_predictions
from activitymodule.store.smoothing import refresh_smoothed_windows
from activitymodule.streaming import worker
from activitymodule.windows.packing import RECORD, binary_of_records, total_acceleration

FIELDS = (
    "pitch",
    "roll",
    "user_acceleration_x",
    "user_acceleration_y",
    "user_acceleration_z",
    "rotation_rate_x",
    "rotation_rate_y",
    "rotation_rate_z",
    "heart_rate",
    "steps",
    "speed",
)
WIDTH = 1 + len(FIELDS)  # a reading as numbers: UTC microseconds, then FIELDS


def stamp_us(stamp: str | int) -> int:
    """UTC microseconds of a reading's stamp: ISO-8601 with offset, or epoch milliseconds."""
    if type(stamp) is str:
        return round(datetime.fromisoformat(stamp).timestamp() * 1e6)
    return int(stamp) * 1000


values = itemgetter(*FIELDS)
"""FIELDS of a reading that has them all, the quick way; KeyError where one is absent."""


def numbers(reading: dict[str, Any], us: int) -> tuple[float, ...]:
    """WIDTH numbers of any reading, NaN for what is absent or null."""
    return (us, *(nan if reading.get(name) is None else float(reading[name]) for name in FIELDS))


@dataclass(frozen=True)
class Closed:
    """A window that is ready: WIDTH numbers a reading, and Kafka's time of the last one."""

    device_id: str
    start_us: int
    readings: Any  # array of float64, or a list of floats
    arrived_ms: int


@dataclass
class Sink:
    """Scores closed windows and commits them; remembers when it committed how many readings."""

    bundle: Path
    settings: Any = field(default_factory=load)
    commits: list[tuple[float, int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        version = (self.bundle / "version").read_text(encoding="utf-8").strip()
        energy = self.bundle / "regressor"
        read = BundleBytes.read(
            self.bundle / "classifier",
            energy if energy.exists() else None,
            version=version,
            energy_version=version,
            max_megabytes=self.settings.models.max_megabytes,
        )
        self._scorer = worker.Scorer(self.settings, SimpleNamespace(value=read), version, 0)
        self._connection = connect(self.settings)
        card = Card.from_json(read.classifier.card)
        record_model_version(
            self._connection,
            name=self.settings.registry.classifier,
            version=version,
            labels=card.labels,
            feature_version=card.features_version,
        )
        self._connection.commit()
        worker.make_tasks_quick()

    def write(self, windows: list[Closed]) -> None:
        """One transaction: rows of all the windows, and what they change in the smoothed activity."""
        batch, readings = batch_of(windows)
        rows = worker.score_windows(batch, self._scorer, self._connection)
        write_predictions(self._connection, rows)
        refresh_smoothed_windows(
            self._connection, rows.device_id.to_pylist(), rows.window_start_us, self.settings.scoring
        )
        self._connection.commit()
        self.commits.append((time.time(), readings, len(windows)))

    def report(self) -> dict[str, object]:
        return {"commits": self.commits}


def batch_of(windows: list[Closed]) -> tuple[pa.RecordBatch, int]:
    """Windows as the Arrow batch that Spark hands its workers, and the number of their readings."""
    lengths = np.array([len(window.readings) // WIDTH for window in windows])
    flat = np.concatenate([np.asarray(window.readings, np.float64) for window in windows])
    table = flat.reshape(-1, WIDTH)
    records = np.empty(len(table), RECORD)
    records["stamp_us"] = table[:, 0]
    values = records["values"]
    columns = table[:, 1:].astype(np.float32)
    values[:, 0], values[:, 1], values[:, 2] = total_acceleration(*(columns[:, k] for k in range(5)))
    values[:, 3:] = columns[:, 5:]
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    batch = pa.RecordBatch.from_arrays(
        [
            pa.array([window.device_id for window in windows]),
            pa.array([window.start_us for window in windows], pa.int64()),
            pa.ListArray.from_arrays(
                pa.array(np.arange(len(windows) + 1), pa.int32()), binary_of_records(records, starts)
            ),
            pa.array([window.arrived_ms * 1000 for window in windows], pa.timestamp("us", tz="UTC")),
        ],
        names=["device_id", "window_us", "panes", "kafka_at"],
    )
    return batch, len(table)
