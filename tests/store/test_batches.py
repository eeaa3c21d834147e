"""The record of micro-batches."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activitymodule.store.batches import (
    OffsetRecord,
    adopt_topic_id,
    finish_batch,
    last_offsets,
    mark_written,
    offset_record,
    record_late,
    record_lost,
)

integration = pytest.mark.integration


@integration
def test_a_replayed_batch_keeps_its_first_record(connection, begin):
    first = begin(7, {0: (0, 10), 1: (5, 9)}, version="1")
    assert not first.replayed
    again = begin(7, {0: (0, 99)}, version="2")
    assert again.replayed
    assert (again.model_version, again.offsets) == ("1", {0: (0, 10), 1: (5, 9)})
    finish_batch(connection, query_id="q", batch_id=7, windows=3)
    record_late(connection, "q", {7: 4, 8: 1})
    with connection.cursor() as cursor:
        cursor.execute("SELECT messages, windows, dropped_late FROM batches")
        assert cursor.fetchall() == [(14, 3, 4)]


@integration
def test_last_offsets_are_those_of_the_newest_query_that_finished_one(connection, begin):
    assert last_offsets(connection, "t") is None
    begin(0, {0: (0, 10)})
    assert last_offsets(connection, "t") is None
    finish_batch(connection, query_id="q", batch_id=0, windows=0)
    begin(1, {0: (10, 30)})
    assert last_offsets(connection, "t") == {0: 10}
    begin(0, {0: (4, 8), 1: (0, 5)}, query="r")
    finish_batch(connection, query_id="r", batch_id=0, windows=0)
    assert last_offsets(connection, "t") == {0: 8, 1: 5}
    assert last_offsets(connection, "other") is None


@integration
def test_offsets_of_a_topic_that_was_created_again_count_for_nothing(connection, begin):
    begin(0, {0: (0, 500)}, topic_id="first")
    finish_batch(connection, query_id="q", batch_id=0, windows=0)
    assert last_offsets(connection, "t") == last_offsets(connection, "t", "first") == {0: 500}
    assert last_offsets(connection, "t", "second") is None


@integration
def test_the_record_shows_what_is_missing(connection, begin):
    assert offset_record(connection, "t") is None
    begin(0, {0: (20, 100), 1: (0, 0)}, topic_id="id")
    assert offset_record(connection, "t") == OffsetRecord("id", "q", {0: ((20, 20),), 1: ((0, 0),)})
    mark_written(connection, query_id="q", batch_id=0)
    begin(1, {0: (100, 180), 1: (0, 0)}, topic_id="id")  # not smoothed; written, as the next one began
    begin(7, {0: (423, 500), 1: (0, 9)}, topic_id="id")
    finish_batch(connection, query_id="q", batch_id=7, windows=0)
    begin(8, {0: (500, 501), 1: (9, 9)}, topic_id="id")  # not written
    record = offset_record(connection, "t")
    assert record.read == {0: ((20, 180), (423, 500)), 1: ((0, 9),)}
    assert record.ends == {0: 500, 1: 9}
    assert [record.until_after(0, n) for n in (0, 20, 180, 200, 423, 500, 501)] == [
        180,
        180,
        180,
        200,
        500,
        500,
        501,
    ]
    assert record.until_after(2, 5) == 5
    assert record.missing({0: 300, 1: 9}) == {0: ((180, 300),)}
    assert record.missing({0: 520, 1: 9, 2: 4}) == {0: ((180, 423), (500, 520)), 2: ((0, 4),)}
    record_lost(connection, "t", "id", record.missing({0: 300}))
    assert offset_record(connection, "t").read == {0: ((20, 300), (423, 500)), 1: ((0, 9),)}
    assert last_offsets(connection, "t") == {0: 500, 1: 9}, "the newest batch is still the newest"


@integration
def test_without_a_topic_id_only_the_newest_query_counts(connection, begin):
    begin(0, {0: (0, 900)}, query="before")
    finish_batch(connection, query_id="before", batch_id=0, windows=0)
    begin(0, {0: (0, 30)})
    finish_batch(connection, query_id="q", batch_id=0, windows=0)
    assert offset_record(connection, "t") == OffsetRecord(None, "q", {0: ((0, 30),)})
    adopt_topic_id(connection, "t", "id", "q")
    assert offset_record(connection, "t") == OffsetRecord("id", "q", {0: ((0, 30),)})
    begin(0, {0: (0, 4)}, query="r", topic_id="another")
    assert offset_record(connection, "t") == OffsetRecord("another", "r", {0: ((0, 0),)})


@given(st.sets(st.integers(0, 30), min_size=1), st.integers(0, 35))
def test_every_offset_is_read_or_missing(offsets: set[int], before: int) -> None:
    runs = [[n, n + 1] for n in sorted(offsets)]
    joined: list[list[int]] = []
    for first, until in runs:
        if joined and joined[-1][1] == first:
            joined[-1][1] = until
        else:
            joined.append([first, until])
    record = OffsetRecord("id", "q", {0: tuple((first, until) for first, until in joined)})
    missing = {n for first, until in record.missing({0: before}).get(0, ()) for n in range(first, until)}
    assert missing == set(range(min(offsets), before)) - offsets
    after = record.until_after(0, before)
    assert after >= before
    assert after not in offsets
    assert set(range(max(before, min(offsets)), after)) <= offsets
