"""The benchmark: our job beside a plain Python consumer and Quix Streams, in one run, on one machine.

    python benchmarks/run.py                  everything, some 30 minutes on a quiet machine of two cores
    python benchmarks/run.py --small          the same with little data: does it all still work?
    python benchmarks/run.py --publish FILE   a result becomes docs/performance.json, and the page is made
    python benchmarks/run.py --report         docs/performance.md from docs/performance.json

Results go to benchmarks/results/. A run whose rows do not match what was sent fails.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import psutil
import report
import stream
from harness import (
    HERE,
    PEER_PYTHON,
    ROOT,
    Bench,
    BenchmarkError,
    as_command,
    ensure_peer_environment,
    kept,
    say,
)
from summaries import Json, spread

from activitymodule.registry.versions import champion, fetch

RESULTS = HERE / "results"
SLOW = {"quix"}
SHORT_SECONDS = 120  # of what they are given
TOGETHER = 10  # readings of a message, as the project's own fleet sends them
SHARED = ("lightgbm", "numpy", "orjson", "psycopg2-binary", "pyarrow", "scikit-learn", "scipy", "skops")


def machine() -> Json:
    model = platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        names = [
            line for line in cpuinfo.read_text(encoding="utf-8").splitlines() if line.startswith("model name")
        ]
        model = names[0].partition(":")[2].strip() if names else model
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9),
        "system": platform.system(),
    }


def versions() -> dict[str, str]:
    """Of what was measured. Raises where the peers compute with other packages than we do."""
    code = f"from importlib.metadata import version as v; print(*map(v, {(*SHARED, 'confluent-kafka', 'quixstreams')}))"
    told = subprocess.run(
        [str(PEER_PYTHON), "-c", code],
        capture_output=True,
        text=True,
        check=True,
        encoding="utf-8",
        errors="replace",
    ).stdout.split()
    for name, theirs in zip(SHARED, told, strict=False):
        if version(name) != theirs:
            raise BenchmarkError(
                f"the peers have {name} {theirs} and we {version(name)}; lock benchmarks/requirements.in again"
            )
    return {
        "python": platform.python_version(),
        "pyspark": version("pyspark"),
        "confluent-kafka": told[-2],
        "quixstreams": told[-1],
        **{name: version(name) for name in SHARED},
    }


def provide_champion(bench: Bench, small: bool) -> Json:
    """Train the champion in this benchmark's registry, and lay its files where the peers find them."""
    began = time.monotonic()
    say("training the champion (a minute)")
    little = ("--devices", "12", "--minutes", "8", "--folds", "2") if small else ()
    bench.activity("train", *little).wait(900)
    bundle = bench.folder / "bundle"
    names = {"classifier": bench.settings.registry.classifier, "regressor": bench.settings.registry.regressor}
    for part, name in names.items():
        found = champion(bench.settings, name)
        if found is None:
            raise BenchmarkError(f"there is no champion of {name} after `activity train`")
        shutil.copytree(fetch(bench.settings, found), bundle / part)
        if part == "classifier":
            (bundle / "version").write_text(found.version, encoding="utf-8")
    return {"train_seconds": round(time.monotonic() - began, 1)}


def throughput(bench: Bench, args: argparse.Namespace) -> Json:
    """All engines over one topic, `repetitions` times, in turns: noise of the machine hits all of them.

    The slow ones read a shorter topic of the same readings: they are warm after their first thousands.
    """
    start, seconds = stream.an_hour_ago(), args.readings // args.devices // stream.RATE_HZ
    long = stream.preload(bench, "bench", args.devices, seconds, start)
    short = long
    if seconds > SHORT_SECONDS and SLOW & set(args.engines):
        short = stream.preload(bench, "bench-short", args.devices, SHORT_SECONDS, start)
    loads = {engine: short if engine in SLOW else long for engine in args.engines}
    limit = 120 + long.sent / 10_000
    runs: dict[str, list[stream.Run]] = defaultdict(list)
    engines = [engine for engine in args.engines if engine != "spark_archive"]
    first_rows: Json = {}
    for repetition in range(args.repetitions):
        order = engines[repetition % len(engines) :] + engines[: repetition % len(engines)]
        for engine in order:
            runs[engine].append(stream.measure(bench, loads[engine], engine, f"{engine}-{repetition}", limit))
            if repetition == 0:
                first_rows[engine] = stream.rows_of(bench, loads[engine])
    if "spark_archive" in args.engines:
        runs["spark_archive"].append(stream.measure(bench, long, "spark_archive", "spark_archive-0", limit))
    against = "spark" if "spark" in first_rows else engines[0]
    same = {
        engine: stream.difference(first_rows[against], rows)
        for engine, rows in first_rows.items()
        if engine != against
    }
    for topic in {long.topic, short.topic}:
        bench.drop_topic(topic)
    runs = dict(runs)
    ratios = {
        f"{own}_to_{peer}": spread(
            [
                ours.readings_per_second / theirs.readings_per_second
                for ours, theirs in zip(runs[own], runs[peer], strict=False)
            ],
            2,
        )
        for own in ("spark", "spark_archive")
        for peer in ("plain_1", "plain_2", "quix")
        if own in runs and peer in runs
    }
    return {
        "load": asdict(long),
        "short_load": {"sent": short.sent, "engines": sorted(SLOW & set(args.engines))},
        "readings_per_second": {e: spread([r.readings_per_second for r in rs]) for e, rs in runs.items()},
        "ratios": ratios,
        "rows_against_" + against: same,
        "runs": {engine: [asdict(run) for run in rs] for engine, rs in runs.items()},
    }


def together(bench: Bench, args: argparse.Namespace) -> Json:
    """The same readings, ten a message: our job and the quickest peer, in turns."""
    seconds = args.readings // args.devices // stream.RATE_HZ
    load = stream.preload(bench, "bench-together", args.devices, seconds, stream.an_hour_ago(), TOGETHER)
    engines = [engine for engine in ("spark", "plain_2") if engine in args.engines]
    runs: dict[str, list[Json]] = defaultdict(list)
    for repetition in range(args.together):
        for engine in engines[:: -1 if repetition % 2 else 1]:
            name = f"{engine}-together-{repetition}"
            runs[engine].append(asdict(stream.measure(bench, load, engine, name, 120 + load.sent / 10_000)))
    bench.drop_topic(load.topic)
    return {"load": asdict(load), "runs": dict(runs)}


def latency(bench: Bench, args: argparse.Namespace) -> Json:
    """Live latency of our job and of the plain consumer, in turns."""
    runs: dict[str, list[stream.Live]] = defaultdict(list)
    for repetition in range(args.live_repetitions):
        order = ["spark", "plain_1"][:: -1 if repetition % 2 else 1]
        for engine in order:
            run = f"{engine}-live-{repetition}"
            runs[engine].append(stream.measure_live(bench, engine, run, args.live_devices, args.live_seconds))
    summary = {
        engine: {
            kind: {
                p: statistics.median([getattr(r, kind)[p] for r in rs]) for p in ("p50", "p95", "p99", "max")
            }
            for kind in ("written_ms", "committed_ms")
        }
        for engine, rs in runs.items()
    }
    return {
        "devices": args.live_devices,
        "seconds": args.live_seconds,
        "warm_up_seconds": stream.WARM_UP_SECONDS,
        "median_of_runs": summary,
        "runs": {engine: [asdict(run) for run in rs] for engine, rs in runs.items()},
    }


def parts(bench: Bench, small: bool) -> Json:
    """One core at a time: decode, features, models, generator; each a program of its own beside this one."""
    found: Json = {}
    for name in ("decode", "features", "models", "generate"):
        if not (HERE / f"{name}.py").is_file():
            continue
        say(f"part: {name}")
        child = bench.start(name, [sys.executable, str(HERE / f"{name}.py")])
        try:
            child.wait(300)
            found[name] = json.loads(child.log.read_text(encoding="utf-8"))
        except (BenchmarkError, ValueError) as error:
            # a part that fails says so in the report, and does not cost the rest of the run
            found[name] = {"failed": str(error)[:300]}
            say(f"part {name} failed: {str(error)[:300]}")
        finally:
            child.end(seconds=5)
    return found


def run(args: argparse.Namespace, result: Json) -> None:
    """Fill in `result`, part by part: what was measured before a failure is kept."""
    ensure_peer_environment()
    result |= {
        "made_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "small": args.small,
        "machine": machine(),
        "versions": versions(),
        "load_average_before": round(os.getloadavg()[0], 2),
    }
    extra = {}
    if args.cores:
        extra["ACTIVITY_SPARK__MASTER"] = f"local[{args.cores},4]"
    if args.small:
        extra["ACTIVITY_SCORING__MAX_OFFSETS_PER_TRIGGER"] = "50000"  # so that there is more than one batch
    bench = Bench.open(args.partitions, extra)
    try:
        if args.engines or args.live_repetitions:
            result["champion"] = provide_champion(bench, args.small)
        if args.engines:
            result["throughput"] = throughput(bench, args)
        if args.engines and args.together:
            result["together"] = together(bench, args)
        if args.live_repetitions:
            result["latency"] = latency(bench, args)
        if args.parts:
            result["parts"] = parts(bench, args.small)
    finally:
        bench.close()


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--small", action="store_true", help="little data, one repetition")
    # enough that Java's compiler, which shares the cores, is done before half of it is read
    parser.add_argument("--readings", type=int, default=7_200_000, help="preloaded (default %(default)s)")
    parser.add_argument("--devices", type=int, default=1000, help="that sent them (default %(default)s)")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument(
        "--engines", default=",".join(stream.ENGINES), help="default %(default)s; may be empty"
    )
    parser.add_argument("--together", type=int, default=1, help="repetitions with ten readings a message")
    parser.add_argument("--live-seconds", type=int, default=120, help="after a warm-up (default %(default)s)")
    parser.add_argument("--live-devices", type=int, default=100)
    parser.add_argument("--live-repetitions", type=int, default=3, help="0: no live runs")
    parser.add_argument("--parts", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--partitions", type=int, default=2, help="of the topics (default %(default)s)")
    parser.add_argument("--cores", type=int, default=0, help="Spark's (default: as the settings say)")
    parser.add_argument(
        "--json",
        type=Path,
        help="where the result goes, and what is not measured stays as it is (default: benchmarks/results/TIME.json)",
    )
    parser.add_argument("--publish", type=Path, metavar="FILE", help="make docs/performance.* of a result")
    parser.add_argument("--report", action="store_true", help="make docs/performance.md again")
    if "--small" in sys.argv:  # other defaults; what is given still counts
        parser.set_defaults(readings=200_000, devices=500, repetitions=1, live_seconds=30, live_repetitions=1)
    args = parser.parse_args()
    args.engines = [engine for engine in args.engines.split(",") if engine]
    unknown = set(args.engines) - set(stream.ENGINES)
    if unknown:
        parser.error(f"there is no engine {sorted(unknown)[0]}; the engines are {', '.join(stream.ENGINES)}")
    if args.readings % (args.devices * stream.RATE_HZ * 10):
        parser.error("readings must be whole windows: a multiple of devices x 100")
    return args


def main() -> None:
    args = arguments()
    with as_command():
        if args.publish:
            report.publish(json.loads(args.publish.read_text(encoding="utf-8")), ROOT)
            say("wrote docs/performance.json and docs/performance.md")
        elif args.report:
            report.write(ROOT)
        else:
            place = args.json or RESULTS / time.strftime("%Y%m%dT%H%M%S.json")
            result: Json = json.loads(place.read_text(encoding="utf-8")) if place.is_file() else {}
            result.pop("failed", None)
            with kept(result, place):
                run(args, result)
            print(report.markdown(result))


if __name__ == "__main__":
    main()
