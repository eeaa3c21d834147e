"""A feature family is one module: in the catalogue, the document, the verb and the matrix without another edit."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

MODULE = '''
import numpy as np

from activitymodule.windows.families.base import ACCELERATION, Described, family

FEATURES = [
    Described("mean_square", "m2/s4", "mean of the squared magnitude"),
    Described("root", "m/s2", "its square root"),
]


@family(sensor=ACCELERATION, features=FEATURES, order=14, changed_in=2)
def effort(m):
    """How much work the wrist does."""
    square = m.mean[3] ** 2 + m.sd[3] ** 2
    return [square[None], np.sqrt(square)[None]]
'''

PROGRAM = """
import json
import sys

from activitymodule.windows import families

families.__path__.append(sys.argv[1])

import numpy as np
from typer.testing import CliRunner

from activitymodule.jobs.features import app
from activitymodule.models.activity import feature_names
from activitymodule.settings import Windows
from activitymodule.windows import catalogue
from activitymodule.windows.assembling import WindowBatch
from activitymodule.windows.document import markdown
from activitymodule.windows.features import features
from activitymodule.windows.packing import CHANNELS

grid = np.full((2, 100, len(CHANNELS)), np.nan, np.float32)
grid[:, :, :3] = (0, 0, -1)
nothing = np.zeros(2, np.int32)
matrix = features(WindowBatch(grid, np.ones(2, np.float32), nothing, nothing, np.zeros(2, np.int64)), Windows())
print(json.dumps({
    "names": catalogue.FEATURE_NAMES[-2:],
    "before": catalogue.FEATURE_NAMES.index("speed_max"),
    "version": catalogue.FEATURES_VERSION,
    "document": markdown().partition("## Effort (2)\\n\\n")[2].splitlines()[0],
    "verb": CliRunner().invoke(app, ["--family", "effort"]).output.split()[0],
    "classifier": "effort_root" in feature_names(),
    "matrix": matrix[:, -1].tolist(),
}))
"""


def test_a_new_family_needs_no_other_edit(tmp_path: Path) -> None:
    (tmp_path / "effort.py").write_text(MODULE)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, tmp_path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert [round(value, 4) for value in seen.pop("matrix")] == [9.8067, 9.8067]
    assert seen == {
        "names": ["effort_mean_square", "effort_root"],
        "before": 322,
        "version": "2",
        "document": "How much work the wrist does.",
        "verb": "effort_mean_square",
        "classifier": True,
    }
