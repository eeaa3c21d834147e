"""Training sets of the lake: listed, compared, written out and learned from again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from own_settings import replaced

from activitymodule.errors import ConfigError, DataError, NotFoundError
from activitymodule.lake.snapshots import find_snapshot, list_snapshots, mark_changed, write_snapshot
from activitymodule.learning.training_set import TrainingSet
from activitymodule.models.dataset import TrainingWindows
from activitymodule.models.energy import PersonColumns
from activitymodule.settings import Settings, load
from activitymodule.windows.catalogue import FEATURE_NAMES
from activitymodule.workflows.model_operations.training_sets import checkout, diff, log
from activitymodule.workflows.training_data import load_windows


def some(n: int, seed: int, person: str = "p") -> TrainingWindows:
    return TrainingWindows(
        features=np.random.default_rng(seed).normal(size=(n, len(FEATURE_NAMES))).astype(np.float32),
        activity=np.array(["sitting", "walking"])[np.arange(n) % 2],
        person=np.array([f"{person}{k % 3}" for k in range(n)]),
        run=np.arange(n),
        kcal_per_min=np.full(n, np.nan, np.float32),
        people=PersonColumns.unknown(n),
        copied=np.arange(n) % 4 == 3,
        device_model=np.full(n, "wear-os"),
    )


@pytest.fixture
def config(tmp_path: Path) -> Settings:
    # no registry: what learned from a snapshot is then unknown
    return replaced(load({}), lake={"folder": str(tmp_path / "lake")}, registry={"uri": "http://127.0.0.1:9"})


def test_log_diff_and_checkout(config: Settings, tmp_path: Path) -> None:
    assert log(config) == []
    first = TrainingSet(some(12, 0), some(2, 1, "q"), np.ones(2), labels=2, spread=0)
    second = replace(first, labelled=some(6, 2, "q"), weight=np.full(6, 2.0), labels=6)
    ids = [write_snapshot(config, one).snapshot_id for one in (first, second)]
    logged = log(config)
    assert {one.snapshot.snapshot_id for one in logged} == set(ids)
    by_id = {one.snapshot.snapshot_id: one for one in logged}
    assert [(by_id[one].snapshot.windows, by_id[one].snapshot.labels) for one in ids] == [(14, 2), (18, 6)]
    assert by_id[ids[1]].snapshot.people == 6
    assert by_id[ids[1]].snapshot.at is not None
    assert by_id[ids[0]].versions is None
    found = diff(config, ids[0][:12], ids[1][:12])
    assert (sum(found.added.values()), sum(found.removed.values())) == (6, 2)

    out = checkout(config, ids[1][:10], tmp_path / "set")
    assert (out.windows, out.sha256) == (18, second.windows.sha256())
    assert json.loads((tmp_path / "set" / "_snapshot.json").read_text())["snapshot"] == ids[1]
    # a training reads the very windows
    (windows,) = load_windows(str(tmp_path / "set"), config)
    assert windows.sha256() == out.sha256
    assert windows.copied.sum() == second.windows.copied.sum()


def test_what_is_not_there_is_refused(config: Settings, tmp_path: Path) -> None:
    made = TrainingSet(some(12, 0), some(2, 1), np.ones(2), labels=2, spread=0)
    snapshot_id = write_snapshot(config, made).snapshot_id
    for unknown in ("", "0" * 64):
        with pytest.raises(NotFoundError):
            find_snapshot(config, unknown)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("kept")
    with pytest.raises(ConfigError):
        checkout(config, snapshot_id, tmp_path / "full")
    mark_changed(config, snapshot_id, 7)
    assert list_snapshots(config)[0].changed_by_erasure == 7
    with pytest.raises(DataError):
        checkout(config, snapshot_id, tmp_path / "new")
    assert not (tmp_path / "new").exists()
