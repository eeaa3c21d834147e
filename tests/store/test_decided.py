"""The column `decided`: the activity where it is precise enough."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from activitymodule.store.prediction_columns import COLUMNS, PredictionRows

(DECIDED,) = (column for column in COLUMNS if column.name == "decided")


def decided(probabilities: list[list[float]], thresholds: list[float] | None) -> list[str | None]:
    n = len(probabilities)
    rows = PredictionRows(
        device_id=pa.array(["w"] * n),
        window_start_us=np.arange(n) * 10_000_000,
        window_seconds=10,
        labels=("sitting", "walking"),
        probabilities=np.array(probabilities, np.float32),
        in_set=np.zeros((n, 2), bool),
        kcal_per_min=np.zeros(n, np.float32),
        coverage=np.ones(n, np.float32),
        readings_used=np.full(n, 100, np.int32),
        duplicates=np.zeros(n, np.int32),
        reason=[None if np.isfinite(row[0]) else "low coverage" for row in probabilities],
        model_version="1",
        energy_version=None,
        last_reading_us=np.zeros(n, np.int64),
        received_us=np.zeros(n, np.int64),
        thresholds=None if thresholds is None else np.array(thresholds, np.float32),
    )
    assert DECIDED.values is not None
    return DECIDED.values(rows).to_pylist()


def test_it_is_the_activity_where_its_confidence_reaches_the_threshold() -> None:
    nan = float("nan")
    windows = [[0.9, 0.1], [0.7, 0.3], [0.35, 0.65], [0.05, 0.95], [nan, nan], [0.8, 0.2]]
    assert decided(windows, [0.8, 0.7]) == ["sitting", None, None, "walking", None, "sitting"]


def test_an_activity_without_a_threshold_is_never_decided() -> None:
    assert decided([[1.0, 0.0], [0.0, 1.0]], [np.inf, 0.5]) == [None, "walking"]


def test_a_version_without_thresholds_decides_nothing() -> None:
    assert decided([[1.0, 0.0]], None) == [None]
    assert decided([[float("nan")] * 2], [0.1, 0.1]) == [None]
