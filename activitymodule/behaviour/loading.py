"""`python -m activitymodule.behaviour.loading FILE`: load one forest of the size study, and write what that took.

The file was written by the study itself, in the same folder: joblib runs what it loads, so no other file is read by it.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import joblib
import sklearn.ensemble  # imported before the measurement, as a serving process would have it
import sklearn.pipeline  # noqa: F401

import activitymodule.behaviour.forest  # noqa: F401
from activitymodule.memory import peak_megabytes
from activitymodule.models.export import load


def main(path: Path) -> None:
    """Load the file and print memory and time as JSON."""
    before, begin = peak_megabytes(), time.perf_counter()
    if path.suffix == ".skops":
        load(path.read_bytes(), path.name)
    else:
        joblib.load(path)
    seconds = time.perf_counter() - begin
    sys.stdout.write(json.dumps({"megabytes": peak_megabytes() - before, "seconds": seconds}) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
