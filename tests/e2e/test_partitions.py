"""A topic that is widened while a checkpoint of it exists."""

from __future__ import annotations

import json

import pytest
from ledger import Ledger, assert_ledger, reading
from own_settings import replaced
from private import readable_by_others

from activitymodule.kafka import topics
from activitymodule.kafka.clients import producer, topic_ends

pytestmark = [pytest.mark.e2e, pytest.mark.integration]


def test_the_stream_reads_partitions_that_came_later(fresh_settings, champion, one_after_the_other):
    ledger = Ledger()
    begin = 1_790_000_000_000

    def send(settings, first, count):
        with producer(settings) as client:
            for k in range(first, first + count):
                stamp = begin + 100 * k
                for watch in (f"watch-{number}" for number in range(6)):
                    payload = json.dumps(reading(watch, stamp)).encode()
                    client.send(settings.kafka.topic, payload, key=watch.encode())
                    ledger.note(watch, stamp)

    send(fresh_settings, 0, 150)
    assert one_after_the_other(fresh_settings, "score", "--once").returncode == 0
    wide = replaced(fresh_settings, kafka={"partitions": 5})
    topics.grow(wide)
    send(wide, 150, 150)
    assert sum(last > 0 for _, last in topic_ends(wide, wide.kafka.topic).values()) > 2
    assert one_after_the_other(wide, "score", "--once").returncode == 0
    assert_ledger(wide, ledger)
    # what Java, Spark's workers and Python wrote meanwhile
    assert readable_by_others(wide.lake.folder, wide.spark.checkpoints) == []
