"""Spans as CSV: any language's labels, times with an offset or in a zone, and errors that name the row."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activitymodule.errors import ActivityError, ConfigError, DataError
from activitymodule.lake.span_csv import spans_from_csv, spans_to_csv, zone_of
from activitymodule.store.spans import Span, SpanRow
from activitymodule.telemetry.identifiers import WHOLE_DEVICE_ID
from activitymodule.workflows.labelling import span_rows

HEAD = "device,from,to,activity\n"
AT = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)


def read(text: str, zone: str | None = None) -> list[SpanRow]:
    return spans_from_csv(text, annotator="somebody", zone=zone_of(zone))


def test_a_diary_is_read() -> None:
    rows = read(
        HEAD
        + 'w-1,2026-11-20T10:00+01:00,2026-11-20T10:30+01:00,"चलना, तेज़"\n'
        + "w-1,2026-11-20T10:30Z,2026-11-20T11:00:00.5Z,x\n"
    )
    assert [(row.device_id, row.label, row.annotator, row.answered_at) for row in rows] == [
        ("w-1", "चलना, तेज़", "somebody", None),
        ("w-1", "x", "somebody", None),
    ]
    assert rows[0].span_start == datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
    assert rows[1].span_end == datetime(2026, 11, 20, 11, 0, 0, 500_000, tzinfo=UTC)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_spreadsheet_may_have_written_it(separator: str) -> None:
    text = (HEAD + "w,2026-11-20 10:00,2026-11-20 10:30,cycling\r\n\r\n").replace(",", separator)
    (row,) = read(
        "\ufeff" + text.replace("device", " Device ").replace("activity", "ACTIVITY"), "Asia/Kolkata"
    )
    assert row.span_start == datetime(2026, 11, 20, 4, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("line", "zone", "message"),
    [
        ("w,2026-11-20T10:00,2026-11-20T11:00Z,a", None, "line 2, column from: .* has no offset"),
        ("w,2026-11-20T10:00Z,2026-11-20T11:00,a", None, "line 2, column to: .* has no offset"),
        ("w,2026-03-29T02:30,2026-03-29T04:00,a", "Europe/Berlin", "column from: .* does not exist in Europe/Berlin"),
        ("w,2026-10-25T01:30,2026-10-25T02:30,a", "Europe/Berlin", "column to: .* is there twice in Europe/Berlin"),
        ("w w,2026-11-20T10:00Z,2026-11-20T11:00Z,a", None, "line 2, column device"),
        ("w,ten,2026-11-20T11:00Z,a", None, "line 2, column from: 'ten' is not a time"),
        ("w,1999-11-20T10:00Z,1999-11-20T11:00Z,a", None, "column from: the year 1999"),
        ("w,2026-11-20T10:00Z,2026-11-20T11:00Z,", None, "line 2, column activity"),
        ("w,2026-11-20T10:00Z,2026-11-20T11:00Z,a,b", None, "line 2 has 5 cells"),
        ('w,2026-11-20T10:00Z,2026-11-20T11:00Z,"a', None, "line 2: the file is no CSV"),
    ],
)  # fmt: skip
def test_an_error_names_the_row(line: str, zone: str | None, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(f"{HEAD}{line}\n", zone)


@pytest.mark.parametrize(
    "text", ["", "a,b\n", "device,from,to\nw,x,y\n", "device,from,to,activity,to\n", HEAD]
)
def test_a_file_without_the_columns_or_rows_is_refused(text: str) -> None:
    with pytest.raises(DataError):
        read(text)


@pytest.mark.parametrize("name", ["Europe", "../etc/passwd", "No/Where", "a\0b", "x" * 5000, "\udcff"])
def test_no_zone_of_that_name(name: str) -> None:
    with pytest.raises(ConfigError, match="is no time zone"):
        zone_of(name)


@given(
    st.binary(max_size=60) | st.text(max_size=60).map(lambda text: (HEAD + text).encode("utf-8", "replace"))
)
def test_no_content_makes_it_crash(content: bytes) -> None:
    with suppress(ActivityError):
        span_rows(content, "somebody", "Europe/Berlin")


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=30)
TIMES = st.datetimes(datetime(2001, 1, 1), datetime(2020, 1, 1), timezones=st.just(UTC))


@given(
    st.builds(
        Span,
        span_id=st.just(1),
        device_id=st.from_regex(WHOLE_DEVICE_ID, fullmatch=True),
        span_start=TIMES,
        span_end=TIMES,
        label=TEXTS.filter(str.strip),
        annotator=TEXTS | st.sampled_from(["=cmd", "'+x", "@zoe", "\t"]),
        note=st.none() | TEXTS | st.sampled_from(["a\rb", "\r\n", '";\t', "'=x", "\u202e"]),
        origin=st.sampled_from(["console", "import"]),
        answered_at=TIMES,
        recorded_at=st.just(AT),
        recorded_by=st.just("x"),
    )
)
def test_an_export_comes_back(span: Span) -> None:
    (row,) = read(spans_to_csv([span]))
    names: list[Any] = [
        "device_id",
        "span_start",
        "span_end",
        "label",
        "annotator",
        "note",
        "origin",
        "answered_at",
    ]
    assert [getattr(row, name) for name in names] == [getattr(span, name) for name in names]
    assert row.restored
    assert timedelta(0) == row.span_start.utcoffset()
