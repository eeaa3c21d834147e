"""The benchmark's result as a page: docs/performance.json and docs/performance.md."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

from summaries import Json

NAMES = {
    "spark": "this project (Spark)",
    "spark_archive": "the same, archiving the raw messages too",
    "plain_1": "plain Python consumer, 1 process",
    "plain_2": "plain Python consumer, 2 processes",
    "quix": "Quix Streams, 1 process",
}
QUIET = 0.05  # share of the machine that others may take in a run that counts as undisturbed


def publish(result: Json, root: Path) -> None:
    """Keep a result as the one the documentation shows. Raises ValueError for one that failed."""
    if "failed" in result:
        raise ValueError(f"that run failed: {result['failed']}")
    (root / "docs" / "performance.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    write(root)


def write(root: Path) -> None:
    """docs/performance.md from docs/performance.json."""
    result = json.loads((root / "docs" / "performance.json").read_text(encoding="utf-8"))
    (root / "docs" / "performance.md").write_text(markdown(result), encoding="utf-8")


def verdicts(result: Json) -> list[tuple[str, str, str, bool]]:
    """Targets: (what, target, measured, reached)."""
    found: list[tuple[str, str, str, bool]] = []
    through = result.get("throughput", {})
    speed = through.get("readings_per_second", {}).get("spark")
    if speed:
        value = speed["median"]
        found.append(
            ("Kafka to committed rows, warm", "150,000 readings/s", f"{value:,.0f}", value >= 150_000)
        )
    for key, name, least in (
        ("spark_to_quix", "Quix Streams", 3.0),
        ("spark_to_plain_2", NAMES["plain_2"], 1.0),
        ("spark_archive_to_plain_2", f"{NAMES['plain_2']}, archiving too", 0.85),
    ):
        if key in through.get("ratios", {}):
            ratio = through["ratios"][key]["median"]
            found.append((f"as a ratio to: {name}", f"{least:g}", f"{ratio:.2f}", ratio >= least))
    live = result.get("latency", {}).get("median_of_runs", {}).get("spark")
    if live:
        for quantile, most in (("p50", 350), ("p99", 600)):
            value = live["committed_ms"][quantile]
            found.append((f"live latency {quantile}", f"{most} ms", f"{value:,.0f} ms", value <= most))
        cores = statistics.median(run["cores_used"] for run in result["latency"]["runs"]["spark"])
        found.append(("cores used live", "1.0", f"{cores:.2f}", cores <= 1.0))
    rate = generator_speed(result)
    if rate:
        found.append(("generator, one core", "100,000 readings/s", f"{rate:,.0f}", rate >= 100_000))
    return found


def generator_speed(result: Json) -> float | None:
    """Readings/s a core: by CPU time, which neighbours on the machine do not change much."""
    return _at(result.get("parts", {}), "generate", "messages", "cpu", "median")


def _at(tree: Any, *keys: str) -> float | None:
    """The number at a place of a tree of dictionaries; None where there is none."""
    for key in keys:
        if not isinstance(tree, dict) or key not in tree:
            return None
        tree = tree[key]
    return float(tree) if isinstance(tree, int | float) else None


def markdown(result: Json) -> str:
    lines = [
        "# Performance",
        "",
        "Made by `python benchmarks/run.py --report` from [performance.json](performance.json), which `make bench`",
        "and `python benchmarks/run.py --publish FILE` make. Do not edit.",
        "",
        *_machine(result),
        *_targets(result),
        *_throughput(result),
        *_together(result),
        *_latency(result),
        *_before(result),
        *_parts(result),
        *_method(),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    rule = ["---"] + ["---:"] * (len(head) - 1)
    return ["| " + " | ".join(cells) + " |" for cells in (head, rule, *rows)] + [""]


def _machine(result: Json) -> list[str]:
    machine, versions = result["machine"], result["versions"]
    shares = [
        run["others_cpu_share"]
        for kind in ("throughput", "latency")
        for runs in result.get(kind, {}).get("runs", {}).values()
        for run in runs
    ]
    lines = [
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gb']} GB; broker, store and registry",
        f"on the same cores. Spark {versions['pyspark']}, confluent-kafka {versions['confluent-kafka']},",
        f"Quix Streams {versions['quixstreams']}, Python {versions['python']}. Measured {result['made_at'][:10]}.",
        "",
    ]
    if result["small"]:
        lines += ["**A small run: it shows that everything works, and says nothing of speed.**", ""]
    if shares and max(shares) > QUIET:
        lines += [
            "**Other programs and the kernel's own threads, which write the broker's and the store's files to disk,",
            f"took up to {max(shares):.0%} of the machine during a run. Figures and ratios are lower bounds at best:",
            "what runs more threads suffers more.**",
            "",
        ]
    return lines


def _targets(result: Json) -> list[str]:
    rows = [[*cells, "yes" if reached else "no"] for *cells, reached in verdicts(result)]
    return ["## Targets", "", *_table(["", "target", "measured", "reached"], rows)] if rows else []


CPU = "CPU us a reading, engine + services"


def _cpu(run: Json, readings: int) -> str:
    """What a run used, its start included."""
    return " + ".join(f"{run[key] / readings * 1e6:.1f}" for key in ("cpu_seconds", "service_cpu_seconds"))


def _throughput(result: Json) -> list[str]:
    if "throughput" not in result:
        return []
    through = result["throughput"]
    load, short = through["load"], through.get("short_load", {})
    rows = []
    for engine, speed in through["readings_per_second"].items():
        runs = through["runs"][engine]
        ratio = through["ratios"].get(f"spark_to_{engine}")
        middle = sorted(runs, key=lambda run: run["readings_per_second"])[len(runs) // 2]
        rows.append(
            [
                NAMES[engine],
                f"{speed['median']:,.0f}",
                f"{speed['least']:,.0f} to {speed['most']:,.0f}",
                f"{ratio['median']:.2f} ({ratio['least']:.2f} to {ratio['most']:.2f})" if ratio else "",
                _cpu(middle, (short if engine in short.get("engines", ()) else load)["sent"]),
                f"{max(run['peak_mb'] for run in runs):,.0f}",
            ]
        )
    head = ["", "readings/s, warm", "range", "ratio ours : theirs", CPU, "peak MB"]
    same: Any = next((value for key, value in through.items() if key.startswith("rows_against_")), {})
    agreement = [
        f"- {NAMES[engine]}: {values['same_activity']:.3%} of the windows have the same activity; confidence differs "
        f"by {values['largest_confidence_difference']:g} at most, energy by "
        f"{values['largest_kcal_difference']:g} kcal/min."
        for engine, values in same.items()
    ]
    return [
        "## Readings a second, Kafka to committed rows",
        "",
        f"{load['sent']:,} readings of {load['bytes_per_message']:.0f} bytes, one a message, from {load['devices']:,}",
        "watches at 10 Hz; windows of 10 s; the real features and models; committed upserts. Start-up and the",
        "first batch are left out. Median and range of the runs, which took turns."
        + (
            f" The first {short['sent']:,} of them alone for: {', '.join(NAMES[e] for e in short['engines'])}."
            if short.get("engines")
            else ""
        ),
        "",
        *_table(head, rows),
        "After each run the store held every window with all its readings. The engines' rows beside ours:",
        "",
        *agreement,
        "",
    ]


def _together(result: Json) -> list[str]:
    if "together" not in result:
        return []
    load, runs = result["together"]["load"], result["together"]["runs"]
    rows = [
        [
            NAMES[engine],
            f"{statistics.median(run['readings_per_second'] for run in of):,.0f}",
            _cpu(of[0], load["sent"]),
        ]
        for engine, of in runs.items()
    ]
    return [
        "## Ten readings a message",
        "",
        f"The same {load['sent']:,} readings in {load['messages']:,} messages, as the project's own fleet sends them;",
        f"{max(map(len, runs.values()))} run(s) of each.",
        "",
        *_table(["", "readings/s, warm", CPU], rows),
    ]


def _latency(result: Json) -> list[str]:
    if "latency" not in result:
        return []
    live = result["latency"]
    rows = []
    for engine, of in live["median_of_runs"].items():
        runs = live["runs"][engine]
        for kind, name in (
            ("written_ms", "row written"),
            ("committed_ms", "row committed, smoothed activity too"),
        ):
            rows.append(
                [
                    f"{NAMES[engine]}: {name}",
                    *(f"{of[kind][quantile]:,.0f}" for quantile in ("p50", "p95", "p99", "max")),
                    f"{max(run['cores_used'] for run in runs):.2f}",
                ]
            )
    of_one = next(iter(live["runs"].values()))
    rate = of_one[0]["readings_per_second"]
    return [
        "## Live latency",
        "",
        f"{live['devices']} watches at 10 Hz in real time, {rate:,.0f} messages/s of one reading",
        "each: from the moment Kafka took a window's last reading (LogAppendTime) to its row in PostgreSQL, ms.",
        f"{live['seconds']} s a run after a warm-up of {live.get('warm_up_seconds', 15)} s; medians over",
        f"{len(of_one)} run(s), whose windows end together, every 10 s. Cores: the most of a run.",
        "",
        *_table(["", "p50", "p95", "p99", "most", "cores used"], rows),
    ]


BEFORE = {
    "readings_per_second": ("readings/s, warm", "{:,.0f}"),
    "cpu_seconds": ("CPU seconds of the engine, start-up included", "{:.1f}"),
    "latency_p50_ms": ("live latency p50, ms", "{:,.0f}"),
    "latency_p99_ms": ("live latency p99, ms", "{:,.0f}"),
    "live_cores": ("cores used live", "{:.2f}"),
}


def _before(result: Json) -> list[str]:
    before = result.get("before")
    if not before:
        return []
    rows = []
    for figure, ratio in before["ratio_this_to_other"].items():
        name, form = BEFORE[figure]
        of = next(kind for kind in before["runs"].values() if kind["this"] and figure in kind["this"][0])
        middle = [statistics.median(run[figure] for run in of[version]) for version in ("this", "other")]
        spread = f"{ratio['median']:.2f} ({ratio['least']:.2f} to {ratio['most']:.2f}, {ratio['runs']} pairs)"
        rows.append([name, *map(form.format, middle), spread])
    return [
        "## The version before",
        "",
        f"This version and {before['other']}, in turns in one run (`benchmarks/versions.py`), each measured by its own",
        f"benchmark: {before['readings']:,} readings, then 100 watches for {before['live_seconds']} s after a minute,",
        "whose CPU the benchmark of the version before counts too.",
        "",
        *_table(["", "this version", "the one before", "ratio"], rows),
    ]


PARTS = (
    ("decode.py", "messages to panes, readings/s", ("decode", "single", "panes_readings_per_second")),
    (
        "decode.py",
        "orjson.loads alone, readings/s",
        ("decode", "single", "orjson_loads_only_readings_per_second"),
    ),
    ("features.py", "assembling, windows/s", ("features", "windows_per_core_second", "assemble", "median")),
    ("features.py", "features, windows/s", ("features", "windows_per_core_second", "features", "median")),
    ("models.py", "both models, windows/s", ("models", "speed", "windows_a_second")),
    ("generate.py", "the fleet's messages, readings/s", ("generate", "messages", "cpu", "median")),
)


def _parts(result: Json) -> list[str]:
    parts = result.get("parts", {})
    rows = [
        [f"`benchmarks/{program}`: {what}", f"{value:,.0f}"]
        for program, what, place in PARTS
        if (value := _at(parts, *place)) is not None
    ]
    failed = [f"- `benchmarks/{name}.py` failed." for name, found in parts.items() if "failed" in found]
    return ["## Parts, one core each", "", *_table(["", "a second"], rows), *failed, ""] if parts else []


def _method() -> list[str]:
    return [
        "## How it is measured",
        "",
        "- Every engine reads the same messages and writes the same rows by the same functions: assembling, features,",
        "  models, upsert and smoothing are this project's in all of them (benchmarks/peers.py). They differ in how",
        "  messages are read, parsed and gathered into windows.",
        "- The plain consumer (confluent-kafka, orjson, a dict of windows) gives no guarantees: what it has in memory",
        "  is lost when it dies, and it checks nothing of what it parses. This project checks every field, keeps late",
        "  and duplicated readings apart, and loses nothing when it is killed.",
        "- Quix Streams keeps its state in RocksDB, here without a changelog topic, which is its quicker way.",
        "- CPU is what the engine's processes and the services used for the whole run, start-up included.",
        "- A run whose rows do not add up to what was sent fails, and so does the benchmark.",
    ]
