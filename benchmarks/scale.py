"""What more watches cost: readings/s, CPU, state, memory and batch times of the scoring job by the number of watches.

    python benchmarks/scale.py                                    nine points, some 50 minutes on a quiet machine
    python benchmarks/scale.py --watches 1000,10000 --partitions  without those by partitions
    python benchmarks/scale.py --small                            a minute or two: does it all still work?
    python benchmarks/scale.py --publish FILE                     a result becomes docs/scaling.json, page and figure
    python benchmarks/scale.py --report                           the page and figure of docs/scaling.json again

Each point fills a topic and scores it with `activity score --once`, in the settings as they are but for the least
coverage, so that a watch of two readings a second is scored too. A run whose rows do not match what was sent fails, and
its logs are kept in benchmarks/results/. What is sent is more than the watermark, so that the state is at its largest.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
import scale_page
from harness import Bench, BenchmarkError, Child, Watcher, as_command, ensure_peer_environment, kept, say
from run import RESULTS, machine, provide_champion
from stream import an_hour_ago, busy_cpu_seconds, warm_speed
from summaries import Json, percentiles

MOST_AT_FULL_RATE = 10_000  # watches
SLOW_HZ = 2  # above; fewer readings than twenty a window have no features
_BATCHES = """
SELECT extract(epoch FROM started_at)::float8, extract(epoch FROM finished_at)::float8, messages FROM batches
WHERE finished_at IS NOT NULL ORDER BY finished_at
"""
_ROWS = """
SELECT count(*), count(activity), count(smoothed_activity), coalesce(sum(readings_used), 0), sum(duplicates)
FROM predictions WHERE window_start < to_timestamp(%s)
"""


@dataclass(frozen=True)
class Point:
    """What is measured: so many watches for so many seconds of their time."""

    watches: int
    rate_hz: int
    seconds: int
    state_store: str = "memory"
    partitions: int = 2
    cores: int = 2

    @property
    def topic(self) -> str:
        """What is sent; points that differ in state store or cores read the same."""
        return f"scale-{self.watches}-{self.rate_hz}-{self.seconds}-{self.partitions}"

    @property
    def name(self) -> str:
        """For folders and reports."""
        return f"{self.topic}-{self.state_store}-{self.cores}"


@dataclass(frozen=True)
class Measured:
    """One run. CPU seconds are of the job alone, `service` of broker and store; late_ratio: readings/s of the second
    half of the batches by those of the first, 1 where nothing grows."""

    point: Point
    readings: int
    windows: int
    readings_per_second: float
    late_ratio: float
    cpu_seconds: float
    service_cpu_seconds: float
    state_windows: int
    state_bytes: int
    batch_ms: dict[str, float]
    batches: int
    peak_mb: float
    java_peak_mb: float
    store_mb: float
    others_cpu_share: float


class JavaWatcher(Watcher):
    """Also the most memory of the Java processes among them."""

    java_peak_mb = 0.0

    def sample(self) -> None:
        """As every half second."""
        super().sample()
        for pid in self._roots:
            try:
                found = psutil.Process(pid).children(recursive=True)
                java = sum(one.memory_info().rss for one in found if one.name() == "java")
            except psutil.Error:
                continue
            self.java_peak_mb = max(self.java_peak_mb, java / 1e6)


def fill(bench: Bench, point: Point) -> tuple[int, int]:
    """Fill the topic of a point; the first second of its readings, and how many were sent."""
    bench.make_topic(point.topic, point.partitions)
    start = an_hour_ago()
    child = bench.peer(
        "preload",
        *("fill", "--servers", bench.servers, "--topic", point.topic, "--devices", str(point.watches)),
        *("--seconds", str(point.seconds), "--start", str(start), "--rate", str(point.rate_hz)),
    )
    child.wait(120 + point.watches * point.seconds * point.rate_hz / 20_000)
    told = child.lines()[-1]
    say(f"{point.topic}: sent {told['sent']:,} readings in {told['seconds']:.0f} s")
    return start, int(told["sent"])


def score(bench: Bench, point: Point) -> Child:
    """The job over the topic of a point."""
    return bench.activity(
        *("score", "--json", "--once", "--no-archive"),
        ACTIVITY_KAFKA__TOPIC=point.topic,
        ACTIVITY_SPARK__CHECKPOINTS=str(bench.folder / "checkpoints" / point.name),
        ACTIVITY_SPARK__STATE_STORE=point.state_store,
        ACTIVITY_SPARK__MASTER=f"local[{point.cores},4]",
        ACTIVITY_SPARK__SHUFFLE_PARTITIONS=str(point.partitions),
        ACTIVITY_SCORING__MIN_PARTITIONS=str(point.partitions),
        ACTIVITY_WINDOWS__LEAST_COVERAGE="0.05",
        **(
            {"ACTIVITY_SPARK__DRIVER_MEMORY": scale_page.LARGE_HEAP}
            if point.watches > scale_page.MOST_IN_DEFAULT_HEAP
            else {}
        ),
    )


def verify(bench: Bench, point: Point, start: int) -> int:
    """Every window must stand in the store with all its readings, scored and smoothed; how many there are."""
    length = bench.settings.windows.length_seconds
    windows = point.watches * point.seconds // length
    with bench.store() as cursor:
        cursor.execute(_ROWS, (start + point.seconds,))
        found = tuple(map(int, cursor.fetchone()))
    expected = (windows, windows, windows, point.watches * point.seconds * point.rate_hz, 0)
    if found != expected:
        raise BenchmarkError(
            f"{point.name}: the store does not hold what was sent: windows, scored, smoothed, readings and duplicates "
            f"are {found}, and should be {expected}"
        )
    return windows


def measure(bench: Bench, point: Point, start: int, sent: int) -> Measured:
    """One point, whose topic is filled: the store is empty before and verified after."""
    bench.empty_store()
    services, busy, own = bench.service_cpu_seconds(), busy_cpu_seconds(), time.process_time()
    began = time.monotonic()
    child = score(bench, point)
    watcher = JavaWatcher([child.process.pid])
    watcher.start()
    try:
        child.wait(300 + sent / 10_000)
    finally:
        usage = watcher.finish()
        child.end(seconds=10)
    services = bench.service_cpu_seconds() - services
    others = busy_cpu_seconds() - busy - usage.cpu_seconds - services - (time.process_time() - own)
    share = max(0.0, others / (time.monotonic() - began) / (os.cpu_count() or 1))
    windows = verify(bench, point, start)
    with bench.store() as cursor:
        cursor.execute(_BATCHES)
        batches = [(float(a), float(b), int(n)) for a, b, n in cursor.fetchall()]
        cursor.execute(
            "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relname LIKE 'predictions%' AND relkind = 'r'"
        )
        store = float(cursor.fetchone()[0])
    told = child.lines()[-1]
    done = Measured(
        point=point,
        readings=sent,
        windows=windows,
        readings_per_second=round(warm_speed([(end, messages) for _, end, messages in batches])),
        late_ratio=_late_ratio(batches),
        cpu_seconds=round(usage.cpu_seconds, 1),
        service_cpu_seconds=round(services, 1),
        state_windows=told["state_windows"],
        state_bytes=told["state_bytes"],
        batch_ms=percentiles([end - begun for begun, end, _ in batches[1:]]),
        batches=len(batches),
        peak_mb=round(usage.peak_mb),
        java_peak_mb=round(watcher.java_peak_mb),
        store_mb=round(store / 1e6),
        others_cpu_share=round(share, 3),
    )
    say(
        f"{point.name}: {done.readings_per_second:,.0f} readings/s, {done.state_windows:,} windows in a state of "
        f"{done.state_bytes / 1e6:,.0f} MB, {done.peak_mb:,.0f} MB in all"
    )
    return done


def _late_ratio(batches: list[tuple[float, float, int]]) -> float:
    """Readings/s of the second half of the batches by those of the first half; the first batch counts in neither."""
    half = len(batches) // 2
    if half < 2:
        return 1.0
    speeds = [warm_speed([(end, n) for _, end, n in part]) for part in (batches[: half + 1], batches[half:])]
    return round(speeds[1] / speeds[0], 3)


def points(args: argparse.Namespace) -> list[Point]:
    """All that are asked for, those of one topic together; by state store, partitions and cores at one number of
    watches each."""

    def at(watches: int, **other: object) -> Point:
        rate, seconds = (10, args.full_seconds) if watches <= MOST_AT_FULL_RATE else (SLOW_HZ, args.seconds)
        return Point(watches, rate, seconds, **other)  # type: ignore[arg-type]

    found = [at(watches) for watches in args.watches]
    found += [at(watches, state_store="rocksdb") for watches in args.rocksdb]
    found += [
        Point(args.partition_watches, SLOW_HZ, args.seconds, partitions=number) for number in args.partitions
    ]
    found += [at(args.watches[0], cores=number) for number in args.cores]
    return sorted(dict.fromkeys(found), key=lambda one: (one.watches * one.seconds * one.rate_hz, one.name))


def run(args: argparse.Namespace, result: Json, place: Path) -> None:
    """Measure; what was measured before a failure is kept."""
    ensure_peer_environment()
    result |= {
        "made_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "small": args.small,
        "machine": machine(),
        "points": result.get("points", []),
    }
    there = [Point(**one["point"]) for one in result["points"]]
    wanted = [point for point in points(args) if point not in there]
    # so that there is more than one batch
    bench = Bench.open(2, {"ACTIVITY_SCORING__MAX_OFFSETS_PER_TRIGGER": "50000"} if args.small else {})
    try:
        windows, spark = bench.settings.windows, bench.settings.spark
        result["settings"] = {
            "watermark_minutes": windows.watermark_minutes,
            "length_seconds": windows.length_seconds,
            "driver_memory": spark.driver_memory,
            "max_offsets_per_trigger": bench.settings.scoring.max_offsets_per_trigger,
        }
        provide_champion(bench, args.small)
        for topic, alike in itertools.groupby(wanted, key=lambda one: one.topic):
            sent = None
            for point in alike:
                sent = sent or fill(bench, point)
                result["points"].append(asdict(measure(bench, point, *sent)))
                place.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
            bench.drop_topic(topic)
    finally:
        bench.close()


def _numbers(text: str) -> list[int]:
    return [int(one) for one in text.split(",") if one]


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    number: dict[str, Any] = {"type": _numbers, "metavar": "N,N"}
    parser.add_argument("--watches", default=[1000, 10_000, 30_000, 100_000], **number)
    parser.add_argument("--rocksdb", default=[1000, 10_000], help="with the state in RocksDB", **number)
    parser.add_argument("--partitions", default=[2, 4, 8], nargs="?", const=[], **number)
    parser.add_argument("--cores", default=[1], help="of Spark, with the fewest watches", **number)
    parser.add_argument("--partition-watches", type=int, default=10_000, help="two readings a second each")
    parser.add_argument(
        "--seconds", type=int, default=180, help="of readings, two a second (default %(default)s)"
    )
    parser.add_argument(
        "--full-seconds", type=int, default=1800, help="of ten a second (default %(default)s)"
    )
    parser.add_argument("--small", action="store_true", help="little of everything")
    parser.add_argument("--json", type=Path, help="where the result goes; what it has already stays")
    parser.add_argument("--publish", type=Path, metavar="FILE", help="make docs/scaling.* of a result")
    parser.add_argument("--report", action="store_true", help="make docs/scaling.md again")
    if "--small" in sys.argv:
        parser.set_defaults(
            watches=[200, 1000],
            rocksdb=[200],
            partitions=[4],
            partition_watches=1000,
            full_seconds=180,
        )
    return parser.parse_args()


def main() -> None:
    """Measure, or write the page."""
    args = arguments()
    with as_command():
        if args.publish:
            scale_page.publish(json.loads(args.publish.read_text(encoding="utf-8")))
        elif args.report:
            scale_page.write()
        else:
            place = args.json or RESULTS / time.strftime("scale-%Y%m%dT%H%M%S.json")
            result: Json = json.loads(place.read_text(encoding="utf-8")) if place.is_file() else {}
            result.pop("failed", None)
            with kept(result, place):
                run(args, result, place)
            print("\n".join(scale_page.tables(result)))


if __name__ == "__main__":
    main()
