"""What activity events and withdrawals cost the scorer's store: batches with events and without, in turns, in two equal
databases.

    python benchmarks/events.py [--watches 1000] [--minutes 10] [--per-window 5] [--bout-minutes 3] [--withdrawn 50]

Starts a PostgreSQL of its own. Each batch asks of whom nothing is taken, writes the newest window of every watch as it
fills (so many times a window), smooths it, and, in one database, tells its bouts. Prints JSON: the median milliseconds
of each, the median of the ratios batch by batch with a span of 90 % (above 1: slower with events, or with the question
about withdrawals), and the ratio of the processor time of all batches, which other work on the machine leaves alone.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import psutil
from prediction_days import LABELS, rows

from activitymodule.embedded.postgres import Postgres
from activitymodule.embedded.processes import any_free_port
from activitymodule.embedded.stack import Stack
from activitymodule.settings import build, load, reveal
from activitymodule.store import participants
from activitymodule.store.connection import Connection, connect
from activitymodule.store.migrate import upgrade
from activitymodule.store.models import record_model_version
from activitymodule.store.participants import Wear, excluded
from activitymodule.store.predictions import write_predictions
from activitymodule.store.queries import fetch_one
from activitymodule.store.smoothing import refresh_smoothed
from activitymodule.store.telling import Teller

WINDOW_US = 10_000_000


class Side:
    """One database, and the milliseconds of its batches."""

    def __init__(self, connection: Connection, teller: Teller | None) -> None:
        self.connection, self.teller = connection, teller
        self.asking: list[float] = []
        self.writing: list[float] = []
        self.smoothing: list[float] = []
        self.own_seconds = 0.0
        self.server = psutil.Process(fetch_one(connection, "SELECT pg_backend_pid()")[0])

    @property
    def cpu_seconds(self) -> float:
        """Processor time of all batches, of this process and of the server's."""
        times = self.server.cpu_times()
        return self.own_seconds + times.user + times.system

    def batch(self, number: int, watches: int, start_us: int, readings: int, best: np.ndarray) -> None:
        """Write a window of every watch, and smooth it."""
        made = rows(watches, np.array([start_us]), readings)
        probabilities = np.full((watches, len(LABELS)), 0.02, np.float32)
        probabilities[np.arange(watches), best] = 0.9
        asks, cpu = time.perf_counter(), time.process_time()
        excluded(self.connection).rows(made.device_id, made.window_start_us, WINDOW_US)
        begin = time.perf_counter()
        write_predictions(self.connection, replace(made, probabilities=probabilities, batch_id=number))
        self.connection.commit()
        wrote = time.perf_counter()
        refresh_smoothed(
            self.connection, batch_id=number, scoring=load({}).scoring, since=_EPOCH, teller=self.teller
        )
        self.connection.commit()
        if self.teller is not None:
            self.teller.committed()
        self.own_seconds += time.process_time() - cpu
        self.asking.append(1000 * (begin - asks))
        self.writing.append(1000 * (wrote - begin))
        self.smoothing.append(1000 * (time.perf_counter() - wrote))


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def ratios(on: list[float], off: list[float]) -> dict[str, float]:
    """The median of the ratios pair by pair, and where 90 % of them lie."""
    found = np.divide(on, off)
    low, middle, high = np.quantile(found, (0.05, 0.5, 0.95))
    return {"median": round(middle, 3), "from": round(low, 3), "to": round(high, 3)}


def run(sides: dict[str, Side], options: argparse.Namespace) -> None:
    """Batches in turns; activities change as persons' do."""
    rng = np.random.default_rng(1)
    best = rng.integers(0, len(LABELS), options.watches)
    first = int(time.time() * 1e6) // WINDOW_US * WINDOW_US - options.minutes * 60_000_000
    number = 0
    for window in range(options.minutes * 6):
        change = rng.random(options.watches) < 1 / (options.bout_minutes * 6)
        best = np.where(change, rng.integers(0, len(LABELS), options.watches), best)
        for part in range(1, options.per_window + 1):
            number += 1
            order = list(sides.values()) if number % 2 else list(sides.values())[::-1]
            for side in order:
                readings = 100 * part // options.per_window
                side.batch(number, options.watches, first + window * WINDOW_US, readings, best)


def summary(on: Side, off: Side) -> dict[str, object]:
    """The figures of all batches."""
    cpu = on.cpu_seconds / off.cpu_seconds
    whole = [[a + b for a, b in zip(one.writing, one.smoothing, strict=True)] for one in (on, off)]
    told, bouts = fetch_one(
        on.connection, "SELECT (SELECT count(*) FROM activity_events), (SELECT count(*) FROM bouts)"
    )
    return {
        "events": told,
        "bouts": bouts,
        "asking_ms": round(statistics.median(off.asking), 2),
        "writing_ms": round(statistics.median(off.writing), 2),
        "smoothing_ms": round(statistics.median(off.smoothing), 2),
        "smoothing_and_telling_ms": round(statistics.median(on.smoothing), 2),
        "ratio_of_smoothing": ratios(on.smoothing, off.smoothing),
        "ratio_of_the_batch": ratios(*whole),
        "ratio_with_withdrawals": ratios(
            [a + b for a, b in zip(whole[1], off.asking, strict=True)], whole[1]
        ),
        "ratio_of_processor_time": round(cpu, 3),
        "ratio_of_all_batches": round(sum(whole[0]) / sum(whole[1]), 3),
    }


def withdraw_some(connection: Connection, count: int) -> None:
    """People who have withdrawn; their watches send nothing any more."""
    for number in range(count):
        participants.add(connection, f"withdrawn-{number}")
        participants.assign(connection, Wear(f"withdrawn-{number}", f"their-{number}", None, None))
        participants.withdraw(connection, f"withdrawn-{number}")


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--watches", type=int, default=1000)
    parser.add_argument("--minutes", type=int, default=10)
    parser.add_argument("--per-window", type=int, default=5)
    parser.add_argument("--bout-minutes", type=float, default=3)
    parser.add_argument("--withdrawn", type=int, default=50, help="people who have withdrawn")
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
        sides = {}
        for name, teller in (("off", None), ("on", Teller())):
            tree["store"]["database"] = name
            config = build(tree)
            Postgres(config).settle()
            upgrade(config)
            connection = connect(config)
            record_model_version(connection, name="m", version="1", labels=LABELS, feature_version="f")
            withdraw_some(connection, options.withdrawn)
            connection.commit()
            sides[name] = Side(connection, teller)
        run(sides, options)
        json.dump({**vars(options), **summary(sides["on"], sides["off"])}, sys.stdout, indent=1)
        print()
        for side in sides.values():
            side.connection.close()
    finally:
        stack.down()
    return 0


if __name__ == "__main__":
    sys.exit(main())
