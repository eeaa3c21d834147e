"""A topic that is deleted and created again, longer than what was read: noticed, and read from its start."""

from __future__ import annotations

import json
import time

import pytest
from ledger import Ledger, assert_ledger, reading, rows, stored, until
from own_settings import replaced

from activitymodule.kafka import topics
from activitymodule.kafka.clients import producer
from activitymodule.settings import Settings

pytestmark = [pytest.mark.e2e, pytest.mark.integration]


def send(settings: Settings, ledger: Ledger, devices: list[str]) -> None:
    """A message that cannot be used, then twenty seconds of each watch, all to partition 0."""
    begin = int(time.time()) // 10 * 10 * 1000 - 60_000
    with producer(settings) as client:
        client.send(settings.kafka.topic, b"{not json", key=b"x", partition=0)
        ledger.note_dead()
        for device in devices:
            for stamp in range(begin, begin + 20_000, 100):
                payload = json.dumps(reading(device, stamp)).encode()
                client.send(settings.kafka.topic, payload, key=device.encode(), partition=0)
                ledger.note(device, stamp)


def test_a_topic_created_again_is_told_and_read_from_its_start(
    fresh_settings, champion, job, one_after_the_other
):
    settings, ledger = fresh_settings, Ledger()
    name = settings.kafka.topic
    send(settings, ledger, ["old-1"])
    running = job(settings, "score")
    until(lambda: len(stored(settings)) >= 2, "the windows of the first topic", running=running)
    first = topics.topic_id(settings, name)
    topics.delete(settings, [name])
    until(lambda: topics.topic_id(settings, name) is None, "the topic to be gone")
    # with fewer partitions, and at once longer than what was read
    topics.create(replaced(settings, kafka={"partitions": 1}))
    send(settings, ledger, ["new-1", "new-2"])
    assert running.wait(240) == 5, "noticed while it runs"
    assert "deleted and created again" in running.output
    run = one_after_the_other
    stopped = run(settings, "score", "--once", "--accept-data-loss")
    assert stopped.returncode == 5, "and at the start; there is nothing to accept"
    assert "`activity score --forget-offsets --set-checkpoint-aside`" in stopped.stderr
    assert "Traceback" not in stopped.stderr

    assert run(settings, "score", "--once", "--forget-offsets", "--set-checkpoint-aside").returncode == 0
    assert_ledger(settings, ledger)
    letters = rows(settings, "select kafka_offset, topic_id from dead_letters order by noticed_at")
    assert letters == [(0, first), (0, topics.topic_id(settings, name))]

    rows(settings, "with gone as (delete from predictions where device_id = 'new-2' returning 1) select 1")
    for again in (False, True):
        backfilled = run(settings, "backfill", "--json")
        assert backfilled.returncode == 0, backfilled.stderr
        assert (json.loads(backfilled.stdout)["windows_scored"] == 0) == again
        assert_ledger(settings, ledger)  # from the archive, which has both topics; no letter a second time
