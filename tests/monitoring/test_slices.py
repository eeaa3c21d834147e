"""Drift by group of watches, from predictions and what is known of the watches."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from drift_judges import Judge
from prediction_rows import EPOCH_US, make_prediction_rows

from activitymodule.monitoring.slices import drift_slices, slices_table
from activitymodule.settings import Settings
from activitymodule.store.connection import Connection, session
from activitymodule.store.devices import Setting, set_devices
from activitymodule.store.people import upsert_people
from activitymodule.store.predictions import write_predictions


@pytest.mark.integration
def test_groups_of_watches_are_compared_with_the_baseline(fresh_settings: Settings, judge: Judge):
    """Watch 0 walks with certainty, watch 1 sits with doubt; of watch 2 nothing is known."""
    with session(fresh_settings) as connection:
        compared(connection, judge)


def compared(connection: Connection, judge: Judge) -> None:
    labels = judge.baseline.labels
    rows = make_prediction_rows(3, 4, labels=labels, unscored=0)
    sure, doubtful = np.eye(len(labels))[0], np.full(len(labels), 0.5 / (len(labels) - 1))
    doubtful[1] = 0.5
    rows = replace(rows, probabilities=np.repeat([sure, doubtful, sure], 4, axis=0).astype(np.float32))
    write_predictions(connection, rows)
    set_devices(connection, [Setting("watch-0", "E4"), Setting("watch-1", "Band 7")], "command")
    upsert_people(connection, pa.table({"device_id": ["watch-0"], "age_years": [81.0]}))
    start = datetime.fromtimestamp(EPOCH_US / 1e6, UTC)

    def found(version: str, since: datetime) -> dict[str, tuple[int, int, float]]:
        slices = drift_slices(connection, judge.baseline, version, since, start + timedelta(hours=1), 0.9)
        assert len(slices_table(slices)[1]) == len(slices)
        return {f"{one.kind} {one.name}": (one.windows, one.watches, one.confidence_now) for one in slices}

    assert found("1", start - timedelta(seconds=1)) == {
        "device model Band 7": (4, 1, 0.5),
        "device model empatica-e4": (4, 1, 1.0),
        "device model unknown": (4, 1, 1.0),
        "age band 80 and over": (4, 1, 1.0),
        "age band unknown": (8, 2, 0.75),
    }
    assert found("1", start + timedelta(seconds=15))["device model empatica-e4"][0] == 2
    assert found("2", start - timedelta(seconds=1)) == {}
