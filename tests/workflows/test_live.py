"""The lag of the stream from the broker's offsets and the store's."""

from __future__ import annotations

from dataclasses import fields

from activitymodule.store.live import Pulse
from activitymodule.workflows.live import Snapshot, lag


def pulse(offsets: dict[int, int], topic_id: str | None = None) -> Pulse:
    nothing = dict.fromkeys(field.name for field in fields(Pulse))
    return Pulse(**{**nothing, "offsets": offsets, "topic_id": topic_id})  # type: ignore[arg-type]


def test_lag_is_what_the_broker_has_beyond_the_scored_offsets() -> None:
    assert lag({0: (0, 10), 1: (0, 5)}, pulse({0: 4, 1: 5}), None) == 6
    assert lag({0: (0, 10)}, pulse({}), None) == 10
    assert lag({0: (8, 10)}, pulse({0: 4}), None) == 2, "what the broker has deleted cannot be scored"
    assert lag(None, pulse({0: 4}), None) is None


def test_of_a_topic_that_was_created_again_nothing_is_scored() -> None:
    assert lag({0: (2, 10)}, pulse({0: 9}, "first"), "second") == 8
    assert lag({0: (2, 10)}, pulse({0: 9}, "first"), "first") == 1
    assert lag({0: (2, 10)}, pulse({0: 9}, "first"), None) == 1, "a broker without ids"


def test_a_snapshot_without_the_store_has_no_rates() -> None:
    snapshot = Snapshot("readings")
    assert (snapshot.windows_per_second, snapshot.readings_per_second) == (0.0, 0.0)
