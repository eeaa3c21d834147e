"""Dead letters: stored once, found, marked."""

from __future__ import annotations

import pytest

from activitymodule.store.dead_letters import (
    Selection,
    list_dead_letters,
    mark_replayed,
    summarize_dead_letters,
    write_dead_letters,
)
from activitymodule.store.live import count_dead_letters

integration = pytest.mark.integration


@integration
def test_dead_letters_are_kept_once_whatever_is_in_them(connection, make_letters):
    assert write_dead_letters(connection, make_letters()) == 3
    assert write_dead_letters(connection, make_letters()) == 0
    connection.commit()
    found = {letter.offset: letter for letter in list_dead_letters(connection)}
    assert found[0].payload == b"\x00\xff\x1b[2J"
    assert found[1].payload is None
    assert len(found[2].payload) == 65_536
    assert found[2].device_id == "b\\0c"
    assert found[2].detail == "half \\ud800 and \\0"
    assert found[0].kafka_at.microsecond == 1
    assert write_dead_letters(connection, make_letters(0)) == 0
    assert count_dead_letters(connection) == 3


@integration
def test_dead_letters_are_found_and_marked(connection, make_letters):
    write_dead_letters(connection, make_letters())
    write_dead_letters(connection, make_letters(2, topic="u", reason=["bad_stamp", "not_json"]))
    chosen = list_dead_letters(connection, Selection(topic="u", reason="bad_stamp"))
    assert [(letter.topic, letter.offset) for letter in chosen] == [("u", 0)]
    assert list_dead_letters(connection, Selection(device_id="a"), payloads=False)[0].payload is None
    assert mark_replayed(connection, [("u", "", 0, 0)]) == 1
    assert mark_replayed(connection, []) == 0
    assert len(list_dead_letters(connection, Selection(replayed=False))) == 4
    assert len(list_dead_letters(connection, limit=2)) == 2
    counts = {(count.topic, count.reason): count for count in summarize_dead_letters(connection)}
    assert counts["t", "not_json"].letters == 3
    assert counts["u", "bad_stamp"].replayed == 1


@integration
def test_a_topic_created_again_reuses_offsets_and_no_letter_vanishes(connection, make_letters):
    assert write_dead_letters(connection, make_letters(2, topic_id=["old"] * 2)) == 2
    again = make_letters(3, topic_id=["new"] * 3)
    assert write_dead_letters(connection, again) == 3
    assert write_dead_letters(connection, again) == 0
    letters = list_dead_letters(connection, Selection(offset=0))
    assert {letter.topic_id for letter in letters} == {"old", "new"}
    assert mark_replayed(connection, [("t", "new", 0, 0)]) == 1


@integration
def test_a_letter_without_a_topic_id_is_known_by_its_arrival(connection, make_letters):
    later = [1_790_000_000_500_000] * 3
    assert write_dead_letters(connection, make_letters(2)) == 2
    assert write_dead_letters(connection, make_letters(3, topic_id=["id"] * 3)) == 1, "two are there"
    assert write_dead_letters(connection, make_letters(3)) == 0, "as a backfill of old archived messages"
    assert write_dead_letters(connection, make_letters(3, topic_id=["id"] * 3, kafka_at_us=later)) == 2
