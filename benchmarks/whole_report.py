"""How long `activity report` takes on a whole synthesised history, from nothing to the page, and in how much memory.

    python benchmarks/whole_report.py [--people 1959] [--days 183] [--folder FOLDER]

Needs no service. Generates the history, trains every model and writes the report, in a folder that goes at the end
(or in FOLDER, which stays). Prints JSON: seconds in all and by step, and the greatest memory of all its processes at
one time, Spark's Java among them.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

from harness import Watcher

Steps = list[tuple[str, float]]


def watched(environment: dict[str, str]) -> tuple[str, Steps, float]:
    """What the verb printed, seconds by step in their order, and the greatest memory in MB."""
    begin = time.perf_counter()
    steps: Steps = [("start", 0.0)]
    process = subprocess.Popen(
        [sys.executable, "-m", "activitymodule", "report", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env=environment,
    )
    watcher = Watcher([process.pid])
    watcher.start()
    assert process.stdout is not None
    assert process.stderr is not None
    for line in process.stderr:
        print(line, end="", file=sys.stderr, flush=True)
        steps.append((line.strip(), time.perf_counter() - begin))
    printed = process.stdout.read()
    if process.wait():
        raise SystemExit(f"activity report ended with {process.returncode}")
    steps.append(("", time.perf_counter() - begin))
    taken = [(name, round(after - at, 1)) for (name, at), (_, after) in pairwise(steps)]
    return printed, taken, watcher.finish().peak_mb


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--people", type=int, default=1959)
    parser.add_argument("--days", type=int, default=183)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="activity-bench-") as temporary:
        folder = options.folder or Path(temporary)
        environment = os.environ | {
            "ACTIVITY_LAKE__FOLDER": str(folder / "lake"),
            "ACTIVITY_REPORTS__FOLDER": str(folder / "reports"),
            "ACTIVITY_REPORTS__SOURCE": "synthetic",
            "ACTIVITY_REPORTS__PEOPLE": str(options.people),
            "ACTIVITY_REPORTS__DAYS": str(options.days),
            "OMP_NUM_THREADS": "1",
            "PYTHONUNBUFFERED": "1",
        }
        printed, steps, megabytes = watched(environment)
        size = sum(one.stat().st_size for one in (folder / "reports").rglob("*") if one.is_file())
    made = json.loads(printed)
    result = {
        "records": made["records"],
        "people": made["people"],
        "figures": made["metrics"],
        "skipped": made["skipped"],
        "seconds": round(sum(seconds for _, seconds in steps), 1),
        "steps": [{"step": name, "seconds": seconds} for name, seconds in steps],
        "memory_mb": round(megabytes),
        "report_mb": round(size / 1e6, 1),
    }
    json.dump(result, sys.stdout, indent=1)
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
