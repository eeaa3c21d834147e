"""How long `activity days build` takes for a day of some watches that sent ten readings a second.

    python benchmarks/days_build.py [--watches 2] [--hours 24]

Starts a PostgreSQL of its own, fills it with a prediction every ten seconds and an archive with the readings, and
builds. Prints JSON: seconds and processor seconds in all, seconds of a build of one hour (what starting Spark takes,
for the most part), readings a second beyond that, and the greatest memory of all its processes.
"""

from __future__ import annotations

import argparse
import json
import secrets
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from harness import Usage, Watcher
from prediction_days import LABELS, rows

from activitymodule.embedded.postgres import Postgres
from activitymodule.embedded.processes import any_free_port, clean_environment
from activitymodule.embedded.stack import Stack
from activitymodule.lake.archive import archive_path
from activitymodule.settings import Settings, build, environment_of, load, reveal
from activitymodule.store.connection import session
from activitymodule.store.migrate import upgrade
from activitymodule.store.models import record_model_version
from activitymodule.store.prediction_days import make_days
from activitymodule.store.predictions import write_predictions
from activitymodule.telemetry.encode import messages
from activitymodule.telemetry.schema import arrow_schema

HOUR_US = 3_600_000_000
_A_SECOND = 10  # readings


def readings_of(device: str, start_us: int, rng: np.random.Generator) -> pa.Table:
    """An hour of a watch that moves a little."""
    n = 3600 * _A_SECOND
    columns = {
        "device_id": pa.array([device] * n),
        "stamp": pa.array(start_us + np.arange(n) * (1_000_000 // _A_SECOND)).cast(pa.timestamp("us", "UTC")),
        "heart_rate": pa.array(rng.normal(80, 5, n).astype(np.float32)),
        **{f"user_acceleration_{axis}": pa.array(rng.normal(0, 0.1, n).astype(np.float32)) for axis in "xyz"},
    }
    schema = arrow_schema()
    return pa.table([columns.get(field.name, pa.nulls(n, field.type)) for field in schema], schema=schema)


def fill(config: Settings, watches: int, start: datetime, hours: int) -> None:
    """Predictions and archived messages, hour after hour."""
    rng = np.random.default_rng(1)
    with session(config) as connection:
        record_model_version(connection, name="m", version="1", labels=LABELS, feature_version="f")
        make_days(connection, start.date(), (start + timedelta(hours=hours)).date())
    for hour in range(hours):
        at = int(start.timestamp()) * 1_000_000 + hour * HOUR_US
        with session(config) as connection:
            write_predictions(connection, rows(watches, at + np.arange(360) * 10_000_000))
        made = messages(
            pa.concat_tables([readings_of(f"watch-{k:05d}", at, rng) for k in range(watches)]), 10
        )
        n = len(made.value)
        table = pa.table(
            {
                "key": pa.array([device.encode() for device in made.device_id], pa.binary()),
                "value": pa.array(made.value, pa.binary()),
                "partition": pa.array([0] * n, pa.int32()),
                "offset": pa.array(range(n), pa.int64()),
                "timestamp": pa.array(made.newest_us).cast(pa.timestamp("us", "UTC")),
                "timestampType": pa.array([1] * n, pa.int32()),
            }
        )
        folder = Path(archive_path(config)) / f"date={start + timedelta(hours=hour):%F}"
        folder.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, folder / f"part-{hour:03d}.parquet", compression="zstd")


def built(config: Settings, folder: Path, first: datetime) -> tuple[float, Usage, int]:
    """Seconds of a build of all days from that one on, what it used, and how many records it made."""
    began = time.perf_counter()
    with (folder / "build.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "activitymodule", "days", "build", "--from", f"{first:%F}", "--json"],
            env=clean_environment(environment_of(config) | {"OMP_NUM_THREADS": "1"}),
            stdout=subprocess.PIPE,
            stderr=log,
        )
        watcher = Watcher([process.pid])
        watcher.start()
        printed, _ = process.communicate()
    if process.returncode:
        raise SystemExit((folder / "build.log").read_text(encoding="utf-8")[-2000:])
    return time.perf_counter() - began, watcher.finish(), json.loads(printed)["rows"]


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--watches", type=int, default=2)
    parser.add_argument("--hours", type=int, default=24)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="activity-bench-") as temporary:
        folder = Path(temporary)
        folder.chmod(0o711)
        tree = reveal(load({}))
        tree["local"]["folder"] = str(folder / "local")
        tree["lake"]["folder"], tree["archive"]["folder"] = str(folder / "lake"), str(folder / "lake/archive")
        tree["store"] |= {
            "port": any_free_port(),
            "password": secrets.token_hex(8),
            "admin_password": secrets.token_hex(8),
        }
        stack = Stack(build(tree))
        try:
            stack.up(only=["postgres"], tied=True)
            config = build(tree)
            Postgres(config).settle()
            upgrade(config)
            start = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=3)
            # an hour of one watch two days before: what a build of next to nothing takes
            fill(config, 1, start - timedelta(days=2), 1)
            least, _, _ = built(config, folder, start - timedelta(days=2))
            fill(config, options.watches, start, options.hours)
            seconds, usage, made = built(config, folder, start)
        finally:
            stack.down()
    readings = options.watches * options.hours * 3600 * _A_SECOND
    result = {
        **vars(options),
        "readings": readings,
        "records": made,
        "seconds": round(seconds, 1),
        "seconds_of_one_hour_of_one_watch": round(least, 1),
        "readings_a_second": round(readings / max(seconds - least, 0.1)),
        "processor_seconds": round(usage.cpu_seconds, 1),
        "memory_mb": round(usage.peak_mb),
    }
    json.dump(result, sys.stdout, indent=1)
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
