"""Runs of the engines over one topic: readings a second from Kafka to committed rows, and live latency.

An engine's warm speed leaves out its start and its first batch: readings committed after the first commit,
over the time from there to the last commit. After every run the store is compared with what was sent.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from typing import Any

import psutil
from harness import Bench, BenchmarkError, Child, Watcher, say
from summaries import percentiles

RATE_HZ = 10
# Java compiles what runs often: a minute later a batch takes two thirds of the time, and goes on shrinking slowly
WARM_UP_SECONDS = 60


@dataclass(frozen=True)
class Load:
    """What lies in a preloaded topic."""

    topic: str
    devices: int
    seconds: int
    start: int  # epoch seconds of the first reading
    sent: int
    messages: int
    bytes_per_message: float

    @property
    def readings(self) -> int:
        """Those of whole windows; one more of each device closes its last window."""
        return self.devices * self.seconds * RATE_HZ


@dataclass(frozen=True)
class Run:
    """One run of one engine over a preloaded topic."""

    engine: str
    readings_per_second: float  # warm
    total_seconds: float  # from the start of the program to its last commit
    first_commit_seconds: float
    batches: int
    cpu_seconds: float  # of the engine
    service_cpu_seconds: float  # of broker, store and registry meanwhile
    peak_mb: float
    others_cpu_share: float  # of the whole machine, by programs that are none of ours, meanwhile


def warm_speed(commits: list[tuple[float, int]]) -> float:
    """Readings/s after the first commit; commits: (epoch seconds, readings), in any order."""
    commits = sorted(commits)
    if len(commits) < 2:
        raise BenchmarkError("there was one batch alone: nothing is warm; send more readings")
    return sum(readings for _, readings in commits[1:]) / (commits[-1][0] - commits[0][0])


def busy_cpu_seconds() -> float:
    """CPU seconds this machine has spent on anything at all."""
    times = psutil.cpu_times()
    return times.user + times.system + times.nice + getattr(times, "irq", 0) + getattr(times, "softirq", 0)


def an_hour_ago() -> int:
    """Epoch seconds, a window's start: readings from then are neither from the future nor too old for anybody."""
    return int(time.time()) // 10 * 10 - 3600


def preload(bench: Bench, topic: str, devices: int, seconds: int, start: int, together: int = 1) -> Load:
    """Fill a topic; together : readings of a message."""
    bench.make_topic(topic)
    child = bench.peer(
        "preload",
        *("fill", "--servers", bench.servers, "--topic", topic, "--devices", str(devices)),
        *("--seconds", str(seconds), "--start", str(start), "--together", str(together)),
    )
    child.wait(60 + devices * seconds / 1000)
    told = child.lines()[-1]
    say(f"sent {told['sent']:,} readings in {told['messages']:,} messages in {told['seconds']:.0f} s")
    return Load(topic, devices, seconds, start, told["sent"], told["messages"], told["bytes_per_message"])


# ---- what the store says ---------------------------------------------------------------------------------

_WHOLE = """
select count(*), count(*) filter (where readings_used = %(full)s and duplicates = 0),
       count(*) filter (where activity is not null), count(*) filter (where smoothed_activity is not null),
       coalesce(sum(readings_used), 0)
from predictions
where window_start >= to_timestamp(%(start)s) and window_start < to_timestamp(%(end)s)
"""
_ROWS = """
select device_id, extract(epoch from window_start)::bigint, activity, confidence, kcal_per_min
from predictions
where window_start >= to_timestamp(%(start)s) and window_start < to_timestamp(%(end)s)
"""
_BATCHES = """
select extract(epoch from finished_at)::float8, messages from batches
where finished_at is not null order by finished_at
"""
_LATENCY = """
select extract(epoch from processed_at - received_at)::float8,
       extract(epoch from pg_xact_commit_timestamp(xmin) - received_at)::float8,
       extract(epoch from window_end)::bigint
from predictions
where readings_used = %(full)s and window_start >= to_timestamp(%(start)s)
  and window_end <= to_timestamp(%(end)s)
"""


def verify(bench: Bench, load: Load) -> None:
    """Every whole window of the topic must stand in the store with all its readings, scored and smoothed."""
    length = bench.settings.windows.length_seconds
    full = length * RATE_HZ
    wanted = load.devices * load.seconds // length
    with bench.store() as cursor:
        cursor.execute(_WHOLE, {"full": full, "start": load.start, "end": load.start + load.seconds})
        rows, whole, scored, smoothed, used = cursor.fetchone()
        cursor.execute("select count(*) from dead_letters")
        dead = cursor.fetchone()[0]
    if (rows, whole, scored, smoothed, used, dead) != (*[wanted] * 4, load.readings, 0):
        raise BenchmarkError(
            f"the store does not hold what was sent: of {wanted:,} windows {rows:,} are there, {whole:,} whole, "
            f"{scored:,} scored, {smoothed:,} smoothed; {used:,} of {load.readings:,} readings were used; "
            f"{dead:,} dead letters"
        )


def rows_of(bench: Bench, load: Load) -> dict[tuple[str, int], tuple[str, float, float]]:
    with bench.store() as cursor:
        cursor.execute(_ROWS, {"start": load.start, "end": load.start + load.seconds})
        return {
            (device, start): (activity, p, kcal) for device, start, activity, p, kcal in cursor.fetchall()
        }


def difference(ours: dict[Any, Any], theirs: dict[Any, Any]) -> dict[str, float]:
    """How far the rows of two engines lie apart where both have one: they are to mean the same."""
    if not theirs.keys() <= ours.keys():
        raise BenchmarkError("two engines wrote different windows")
    pairs = [(ours[key], theirs[key]) for key in theirs]
    kcal = [abs(a[2] - b[2]) for a, b in pairs if a[2] is not None and b[2] is not None]
    return {
        "same_activity": round(sum(a[0] == b[0] for a, b in pairs) / len(pairs), 5),
        "largest_confidence_difference": round(max(abs(a[1] - b[1]) for a, b in pairs), 5),
        "largest_kcal_difference": round(max(kcal, default=0.0), 5),
    }


# ---- engines ---------------------------------------------------------------------------------------------


def _our_arguments(archive: bool) -> list[str]:
    return ["score", "--json", "--archive" if archive else "--no-archive"]


def run_ours(bench: Bench, load: Load, run: str, archive: bool) -> tuple[list[Child], Any]:
    child = bench.activity(
        *_our_arguments(archive),
        "--once",
        ACTIVITY_KAFKA__TOPIC=load.topic,
        ACTIVITY_SPARK__CHECKPOINTS=str(bench.folder / "checkpoints" / run),
        ACTIVITY_ARCHIVE__FOLDER=str(bench.folder / "archive" / run),
    )

    def commits() -> list[tuple[float, int]]:
        with bench.store() as cursor:
            cursor.execute(_BATCHES)
            found = [(float(at), int(messages)) for at, messages in cursor.fetchall()]
        rest = sum(messages for _, messages in found[1:])
        if not found or rest >= load.messages or not all(messages for _, messages in found[1:]):
            raise BenchmarkError(f"the batches' offsets do not add up to {load.messages:,} messages: {found}")
        found[0] = (found[0][0], load.messages - rest)
        return [(at, round(messages * load.sent / load.messages)) for at, messages in found]

    return [child], commits


def run_plain(bench: Bench, load: Load, run: str, processes: int) -> tuple[list[Child], Any]:
    children = [
        bench.peer(
            "plain_consumer",
            *("--servers", bench.servers, "--topic", load.topic, "--group", run, "--once"),
            *("--bundle", str(bench.folder / "bundle"), "--processes", str(processes), "--part", str(part)),
        )
        for part in range(processes)
    ]
    return children, lambda: _told_commits(children)


def run_quix(bench: Bench, load: Load, run: str) -> tuple[list[Child], Any]:
    child = bench.peer(
        "quix_consumer",
        *("--servers", bench.servers, "--topic", load.topic, "--group", run),
        *("--bundle", str(bench.folder / "bundle"), "--state", str(bench.folder / "quix" / run)),
        *("--windows", str(load.readings // RATE_HZ // bench.settings.windows.length_seconds)),
    )
    return [child], lambda: _told_commits([child])


def _told_commits(children: list[Child]) -> list[tuple[float, int]]:
    """What several processes committed together. All must be warm, so what the quicker one committed before
    the slowest one's first commit counts as the first batch."""
    each = [[(at, readings) for at, readings, _ in child.lines()[-1]["commits"]] for child in children]
    warm = max(commits[0][0] for commits in each)
    before = [(at, readings) for commits in each for at, readings in commits if at <= warm]
    after = [(at, readings) for commits in each for at, readings in commits if at > warm]
    return [(warm, sum(readings for _, readings in before)), *after]


ENGINES = {
    "spark": lambda bench, load, run: run_ours(bench, load, run, False),
    "spark_archive": lambda bench, load, run: run_ours(bench, load, run, True),
    "plain_1": lambda bench, load, run: run_plain(bench, load, run, 1),
    "plain_2": lambda bench, load, run: run_plain(bench, load, run, 2),
    "quix": run_quix,
}


def measure(bench: Bench, load: Load, engine: str, run: str, limit_seconds: float) -> Run:
    """One engine over the topic, from its start; the store is empty before and verified after."""
    bench.empty_store()
    services = bench.service_cpu_seconds()
    busy, own = busy_cpu_seconds(), time.process_time()
    began = time.time()
    children, commits_of = ENGINES[engine](bench, load, run)
    watcher = Watcher([child.process.pid for child in children])
    watcher.start()
    try:
        deadline = time.monotonic() + limit_seconds
        for child in children:
            child.wait(max(1, deadline - time.monotonic()))
    finally:
        usage = watcher.finish()
        for child in children:
            child.end(seconds=10)
    services = bench.service_cpu_seconds() - services
    elapsed = time.time() - began
    others = busy_cpu_seconds() - busy - usage.cpu_seconds - services - (time.process_time() - own)
    verify(bench, load)
    commits = commits_of()
    done = Run(
        engine,
        round(warm_speed(commits)),
        round(max(at for at, _ in commits) - began, 2),
        round(min(at for at, _ in commits) - began, 2),
        len(commits),
        round(usage.cpu_seconds, 2),
        round(services, 2),
        round(usage.peak_mb),
        round(max(0.0, others / elapsed / (os.cpu_count() or 1)), 3),
    )
    say(
        f"{engine}: {done.readings_per_second:,.0f} readings/s warm, {done.total_seconds:.1f} s in all, "
        f"{done.cpu_seconds:.1f} s of CPU, others took {done.others_cpu_share:.0%} of the machine"
    )
    return done


# ---- live ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Live:
    """Latency of one live run, milliseconds from Kafka's time of a window's last reading."""

    engine: str
    readings_per_second: float
    windows: int
    ends: int  # instants at which windows ended; those of one instant are not independent
    written_ms: dict[str, float]  # to the row's processed_at
    committed_ms: dict[str, float]  # to the commit of the row as it stands, smoothed activity and all
    producer_worst_delay_ms: float
    cores_used: float  # by the engine alone
    others_cpu_share: float


def _live_engine(bench: Bench, engine: str, topic: str, run: str) -> Child:
    """An engine that scores a topic live."""
    if engine == "spark":
        return bench.activity(
            *_our_arguments(False),
            ACTIVITY_KAFKA__TOPIC=topic,
            ACTIVITY_SPARK__CHECKPOINTS=str(bench.folder / "checkpoints" / run),
        )
    child = bench.peer(
        "plain_consumer",
        *("--servers", bench.servers, "--topic", topic, "--group", run),
        *("--bundle", str(bench.folder / "bundle")),
    )
    child.wait_for_line("ready", 120)
    return child


def _wait_until_it_scores(bench: Bench, engine: str, child: Child, topic: str) -> None:
    """A few readings of an earlier window: the engine is up when they stand in the store."""
    prime = ("fill", "--servers", bench.servers, "--topic", topic, "--devices", "2", "--seconds", "10")
    bench.peer("preload", *prime, "--start", str(int(time.time()) // 10 * 10 - 100)).wait(60)
    deadline = time.monotonic() + 180
    while True:
        with bench.store() as cursor:
            cursor.execute("select count(*) from predictions")
            if cursor.fetchone()[0]:
                return
        if child.process.poll() is not None or time.monotonic() > deadline:
            raise BenchmarkError(f"{engine} does not score; {child.last_words()}")
        time.sleep(0.2)


def measure_live(bench: Bench, engine: str, run: str, devices: int, seconds: int) -> Live:
    """Watches in real time, warm-up first; every window after it must be there and whole, and CPU is of then."""
    topic = f"live-{run}"
    bench.make_topic(topic)
    bench.empty_store()
    total = WARM_UP_SECONDS + seconds
    child = _live_engine(bench, engine, topic, run)
    producer = None
    try:
        _wait_until_it_scores(bench, engine, child, topic)
        producer = bench.peer(
            "preload",
            *("live", "--servers", bench.servers, "--topic", topic, "--devices", str(devices)),
            *("--seconds", str(total)),
        )
        time.sleep(WARM_UP_SECONDS)
        watcher = Watcher([child.process.pid])
        watcher.sample()
        before = watcher.usage.cpu_seconds
        sending = Watcher([producer.process.pid])
        sending.sample()
        sent_before = sending.usage.cpu_seconds
        sending.start()
        services, busy, own = bench.service_cpu_seconds(), busy_cpu_seconds(), time.process_time()
        began = time.monotonic()
        watcher.start()
        producer.wait(seconds + 60)
        usage = watcher.finish()
        elapsed = time.monotonic() - began
        ours = usage.cpu_seconds - before + bench.service_cpu_seconds() - services
        ours += sending.finish().cpu_seconds - sent_before + time.process_time() - own
        others = busy_cpu_seconds() - busy - ours
        told = producer.lines()[-1]
        # windows that ended within the run, whole ones after the warm-up; a slow engine is given time to finish
        length = bench.settings.windows.length_seconds
        first = int(-(-(told["first_stamp"] + WARM_UP_SECONDS) // length) * length)
        last = int(told["last_stamp"] // length * length)
        wanted = (last - first) // length * devices
        found = _latencies(bench, first, last, wanted)
    finally:
        child.end()
        if producer is not None:
            producer.end(seconds=5)
    bench.drop_topic(topic)
    if len(found) != wanted or not found:
        raise BenchmarkError(f"{engine} live: {len(found):,} of {wanted:,} windows are whole")
    done = Live(
        engine,
        round(told["sent"] / told["seconds"]),
        len(found),
        len({end for _, _, end in found}),
        percentiles([written for written, _, _ in found]),
        percentiles([committed for _, committed, _ in found]),
        told["worst_delay_ms"],
        round((usage.cpu_seconds - before) / elapsed, 2),
        round(max(0.0, others / elapsed / (os.cpu_count() or 1)), 3),
    )
    say(f"{engine} live: written {json.dumps(done.written_ms)}, committed {json.dumps(done.committed_ms)}")
    return done


def _latencies(bench: Bench, first: int, last: int, wanted: int) -> list[tuple[float, float, int]]:
    """(seconds to the row, seconds to its commit, end) of every whole window from first to last, epoch seconds;
    waits up to half a minute for as many as are wanted."""
    full = bench.settings.windows.length_seconds * RATE_HZ
    deadline = time.monotonic() + 30
    while True:
        with bench.store() as cursor:
            cursor.execute(_LATENCY, {"full": full, "start": first, "end": last})
            found = cursor.fetchall()
        if len(found) >= wanted or time.monotonic() > deadline:
            break
        time.sleep(1)
    time.sleep(2)  # the smoothed activity of the last ones
    with bench.store() as cursor:
        cursor.execute(_LATENCY, {"full": full, "start": first, "end": last})
        return [(float(written), float(committed), int(end)) for written, committed, end in cursor.fetchall()]
