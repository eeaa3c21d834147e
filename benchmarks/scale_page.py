"""The result of scale.py as a page and a figure: what more watches cost, and what a million would need."""

from __future__ import annotations

import json
import math
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from summaries import Json

DOCS = Path(__file__).resolve().parent.parent / "docs"
RESULT, PAGE, PICTURE = DOCS / "scaling.json", DOCS / "scaling.md", DOCS / "figures" / "scaling.svg"
MILLION = 1_000_000
MOST_IN_DEFAULT_HEAP = 50_000  # watches
LARGE_HEAP = "8g"  # for more
BUSY = 0.6  # of a core, so that a burst does not make a lag
BYTES_A_READING = 535  # of a message with one reading of every field, as the benchmark sends it


def publish(result: Json) -> None:
    """Keep a result as the one the documentation shows. Raises ValueError for one that failed."""
    if "failed" in result:
        raise ValueError(f"that run failed: {result['failed']}")
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    write()


def write() -> None:
    """docs/scaling.md and its figure from docs/scaling.json."""
    result = json.loads(RESULT.read_text(encoding="utf-8"))
    PAGE.write_text("\n".join([*_head(result), *tables(result), *_method(result)]) + "\n", encoding="utf-8")
    draw(result)


def _head(result: Json) -> list[str]:
    machine = result["machine"]
    return [
        "# Scaling",
        "",
        "What more watches cost, measured on one machine, and what a million watches would need by these slopes.",
        f"Made by `benchmarks/scale.py` at {result['made_at']} on {machine['processor']}, {machine['cores']} cores,",
        f"{machine['memory_gb']} GB; Spark's `driver_memory` {result['settings']['driver_memory']}, a watermark of",
        f"{result['settings']['watermark_minutes']:g} minutes.",
        "",
        "![Readings a second and state by the number of watches](figures/scaling.svg)",
        "",
    ]


def tables(result: Json) -> list[str]:
    """The measurements, by watches and by partitions, and what a million watches need."""
    found = result["points"]
    most = max((one["point"]["partitions"] for one in found), default=2)
    two = [one for one in found if one["point"]["partitions"] == one["point"]["cores"] == 2]
    lines = ["## By the number of watches", "", *_rows(two)]
    if most > 2:
        watches = next(one["point"]["watches"] for one in found if one["point"]["partitions"] == most)
        of = [one for one in found if one["point"]["watches"] == watches and one["point"]["rate_hz"] < 10]
        lines += [f"## By partitions of the topic, {watches:,} watches", "", *_rows(of)]
    return [*lines, *_cores(found), *_million(result)]


def _cores(found: list[Json]) -> list[str]:
    """What the second core brings, where one of them was measured."""
    one = next((one for one in found if one["point"]["cores"] == 1), None)
    if one is None:
        return []
    alike = {**one["point"], "cores": 2}
    two = next(other for other in found if other["point"] == alike)
    ratio = two["readings_per_second"] / one["readings_per_second"]
    return [
        "## By Spark's cores",
        "",
        f"With one core in place of two, {alike['watches']:,} watches are scored at {one['readings_per_second']:,.0f}",
        f"readings/s; two are {ratio:.2f} times as fast. Broker and store run on the same two cores.",
        "",
    ]


def _place(one: Json) -> tuple[int, int, int, str]:
    point = one["point"]
    return -point["rate_hz"], point["watches"], point["partitions"], point["state_store"]


def _rows(points: list[Json]) -> list[str]:
    lines = [
        "| watches | readings/s of each | minutes of them | state in | partitions | readings/s | second half / first | "
        "CPU us a reading | state, MB | bytes a window | batch p50, p99 ms | Java, all, MB |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for one in sorted(points, key=_place):
        point, batch = one["point"], one["batch_ms"]
        each = one["state_bytes"] / one["state_windows"] if one["state_windows"] else math.nan
        cpu = [one[key] / one["readings"] * 1e6 for key in ("cpu_seconds", "service_cpu_seconds")]
        lines.append(
            f"| {point['watches']:,} | {point['rate_hz']} | {point['seconds'] / 60:g} | "
            f"{point['state_store']} | {point['partitions']} | "
            f"{one['readings_per_second']:,.0f} | {one['late_ratio']:.2f} | {cpu[0]:.1f} + {cpu[1]:.1f} | "
            f"{one['state_bytes'] / 1e6:,.0f} | {each:,.0f} | {batch['p50']:,.0f}, {batch['p99']:,.0f} | "
            f"{one['java_peak_mb']:,.0f}, {one['peak_mb']:,.0f} |"
        )
    return [*lines, ""]


def slopes(points: list[Json], key: str) -> tuple[float, float, float]:
    """CPU microseconds a reading and a window, and CPU seconds of a start, by least squares with none below zero."""
    readings, windows = (np.array([one[name] for one in points], float) for name in ("readings", "windows"))
    seconds = np.array([one[key] for one in points], float)
    columns = np.column_stack([readings, windows, np.ones(len(points))])
    kept = [True, True, True]
    while True:
        solved = np.zeros(3)
        solved[kept] = np.linalg.lstsq(columns[:, kept], seconds, rcond=None)[0]
        if (solved >= 0).all():
            return float(solved[0] * 1e6), float(solved[1] * 1e6), float(solved[2])
        kept = [keep and bool(value >= 0) for keep, value in zip(kept, solved, strict=True)]


def _million(result: Json) -> list[str]:
    points = [
        one
        for one in result["points"]
        if one["point"]["state_store"] == "memory"
        and one["point"]["partitions"] == one["point"]["cores"] == 2
    ]
    if len(points) < 2:
        return []
    length = result["settings"]["length_seconds"]
    lines = [
        "## A million watches",
        "",
        "By the slopes of the table: CPU seconds are fitted as a cost a reading and a cost a window (and a start); the",
        f"state is that of the largest point of the same rate, a watch. Cores are taken to be {BUSY:.0%} busy.",
        "",
        "| readings/s of each | readings/s | windows/s | cores that score | cores of broker and store | state, GB | "
        "heap for it, GB | into Kafka, MB/s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    ours, services = slopes(points, "cpu_seconds"), slopes(points, "service_cpu_seconds")
    for rate in sorted({one["point"]["rate_hz"] for one in points}):
        of = max(
            (one for one in points if one["point"]["rate_hz"] == rate),
            key=lambda one: one["point"]["watches"],
        )
        readings, windows = MILLION * rate, MILLION / length
        cores = [(cost[0] * readings + cost[1] * windows) / 1e6 / BUSY for cost in (ours, services)]
        state = of["state_bytes"] / of["point"]["watches"] * MILLION / 1e9
        lines.append(
            f"| {rate} | {readings:,.0f} | {windows:,.0f} | {math.ceil(cores[0]):,} | {math.ceil(cores[1]):,} | "
            f"{state:,.0f} | {state * 2.5:,.0f} | {readings * BYTES_A_READING / 1e6:,.0f} |"
        )
    return [
        *lines,
        "",
        f"The job costs {ours[0]:.1f} us of CPU a reading and {ours[1]:.0f} us a window, broker and store",
        f"{services[0]:.1f} and {services[1]:.0f}. One PostgreSQL has not so many cores: shard the watches over",
        "several topics, each with a scorer and a store of its own (`kafka.topic`, `store.database`). Messages of ten",
        "readings make Kafka's part a tenth. Partitions: about one for each core that scores; a state that does not",
        "fit: `spark.state_store: rocksdb`.",
        "",
    ]


def _method(result: Json) -> list[str]:
    large = any(one["point"]["watches"] > MOST_IN_DEFAULT_HEAP for one in result["points"])
    return [
        "## How it is measured",
        "",
        "- A topic is filled with whole windows of every watch, longer than the watermark, and scored by",
        "  `activity score --once`; every window must then stand in the store with all readings, scored and smoothed.",
        "- Above 10,000 watches, and in the runs by partitions, each sends two readings a second; windows of twenty",
        "  readings are scored too in these runs.",
        "- CPU: of the job + of broker, store and registry. `second half / first`: readings/s of the later batches by",
        "  those of the earlier ones; 1.00 where a growing state costs nothing.",
        "- The state is what Spark reports, at its largest; of RocksDB it is what lies in memory. A heap needs",
        "  2.5 times as much (`activity doctor` and the scorer warn where the watches of the store need more).",
        *([f"- With more than {MOST_IN_DEFAULT_HEAP:,} watches the heap is {LARGE_HEAP}."] if large else []),
        "- A million watches were not run: the table extrapolates.",
    ]


def draw(result: Json) -> None:
    """Readings a second, and the state, by the number of watches."""
    matplotlib.rcParams["svg.hashsalt"] = "scaling"  # the same figure is the same file
    figure = Figure(figsize=(8.4, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    series = sorted(
        {(one["point"]["rate_hz"], one["point"]["state_store"]) for one in result["points"]}, reverse=True
    )
    for (rate, store), colour in zip(series, ("#1f4e79", "#c0762c", "#6b8e23", "#9db8d2"), strict=False):
        points = sorted(
            (one["point"]["watches"], one["readings_per_second"], one["state_bytes"] / 1e6)
            for one in result["points"]
            if (one["point"]["rate_hz"], one["point"]["state_store"], one["point"]["partitions"])
            == (rate, store, 2)
            and one["point"]["cores"] == 2
        )
        if points:
            watches, speed, state = zip(*points, strict=True)
            name = f"{rate} reading{'s' if rate > 1 else ''}/s of each, {store}"
            left.plot(watches, speed, "o-", color=colour, label=name)
            right.plot(watches, state, "o-", color=colour)
    for axes, title in ((left, "readings scored a second"), (right, "state, MB")):
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.yaxis.set_major_formatter("{x:,.0f}")
        axes.set_ylim(0, 1.05 * axes.get_ylim()[1])
        axes.set_xlabel("watches")
        axes.set_title(title, fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="#e6e6e6")
        axes.set_axisbelow(True)
    left.legend(frameon=False, fontsize=8)
    figure.savefig(PICTURE, metadata={"Date": None})
