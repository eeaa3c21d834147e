"""Labels to files and from files, without a service."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activitymodule.errors import DataError
from activitymodule.lake.labels import read_labels, to_csv, to_label_studio
from activitymodule.store.import_export import Exported
from activitymodule.windows.packing import RECORD

START = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)


def answer(label: str = "walking", note: str | None = None) -> Exported:
    return Exported(
        annotation_id=1,
        device_id="watch-1",
        window_start=START,
        window_end=START + timedelta(seconds=10),
        annotator="anna",
        answer="label",
        label=label,
        adjudicates=False,
        origin="console",
        seconds=1.5,
        model_version="3",
        suggested="sitting",
        model_hidden=None,
        note=note,
        created_at=START,
        gold_label=label,
        disputed=False,
        stratum=None,
    )


@given(st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1, max_size=40))
@settings(max_examples=100, deadline=None)
def test_an_export_can_be_imported(label: str) -> None:
    label = label.strip()
    if not label or label.startswith(("=", "+", "-", "@")):
        return  # marked as text for spreadsheets; no label begins so
    for text in (to_csv([answer(label)]), json.dumps(to_label_studio([answer(label)], {}))):
        (row,) = read_labels(text, annotator="somebody", window_seconds=10)
        assert (row.device_id, row.window_start, row.window_end) == (
            "watch-1",
            START,
            START + timedelta(seconds=10),
        )
        assert (row.annotator, row.label) == ("anna", label)


def test_no_cell_is_a_formula() -> None:
    assert "'=1+1" in to_csv([answer(note="=1+1")])


def test_label_studio_has_the_readings() -> None:
    made = np.zeros(100, RECORD)
    made["stamp_us"] = np.arange(100) * 100_000
    made["values"] = np.nan
    made["values"][:, :3] = 0.5
    (task,) = to_label_studio([answer()], {("watch-1", START): made.tobytes()})
    assert len(task["data"]["series"]["time"]) == 100
    assert "rotation_rate_x" not in task["data"]["series"]
    assert task["predictions"][0]["result"][0]["value"]["choices"] == ["sitting"]
    json.dumps(task, allow_nan=False)


def task(choices: Any = ("walking",), completed_by: Any = None, **data: Any) -> str:
    """A file of Label Studio with one label."""
    held = {"device_id": "w", "window_start": "2026-11-20T10:00:00Z", **data}
    result = {"type": "choices", "value": {"choices": choices}}
    return json.dumps([{"data": held, "annotations": [{"completed_by": completed_by, "result": [result]}]}])


@pytest.mark.parametrize("choices", ["walking", ["walking"], ["walking", "sitting"]])
def test_a_choice_of_label_studio_is_a_label(choices: Any) -> None:
    (row,) = read_labels(task(choices), annotator="somebody", window_seconds=10)
    assert (row.annotator, row.label) == ("somebody", "walking")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "lacks the column"),
        ("device_id,window_start,label\nw,yesterday,walking\n", "line 2: 'yesterday' is not a time"),
        ("device_id,window_start,label\nw w,2026-11-20T10:00,walking\n", "is no valid device_id"),
        ("device_id,window_start,label\nw,2026-11-20T10:00,\n", "has no label"),
        ("[{]", "is not JSON"),
        ("[1]", "task 1 has no data"),
        ("", "lacks the column"),
        ("device_id,window_start,label\n", "has no labels"),
        ("device_id,window_start,label\nw,0001-01-01T00:00,walking\n", "in the year 1 is out of range"),
        (f'device_id,window_start,label\nw,2026-11-20T10:00,"{"x" * 140_000}\n', "is no CSV"),
        ("[" * 100_000, "is not JSON"),
        ('[{"data": {}, "annotations": 3}]', "task 1: its annotations are not as Label Studio"),
        ('[{"data": {}, "annotations": ["x"]}]', "task 1: its annotations are not as Label Studio"),
        ('[{"data": {}, "annotations": [{"result": [7]}]}]', "task 1: its results are not as Label Studio"),
        (task(choices=[3]), "task 1 has no label"),
        (task(completed_by={"email": 5}), "'5' is no valid annotator name"),
        (task(window_start=None), "'None' is not a time"),
    ],
)
def test_an_error_names_the_row(text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_labels(text, annotator="a", window_seconds=10)
