"""What the console, `activity watch`, the metrics and the views take on a large store, in seconds.

    python benchmarks/views.py                        10,000 watches, the last 80 minutes: 7 million rows, 3 GB
    python benchmarks/views.py --watches 1000 --minutes 30
    python benchmarks/views.py --minutes 1667 --keep FOLDER      100 million rows, 40 GB, kept to be measured again
    python benchmarks/views.py --plans                each statement of half a second or more with its plan, too
    python benchmarks/views.py --table                as the table in docs/sql.md

The rows are generated: each watch has a window every ten seconds, written as it ended. The seven days before have one
an hour, and there are partitions for all days that a store keeps. While it measures, the watches go on.
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
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import psutil
from harness import say
from psycopg2 import sql
from psycopg2.extensions import cursor
from typing_extensions import override

from activitymodule.embedded.processes import any_free_port
from activitymodule.embedded.stack import Stack
from activitymodule.monitoring import figures
from activitymodule.settings import Settings, load
from activitymodule.store import devices, drift, live, views
from activitymodule.store.connection import Connection, session
from activitymodule.store.models import record_model_version
from activitymodule.store.prediction_days import day_bounds
from activitymodule.store.queries import execute, fetch_all, fetch_value
from annotation.feed import Snapshot, look_again

LABELS = ("jogging", "lying", "sitting", "stairs", "standing", "walking")
_STEP = 10
_DAYS_BEFORE = 7
_SLOW_SECONDS = 0.5
# the windows of all watches that begin at one moment: rows lie as they arrive, by time
_WINDOWS = sql.SQL("""
INSERT INTO {table} (device_id, window_start, window_end, activity, confidence, smoothed_activity,
    smoothed_confidence, probabilities, conformal_set, kcal_per_min, coverage, readings_used, duplicates, model_version,
    energy_version, last_reading_at, received_at, processed_at, batch_id, familiarity, decided)
SELECT device_id, {start}, {start} + interval '10 seconds', label, 0.4 + random() * 0.6, label,
       0.8, ARRAY[0.7, 0.1, 0.05, 0.05, 0.05, 0.05]::real[], ARRAY[label], 1 + random() * 5, 1, 100, 0, '1', '1',
       {start} + interval '9.9 seconds', {start} + interval '10 seconds',
       {start} + interval '10.5 seconds' + random() * interval '0.5 seconds', 1, random(), label
FROM (SELECT device_id, ({labels})[1 + (number + {turn}) % 6] AS label FROM made_watches OFFSET 0) AS made
""")
_WATCHES = """
CREATE TABLE made_watches AS
SELECT number, 'watch-' || lpad(number::text, 6, '0') AS device_id FROM generate_series(1, %s) AS number;
INSERT INTO devices (device_id, device_model, source)
SELECT device_id, (ARRAY['apple-watch', 'no-profile'])[1 + number %% 2], 'message' FROM made_watches;
ANALYZE devices
"""
# Filled without WAL, and before it has indexes. They become part of those of predictions as it is attached, and the
# check saves PostgreSQL from looking at every row again.
_DAY = sql.SQL("""
DROP TABLE IF EXISTS {table};
CREATE UNLOGGED TABLE {table} (
    LIKE predictions INCLUDING DEFAULTS INCLUDING CONSTRAINTS,
    CONSTRAINT of_day CHECK (window_start >= {begin} AND window_start < {end})
) WITH (fillfactor = {full}, autovacuum_enabled = off)
""")
_DAY_DONE = sql.SQL("""
SET maintenance_work_mem = '1GB';
ALTER TABLE {table} ADD PRIMARY KEY (device_id, window_start);
CREATE INDEX ON {table} (window_start);
CREATE INDEX ON {table} (processed_at);
ALTER TABLE predictions ATTACH PARTITION {table} FOR VALUES FROM ({begin}) TO ({end});
ALTER TABLE {table} DROP CONSTRAINT of_day
""")
WATCH = "watch-000007"
Query = Callable[[Connection], object]


def queries(config: Settings, now: datetime) -> dict[str, Query]:
    """What is measured, by name."""
    looks: list[Snapshot] = [Snapshot(now)]

    def look(connection: Connection) -> None:
        looks.append(look_again(connection, config, looks[-1]))

    found: dict[str, Query] = {
        "pulse (activity watch)": lambda c: live.take_pulse(c, config.kafka.topic),
        "overview (Start)": lambda c: views.overview(c, config.registry.classifier, "somebody"),
        "first look (Live)": lambda c: look_again(c, config, looks[0]),
        "each further look (Live)": look,
        "newest predictions (Live)": lambda c: views.list_predictions(c, views.Filter(), limit=50),
        "those of an activity": lambda c: views.list_predictions(
            c, views.Filter(activity="stairs"), limit=50
        ),
        "those of a watch": lambda c: views.list_predictions(c, views.Filter(device_prefix=WATCH), limit=50),
        "watches (Watch)": views.recent_watches,
        "last hour (Watch)": lambda c: views.last_hour_of(c, WATCH),
        "bouts (Watch)": lambda c: views.bouts_of(c, WATCH, now - timedelta(hours=1)),
        "watches without a model (Devices)": devices.watches_without_model,
        "watches without a profile (activity status)": devices.watches_without_profile,
        "watches of the drift report (Drift)": lambda c: drift.watches_seen(
            c, "1", now - timedelta(minutes=config.monitoring.look_back_minutes), now, 0.99
        ),
        "watches at last (doctor)": live.watches_at_last,
        "metrics": lambda c: figures.prometheus_text(config, c),
    }
    for view in (
        "current_activity",
        "predictions_readable LIMIT 100",
        "throughput_by_minute ORDER BY minute DESC LIMIT 10",
        f"bouts WHERE device_id = '{WATCH}'",
    ):
        found[f"view {view}"] = partial(fetch_all, sql=f"SELECT * FROM {view}")
    return found


@contextmanager
def store(kept: Path | None) -> Iterator[Settings]:
    """A PostgreSQL of its own, without the rest of the stack. kept : its folder stays there"""
    folder = Path(tempfile.mkdtemp(prefix="activity-views-")) if kept is None else kept.resolve()
    folder.mkdir(parents=True, exist_ok=True)
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
        if kept is None:
            link = folder / "local" / "postgres"
            if link.is_symlink():
                shutil.rmtree(link.resolve(), ignore_errors=True)
            shutil.rmtree(folder, ignore_errors=True)


def fill(config: Settings, watches: int, minutes: float) -> None:
    """Generate the rows but for the last ones. Days before have a window a watch and hour, and empty partitions lie
    around them as in a store that has run for long."""
    last = newest_start()
    first = last - timedelta(minutes=minutes)
    today = last.date()
    with session(config) as connection:
        execute(connection, _WATCHES, (watches,))
        name = config.registry.classifier
        record_model_version(connection, name=name, version="1", labels=LABELS, feature_version="1")
    begun = time.monotonic()
    days = [first.date() - timedelta(days=n) for n in range(_DAYS_BEFORE, 0, -1)]
    days += [first.date() + timedelta(days=n) for n in range((today - first.date()).days + 1)]
    with ThreadPoolExecutor(2) as pool:  # one connection keeps one core busy
        list(pool.map(lambda day: fill_day(config, day, first, last), days))
    with session(config) as connection:
        kept = config.retention.predictions_days or 30
        execute(
            connection,
            "SELECT make_prediction_days(%s, %s)",
            (today - timedelta(days=kept), today + timedelta(days=3)),
        )
        execute(connection, "ANALYZE predictions")
    say(f"filled in {time.monotonic() - begun:.0f} s")


def newest_start() -> datetime:
    """Where the newest window begins that would be written by now."""
    return datetime.fromtimestamp((time.time() - 12) // _STEP * _STEP, UTC)


def fill_day(config: Settings, day: date, first: datetime, last: datetime) -> None:
    """Make and fill the partition of a day."""
    begin, end = day_bounds(day)
    table = sql.Identifier(f"predictions_{day:%Y%m%d}")
    full = sql.Literal(70 if day == last.date() else 100)  # the room of a past day has been used
    names: dict[str, sql.Composable] = {
        "table": table,
        "full": full,
        "begin": sql.Literal(begin),
        "end": sql.Literal(end),
    }
    with session(config) as connection:
        execute(connection, _DAY.format(**names))
        at = begin
        while at < end and at <= last:
            add(connection, table, at)
            hour = at + timedelta(hours=1)
            at = hour if hour < first else max(first, at + timedelta(seconds=_STEP))
        execute(connection, _DAY_DONE.format(**names))
    say(f"filled {day}")


def add(connection: Connection, table: sql.Identifier, start: datetime) -> None:
    """The windows of all watches that begin at a time."""
    turn = sql.Literal(int(start.timestamp()) // 300)
    labels = sql.Literal(list(LABELS))
    execute(connection, _WINDOWS.format(table=table, start=sql.Literal(start), turn=turn, labels=labels))


def follow(config: Settings) -> datetime:
    """Write what the watches have sent since the newest window; returns where the newest one begins now."""
    last = newest_start()
    with session(config) as connection:
        at = fetch_value(connection, "SELECT max(window_start) FROM predictions")
        while at < last:
            at += timedelta(seconds=_STEP)
            add(connection, sql.Identifier("predictions"), at)
            connection.commit()
    return last


class Explaining(cursor):
    """Shows the plan of a statement that takes long, too: runs it once more."""

    @override
    def execute(self, query: Any, vars: Any = None) -> None:
        begun = time.monotonic()
        super().execute(query, vars)
        if time.monotonic() - begun >= _SLOW_SECONDS:
            done = self.query or b""
            with self.connection.cursor(cursor_factory=cursor) as other:
                other.execute(b"EXPLAIN (ANALYZE, BUFFERS, TIMING off) " + done)
                say("\n".join([done.decode(), *(line for (line,) in other.fetchall())]))


def measure(config: Settings, query: Query, plans: bool) -> tuple[float, float]:
    """Seconds, and CPU seconds of PostgreSQL's backend: medians of five, after one that fills the caches."""
    taken = []
    for number in range(6 + plans):
        follow(config)  # the stream goes on meanwhile
        with session(config, read_only=True) as connection:
            if number == 6:
                connection.cursor_factory = Explaining
            backend = psutil.Process(connection.info.backend_pid)
            begun, before = time.monotonic(), sum(backend.cpu_times()[:2])
            query(connection)
            taken.append((time.monotonic() - begun, sum(backend.cpu_times()[:2]) - before))
    whole, busy = (round(statistics.median(one), 3) for one in zip(*taken[1:6], strict=True))
    return whole, busy


def main() -> None:
    """Fill, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--watches", type=int, default=10_000)
    parser.add_argument("--minutes", type=float, default=80)
    parser.add_argument(
        "--keep", type=Path, help="a folder for the store, which is used again where it is filled"
    )
    parser.add_argument("--only", default="", help="queries whose name contains this")
    parser.add_argument("--plans", action="store_true")
    parser.add_argument("--table", action="store_true", help="Markdown instead of JSON")
    args = parser.parse_args()
    seconds: dict[str, tuple[float, float]] = {}
    with store(args.keep) as config:
        with session(config) as connection:
            filled = fetch_value(connection, "SELECT to_regclass('made_watches') IS NOT NULL")
        if not filled:
            fill(config, args.watches, args.minutes)
        newest = follow(config)
        with session(config) as connection:
            rows = int(fetch_value(connection, "SELECT sum(rows) FROM prediction_days"))  # an estimate
            watches = fetch_value(connection, "SELECT count(*) FROM made_watches")
            size = round(fetch_value(connection, "SELECT pg_database_size(current_database())") / 1e9, 1)
        say(f"{rows:,} rows, {size} GB")
        for name, query in queries(config, newest).items():
            if args.only in name:
                seconds[name] = wall, cpu = measure(config, query, args.plans)
                say(f"{wall:8.3f} s, {cpu:8.3f} CPU s  {name}")
    if args.table:
        print("| what | seconds | CPU seconds |", "|---|---|---|", sep="\n")
        for name, (whole, busy) in seconds.items():
            print(f"| {name} | {whole:.2f} | {busy:.2f} |")
        return
    json.dump({"watches": watches, "rows": rows, "gigabytes": size, "seconds": seconds}, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
