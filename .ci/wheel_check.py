"""Scores a window with an installed wheel: synthesise, encode, decode, assemble, compute features, load, score.

`.ci/wheel-check` runs it in an environment that has the wheel without extras: wheel_check.py FOLDER, where FOLDER
holds the two models that `activity train --folder` wrote.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa

import activitymodule
from activitymodule.models.bundle import BundleBytes, load_bundle
from activitymodule.settings import load, resource
from activitymodule.synthesis.history import training_readings
from activitymodule.telemetry.decoding import decode_messages
from activitymodule.telemetry.encode import messages
from activitymodule.windows.assembling import assemble
from activitymodule.windows.features import features
from activitymodule.windows.panes import windows_of

NOT_IN_THE_CORE = ("pyspark", "sqlalchemy", "psycopg2", "kafka", "mlflow", "nicegui", "airflow")


def main(models: Path) -> None:
    """Raises where something is missing; prints what was scored."""
    config = load()
    written = messages(training_readings(1, 2, 7).readings, 10)
    decoded = decode_messages(
        pa.array(written.value, pa.binary()), now_us=int(written.newest_us.max()), limits=config.telemetry
    )
    windows = windows_of(decoded.readings, config.windows)
    batch = assemble(windows.window_start_us, windows.panes, config.windows)
    bundle = BundleBytes.read(models / "activity", models / "energy", version="1")
    scores = load_bundle(bundle, config.windows).score(features(batch, config.windows))
    labels = np.array(load_bundle(bundle).labels)[scores.probabilities.argmax(axis=1)]
    assert len(labels) > 10
    assert np.isfinite(scores.probabilities).any()
    for path in ("sql/migrations/env.py", "sql/grants.sql", "airflow/dags", "jars.lock"):
        assert resource(path).exists(), path
    assert (Path(activitymodule.__file__).parents[1] / "annotation" / "static").is_dir()
    assert not [name for name in NOT_IN_THE_CORE if name in sys.modules]
    sys.stdout.write(
        f"scored {len(labels)} windows from {activitymodule.__file__}: {', '.join(np.unique(labels))}\n"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
