"""The record of micro-batches."""

from __future__ import annotations

import pytest

from activitymodule.store.batches import finish_batch, knows_query, last_offsets, record_late

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
    assert not knows_query(connection, "q")
    begin(0, {0: (0, 10)})
    assert last_offsets(connection, "t") is None
    assert knows_query(connection, "q"), "begun is known"
    finish_batch(connection, query_id="q", batch_id=0, windows=0)
    begin(1, {0: (10, 30)})
    assert last_offsets(connection, "t") == {0: 10}
    begin(0, {0: (4, 8), 1: (0, 5)}, query="r")
    finish_batch(connection, query_id="r", batch_id=0, windows=0)
    assert last_offsets(connection, "t") == {0: 8, 1: 5}
    assert last_offsets(connection, "other") is None
