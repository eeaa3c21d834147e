"""Topics on a real broker: created, widened, described."""

from __future__ import annotations

from typing import Any

import pytest
from ledger import until
from own_settings import replaced

from activitymodule.errors import NoTopicError, TopicRefusedError
from activitymodule.kafka import topics
from activitymodule.kafka.clients import topic_ends
from activitymodule.settings import Settings

pytestmark = pytest.mark.integration


def test_topics_have_the_settings_partitions_and_retention(fresh_settings: Settings) -> None:
    assert topics.create(fresh_settings) == []  # they exist
    topic = topics.describe(fresh_settings, [fresh_settings.kafka.topic])[0]
    assert topic.partitions == fresh_settings.kafka.partitions
    assert topic.retention_hours == fresh_settings.kafka.retention_hours
    assert topic.messages == 0


def test_unknown_topic_is_named(stack: Any) -> None:
    with pytest.raises(NoTopicError, match="nowhere"):
        topics.describe(stack.settings, ["nowhere"])
    with pytest.raises(NoTopicError, match="nowhere"):
        topics.delete(stack.settings, ["nowhere"])
    with pytest.raises(TopicRefusedError):
        topics.create(stack.settings, ["no such/name"])


def test_a_topic_is_widened_and_never_narrowed(fresh_settings: Settings) -> None:
    wide = replaced(fresh_settings, kafka={"partitions": 3})
    assert topics.create(wide) == []
    assert topics.grow(wide) == [wide.kafka.topic, wide.kafka.truth_topic, wide.events.topic]
    ends = topic_ends(wide, wide.kafka.topic)
    assert ends is not None
    assert len(ends) == 3
    assert topics.grow(wide) == []
    assert topics.grow(fresh_settings) == []
    assert topic_ends(wide, wide.kafka.topic) == ends


def test_a_topic_created_again_has_another_id(fresh_settings: Settings) -> None:
    name = fresh_settings.kafka.topic
    first = topics.topic_id(fresh_settings, name)
    assert first is not None
    assert len(first) == 22  # as `kafka-topics.sh --describe` prints it
    assert topics.topic_id(fresh_settings, name) == first
    topics.delete(fresh_settings, [name])
    assert until(lambda: topics.topic_id(fresh_settings, name) is None, "the topic to be gone", timeout=30)
    topics.create(fresh_settings)
    assert topics.topic_id(fresh_settings, name) not in (None, first)
