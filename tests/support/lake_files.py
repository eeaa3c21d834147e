"""Daily records and predictions as files of a lake."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa

from activitymodule.days import columns as days
from activitymodule.lake import predictions
from activitymodule.lake.daily import month_of

LABELS = ("walking", "sitting")


def day_file(first: date, people: Sequence[str], without: str | None = None) -> tuple[str, pa.Table]:
    """The file of a month with a day each of these people."""
    empty: dict[str, Any] = dict.fromkeys(days.SCHEMA.names)
    rows = [
        {
            **empty,
            "participant": person,
            "date": first,
            "source": "devices",
            "zone": "UTC",
            "hours": 24.0,
            "wear_minutes": 590.0 + 10 * k,
            "minutes": [("walking", 30.0), ("sitting", 60.0 + k)] if k else None,
            "hours_active": [1.0, 2.0],
            "steps": 1000.0 * k,
        }
        for k, person in enumerate(people)
    ]
    schema = pa.schema([one for one in days.SCHEMA if one.name != without])
    return f"daily/{month_of(first).place}", pa.Table.from_pylist(rows, schema)


def prediction_file(day: date, windows: int, device: str = "w-1") -> tuple[str, pa.Table]:
    """The file of a day with so many windows."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    empty: dict[str, Any] = dict.fromkeys(predictions.SCHEMA.names)
    rows = [
        {
            **empty,
            "device_id": device,
            "window_start": start + timedelta(seconds=10 * k),
            "window_end": start + timedelta(seconds=10 * k + 10),
            "activity": LABELS[k % 2],
            "confidence": 0.75,
            "probabilities": [0.75, 0.25],
            "conformal_set": [LABELS[k % 2]] if k else None,
            "model_version": "1",
            "readings_used": 100,
        }
        for k in range(windows)
    ]
    return f"predictions/date={day}/predictions.parquet", pa.Table.from_pylist(rows, predictions.SCHEMA)
