"""How fast windows become features on one core; prints JSON.

    python benchmarks/features.py [--windows 8192] [--runs 9]

Runs of the fast and of the plain implementation take turns, so that their ratio holds on a busy machine too.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy is loaded

import argparse
import json
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
from plain_features import plain_features

from activitymodule import settings
from activitymodule.telemetry.gravity import STANDARD_GRAVITY
from activitymodule.windows import assembling
from activitymodule.windows import features as fast
from activitymodule.windows.catalogue import FAMILIES, MOTION_FAMILIES
from activitymodule.windows.grid import Grid, grid_of
from activitymodule.windows.motion import motion
from activitymodule.windows.panes import windows_of

START_US = 1_700_000_000_000_000


def recording(n_windows: int, sensors: bool) -> pa.Table:
    """Readings of one walking watch, 10 a second: a 2 Hz gait, harmonics and noise."""
    draw = np.random.default_rng(1)
    n = n_windows * 100
    t = np.arange(n) / 10
    gait = 0.3 * np.sin(2 * np.pi * 1.9 * t) + 0.1 * np.sin(2 * np.pi * 3.8 * t)
    columns: dict[str, np.ndarray] = {
        "pitch": 0.3 * np.sin(t / 7),
        "roll": 0.5 * np.cos(t / 11),
        **{
            f"user_acceleration_{a}": gait * k + 0.05 * draw.normal(size=n)
            for a, k in zip("xyz", (1, 0.4, 0.7), strict=True)
        },
    }
    if sensors:
        columns |= {f"rotation_rate_{a}": gait + 0.1 * draw.normal(size=n) for a in "xyz"}
        columns |= {"heart_rate": 90 + draw.normal(size=n), "steps": draw.poisson(0.2, n)}
    stamps = pa.array(START_US + np.arange(n) * 100_000, pa.timestamp("us", tz="UTC"))
    names = pa.array(np.full(n, "watch"))
    return pa.table(
        {
            "device_id": names,
            "stamp": stamps,
            **{k: pa.array(v.astype(np.float32)) for k, v in columns.items()},
        }
    )


def seconds(work: Callable[[], object]) -> float:
    """Processor time, so that what else runs on the machine counts less; one thread, so it is one core's."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


def rate(count: int, times: list[float]) -> dict[str, float]:
    """Windows a second of one core: the median over the runs, and the slowest and fastest run."""
    return {
        "median": round(count / statistics.median(times)),
        "least": round(count / max(times)),
        "most": round(count / min(times)),
    }


def share_of_families(acceleration: np.ndarray, grid: Grid, runs: int) -> dict[str, float]:
    """Share of a chunk's time that each family of acceleration features takes, in per cent."""
    moved = motion(acceleration, grid)
    spent = {"motion": statistics.median(seconds(lambda: motion(acceleration, grid)) for _ in range(runs))}
    for name in MOTION_FAMILIES:
        compute = FAMILIES[name].compute
        spent[name] = statistics.median(seconds(partial(compute, moved)) for _ in range(runs))
    total = sum(spent.values())
    return {name: round(100 * value / total, 1) for name, value in spent.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--windows", type=int, default=8192)
    parser.add_argument("--runs", type=int, default=9)
    options = parser.parse_args()
    windows = settings.Windows()
    n = options.windows

    batches = {}
    for name, sensors in (("acceleration", False), ("all_sensors", True)):
        paned = windows_of(recording(n, sensors), windows)
        batches[name] = assembling.assemble(paned.window_start_us, paned.panes, windows)
    plain_input = batches["acceleration"].grid[:, :, :3].astype(np.float64) * STANDARD_GRAVITY

    works: dict[str, Callable[[], object]] = {
        "assemble": lambda: assembling.assemble(paned.window_start_us, paned.panes, windows),
        "features": lambda: fast.features(batches["acceleration"], windows),
        "features_all_sensors": lambda: fast.features(batches["all_sensors"], windows),
        "plain_features": lambda: [plain_features(plain_input[k : k + 512]) for k in range(0, n, 512)],
    }
    times: dict[str, list[float]] = {name: [] for name in works}
    for work in works.values():
        work()  # warm up
    for _ in range(options.runs):
        for name, work in works.items():
            times[name].append(seconds(work))

    small = {}
    for count in (1, 10, 100):
        part = assembling.WindowBatch(
            *(
                getattr(batches["all_sensors"], field)[:count]
                for field in assembling.WindowBatch.__annotations__
            )
        )
        runs = [seconds(partial(fast.features, part, windows)) for _ in range(4 * options.runs)]
        small[str(count)] = round(1000 * statistics.median(runs), 2)

    grid = grid_of(windows.length_seconds, windows.rate_hz)
    acceleration = np.ascontiguousarray(plain_input[: grid.chunk].transpose(2, 0, 1).astype(np.float32))
    print(
        json.dumps(
            {
                "windows": n,
                "runs": options.runs,
                "chunk": grid.chunk,
                "windows_per_core_second": {name: rate(n, values) for name, values in times.items()},
                "ratio_to_plain": round(
                    statistics.median(
                        p / f for p, f in zip(times["plain_features"], times["features"], strict=True)
                    ),
                    2,
                ),
                "milliseconds_of_a_small_batch": small,
                "per_cent_of_time": share_of_families(acceleration, grid, 20 * options.runs),
                "load_average": os.getloadavg()[0],
                "file": Path(__file__).name,
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
