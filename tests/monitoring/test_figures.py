"""The figures for Prometheus, of rows written by the store's own functions."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from own_settings import replaced
from prometheus_client.parser import text_string_to_metric_families

from activitymodule.learning.agreement import OverallAgreement
from activitymodule.monitoring.figures import SlowFigures, disks, prometheus_text, slow_figures
from activitymodule.serving.record import names as model_names
from activitymodule.settings import Settings
from activitymodule.store.archive import ArchiveState, write_archive_state
from activitymodule.store.batches import begin_batch, finish_batch, record_late
from activitymodule.store.connection import Connection, connect
from activitymodule.store.models import record_model_version
from activitymodule.store.predictions import PredictionRows, write_predictions
from activitymodule.store.retraining import begin_run, finish_run

LABELS = ("sitting", "walking")


@pytest.fixture
def connection(fresh_settings: Settings) -> Iterator[Any]:
    opened = connect(fresh_settings)
    yield opened
    opened.close()


def figures(
    settings: Settings, connection: Connection, **more: Any
) -> dict[str, dict[tuple[str, ...], float]]:
    """Name -> values of its labels, in the order of their names -> value, read by Prometheus' own parser."""
    text = prometheus_text(settings, connection, **more)
    return {
        sample.name: {
            tuple(one.labels.values()): one.value for one in family.samples if one.name == sample.name
        }
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def write_windows(connection: Connection, settings: Settings) -> None:
    """Three windows that are over, one of them with too few readings."""
    record_model_version(
        connection, name=settings.registry.classifier, version="1", labels=LABELS, feature_version="f"
    )
    start = int(datetime.now(UTC).timestamp() - 60) // 10 * 10_000_000
    write_predictions(
        connection,
        PredictionRows(
            device_id=pa.array(["a", "b", "c"]),
            window_start_us=np.full(3, start),
            window_seconds=10,
            labels=LABELS,
            probabilities=np.array([[0.9, 0.1], [0.3, 0.7], [np.nan, np.nan]], np.float32),
            in_set=np.array([[True, False], [True, True], [False, False]]),
            kcal_per_min=np.full(3, np.nan, np.float32),
            coverage=np.array([1, 1, 0.2], np.float32),
            readings_used=np.array([100, 100, 20]),
            duplicates=np.zeros(3, int),
            reason=[None, None, "low coverage"],
            model_version="1",
            energy_version=None,
            last_reading_us=np.full(3, start + 9_900_000),
            received_us=np.full(3, start + 9_950_000),
            batch_id=1,
        ),
    )


def test_confidence_and_windows_without_an_activity(fresh_settings: Settings, connection: Connection):
    assert "activity_confidence_mean" not in figures(fresh_settings, connection)  # of no window there is none
    write_windows(connection, fresh_settings)
    found = figures(fresh_settings, connection)
    assert found["activity_confidence_mean"][()] == pytest.approx(0.8)
    assert found["activity_windows_without_activity_last_minute"][()] == 1
    assert found["activity_windows_last_minute"][()] == 3


def test_what_came_too_late_is_added_up(fresh_settings: Settings, connection: Connection):
    for batch in (1, 2):
        begin_batch(
            connection,
            query_id="q",
            batch_id=batch,
            topic=fresh_settings.kafka.topic,
            offsets={0: (0, 10)},
            model_version="1",
            energy_version=None,
        )
        finish_batch(connection, query_id="q", batch_id=batch, windows=1)
    record_late(connection, "q", {1: 3, 2: 4})
    assert figures(fresh_settings, connection)["activity_late_panes_last_hour"][()] == 7


def test_a_challenger_that_waits_is_counted_from_when_it_began_to(
    fresh_settings: Settings, connection: Connection
):
    assert figures(fresh_settings, connection)["activity_retraining_waits_seconds"][()] == 0
    begin_run(connection, "one", started_by="anna", why="to see", options={})
    found = figures(fresh_settings, connection)
    assert found["activity_retrainings_under_way"][()] == 1
    assert found["activity_retraining_waits_seconds"][()] == 0  # it runs
    finish_run(connection, "one", "waiting", "waits for a person")
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE retrain_runs SET parameters = parameters || jsonb_build_object('touched', %s::float8)",
            (time.time() - 100_000,),
        )
    waits = figures(fresh_settings, connection)["activity_retraining_waits_seconds"][()]
    assert 99_000 < waits < 101_000
    finish_run(connection, "one", "rejected", "given up")
    assert figures(fresh_settings, connection)["activity_retraining_waits_seconds"][()] == 0


def test_messages_of_the_broker_only_where_it_was_asked(fresh_settings: Settings, connection: Connection):
    assert "activity_broker_messages_total" not in figures(fresh_settings, connection)
    found = figures(fresh_settings, connection, lag={0: 3, 1: 0}, ends={0: (5, 20), 1: (0, 7)})
    assert found["activity_broker_messages_total"] == {("0",): 20, ("1",): 7}
    assert found["activity_lag_messages"] == {("0",): 3, ("1",): 0}


def test_the_archive_that_stopped_and_what_it_lacks(fresh_settings: Settings, connection: Connection):
    ends = {0: (5, 20), 1: (0, 7)}
    assert not any("archive" in name for name in figures(fresh_settings, connection, ends=ends))
    at = datetime.now(UTC) - timedelta(seconds=100)
    going = ArchiveState(fresh_settings.kafka.topic).going({0: 18, 1: 0}, "id", ((0, 2, 5),), at)
    for state, least, most in ((going, 0, 0), (going.failing("no space", at), 100, 200)):
        write_archive_state(connection, state)
        connection.commit()
        found = figures(fresh_settings, connection, ends=ends)
        assert found["activity_archive_lag_messages"] == {("0",): 2, ("1",): 7}
        assert least <= found["activity_archive_failing_seconds"][()] <= most
        assert found["activity_archive_missing_messages"][()] == 3
    own = replaced(fresh_settings, archive={"enabled": False})
    assert "activity_archive_failing_seconds" not in figures(own, connection, ends=ends)


def test_slow_figures_are_shown_with_their_bars(fresh_settings: Settings, connection: Connection):
    slow = SlowFigures(OverallAgreement(4, 0.75, 0.5), {"class_shift": (0.2, 0.3)})
    found = figures(fresh_settings, connection, slow=slow)
    assert found["activity_annotator_kappa"][()] == 0.5
    assert found["activity_drift_measure"] == {("class_shift",): 0.2}
    assert found["activity_drift_bar"] == {("class_shift",): 0.3}


def test_slow_figures_of_a_store_in_which_nothing_is(fresh_settings: Settings, connection: Connection):
    slow = slow_figures(fresh_settings, connection)
    names = tuple(model_names(fresh_settings).values())
    assert slow == SlowFigures(OverallAgreement(0, None, None), {}, dict.fromkeys(names, 0))
    found = figures(fresh_settings, connection, slow=slow)
    assert found["activity_annotator_pairs"][()] == 0
    assert "activity_annotator_kappa" not in found
    assert found["activity_champion_problems"] == {(name,): 0 for name in names}


def test_versions_are_labels(fresh_settings: Settings, connection: Connection):
    ((revision, version),) = figures(fresh_settings, connection)["activity_build_info"]
    assert version.count(".") == 2
    assert revision.isdigit()


def test_the_disk_of_a_folder_that_is_yet_to_be_made(fresh_settings: Settings, tmp_path: Path):
    own = replaced(
        fresh_settings,
        lake={"folder": str(tmp_path / "not" / "yet")},
        archive={"folder": "s3://bucket/archive"},
    )
    found = disks(own)
    assert set(found) == {"lake", "checkpoints"}  # nobody can tell how full a bucket is
    free, total = found["lake"]
    assert 0 < free <= total
