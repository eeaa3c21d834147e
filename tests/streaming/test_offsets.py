"""Offsets of a batch."""

from __future__ import annotations

from activitymodule.streaming.offsets import offset_ranges, offsets_json, partition_offsets


def test_offsets_of_a_batch_go_from_where_the_one_before_ended() -> None:
    assert offset_ranges({0: 5, 1: 7}, {0: 9, 1: 7, 2: 3}) == {0: (5, 9), 1: (7, 7), 2: (0, 3)}


def test_offsets_survive_sparks_json() -> None:
    assert partition_offsets(offsets_json("t", {1: 7, 0: 5}), "t") == {0: 5, 1: 7}
    assert partition_offsets(offsets_json("t", {0: 5}), "another") == {}
