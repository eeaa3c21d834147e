"""Memory of a process."""

from __future__ import annotations

import subprocess
import sys

import numpy as np

from activitymodule.memory import peak_megabytes


def test_what_is_used_shows_and_what_the_process_before_used_does_not() -> None:
    held = np.ones(400 << 17)  # 400 MiB
    assert peak_megabytes() > held.nbytes / 1e6
    code = "from activitymodule.memory import peak_megabytes as peak; print(peak())"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 1 < float(told.stdout) < held.nbytes / 1e6
