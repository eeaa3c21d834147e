"""What comes later than the watermark is scored by the scorer itself, once, whatever was killed before."""

from __future__ import annotations

import json
import time
from functools import partial

import pytest
from ledger import Ledger, assert_ledger, everything_read, reading, rows, stored, until
from own_settings import replaced

from activitymodule.kafka.clients import producer
from activitymodule.store.connection import session
from activitymodule.store.queries import execute

pytestmark = [pytest.mark.e2e, pytest.mark.integration]


COUNTED = "select sum(windows)::int from feature_minutes"
OF_THE_OTHER = [("watch-2", number, 1) for number in (60, 61, 62, 70, 71, 72)]


def queued(settings, start_ms: int) -> list[tuple]:
    """Watch, number of the window since the start, and how often it was queued."""
    return rows(
        settings,
        "select device_id, ((extract(epoch from window_start) - %s) / 10)::int as number, count(*) from queue_items "
        "where stratum = 'audit' and length(readings) > 0 group by 1, 2 order by 1, 2",
        start_ms // 1000,
    )


def test_late_readings_are_scored_by_the_next_scorer(fresh_settings, champion, job):
    """Some are of a window of which the store has a part already, some of new ones. The next scorer goes on with the
    checkpoint of one whose watermark was longer, and is killed once they are stored; the one after it ends
    the round."""
    settings = replaced(
        fresh_settings,
        archive={"interval_seconds": 1, "backfill_minutes": 60},
        windows={"watermark_minutes": 5},
        queue={"items_per_hour": 1e6, "burst": 1000},  # the audit draws every window
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
    send("watch-2", [start + 730_000])  # once it is read the batch of the late readings is not run again
    until(read, "one reading more", running=scorer)
    scorer.kill()

    later = replaced(settings, archive={"backfill_minutes": 0.01}, windows={"watermark_minutes": 2})
    with session(settings) as connection:
        execute(connection, "LOCK TABLE late_windows IN SHARE MODE")  # none can be forgotten
        scorer = job(later, "score")
        until(lambda: stored(settings) == ledger.expected(), "the rows of the late windows", running=scorer)
        scorer.kill()
    assert rows(settings, noted) == [(3, 3)]
    assert rows(settings, COUNTED) == [(10,)], "with their rows"
    assert queued(settings, start) == [("watch-1", 0, 1), ("watch-1", 1, 1), *OF_THE_OTHER]

    scorer = job(later, "score")
    until(lambda: rows(settings, noted) == [(0, 0)], "the late windows", running=scorer)
    assert_ledger(settings, ledger)
    assert rows(
        settings, "select count(*) from predictions where smoothed_activity is null and activity is not null"
    ) == [(0,)]
    assert rows(settings, COUNTED) == [(10,)]
    # the last one has half of its readings
    assert queued(settings, start) == [*(("watch-1", number, 1) for number in range(4)), *OF_THE_OTHER]
    assert scorer.interrupt() == 0
    assert scorer.output.count("windows with readings later than the watermark") == 1
