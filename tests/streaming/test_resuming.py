"""Topic, store and checkpoint compared: what was read of another topic, what is missing, what is lost."""

from __future__ import annotations

import pytest

from activitymodule.store.batches import OffsetRecord
from activitymodule.streaming.checkpoint import Checkpoint
from activitymodule.streaming.resuming import Topic, another_topic, loss_sentence, places, unread_before

TOPIC = Topic("t", "new", {0: (0, 40), 1: (10, 15)})


@pytest.mark.parametrize(
    ("topic_id", "read", "another"),
    [
        ("new", {0: 20, 1: 15}, False),
        ("new", {0: 40}, False),  # a partition was added
        (None, {0: 20, 1: 12}, False),  # of an older version; its offsets fit
        ("old", {0: 20, 1: 12}, True),  # longer already than what was read
        ("old", {}, True),
        (None, {0: 41}, True),
        ("new", {0: 41}, True),  # a broker that lost its newest messages
        (None, {0: 20, 2: 0}, True),  # fewer partitions
    ],
)
def test_a_topic_created_again_is_noticed(topic_id: str | None, read: dict[int, int], another: bool) -> None:
    error = another_topic(TOPIC, topic_id, read)
    assert (error is not None) == another
    if error is not None:
        assert error.code == "topic_recreated"
        assert "`activity score --forget-offsets --set-checkpoint-aside`" in str(error)
        assert "accept-data-loss" not in str(error)


def test_a_broker_without_ids_is_judged_by_its_offsets() -> None:
    without = Topic("t", None, {0: (0, 40)})
    assert another_topic(without, "old", {0: 40}) is None
    assert another_topic(without, None, {0: 41}) is not None


def test_a_checkpoint_ahead_of_the_store_passes_over_what_kafka_has() -> None:
    record = OffsetRecord("new", "q", {0: ((0, 18), (23, 30)), 1: ((2, 8),)})

    def unread(position: dict[int, int] | None, record: OffsetRecord | None = record) -> object:
        return unread_before(Checkpoint("p", "q", True, position), record, TOPIC)

    assert unread({0: 18, 1: 8}) == {}
    assert unread({0: 17, 1: 0}) == {}, "an older checkpoint reads again"
    assert unread({0: 30, 1: 8}) == {0: ((18, 23),)}, "a hole within the record"
    assert unread({0: 36, 1: 8}) == {0: ((18, 23), (30, 36))}, "and what the store has forgotten"
    assert unread({0: 18, 1: 12}) == {1: ((10, 12),)}, "8 and 9 are not in Kafka any more"
    assert unread({0: 18, 1: 10}) == {}
    assert unread({0: 18, 1: 8, 2: 5}) == {2: ((0, 5),)}, "a partition that the store does not know"
    assert unread(None) == {}
    assert unread({0: 18}, None) == {}


def test_the_loss_names_every_message() -> None:
    lost = {1: ((10, 15),), 0: ((3, 4), (7, 9))}
    assert places(lost) == "partition 0: 3 to 3, partition 0: 7 to 8, partition 1: 10 to 14"
    sentence = loss_sentence("t", lost)
    assert "8 unscored messages of t" in sentence
    assert places(lost) in sentence
    assert "activity backfill" in sentence
