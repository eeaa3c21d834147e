"""One version's side of benchmarks/versions.py: its services and champion once, then a run for each line of stdin.

Started with `python -P` and PYTHONPATH at the other checkout's benchmarks/, so that each version is measured by its own
code. Lines: `throughput READINGS` or `live SECONDS`; each is answered by one line of JSON.
"""

from __future__ import annotations

import json
import sys
from contextlib import redirect_stdout

import run
import stream
from harness import Bench, ensure_peer_environment

DEVICES = 1000
LIVE_DEVICES = 100
WARM_UP_SECONDS = 60


def throughput(bench: Bench, readings: int, number: int) -> dict[str, float]:
    """Readings/s and CPU seconds of one run over a topic of its own."""
    seconds = readings // DEVICES // stream.RATE_HZ
    load = stream.preload(bench, f"versions-{number}", DEVICES, seconds, stream.an_hour_ago())
    done = stream.measure(bench, load, "spark", f"spark-{number}", 120 + load.sent / 10_000)
    bench.drop_topic(load.topic)
    return {"readings_per_second": done.readings_per_second, "cpu_seconds": done.cpu_seconds}


def live(bench: Bench, seconds: int, number: int) -> dict[str, float]:
    """Latency to the commit, milliseconds, and cores used, at 1,000 readings/s; both versions warm up as long."""
    stream.WARM_UP_SECONDS = WARM_UP_SECONDS
    done = stream.measure_live(bench, "spark", f"spark-live-{number}", LIVE_DEVICES, seconds)
    return {
        "latency_p50_ms": done.committed_ms["p50"],
        "latency_p99_ms": done.committed_ms["p99"],
        "live_cores": done.cores_used,
        "others_share": done.others_cpu_share,
    }


def main() -> None:
    with redirect_stdout(sys.stderr):
        ensure_peer_environment()
        bench = Bench.open(2, {})
    try:
        with redirect_stdout(sys.stderr):
            run.provide_champion(bench, False)
        print(json.dumps({"ready": True}), flush=True)
        for number, line in enumerate(sys.stdin):
            kind, amount = line.split()
            with redirect_stdout(sys.stderr):
                figures = {"throughput": throughput, "live": live}[kind](bench, int(amount), number)
            print(json.dumps(figures), flush=True)
    finally:
        bench.close()


if __name__ == "__main__":
    main()
