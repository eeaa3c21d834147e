"""Compare this version with another checkout of the project: throughput and live latency, in turns on one machine.

    python benchmarks/versions.py FOLDER [--repetitions 3] [--readings 7200000] [--live-seconds 60]

FOLDER is a checkout of the other version that was set up by its own ./init.sh. Each version runs its own benchmark
(benchmarks/run.py) with its own environment, services and champion. Prints JSON: the figures of both versions, and the
ratio this / other of each pair of runs with its spread. A ratio of throughput above 1 and of latency below 1 is better.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from harness import ROOT, say
from summaries import spread

Figures = dict[str, float]


def measured(checkout: Path, result: Path, args: argparse.Namespace) -> Figures:
    """One run of a version's own benchmark: readings/s, CPU seconds, and milliseconds of live latency."""
    command = [str(checkout / ".venv/bin/python"), "benchmarks/run.py", "--engines", "spark", "--no-parts"]
    command += ["--repetitions", "1", "--live-repetitions", "1" if args.live_seconds else "0"]
    command += ["--readings", str(args.readings), "--live-seconds", str(args.live_seconds or 60)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ACTIVITY_")}
    subprocess.run(
        [*command, "--json", str(result)],
        cwd=checkout,
        env=environment,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    content = json.loads(result.read_text(encoding="utf-8"))
    run = content["throughput"]["runs"]["spark"][0]
    figures = {"readings_per_second": run["readings_per_second"], "cpu_seconds": run["cpu_seconds"]}
    if args.live_seconds:
        live = content["latency"]["median_of_runs"]["spark"]["committed_ms"]
        figures |= {"latency_p50_ms": live["p50"], "latency_p99_ms": live["p99"]}
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("other", type=Path, metavar="FOLDER")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--readings", type=int, default=7_200_000)
    parser.add_argument("--live-seconds", type=int, default=60, help="0: no live runs")
    args = parser.parse_args()
    checkouts = {"this": ROOT, "other": args.other.resolve()}
    runs: dict[str, list[Figures]] = {name: [] for name in checkouts}
    with tempfile.TemporaryDirectory() as folder:
        for repetition in range(args.repetitions):
            for name in list(checkouts)[:: -1 if repetition % 2 else 1]:
                result = Path(folder) / f"{name}-{repetition}.json"
                runs[name].append(measured(checkouts[name], result, args))
                say(f"{name}: {runs[name][-1]}")
    ratios = {
        figure: spread(
            [ours[figure] / theirs[figure] for ours, theirs in zip(*runs.values(), strict=True)], 2
        )
        for figure in runs["this"][0]
    }
    print(json.dumps({**runs, "ratio_this_to_other": ratios}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
