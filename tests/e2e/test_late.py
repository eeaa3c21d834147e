"""What comes later than the watermark is scored by the scorer itself, once, whatever was killed before."""

from __future__ import annotations

import json
import time
from functools import partial

import pytest
from ledger import Ledger, assert_ledger, everything_read, reading, rows, stored, until
from own_settings import replaced

from activitymodule.kafka.clients import producer

pytestmark = [pytest.mark.e2e, pytest.mark.integration]


def test_late_readings_are_scored_by_the_next_scorer(fresh_settings, champion, job):
    """Some are of a window of which the store has a part already, some of new ones. The next scorer goes on with the
    checkpoint of one whose watermark was longer."""
    settings = replaced(
        fresh_settings,
        archive={"interval_seconds": 1, "backfill_minutes": 60},
        windows={"watermark_minutes": 5},
    )
    ledger = Ledger()
    start = (int(time.time()) - 7200) // 10 * 10 * 1000

    def send(device: str, stamps: list[int]) -> None:
        with producer(settings) as client:
            for first in range(0, len(stamps), 50):
                part = [reading(device, stamp) for stamp in stamps[first : first + 50]]
                client.send(settings.kafka.topic, json.dumps(part).encode(), key=device.encode())
        for stamp in stamps:
            ledger.note(device, stamp)

    read = partial(everything_read, settings)
    send("watch-1", [start + 100 * k for k in range(250)])  # ends within a window
    scorer = job(settings, "score")
    until(read, "the first readings", running=scorer)
    for ahead in (600_000, 700_000):  # the batch after that of the watermark still takes what is late
        send("watch-2", [start + ahead + 100 * k for k in range(300)])
        until(read, "readings that move the watermark", running=scorer)
    before = stored(settings)
    assert_ledger(settings, ledger)
    send("watch-1", [start + 100 * k for k in range(240, 450)])  # ten of them a second time
    until(read, "the late readings", running=scorer)
    noted = "select count(*), count(distinct window_start) from late_windows where device_id = 'watch-1'"
    assert rows(settings, noted) == [(3, 3)]
    assert stored(settings) == before
    scorer.kill()

    later = replaced(settings, archive={"backfill_minutes": 0.01}, windows={"watermark_minutes": 2})
    scorer = job(later, "score")
    until(lambda: rows(settings, noted) == [(0, 0)], "the late windows", running=scorer)
    assert_ledger(settings, ledger)
    assert rows(settings, "select count(*) from predictions where smoothed_activity is null") == [(0,)]
    assert scorer.interrupt() == 0
    assert scorer.output.count("windows with readings later than the watermark") == 1
