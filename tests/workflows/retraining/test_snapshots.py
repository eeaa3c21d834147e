"""Snapshots of training sets in the lake."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from activitymodule.errors import DataError
from activitymodule.lake.snapshots import read_base, read_snapshot, write_snapshot
from activitymodule.learning.training_set import training_set
from activitymodule.store.connection import session
from activitymodule.store.labels import gold_rows
from activitymodule.windows.catalogue import FEATURES_VERSION
from activitymodule.workflows.retraining.gold import gold_windows

pytestmark = pytest.mark.integration


def test_snapshots_are_known_by_their_content(fresh_settings, fleet, label_some):
    settings = fresh_settings
    label_some(teaching=40, audit=5)
    with session(settings, read_only=True) as connection:
        rows = gold_rows(connection, FEATURES_VERSION)
    made = training_set(fleet.take(np.arange(100)), gold_windows(rows))
    first = write_snapshot(settings, made)
    again = write_snapshot(settings, replace(made, left_out={}))
    assert first.written
    assert not again.written
    assert again.snapshot_id == first.snapshot_id
    back = read_snapshot(settings, first.snapshot_id)
    assert back.sha256() == made.sha256()
    assert np.array_equal(back.windows.features, made.windows.features, equal_nan=True)
    assert np.array_equal(back.weights, made.weights)
    assert read_base(settings, made.base.sha256()).sha256() == made.base.sha256()
    assert read_base(settings, "0" * 64) is None
    folder = Path(settings.lake.folder) / "training"
    spoilt = json.loads((folder / f"snapshot-{first.snapshot_id}.json").read_text())
    spoilt["taught"] = spoilt["base"]
    (folder / f"snapshot-{first.snapshot_id}.json").write_text(json.dumps(spoilt))
    with pytest.raises(DataError):
        read_snapshot(settings, first.snapshot_id)
