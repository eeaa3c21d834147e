"""Samples on their way to days: whatever the order, none is lost, none counts twice."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activitymodule.days.imports import samples as collecting
from activitymodule.days.imports import zones
from activitymodule.days.imports.ledger import Ledger
from activitymodule.days.imports.samples import Kind, Samples
from activitymodule.days.local import zone_info
from activitymodule.errors import DataError

NEW_YEAR = datetime(2024, 1, 1, tzinfo=UTC).timestamp()
ZONES = (
    "UTC",
    "America/St_Johns",
    "Europe/Berlin",
    "Pacific/Kiritimati",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
)


@settings(max_examples=15)
@given(
    spans=st.lists(
        st.tuples(st.integers(0, 400 * 86_400), st.integers(0, 90_000), st.integers(1, 5000)),
        min_size=1,
        max_size=20,
    ),
    zone=st.sampled_from(ZONES),
    wall=st.booleans(),
)
def test_every_amount_is_on_its_days_and_on_no_other(
    spans: list[tuple[int, int, int]], zone: str, wall: bool
) -> None:
    local = zone_info(zone)
    with tempfile.TemporaryDirectory() as folder:
        samples = Samples(Path(folder), Ledger())
        for start, seconds, value in spans:
            begin = NEW_YEAR + start
            samples.add(Kind.steps, 0, begin, begin + seconds, value, wall=wall)
        found = list(samples.days(local))
    days = [one.day for one in found]
    assert days == sorted(set(days))
    for one in found:
        assert (one.rows["start"] >= one.start).all()
        assert (one.rows["end"] <= one.end).all()
        assert one.day == zones.date_of(one.start, local)
    total = sum(one.rows["value"].sum() for one in found)
    assert total == pytest.approx(sum(value for _, _, value in set(spans)))


def test_a_flood_of_equal_samples_is_taken_and_one_of_different_ones_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collecting, "_BUFFERED", 100)
    monkeypatch.setattr(collecting, "_MOST_IN_SPAN", 1000)
    samples = Samples(tmp_path, Ledger())
    for k in range(5000):
        samples.add(Kind.steps, 0, NEW_YEAR + k % 300, NEW_YEAR + k % 300, 1)
    [day] = samples.days(zone_info("UTC"))
    assert len(day.rows) == 300
    assert samples.ledger.merged["steps: duplicate"] == 4700


def test_more_samples_than_can_be_true_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collecting, "_BUFFERED", 1)
    monkeypatch.setattr(collecting, "_MOST_IN_SPAN", 100)
    samples = Samples(tmp_path, Ledger())
    for k in range(100):
        samples.add(Kind.steps, 1, NEW_YEAR + k, NEW_YEAR + k, 1)
    with pytest.raises(DataError, match="different samples"):
        samples.add(Kind.steps, 1, NEW_YEAR + 100, NEW_YEAR + 100, 1)


@pytest.mark.parametrize("wall", ["2024-03-31T02:30:00", "2024-10-27T02:30:00", "2024-06-01T00:00:00"])
def test_times_of_the_clock_are_those_of_the_standard_library(wall: str) -> None:
    berlin = zone_info("Europe/Berlin")
    seconds = datetime.fromisoformat(wall).replace(tzinfo=UTC).timestamp()
    expected = datetime.fromisoformat(wall).replace(tzinfo=berlin).timestamp()
    assert zones.instants(np.array([seconds, seconds]), berlin).tolist() == [expected, expected]
