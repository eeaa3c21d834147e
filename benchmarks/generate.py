"""How many readings a second one core makes: signals, channels, JSON, and the Arrow batches for Kafka's sink.

    python benchmarks/generate.py [--devices 200] [--seconds 300] [--runs 5]

JSON on stdout. `wall` suffers from whatever else runs on the machine; `cpu` counts this process alone, and is
what the figures in docs/fleet.md are. Every run makes readings that no run before has made.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np  # noqa: E402  the variables above are read when it is imported
import pyarrow as pa  # noqa: E402

from activitymodule.synthesis.faults import Run  # noqa: E402
from activitymodule.synthesis.fleet import sending  # noqa: E402
from activitymodule.synthesis.history import DEFAULT_START  # noqa: E402
from activitymodule.synthesis.readings import watches  # noqa: E402


def batches(run: Run, rows_at_once: int = 50_000) -> list[pa.RecordBatch]:
    """Rows in the order in which a task of a batch gets them: second after second."""
    assert run.last_second is not None
    number = np.arange(run.devices * (run.last_second - run.first_second + 1))
    table = pa.table(
        {
            "device": 1 + number % run.devices,
            "second": run.first_second + number // run.devices,
            "seed": np.full(len(number), run.seed),
        }
    )
    return table.to_batches(max_chunksize=rows_at_once)


def spread(values: list[float]) -> dict[str, float]:
    return {
        "median": round(statistics.median(values)),
        "least": round(min(values)),
        "most": round(max(values)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, default=200)
    parser.add_argument("--seconds", type=int, default=300)
    parser.add_argument("--runs", type=int, default=5)
    given = parser.parse_args()

    source = watches("wisdm", 1)
    everything: dict[str, list[float]] = {"cpu": [], "wall": []}
    signals: dict[str, list[float]] = {"cpu": [], "wall": []}
    bytes_, readings = 0, given.devices * given.seconds * 10
    # the first run pays for tables and profiles, which a worker does once
    for number in range(given.runs + 1):
        start = DEFAULT_START + number * 86_400
        run = Run(1, given.devices, start, start + given.seconds - 1)
        wall, cpu, bytes_ = time.perf_counter(), time.process_time(), 0
        for batch in sending(batches(run), run=run, topic="readings", truth_topic="truth"):
            bytes_ += batch.nbytes
        taken = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}

        minutes = given.seconds // 60
        device, minute = (
            np.repeat(np.arange(1, given.devices + 1), minutes),
            np.tile(np.arange(minutes), given.devices),
        )
        profiles = np.array([source._wearing(d)[0][d % len(source.activities)] for d in device.tolist()])
        wall, cpu = time.perf_counter(), time.process_time()
        source._signals.blocks(profiles, device, start // 60 + minute)
        made = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}
        if number:
            for clock in ("cpu", "wall"):
                everything[clock].append(readings / taken[clock])
                signals[clock].append(len(device) * 600 / made[clock])
    print(
        json.dumps(
            {
                "what": "readings per second, one process",
                "devices": given.devices,
                "seconds": given.seconds,
                "runs": given.runs,
                "bytes_per_reading": round(bytes_ / readings),
                "messages": {clock: spread(values) for clock, values in everything.items()},
                "signals_alone": {clock: spread(values) for clock, values in signals.items()},
                "load_average": round(os.getloadavg()[0], 1),
                "cores": os.cpu_count(),
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
