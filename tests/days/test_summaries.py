"""What daily records need of the readings of a window."""

import numpy as np
import pyarrow as pa
import pytest

from activitymodule.days.records import WINDOWS
from activitymodule.days.summaries import summaries
from activitymodule.settings import Windows
from activitymodule.windows.assembling import WindowBatch
from activitymodule.windows.packing import CHANNELS


def test_spread_movement_steps_and_heart_of_windows():
    grid = np.full((4, 100, len(CHANNELS)), np.nan, np.float32)
    grid[:2, :, :3] = [0, 0, 1]
    grid[1, ::2, 2] = 1.2  # between 1.0 and 1.2
    grid[2, :9, :3] = 1  # too few to tell
    grid[1, [3, 50], CHANNELS.index("steps")] = [2, 5]
    grid[1, [3, 50, 60], CHANNELS.index("heart_rate")] = [60, 70, 0]
    some = np.zeros(4, np.int32)
    batch = WindowBatch(grid, np.array([1, 1, 0.09, 0], np.float32), some, some, np.zeros(4, np.int64))
    made = summaries(pa.array(["w"] * 4), np.arange(4) * 10_000_000, batch, Windows())
    assert made.schema == WINDOWS
    assert made["spread"].to_pylist() == [0, pytest.approx(0.1, rel=1e-4), None, None]
    assert made["movement"].to_pylist() == [0, pytest.approx(0.1, rel=1e-4), None, None]
    assert made["steps"].to_pylist() == [None, 7, None, None]
    assert made["heart"].to_pylist() == [None, 65, None, None]
    assert made["end_us"].to_pylist() == [10_000_000, 20_000_000, 30_000_000, 40_000_000]
    assert made["readings"].null_count == 4
