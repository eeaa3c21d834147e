"""Readings of people who have withdrawn, in requests: they are refused, item by item."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from activitymodule.store.participants import excluded
from activitymodule.telemetry.reasons import Reason
from annotation import context
from annotation.answers import Refused


def refused(device: str, message: int, item: int) -> Refused:
    """An item of a wearer who has withdrawn."""
    return Refused(
        message=message,
        item=item,
        reason=Reason.WITHDRAWN,
        detail=Reason.WITHDRAWN.meaning,
        device_id=device,
    )


def without_withdrawn(readings: pa.Table) -> tuple[pa.Table, list[Refused]]:
    """Decoded readings (with `message` and `item`) without those of excluded times, and those as refused items."""
    now = context.read(excluded)
    if not now or not len(readings):
        return readings, []
    stamps = readings.column("stamp").cast(pa.int64()).to_numpy()
    hit = now.rows(readings.column("device_id"), stamps)
    rows = readings.select(["device_id", "message", "item"]).take(pa.array(np.flatnonzero(hit))).to_pylist()
    return readings.filter(pa.array(~hit)), [refused(*row.values()) for row in rows]
