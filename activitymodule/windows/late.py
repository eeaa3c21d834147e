"""Which windows have readings that the stream drops: those that had ended when the watermark passed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from activitymodule.settings import Windows
from activitymodule.windows.grouping import start_of


class LateWindow(NamedTuple):
    """A window with readings later than the watermark, times in UTC microseconds.

    arrived_from_us, arrived_until_us : in this time the late readings reached Kafka
    """

    device_id: str
    window_us: int
    end_us: int
    arrived_from_us: int
    arrived_until_us: int


def late_windows(
    panes: pa.RecordBatch, windows: Windows, before_us: int, arrived_from_us: int
) -> list[LateWindow]:
    """The windows of these panes (grouping.PANES_SCHEMA) that ended at `before_us` or earlier, sorted, each once.

    arrived_from_us : none of their messages reached Kafka before
    """
    slide_us, length_us = windows.slide_seconds * 1_000_000, windows.length_seconds * 1_000_000
    start_us = start_of(panes.column("stamp").cast(pa.int64()).to_numpy(), slide_us)
    # the first of a pane's windows ends with the pane's own slide
    (rows,) = np.nonzero(start_us + slide_us <= before_us)
    if not len(rows):
        return []
    devices = panes.column("device_id").take(pa.array(rows)).to_pylist()
    arrived_us = panes.column("kafka_at").cast(pa.int64()).take(pa.array(rows)).to_pylist()
    found: dict[tuple[str, int], int] = {}
    for device, newest, arrived in zip(devices, start_us[rows].tolist(), arrived_us, strict=True):
        for start in range(newest, newest - length_us, -slide_us):
            if start + length_us <= before_us:
                key = (device, start)
                found[key] = max(arrived, found.get(key, arrived))
    return [
        LateWindow(device, start, start + length_us, arrived_from_us, until)
        for (device, start), until in sorted(found.items())
    ]
