"""Predictions are stored unchanged, and a row never gets worse."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import psycopg2
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from activitymodule.errors import DataError
from activitymodule.store.predictions import PredictionRows, copy_text, stored_windows, write_predictions

COLUMNS = (
    "device_id, (extract(epoch from window_start) * 1000000)::bigint, activity, confidence, probabilities, "
    "conformal_set, kcal_per_min, coverage, readings_used, duplicates, reason, model_version, batch_id"
)

ARRAYS = (
    "window_start_us",
    "probabilities",
    "in_set",
    "kcal_per_min",
    "coverage",
    "readings_used",
    "duplicates",
    "last_reading_us",
    "received_us",
)


def stored(connection):
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {COLUMNS} FROM predictions ORDER BY device_id, window_start")
        return cursor.fetchall()


@pytest.mark.integration
def test_rows_are_read_as_they_were_written(connection, make_rows):
    rows = make_rows(3, 20)
    assert write_predictions(connection, rows) == 60
    for i, row in enumerate(stored(connection)):
        p = rows.probabilities[i]
        device, start, activity, confidence, probabilities, in_set, kcal, coverage, used, *_ = row
        assert (device, start, used) == (rows.device_id[i].as_py(), rows.window_start_us[i], 100)
        assert np.float32(coverage) == rows.coverage[i]
        if np.isnan(p).all():
            assert (activity, confidence, probabilities, in_set, kcal) == (None,) * 5
            assert row[10] == "too few readings"
        else:
            assert activity == rows.labels[p.argmax()]
            assert np.array_equal(np.array(probabilities, np.float32), p)
            assert np.float32(confidence) == p.max()
            assert in_set == [
                label for label, there in zip(rows.labels, rows.in_set[i], strict=True) if there
            ]
            assert np.float32(kcal) == rows.kcal_per_min[i]
            assert row[10] is None


# every character that PostgreSQL knows; half a surrogate pair is none
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20)


@pytest.mark.integration
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    devices=st.lists(texts, min_size=1, max_size=5, unique=True),
    labels=st.lists(texts, min_size=2, max_size=5, unique=True),
    kcal=st.floats(width=32, allow_nan=True, allow_infinity=True),
    weight=st.floats(0, 1, width=32),
)
def test_any_text_and_number_is_stored_unchanged(connection, devices, labels, kcal, weight):
    n, k = len(devices), len(labels)
    probabilities = np.zeros((n, k), np.float32)
    probabilities[:, 0] = weight
    probabilities[:, 1] = 1 - np.float32(weight)
    rows = PredictionRows(
        device_id=pa.array(devices),
        window_start_us=np.full(n, 1_790_000_000_123_457),
        window_seconds=10,
        labels=tuple(labels),
        probabilities=probabilities,
        in_set=np.ones((n, k), bool),
        kcal_per_min=np.full(n, kcal, np.float32),
        coverage=np.ones(n, np.float32),
        readings_used=np.ones(n, np.int32),
        duplicates=np.zeros(n, np.int32),
        reason=[None] * n,
        model_version=labels[0],
        energy_version=None,
        last_reading_us=np.zeros(n, np.int64),
        received_us=np.zeros(n, np.int64),
    )
    write_predictions(connection, rows)
    found = {row[0]: row for row in stored(connection)}
    connection.rollback()
    assert set(found) == set(devices)
    for row in found.values():
        assert row[1] == 1_790_000_000_123_457
        assert row[2] == labels[probabilities[0].argmax()]
        assert np.array_equal(np.array(row[4], np.float32), probabilities[0])
        assert row[5] == labels
        assert row[6] is None if np.isnan(kcal) else np.float32(row[6]) == np.float32(kcal)
        assert row[11] == labels[0]


@pytest.mark.integration
def test_writing_again_changes_nothing(connection, make_rows):
    write_predictions(connection, make_rows(batch_id=1))
    connection.commit()
    before = stored(connection)
    assert write_predictions(connection, make_rows(batch_id=2)) == 0
    assert write_predictions(connection, make_rows(batch_id=2, seed=9)) == 0
    assert stored(connection) == before


@pytest.mark.integration
@pytest.mark.parametrize(
    ("readings", "duplicates", "written"),
    [(99, 0, 0), (99, 50, 0), (100, 5, 0), (100, 4, 0), (100, 6, 10), (101, 0, 10)],
)
def test_a_row_is_replaced_only_by_a_better_one(connection, make_rows, readings, duplicates, written):
    write_predictions(connection, make_rows(readings=100, duplicates=5))
    better = make_rows(readings=readings, duplicates=duplicates, seed=2)
    assert write_predictions(connection, better) == written


@pytest.mark.integration
def test_the_best_of_several_rows_of_a_window_is_stored(connection, make_rows):
    few, many = make_rows(1, 1, readings=3), make_rows(1, 1, readings=7)
    both = replace(
        few,
        **{name: np.concatenate([getattr(few, name), getattr(many, name)]) for name in ARRAYS},
        device_id=pa.concat_arrays([few.device_id, many.device_id]),
        reason=[*few.reason, *many.reason],
    )
    assert write_predictions(connection, both) == 1
    assert stored(connection)[0][8] == 7


@pytest.mark.integration
def test_a_connection_works_after_a_rollback(connection, make_rows):
    write_predictions(connection, make_rows())
    connection.rollback()
    assert stored(connection) == []
    assert write_predictions(connection, make_rows(1, 1)) == 1
    assert (
        write_predictions(connection, make_rows(2, 2)) == 3
    )  # one is there already, in the same transaction
    connection.commit()
    assert len(stored(connection)) == 4


@pytest.mark.integration
def test_a_window_that_loses_its_activity_loses_its_smoothing(connection, make_rows):
    write_predictions(connection, make_rows(1, 1, unscored=0))
    with connection.cursor() as cursor:
        cursor.execute("UPDATE predictions SET smoothed_activity = 'walking', smoothed_confidence = 1")
        write_predictions(connection, make_rows(1, 1, unscored=1, readings=200))
        cursor.execute("SELECT smoothed_activity, smoothed_confidence FROM predictions")
        assert cursor.fetchall() == [(None, None)]


@pytest.mark.integration
def test_stored_windows(connection, make_rows):
    rows = make_rows(2, 2, readings=42, duplicates=3)
    write_predictions(connection, rows)
    devices = ["watch-1", "nobody", "watch-0"]
    found = stored_windows(connection, devices, np.full(3, rows.window_start_us[0]))
    assert found.readings.tolist() == [45, -1, 45]
    np.testing.assert_array_equal(
        found.coverage, np.array([rows.coverage[2], 0, rows.coverage[0]], np.float32)
    )
    assert found.newest_us.tolist() == [rows.last_reading_us[2], 0, rows.last_reading_us[0]]
    assert found.batch_id.tolist() == [rows.batch_id, -1, rows.batch_id]
    assert all(column.shape == (0,) for column in stored_windows(connection, [], np.array([], np.int64)))


def test_nothing_is_written_for_no_rows(make_rows):
    assert write_predictions(None, make_rows(0, 0)) == 0


def test_contradictory_rows_are_rejected(make_rows):
    rows = make_rows(unscored=0)
    with pytest.raises(DataError, match="reason"):
        copy_text(replace(rows, reason=["why"] + [None] * (len(rows) - 1)))
    with pytest.raises(DataError, match="reason"):
        copy_text(replace(make_rows(unscored=1), reason=[None] * len(rows)))
    broken = rows.probabilities.copy()
    broken[0, 0] = np.nan
    with pytest.raises(DataError, match="finite"):
        copy_text(replace(rows, probabilities=broken))
    with pytest.raises(DataError, match="labels"):
        copy_text(replace(rows, labels=("a", "b")))


def test_slices_of_arrow_arrays_are_read_from_their_offset(make_rows):
    rows = make_rows(1, 2, unscored=0)
    sliced = replace(rows, device_id=pa.array(["x", "y", "a", "b"]).slice(2))
    assert [line.split(b"\t")[0] for line in bytes(copy_text(sliced)).splitlines()] == [b"a", b"b"]


@pytest.mark.integration
def test_a_row_needs_an_activity_or_a_reason(connection):
    with connection.cursor() as cursor, pytest.raises(psycopg2.errors.CheckViolation):
        cursor.execute(
            "INSERT INTO predictions (device_id, window_start, window_end, coverage, readings_used) "
            "VALUES ('a', now(), now() + interval '10 s', 0, 0)"
        )
