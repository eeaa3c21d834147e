"""Training sets in the lake: what is read is what was written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from own_settings import replaced

from activitymodule.lake.snapshots import read_base, read_snapshot, write_snapshot
from activitymodule.learning.gold import GoldWindows
from activitymodule.learning.training_set import training_set
from activitymodule.models.dataset import TrainingWindows
from activitymodule.models.energy import PersonColumns
from activitymodule.settings import load
from activitymodule.windows.catalogue import FEATURE_NAMES


def test_device_models_come_back(tmp_path: Path) -> None:
    n = 12
    base = TrainingWindows(
        features=np.random.default_rng(0).normal(size=(n, len(FEATURE_NAMES))).astype(np.float32),
        activity=np.array(["sitting", "walking"] * 6),
        person=np.array([f"p{k % 3}" for k in range(n)]),
        run=np.arange(n),
        kcal_per_min=np.full(n, np.nan, np.float32),
        people=PersonColumns.unknown(n),
    )
    gold = GoldWindows(
        device_id=np.array(["a", "b"]),
        window_us=np.array([0, 10_000_000]),
        label=np.array(["walking", "sitting"]),
        stratum=np.array(["doubt", "doubt"]),
        propensity=np.array([0.5, 0.5]),
        features=base.features[:2],
        device_model=np.array(["fitbit-sense", ""]),
    )
    config = replaced(load({}), lake={"folder": str(tmp_path)})
    for own in (base, replace(base, device_model=np.full(n, "wear-os"))):
        made = training_set(own, gold)
        found = read_snapshot(config, write_snapshot(config, made).snapshot_id)
        assert found.labelled.device_model.tolist() == ["fitbit-sense", ""]
        kept = read_base(config, own.sha256())
        assert kept is not None
        assert kept.device_model.tolist() == own.device_model.tolist()
