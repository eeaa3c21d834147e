"""Days of made-up people, made once."""

from __future__ import annotations

import pytest
from day_records import day_records

from activitymodule.behaviour.grid import DayGrid, grid_of


@pytest.fixture(scope="session")
def grid() -> DayGrid:
    return grid_of(day_records(48, 56, seed=2))


@pytest.fixture(scope="session")
def stopping() -> DayGrid:
    return grid_of(day_records(60, 150, seed=4, stopping=0.012, every=2))
