"""Compare this version with another checkout of the project: throughput and live latency, in turns on one machine.

    python benchmarks/versions.py FOLDER [--repetitions 3] [--readings 7200000] [--live-repetitions 3]
    python benchmarks/versions.py FOLDER --json FILE     and put them into a result of run.py, for its page

FOLDER is a checkout of the other version that was set up by its own ./init.sh. Each version is measured by its own
benchmark code, with its own environment, services and champion (benchmarks/version_runs.py). Prints JSON: the figures
of both versions, and the ratio this / other of each pair of runs with its spread. A ratio of throughput above 1 and of
latency below 1 is better.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO

from harness import HERE, ROOT, BenchmarkError, say
from summaries import spread

Figures = dict[str, float]


class Version:
    """A checkout with its services up and its champion trained, for as long as the block lasts."""

    def __init__(self, checkout: Path) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ACTIVITY_")}
        self.process = subprocess.Popen(
            [str(checkout / ".venv/bin/python"), "-P", str(HERE / "version_runs.py")],
            cwd=checkout,
            env=environment | {"PYTHONPATH": os.pathsep.join(map(str, (checkout / "benchmarks", checkout)))},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        self._answer()

    def __enter__(self) -> Version:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pipe(self.process.stdin).close()
        self.process.wait(60)

    def measure(self, kind: str, amount: int) -> Figures:
        print(kind, amount, file=self._pipe(self.process.stdin), flush=True)
        return self._answer()

    def _answer(self) -> Figures:
        line = self._pipe(self.process.stdout).readline()
        if not line:
            raise BenchmarkError(f"a version's runs ended with {self.process.wait()}; its words stand above")
        answer: Figures = json.loads(line)
        return answer

    @staticmethod
    def _pipe(pipe: IO[str] | None) -> IO[str]:
        if pipe is None:
            raise BenchmarkError("the process of a version has no pipe")
        return pipe


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("other", type=Path, metavar="FOLDER")
    parser.add_argument("--repetitions", type=int, default=3, help="of throughput")
    parser.add_argument("--readings", type=int, default=7_200_000)
    parser.add_argument("--live-repetitions", type=int, default=3)
    parser.add_argument("--live-seconds", type=int, default=120)
    parser.add_argument("--json", type=Path, help="a result of run.py, which gets this as `before`")
    args = parser.parse_args()
    with ExitStack() as open_ones:
        versions = {
            name: open_ones.enter_context(Version(checkout))
            for name, checkout in {"this": ROOT, "other": args.other.resolve()}.items()
        }
        runs: dict[str, dict[str, list[Figures]]] = {}
        for kind, amount, repetitions in (
            ("throughput", args.readings, args.repetitions),
            ("live", args.live_seconds, args.live_repetitions),
        ):
            of_kind: dict[str, list[Figures]] = {name: [] for name in versions}
            for repetition in range(repetitions):
                for name in list(versions)[:: -1 if repetition % 2 else 1]:
                    of_kind[name].append(versions[name].measure(kind, amount))
                    say(f"{name}: {of_kind[name][-1]}")
            runs[kind] = of_kind
    other = ["git", "-C", str(args.other), "log", "-1", "--format=%h, %as"]
    found = {
        "other": subprocess.run(other, capture_output=True, check=True).stdout.decode("utf-8").strip(),
        "live_seconds": args.live_seconds,
        "readings": args.readings,
        "runs": runs,
        "ratio_this_to_other": {
            figure: spread(
                [a[figure] / b[figure] for a, b in zip(of_kind["this"], of_kind["other"], strict=True)], 2
            )
            for of_kind in runs.values()
            if of_kind["this"]
            for figure in of_kind["this"][0]
            if figure != "others_share"
        },
    }
    if args.json:
        result = json.loads(args.json.read_text(encoding="utf-8"))
        args.json.write_text(json.dumps(result | {"before": found}, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
