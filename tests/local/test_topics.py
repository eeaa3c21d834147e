"""Topics: made once, widened where the setting has grown, never narrowed."""

from __future__ import annotations

import pytest
from own_settings import replaced

from activitymodule.local import topics
from activitymodule.streaming.broker import topic_ends

pytestmark = pytest.mark.integration


def test_a_topic_is_widened_and_never_narrowed(fresh_settings):
    wide = replaced(fresh_settings, kafka={"partitions": 3})
    assert topics.create(wide) == []
    assert topics.grow(wide) == [wide.kafka.topic, wide.kafka.truth_topic]
    assert len(topic_ends(wide, wide.kafka.topic)) == 3
    assert topics.grow(wide) == []
    assert topics.grow(fresh_settings) == []
    assert len(topic_ends(wide, wide.kafka.topic)) == 3
