"""One engine in a process of its own, which a benchmark asks for times: `python -m ...bench_process FOLDER ENGINE`.

FOLDER has the folders `activity` and perhaps `energy` of a version's files, in them `ENGINE.onnx` where the engine is
not sklearn, and features.npy. For each line `windows calls` on its standard input it writes one of JSON: `seconds` of
each call, `processor_seconds` of all. At the end of the input it writes `peak_megabytes` and `load_seconds`.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from activitymodule.memory import peak_megabytes
from activitymodule.models.bundle import BundleBytes, ModelBytes, PersonColumns, ScoringModel, load_bundle

SKLEARN = "sklearn"


def load(folder: Path, engine: str) -> ScoringModel:
    """The pair of models as the scorer loads it, for an engine."""
    pair = []
    for kind in ("activity", "energy"):
        own = folder / kind
        if not own.is_dir():
            continue
        stored, export = ModelBytes.read(own, "1", float("inf")), own / f"{engine}.onnx"
        pair.append(replace(stored, onnx=export.read_bytes()) if export.is_file() else stored)
    return load_bundle(BundleBytes(*pair), checked=True)


def main() -> None:
    """Answer until the input ends."""
    folder, engine = Path(sys.argv[1]), sys.argv[2]
    features = np.load(folder / "features.npy", allow_pickle=False)
    begin = time.perf_counter()
    model = load(folder, engine)
    model.score(features[:1], PersonColumns.unknown(1))
    load_seconds = time.perf_counter() - begin
    _write({"engines": model.engines, "notes": model.notes})
    for line in sys.stdin:
        windows, calls = map(int, line.split())
        batch, people = np.resize(features, (windows, features.shape[1])), PersonColumns.unknown(windows)
        model.score(batch, people)
        seconds, processor = [], time.process_time()
        for _ in range(calls):
            at = time.perf_counter()
            model.score(batch, people)
            seconds.append(time.perf_counter() - at)
        spent = time.process_time() - processor
        _write({"seconds": seconds, "processor_seconds": spent})
    _write({"peak_megabytes": peak_megabytes(), "load_seconds": load_seconds})


def _write(line: Mapping[str, object]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
