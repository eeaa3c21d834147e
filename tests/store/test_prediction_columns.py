"""One table of columns: it is the database's, and a column added to it appears everywhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from activitymodule.store.connection import Connection
from activitymodule.store.prediction_columns import COLUMNS, Column, PredictionRows, answers, markdown
from activitymodule.store.predictions import copy_text, write_predictions
from activitymodule.store.queries import execute, fetch_all
from annotation.answers import window_model

CATALOGUE = """
SELECT attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute
WHERE attrelid = 'predictions'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""
TYPES = {"timestamp with time zone": "timestamptz"}
ADDED = Column(
    "window_seconds",
    "integer",
    "length of the window in seconds",
    lambda rows: pa.array(np.full(len(rows), rows.window_seconds, np.int32)),
    example=10,
    required=True,
)


@pytest.mark.integration
def test_the_columns_are_those_of_the_table(connection: Connection) -> None:
    found = [
        (name, TYPES.get(kind, kind), required) for name, kind, required in fetch_all(connection, CATALOGUE)
    ]
    assert found == [(column.name, column.type, column.required) for column in COLUMNS]


def test_an_added_column_is_copied_answered_and_documented(make_rows: Callable[..., PredictionRows]) -> None:
    rows, columns = make_rows(2, 3), (*COLUMNS, ADDED)
    assert [line.split(b"\t")[-1] for line in bytes(copy_text(rows, columns)).splitlines()] == [b"10"] * 6
    assert [one["window_seconds"] for one in answers(rows, columns)] == [10] * 6
    assert "`window_seconds` | integer | length of the window in seconds" in markdown(columns)
    model: Any = window_model(columns)
    assert model(**answers(rows, columns)[0]).window_seconds == 10
    assert "window_seconds" in model.model_json_schema()["required"]


@pytest.mark.integration
def test_an_added_column_is_stored(connection: Connection, make_rows: Callable[..., PredictionRows]) -> None:
    execute(connection, "ALTER TABLE predictions ADD COLUMN window_seconds integer")
    columns = (*COLUMNS, ADDED)
    write_predictions(connection, make_rows(1, 2), columns)
    assert write_predictions(connection, make_rows(1, 2, readings=101), columns) == 2
    sql = "SELECT DISTINCT window_seconds, readings_used FROM predictions"
    assert fetch_all(connection, sql) == [(10, 101)]


def test_answers_are_the_rows(make_rows: Callable[..., PredictionRows]) -> None:
    rows = make_rows(3, 10)
    for i, one in enumerate(answers(rows)):
        if one["reason"] is not None:
            assert (one["activity"], one["probabilities"], one["conformal_set"], one["kcal_per_min"]) == (
                None,
            ) * 4
            continue
        expected = dict(zip(rows.labels, rows.probabilities[i].tolist(), strict=True))
        assert one["probabilities"] == expected
        assert one["activity"] == max(expected, key=lambda label: expected[label])
        assert one["confidence"] == max(expected.values())
        assert set(one["conformal_set"]) == {label for label, p in expected.items() if p > 0.15}
        assert int(one["window_start"].timestamp() * 1e6) == rows.window_start_us[i]
