"""Where the time of a micro-batch goes: Spark's own durations, the Python tasks, the driver's statements.

    python benchmarks/profile_batch.py --readings 500000           a preloaded topic, on a stack of its own
    python benchmarks/profile_batch.py --live 60                   100 watches in real time
    python benchmarks/profile_batch.py --here --topic T --live 60  on the stack of the settings in force, with its
                                                                   champion (T is made; nothing is truncated)

Prints a table of medians over the batches after the first third, in milliseconds; `--json` all of it. Needs
nothing of the job's code but its names: the clocks are put in from outside, and cost some 1 %.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import stream
from harness import HERE, Bench, BenchmarkError, ensure_peer_environment, say
from run import provide_champion
from summaries import Json

from activitymodule.settings import load

DURATIONS = (
    *("triggerExecution", "latestOffset", "getBatch", "queryPlanning", "walCommit", "addBatch"),
    *("commitBatch", "commitOffsets"),
)
DRIVER = ("begin_batch",)


def middle(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {
        "p50": round(statistics.median(ordered), 1),
        "p95": round(ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))], 1),
    }


def clocks_in(sink: Any, scoring_task: Any, spent: dict[str, list[float]]) -> None:
    """Time the driver's calls in a batch, and send the timed tasks in place of the plain ones."""
    import timed_worker

    sink.worker.decode = timed_worker.decode  # one module, which windowing.py uses too
    scoring_task.score = timed_worker.score

    def timed(name: str, function: Any) -> Any:
        def run(*args: Any, **named: Any) -> Any:
            began = time.perf_counter()
            try:
                return function(*args, **named)
            finally:
                spent[name].append((time.perf_counter() - began) * 1000)

        return run

    for name in DRIVER:
        if hasattr(sink, name):
            setattr(sink, name, timed(name, getattr(sink, name)))
    sink.BatchSink.write = timed("write", sink.BatchSink.write)


def job_of(settings: Any, once: bool, seconds: float | None) -> tuple[Any, dict[str, list[float]]]:
    from activitymodule.streaming import score, scoring_task, sink

    spent: dict[str, list[float]] = defaultdict(list)
    clocks_in(sink, scoring_task, spent)
    return score.ScoringJob(settings, score.Options(once=once, seconds=seconds, archive=False)), spent


def summary(job: Any, spent: dict[str, list[float]], tasks: list[Json], skip: int) -> Json:
    # the runner writes down what each batch took; the first ones are cold
    progress = [p for p in job._query.recentProgress if p["numInputRows"]][skip:]
    if not progress:
        raise BenchmarkError("there were too few batches; send more readings")
    found: Json = {
        "batches": len(progress),
        "messages_a_batch": middle([p["numInputRows"] for p in progress]),
        "spark_ms": {k: middle([p["durationMs"].get(k, 0) for p in progress]) for k in DURATIONS},
        "state_ms": {
            key: middle([p["stateOperators"][0][key] for p in progress if p["stateOperators"]])
            for key in ("allUpdatesTimeMs", "allRemovalsTimeMs", "commitTimeMs")
        },
        "state_rows": middle(
            [p["stateOperators"][0]["numRowsTotal"] for p in progress if p["stateOperators"]]
        ),
        "driver_ms": {name: middle(values[skip:]) for name, values in spent.items() if values[skip:]},
    }
    for name in ("decode", "score"):
        mine = [t for t in tasks if t["task"] == name]
        mine = mine[len(mine) // 3 :]
        if not mine:
            continue
        steps = sorted({step for t in mine for step in t["steps_ms"]})
        found[f"{name}_task_ms"] = {
            "tasks": len(mine),
            "rows": middle([t["rows"] for t in mine]),
            "lasted": middle([t["lasted_ms"] for t in mine]),
            "waited for Spark": middle([t["waited_ms"] for t in mine]),
            "worked": middle([t["worked_ms"] for t in mine]),
            **{f"  {step}": middle([t["steps_ms"].get(step, 0.0) for t in mine]) for step in steps},
        }
    return found


def show(found: Json, indent: str = "") -> None:
    for key, value in found.items():
        if isinstance(value, dict) and "p50" in value:
            print(f"{indent}{key:<28}{value['p50']:>12,.1f}{value['p95']:>12,.1f}")
        elif isinstance(value, dict):
            print(f"{indent}{key}  (p50, p95)")
            show(value, indent + "  ")
        else:
            print(f"{indent}{key:<28}{value:>12,}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--readings", type=int, default=500_000, help="preloaded (default %(default)s)")
    parser.add_argument("--devices", type=int, help="(default: 1000 preloaded, 100 live)")
    parser.add_argument(
        "--batch", type=int, help="messages a micro-batch at the most (default: the settings')"
    )
    parser.add_argument("--live", type=int, metavar="SECONDS", help="in real time instead")
    parser.add_argument(
        "--here", action="store_true", help="use the stack and champion of the settings in force"
    )
    parser.add_argument("--topic", default="profile", help="(default %(default)s)")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    devices = args.devices or (100 if args.live else 1000)
    ensure_peer_environment()
    os.environ["ACTIVITY_SPARK__OPTIONS"] = '{"spark.sql.streaming.numRecentProgressUpdates": "10000"}'
    if args.batch:
        os.environ["ACTIVITY_SCORING__MAX_OFFSETS_PER_TRIGGER"] = str(args.batch)
    # Spark's workers must find timed_worker
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH")]))
    with tempfile.TemporaryDirectory(prefix="activity-profile-") as folder:
        os.environ["ACTIVITY_SPARK__CHECKPOINTS"] = folder
        os.environ["PROFILE_BATCH"] = f"{folder}/tasks.jsonl"
        bench = Bench.here() if args.here else Bench.open(2, {})
        try:
            if not args.here:
                provide_champion(bench, True)
            # only now, or the stack would have made the topic as it makes the usual ones
            os.environ["ACTIVITY_KAFKA__TOPIC"] = args.topic
            bench.settings = load()
            found = profile(bench, args, devices)
        finally:
            bench.close()
    if args.json:
        args.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    show(found)


def profile(bench: Bench, args: argparse.Namespace, devices: int) -> Json:
    if args.live:
        bench.make_topic(args.topic)
        job, spent = job_of(bench.settings, False, args.live + 30)
        sender = threading.Timer(
            20,
            lambda: bench.peer(
                "preload",
                *("live", "--servers", bench.servers, "--topic", args.topic),
                *("--devices", str(devices), "--seconds", str(args.live)),
            ),
        )
        sender.start()
    else:
        seconds = args.readings // devices // stream.RATE_HZ
        stream.preload(bench, args.topic, devices, seconds, stream.an_hour_ago())
        job, spent = job_of(bench.settings, True, None)
    began = time.monotonic()
    job.run()
    say(f"scored {job.windows:,} windows in {job.batches:,} batches in {time.monotonic() - began:.1f} s")
    tasks = [
        json.loads(line)
        for line in Path(os.environ["PROFILE_BATCH"]).read_text(encoding="utf-8").splitlines()
    ]
    return summary(job, spent, tasks, max(1, job.batches // 3))


if __name__ == "__main__":
    try:
        main()
    except BenchmarkError as error:
        say(f"FAILED: {error}")
        sys.exit(1)
