"""How long a job takes until its first batch is written, with the archive of Spark's classes and without, in turns.

    python benchmarks/startup.py [--repetitions 5]

Scores the same few messages again and again, each time in a new process and from a new checkpoint: what differs is
the start. Prints JSON: seconds of both, and their ratio run by run.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time

from harness import Bench, BenchmarkError, say
from run import provide_champion
from summaries import spread

from activitymodule.settings import resolve
from activitymodule.streaming.session import class_archive


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repetitions", type=int, default=5)
    repetitions = parser.parse_args().repetitions
    bench = Bench.open(2, {})
    try:
        if not class_archive(bench.settings).is_file():
            raise BenchmarkError("there is no archive of Spark's classes; run ./init.sh")
        provide_champion(bench, small=True)
        bench.activity("generate", "--devices", "5", "--speed", "100", "--seconds", "60").wait(120)
        bare = bench.folder / "bare"
        shutil.copytree(resolve(bench.settings.spark.jars), bare)
        seconds: dict[str, list[float]] = {"without": [], "with": []}
        for repetition in range(repetitions + 1):
            for name, environment in (("without", {"ACTIVITY_SPARK__JARS": str(bare)}), ("with", {})):
                began = time.monotonic()
                anew = ("--once", "--set-checkpoint-aside", "--forget-offsets")
                bench.activity("score", *anew, **environment).wait(300)
                if repetition:  # the first of each reads files that the machine does not hold in memory yet
                    seconds[name].append(time.monotonic() - began)
                    say(f"{name}: {seconds[name][-1]:.1f} s")
        ratios = [a / b for a, b in zip(seconds["with"], seconds["without"], strict=True)]
        print(
            json.dumps(
                {name: spread(runs, 1) for name, runs in seconds.items()} | {"ratio": spread(ratios, 2)}
            )
        )
    except BenchmarkError as error:
        print(f"no figures: {error}", file=sys.stderr)
        return 1
    finally:
        bench.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
