"""How fast signals are synthesised on one core; prints JSON.

    python benchmarks/signals.py [--minutes 500] [--runs 7]

Two kinds of work, with their spread over runs: `spread`, each minute of another device (a path walked afresh
each time), and `live`, some devices minute after minute, as a fleet in real time asks. Seconds are those of the
processor, since others may share the machine; beside them stands how fast numpy draws as many normal numbers,
which shows how much the machine's caches are disturbed.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy is loaded

import argparse
import json
import statistics
import time
from collections.abc import Callable

import numpy as np

from activitymodule.statistics.process import MINUTE
from activitymodule.statistics.reference import ReferenceStatistics
from activitymodule.synthesis.signals import SignalGenerator

FIRST_MINUTE = 29_000_000


def seconds(work: Callable[[int], object], runs: int) -> list[float]:
    """Processor seconds of each run (others share the machine); a run before them warms up."""
    work(runs)
    taken = []
    for run in range(runs):
        start = time.process_time()
        work(run)
        taken.append(time.process_time() - start)
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=int, default=500)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--reference", default="wisdm")
    options = parser.parse_args()

    reference = ReferenceStatistics.load(options.reference)
    signals = SignalGenerator(reference, 1)
    n = options.minutes
    readings = n * MINUTE
    profile = np.arange(n) % len(reference.profiles)
    few = max(1, n // 10)

    def spread(run: int) -> object:
        return signals.blocks(profile, np.arange(n) + run * n, np.full(n, FIRST_MINUTE))

    def live(run: int) -> object:
        minute = FIRST_MINUTE + run * 10 + np.arange(n) // few
        return signals.blocks(profile[np.arange(n) % few], np.arange(n) % few, minute)

    def normals(run: int) -> object:
        return np.random.default_rng(run).standard_normal((n, MINUTE, 3), dtype=np.float32)

    figures = {}
    for work in (spread, live, normals):
        rates = [readings / s for s in seconds(work, options.runs)]
        figures[work.__name__] = {
            "readings_per_second_median": round(statistics.median(rates)),
            "low": round(min(rates)),
            "high": round(max(rates)),
        }
    by_activity = {}
    for activity in reference.activities:
        chosen = np.resize(signals.profiles_of(activity), max(few, 40))
        device = np.arange(len(chosen))

        def one(run: int, chosen: np.ndarray = chosen, device: np.ndarray = device) -> object:
            return signals.blocks(chosen, device, np.full(len(chosen), FIRST_MINUTE + run))

        rate = len(chosen) * MINUTE / statistics.median(seconds(one, options.runs))
        by_activity[activity] = round(rate)
    print(
        json.dumps(
            {
                "reference": options.reference,
                "runs": options.runs,
                "readings_per_run": readings,
                "load_average": round(os.getloadavg()[0], 1),
                "cores": os.cpu_count(),
                **figures,
                "readings_per_second_by_activity": by_activity,
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
