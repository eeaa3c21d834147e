"""Predictions as one table and as partitions by day: upserts, smoothing and the console's queries, in turns.

    python benchmarks/prediction_days.py [--days 30] [--watches 100] [--repetitions 15]

Starts a PostgreSQL of its own with two databases of the same rows: one at the revision before the partitions, one at
the newest. Prints JSON: the median milliseconds of both, and the median of their ratios pair by pair (above 1:
partitions are faster). Rows of a day: as many watches as given, a window every five minutes.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from activitymodule.embedded.postgres import Postgres
from activitymodule.embedded.processes import any_free_port
from activitymodule.embedded.stack import Stack
from activitymodule.settings import Settings, build, load, resource, reveal
from activitymodule.store import live, views
from activitymodule.store.connection import connect
from activitymodule.store.migrate import upgrade
from activitymodule.store.models import record_model_version
from activitymodule.store.predictions import PredictionRows, stored_windows, write_predictions
from activitymodule.store.queries import execute, fetch_all
from activitymodule.store.queue import past_probabilities
from activitymodule.store.smoothing import refresh_smoothed_windows

LABELS = ("jogging", "kicking", "sitting", "stairs", "standing", "walking")
BEFORE = "0010"
DAY_US = 86_400_000_000
STEP_US = 300_000_000
BATCH = 100  # windows of a micro-batch: what 1,000 watches send in a second


def rows(watches: int, starts_us: np.ndarray, readings: int = 100) -> PredictionRows:
    """A window of each watch at each of these times."""
    n = watches * len(starts_us)
    rng = np.random.default_rng(1)
    probabilities = rng.dirichlet(np.ones(len(LABELS)), n).astype(np.float32)
    start = np.tile(starts_us, watches)
    return PredictionRows(
        device_id=pa.array([f"watch-{i:05d}" for i in range(watches) for _ in starts_us]),
        window_start_us=start,
        window_seconds=10,
        labels=LABELS,
        probabilities=probabilities,
        in_set=probabilities > 0.2,
        kcal_per_min=rng.uniform(1, 9, n).astype(np.float32),
        coverage=np.ones(n, np.float32),
        readings_used=np.full(n, readings, np.int32),
        duplicates=np.zeros(n, np.int32),
        reason=pa.nulls(n, pa.string()),
        model_version="1",
        energy_version=None,
        last_reading_us=start + 9_900_000,
        received_us=start + 10_000_000,
        batch_id=1,
    )


def migrated_to(config: Settings, revision: str) -> None:
    """A database of an earlier revision."""
    engine = create_engine("postgresql+psycopg2://", creator=lambda: connect(config), poolclass=NullPool)
    migrations = Config()
    migrations.set_main_option("script_location", str(resource("sql/migrations")))
    with engine.begin() as connection:
        migrations.attributes["connection"] = connection
        command.upgrade(migrations, revision)


def fill(connection: Any, days: int, watches: int, end_us: int) -> None:
    """Write the rows, a day after the other, and have PostgreSQL count them."""
    record_model_version(connection, name="m", version="1", labels=LABELS, feature_version="f")
    for day in range(days):
        at = end_us - (days - day) * DAY_US + np.arange(0, DAY_US, STEP_US)
        write_predictions(connection, rows(watches, at))
        connection.commit()
    execute(connection, "UPDATE predictions SET processed_at = window_end + interval '300 ms'")
    connection.commit()
    connection.autocommit = True
    execute(connection, "VACUUM (ANALYZE, FULL) predictions")
    connection.autocommit = False


def workloads(watches: int, end_us: int) -> dict[str, Callable[[Any, int], object]]:
    """What is measured, by name: a function of a connection and of the number of the repetition."""
    names = [f"watch-{i:05d}" for i in range(BATCH)]
    last = end_us - STEP_US

    def upsert(connection: Any, k: int) -> None:
        write_predictions(connection, rows(BATCH, np.array([end_us + k * 10_000_000])))
        connection.commit()

    def replace(connection: Any, k: int) -> None:
        write_predictions(connection, rows(BATCH, np.array([last]), 101 + k))
        connection.commit()

    def large(connection: Any, k: int) -> None:
        at = end_us + DAY_US // 2 + k * 1_000_000_000 + np.arange(100) * 10_000_000
        write_predictions(connection, rows(BATCH, at))
        connection.commit()

    def smooth(connection: Any, k: int) -> None:
        refresh_smoothed_windows(connection, names, np.full(BATCH, last), load({}).scoring)
        connection.commit()

    def past(connection: Any, k: int) -> None:
        past_probabilities(
            connection,
            names,
            [last] * BATCH,
            windows=6,
            window_us=10_000_000,
            labels=len(LABELS),
            version="1",
        )

    since = int(end_us / 1e6) - 1800
    return {
        "upsert of 100 new windows": upsert,
        "upsert of 10,000 new windows": large,
        "replacing 100 windows": replace,
        "smoothing 100 windows": smooth,
        "probabilities before 100 windows": past,
        "readings stored of 100 windows": lambda c, k: stored_windows(c, names, np.full(BATCH, last)),
        "pulse (Live, activity watch)": lambda c, k: live.take_pulse(c, "t"),
        "overview (Start)": lambda c, k: views.overview(c, "m", "anna"),
        "predictions, first page": lambda c, k: views.list_predictions(c, views.Filter(), limit=50),
        "predictions of one watch": lambda c, k: views.list_predictions(
            c, views.Filter(device_prefix="watch-00007"), limit=50
        ),
        "activities of half an hour": lambda c, k: views.activity_counts(c, since, 60),
        "last hour of a watch": lambda c, k: views.last_hour_of(c, "watch-00007"),
        "bouts of a watch in a day": lambda c, k: views.bouts_of(
            c, "watch-00007", datetime.fromtimestamp(end_us / 1e6 - 86_400, UTC)
        ),
        "recent watches": lambda c, k: views.recent_watches(c),
        "current_activity": lambda c, k: fetch_all(c, "SELECT * FROM current_activity"),
        "a day's count": lambda c, k: fetch_all(
            c,
            "SELECT activity, count(*) FROM predictions WHERE window_start >= %s GROUP BY 1",
            (datetime.fromtimestamp(end_us / 1e6 - 86_400, UTC),),
        ),
    }


def measure(
    plain: Any, by_day: Any, work: Callable[[Any, int], object], repetitions: int
) -> dict[str, float]:
    """Milliseconds of both in turns, after two turns that do not count."""
    seconds: dict[str, list[float]] = {"plain": [], "by_day": []}
    for k in range(repetitions + 2):
        for name, connection in (("plain", plain), ("by_day", by_day)):
            begin = time.perf_counter()
            work(connection, k)
            if k >= 2:
                seconds[name].append(1000 * (time.perf_counter() - begin))
            connection.rollback()
    ratios = [one / other for one, other in zip(seconds["plain"], seconds["by_day"], strict=True)]
    return {
        "plain_ms": round(statistics.median(seconds["plain"]), 2),
        "by_day_ms": round(statistics.median(seconds["by_day"]), 2),
        "ratio": round(statistics.median(ratios), 2),
    }


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--watches", type=int, default=100)
    parser.add_argument("--repetitions", type=int, default=15)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="activity-bench-"))
    folder.chmod(0o711)
    tree = reveal(load({}))
    tree["local"]["folder"] = str(folder / "local")
    tree["store"] |= {
        "port": any_free_port(), "password": secrets.token_hex(8), "admin_password": secrets.token_hex(8)
    }  # fmt: skip
    stack = Stack(build(tree))
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        stack.up(only=["postgres"], tied=True)
        end_us = int((datetime.now(UTC) + timedelta(days=1)).timestamp() * 1e6) // DAY_US * DAY_US - DAY_US
        connections = []
        logging.disable(logging.WARNING)  # the plain one has no partitions to make
        for name in ("plain", "by_day"):
            tree["store"]["database"] = name
            config = build(tree)
            Postgres(config).settle()
            if name == "plain":
                migrated_to(config, BEFORE)
            else:
                upgrade(config)
            connection = connect(config)
            if name == "plain":  # which has no days to analyse
                execute(
                    connection,
                    "CREATE FUNCTION analyse_new_prediction_days() RETURNS integer LANGUAGE sql AS 'SELECT 0'",
                )
            fill(connection, options.days, options.watches, end_us)
            connections.append(connection)
        found = {
            name: measure(connections[0], connections[1], work, options.repetitions)
            for name, work in workloads(options.watches, end_us).items()
        }
        json.dump({**vars(options), "results": found}, sys.stdout, indent=1)
        print()
        for connection in connections:
            connection.close()
    finally:
        stack.down()
    return 0


if __name__ == "__main__":
    sys.exit(main())
