"""The lag of the stream from the broker's offsets and the store's."""

from __future__ import annotations

from activitymodule.workflows.live import Snapshot, lag


def test_lag_is_what_the_broker_has_beyond_the_scored_offsets() -> None:
    assert lag({0: (0, 10), 1: (0, 5)}, {0: 4, 1: 5}) == 6
    assert lag({0: (0, 10)}, {}) == 10
    assert lag({0: (8, 10)}, {0: 4}) == 2, "what the broker has deleted cannot be scored"
    assert lag(None, {0: 4}) is None


def test_a_snapshot_without_the_store_has_no_rates() -> None:
    snapshot = Snapshot("readings")
    assert (snapshot.windows_per_second, snapshot.readings_per_second) == (0.0, 0.0)
