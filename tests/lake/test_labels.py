"""Labels to files and from files, without a service."""

from __future__ import annotations

import contextlib
import csv
import io
import json
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activitymodule.errors import DataError
from activitymodule.lake.labels import read_labels, text_of, to_csv, to_label_studio
from activitymodule.settings import Labels
from activitymodule.store.import_export import EXPORT_COLUMNS, Exported, ImportRows, PassedOver
from activitymodule.telemetry.identifiers import WHOLE_DEVICE_ID
from activitymodule.windows.packing import RECORD

START = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
HEADER = "device_id,window_start,label\n"


def answer(label: str | None = "walking", note: str | None = None, **changes: Any) -> Exported:
    made = Exported(
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
        created_at=START + timedelta(minutes=1, microseconds=1),
        gold_label=label,
        disputed=False,
        stratum=None,
    )
    return replace(made, **changes)


def read(text: str, **more: Any) -> ImportRows:
    return read_labels(text, annotator="somebody", window_seconds=10, **more)


# what PostgreSQL's text can hold
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=40)
# a cell that begins like a formula, or like one that was made a text already; what breaks lines and columns
HARD = st.sampled_from(
    ["=cmd|' /C calc'!A0", "+x", "-watch1", "@zoe", "'=x", "''+x", "'plain", "\tx", "\rx", "\n", "a;b,c", '"', "a\r\nb",
     "a\rb", " x ", "\u2028", "\ufeffx", "\u202eabc", "\uff1dx"]
)  # fmt: skip


@given(
    label=(TEXTS | HARD).filter(str.strip),
    note=TEXTS | HARD | st.none(),
    annotator=TEXTS | HARD,
    device=st.from_regex(WHOLE_DEVICE_ID, fullmatch=True),
    microseconds=st.integers(0, 10**15),
    seconds=st.none() | st.floats(0, 86_399, width=32),
    kind=st.sampled_from(["label", "skip", "unsure", "flag"]),
    flags=st.tuples(st.booleans(), st.none() | st.booleans()),
)
@settings(max_examples=300)
def test_an_export_comes_back_as_it_was(
    label: str,
    note: str | None,
    annotator: str,
    device: str,
    microseconds: int,
    seconds: float | None,
    kind: str,
    flags: tuple[bool, bool | None],
) -> None:
    row = answer(
        label if kind == "label" else None,
        note,
        annotator=annotator,
        device_id=device,
        created_at=START + timedelta(microseconds=microseconds),
        seconds=seconds,
        answer=kind,
        adjudicates=flags[0],
        model_hidden=flags[1],
        suggested=label,
    )
    text = to_csv([row])
    assert text_of(text.encode()) == text
    (back,) = read(text)
    came = replace(row, **{f.name: getattr(back, f.name) for f in fields(Exported) if hasattr(back, f.name)})
    assert replace(came, created_at=back.at) == row
    if kind == "label":
        tasks = to_label_studio([row], {})
        (back,) = read(json.dumps(tasks, ensure_ascii=False))
        came = replace(
            row, label=back.label, annotator=back.annotator, created_at=back.at, adjudicates=back.adjudicates,
            seconds=back.seconds, suggested=back.suggested, model_version=back.model_version,
        )  # fmt: skip
        assert to_label_studio([came], {}) == tasks


@given(TEXTS | HARD)
def test_no_cell_is_a_formula(note: str) -> None:
    (cells,) = list(csv.reader(io.StringIO(to_csv([answer(note=note)]), newline="")))[1:]
    assert not cells[EXPORT_COLUMNS.index("note")].startswith(
        ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d")
    )


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
    result = {"type": "choices", "from_name": "activity", "to_name": "window", "value": {"choices": choices}}
    return json.dumps([{"data": held, "annotations": [{"completed_by": completed_by, "result": [result]}]}])


@pytest.mark.parametrize("choices", ["walking", ["walking"], ["walking", "walking"]])
def test_a_choice_of_label_studio_is_a_label(choices: Any) -> None:
    (row,) = read(task(choices))
    assert (row.annotator, row.label) == ("somebody", "walking")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "line 1: the file lacks the column device_id"),
        (
            "device_id,window_start,label\nw,yesterday,walking\n",
            "line 2, column window_start: 'yesterday' is not a time",
        ),
        ("device_id,window_start,label\nw w,2026-11-20T10:00,walking\n", "is no valid device_id"),
        ("device_id,window_start,label\nw,2026-11-20T10:00,\n", "has no label"),
        ("[{]", "is not JSON"),
        ("[1]", "task 1 has no data"),
        ("", "lacks the column"),
        ("device_id,window_start,label\n", "has no labels"),
        (f"{HEADER}w,٢٠٢٦-11-20T10:00,walking\n", "column window_start: .* is not a time"),
        ("device_id,window_start,label\nw,0001-01-01T00:00,walking\n", "the year 1 is out of range"),
        (
            f'device_id,window_start,label\nw,2026-11-20T10:00,"{"x" * 140_000}\n',
            "line 2: the file is no CSV",
        ),
        ("[" * 100_000, "is not JSON"),
        (f'[{{"id": {"1" * 5000}}}]', "is not JSON"),
        (f"{HEADER}w,2026-11-20T10:00,walking,extra\n", "line 2 has 4 cells"),
        (f'{HEADER}w,2026-11-20T10:00,"walking\nw,2026-11-20T10:10,sitting\n', "line 2: the file is no CSV"),
        (f'{HEADER}w,2026-11-20T10:00,"wal\n\nking"\nw,then,sitting\n', "line 5, column window_start"),
        ("device_id,label,window_start,label\n", "line 1: the column label is there twice"),
        ("device_id,window_start,label,seconds\nw,2026-11-20T10:00,walking,٣\n", "line 2, column seconds"),
        ("device_id,window_start,label,adjudicates\nw,2026-11-20T10:00,walking,ja\n", "column adjudicates"),
        ("device_id,window_start,label,answer\nw,2026-11-20T10:00,walking,undo\n", "column answer"),
        ("device_id,window_start,label,annotator\nw,2026-11-20T10:00,walking,a\u202eb\n", "column annotator"),
        (
            "device_id,window_start,label,window_end\nw,2026-11-20T10:00,walking,9999-12-31\n",
            "column window_end",
        ),
        ('[{"data": {}, "annotations": 3}]', "task 1: its annotations are not as Label Studio"),
        ('[{"data": {}, "annotations": ["x"]}]', "task 1: its annotations are not as Label Studio"),
        (
            '[{"data": {}, "annotations": [{"result": [7]}]}]',
            "task 1, annotation 1: its results are not as Label Studio",
        ),
        (task(choices=[3]), "task 1, annotation 1, column label: the row has no label"),
        (task(completed_by={"email": 5}), "'5' is no valid annotator name"),
        (task(window_start=None), "'None' is not a time"),
    ],
)
def test_an_error_names_the_row(text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(text)


def annotation(*results: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"result": list(results), **more}


def choice(label: str, from_name: str = "activity", to_name: str = "window") -> dict[str, Any]:
    return {"type": "choices", "from_name": from_name, "to_name": to_name, "value": {"choices": [label]}}


def tasks(*annotations: dict[str, Any]) -> str:
    data = {"device_id": "w", "window_start": "2026-11-20T10:00:00Z"}
    return json.dumps([{"data": data, "annotations": list(annotations)}])


def test_annotators_of_label_studio_stay_apart() -> None:
    rows = read(
        tasks(
            annotation(choice("walking"), completed_by=3),
            annotation(choice("sitting"), completed_by={"id": 4}),
            annotation(choice("sitting"), completed_by={"id": 5, "email": "p@example.com"}),
            annotation(choice("running"), completed_by=5),
            annotation(choice("running")),
        )
    )
    assert [row.annotator for row in rows] == [
        "label-studio-3", "label-studio-4", "p@example.com", "p@example.com", "somebody"
    ]  # fmt: skip


def test_only_the_configured_question_is_the_activity() -> None:
    text = tasks(
        annotation(choice("bad signal", "quality"), choice("walking")),
        annotation(choice("good", "quality")),
        annotation(choice("walking", to_name="video")),
        annotation(choice("walking"), choice("sitting")),
        annotation({"type": "rating", "from_name": "activity", "value": {"rating": 4}}),
        annotation(choice("walking"), was_cancelled=True),
        annotation(),
    )
    rows = read(text)
    assert [row.label for row in rows] == ["walking"]
    assert rows.passed_over == {
        PassedOver.OTHER_QUESTION: 3, PassedOver.SEVERAL: 1, PassedOver.NO_CHOICE: 2, PassedOver.CANCELLED: 1
    }  # fmt: skip
    rows = read(text, question=Labels(from_name="quality"))
    assert [row.label for row in rows] == ["bad signal", "good"]
    with pytest.raises(DataError, match="1 of another question"):
        read(tasks(annotation(choice("good", "quality"))))


def test_the_last_change_is_the_time_of_an_answer() -> None:
    given, changed = "2026-11-20T10:00:00.5Z", "2026-11-20T12:00:00+01:00"
    (row,) = read(tasks(annotation(choice("walking"), created_at=given, updated_at=changed)))
    assert row.at == datetime(2026, 11, 20, 11, 0, tzinfo=UTC)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_spreadsheet_of_any_country_is_read(separator: str) -> None:
    text = to_csv([answer(note="a;b,c"), answer("चलना", device_id="-watch1", annotator="@zoe")])
    made = io.StringIO()
    csv.writer(made, delimiter=separator).writerows(csv.reader(io.StringIO(text, newline="")))
    rows = read(text_of(b"\xef\xbb\xbf" + made.getvalue().encode()))
    assert [(row.device_id, row.annotator, row.label, row.note) for row in rows] == [
        ("watch-1", "anna", "walking", "a;b,c"), ("-watch1", "@zoe", "चलना", None)
    ]  # fmt: skip


@given(
    st.binary(max_size=300)
    | st.text(max_size=200).map(lambda text: (HEADER + text).encode("utf-8", "replace"))
)
def test_no_content_makes_it_crash(content: bytes) -> None:
    with contextlib.suppress(DataError):
        read(text_of(content))


LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS
    | st.sampled_from(["2026-11-20T10:00:00Z", "w", "activity", "walking", "choices"])
)  # fmt: skip
KEYS = st.sampled_from(
    ["data", "annotations", "predictions", "result", "completed_by", "value", "choices", "from_name", "to_name", "type",
     "device_id", "window_start", "window_end", "created_at", "updated_at", "lead_time", "email", "id", "gold_label"]
)  # fmt: skip


@given(
    st.lists(
        st.recursive(
            LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner), max_leaves=20
        )
    )
)
def test_no_task_makes_it_crash(made: list[Any]) -> None:
    with contextlib.suppress(DataError):
        read(json.dumps(made))
