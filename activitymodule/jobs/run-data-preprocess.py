"""Preprocess raw recordings in the cloud: `python activitymodule/jobs/run-data-preprocess.py [SOURCE PATH] [options]`.

The same as `activity cloud run preprocess --wait`, on the engine of cloud.engine.
"""

import runpy
import sys
from pathlib import Path

if __name__ == "__main__":
    # as a script its folder is searched first, in which `queue` and `statistics` are not Python's
    sys.path[0] = str(Path(__file__).resolve().parents[2])
    sys.argv[1:1] = ["cloud", "run", "preprocess", "--wait"]
    runpy.run_module("activitymodule", run_name="__main__")
