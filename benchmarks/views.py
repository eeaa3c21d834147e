"""What the console, `activity watch`, the metrics and the views take on a large store, in seconds.

    python benchmarks/views.py                        10,000 watches, the last 80 minutes: 4.8 million rows, 3 GB
    python benchmarks/views.py --watches 1000 --minutes 30
    python benchmarks/views.py --plans                each statement of half a second or more with its plan, too

The rows are generated: each watch has a window every ten seconds, written as it ended, so that the last minute, half
hour and hour are as full as in a store of any age, and queries along an index take as long there.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from harness import say

from activitymodule.embedded.processes import any_free_port
from activitymodule.embedded.stack import Stack
from activitymodule.monitoring import figures
from activitymodule.settings import Settings, load
from activitymodule.store import live, views
from activitymodule.store.connection import Connection, session
from activitymodule.store.models import record_model_version
from activitymodule.store.queries import execute, fetch_all, fetch_value

LABELS = ("jogging", "lying", "sitting", "stairs", "standing", "walking")
_FILL = """
INSERT INTO predictions (device_id, window_start, window_end, activity, confidence, smoothed_activity,
    smoothed_confidence, probabilities, conformal_set, kcal_per_min, coverage, readings_used, duplicates, model_version,
    energy_version, last_reading_at, received_at, processed_at, batch_id, familiarity, decided)
SELECT 'watch-' || lpad(watch::text, 6, '0'), start, start + interval '10 seconds', label, 0.4 + random() * 0.6, label,
       0.8, ARRAY[0.7, 0.1, 0.05, 0.05, 0.05, 0.05]::real[], ARRAY[label], 1 + random() * 5, 1, 100, 0, '1', '1',
       start + interval '9.9 seconds', start + interval '10 seconds',
       start + interval '10.5 seconds' + random() * interval '0.5 seconds', 1, random(), label
FROM generate_series(%(from)s::timestamptz, %(until)s::timestamptz, interval '10 seconds') AS start,
     generate_series(1, %(watches)s) AS watch,
     LATERAL (SELECT (%(labels)s::text[])[1 + ((watch + extract(epoch FROM start)::bigint / 300) %% 6)] AS label) AS of
"""
# of auto_explain; the embedded superuser's session alone may load it, so the plans are those of the owner's statements
_PLANS = """
LOAD 'auto_explain';
SET auto_explain.log_min_duration = 500;
SET auto_explain.log_analyze = on;
SET auto_explain.log_timing = off;
SET auto_explain.log_level = notice;
SET auto_explain.log_nested_statements = on;
SET client_min_messages = notice
"""
WATCH = "watch-000007"
Query = Callable[[Connection], object]


def queries(config: Settings, now: datetime) -> dict[str, Query]:
    """What is measured, by name."""
    since = int((now - timedelta(minutes=30)).timestamp())
    found: dict[str, Query] = {
        "pulse (activity watch, Live)": lambda c: live.take_pulse(c, config.kafka.topic),
        "overview (Start)": lambda c: views.overview(c, config.registry.classifier, "somebody"),
        "newest predictions (Live)": lambda c: views.list_predictions(c, views.Filter(), limit=50),
        "those of an activity": lambda c: views.list_predictions(
            c, views.Filter(activity="stairs"), limit=50
        ),
        "those of a watch": lambda c: views.list_predictions(c, views.Filter(device_prefix=WATCH), limit=50),
        "three minutes of activities (Live)": lambda c: views.activity_counts(c, since, 30, since + 180),
        "three minutes of latency (Live)": lambda c: views.live_latency(c, since, 30, 10.0, since + 180),
        "watches (Watch)": views.recent_watches,
        "last hour (Watch)": lambda c: views.last_hour_of(c, WATCH),
        "bouts (Watch)": lambda c: views.bouts_of(c, WATCH, now - timedelta(hours=1)),
        "watches at last (doctor)": live.watches_at_last,
        "metrics": lambda c: figures.prometheus_text(config, c),
    }
    for view in (
        "current_activity",
        "predictions_readable LIMIT 100",
        "throughput_by_minute ORDER BY minute DESC LIMIT 10",
        f"bouts WHERE device_id = '{WATCH}'",
    ):
        found[f"view {view}"] = lambda c, view=view: fetch_all(c, f"SELECT * FROM {view}")
    return found


@contextmanager
def store() -> Iterator[Settings]:
    """A PostgreSQL of its own, without the rest of the stack."""
    folder = Path(tempfile.mkdtemp(prefix="activity-views-"))
    folder.chmod(0o711)
    os.environ |= {
        "ACTIVITY_LOCAL__FOLDER": str(folder / "local"),
        "ACTIVITY_STORE__PORT": str(any_free_port()),
    }
    os.environ["ACTIVITY_STORE__HOST"] = "127.0.0.1"
    config = load()
    stack = Stack(config)
    try:
        stack.up(only=["postgres"], tied=True)
        yield config
    finally:
        stack.down()
        link = folder / "local" / "postgres"
        if link.is_symlink():
            shutil.rmtree(link.resolve(), ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)


def fill(config: Settings, watches: int, minutes: float) -> datetime:
    """Generate the rows but for the last ones; returns where the last window begins."""
    now = datetime.now(UTC)
    last = now - timedelta(seconds=now.second % 10 + 12, microseconds=now.microsecond)
    with session(config) as connection:
        days = (last.date() - timedelta(days=1), last.date())
        execute(connection, "SELECT make_prediction_days(%s, %s)", days)
        name = config.registry.classifier
        record_model_version(connection, name=name, version="1", labels=LABELS, feature_version="1")
    begun = time.monotonic()
    for part in range(int(minutes // 10)):
        until = last - timedelta(minutes=10 * part)
        add(config, watches, until - timedelta(seconds=590), until)
    with session(config) as connection:
        execute(connection, "ANALYZE predictions")
        rows = fetch_value(connection, "SELECT count(*) FROM predictions")
        size = fetch_value(connection, "SELECT pg_database_size(current_database())")
    say(f"{rows:,} rows, {size / 1e9:.1f} GB, in {time.monotonic() - begun:.0f} s")
    return last


def add(config: Settings, watches: int, first: datetime, until: datetime) -> None:
    """The windows that begin in a span, both ends included."""
    values = {"from": first, "until": until, "watches": watches, "labels": list(LABELS)}
    with session(config) as connection:
        execute(connection, _FILL, values)


def measure(config: Settings, query: Query, plans: bool) -> float:
    """The median of three, after one that fills the caches."""
    taken = []
    for number in range(4):
        with session(config, read_only=True) as connection:
            if plans and number == 3:
                execute(connection, _PLANS)
            begun = time.monotonic()
            query(connection)
            taken.append(time.monotonic() - begun)
            for notice in getattr(connection, "notices", ()):
                say(notice)
    return statistics.median(taken[1:])


def main() -> None:
    """Fill, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--watches", type=int, default=10_000)
    parser.add_argument("--minutes", type=float, default=80)
    parser.add_argument("--only", default="", help="queries whose name contains this")
    parser.add_argument("--plans", action="store_true")
    args = parser.parse_args()
    result: dict[str, float] = {}
    with store() as config:
        last = fill(config, args.watches, args.minutes)
        for name, query in queries(config, last).items():
            if args.only in name:
                until = datetime.now(UTC) - timedelta(seconds=12)  # the stream goes on meanwhile
                add(config, args.watches, last + timedelta(seconds=10), until)
                last += timedelta(seconds=max(0, (until - last).total_seconds() // 10 * 10))
                result[name] = round(measure(config, query, args.plans), 3)
                say(f"{result[name]:8.3f} s  {name}")
    json.dump({"watches": args.watches, "minutes": args.minutes, "seconds": result}, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
