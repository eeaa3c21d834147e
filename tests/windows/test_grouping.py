"""Grouping: where panes are cut, and which windows hold them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from activitymodule.errors import DataError
from activitymodule.settings import Windows
from activitymodule.windows import grouping
from activitymodule.windows.packing import RECORD
from activitymodule.windows.panes import panes_of_readings, windows_of

START_US = 1_700_000_000_000_000  # a multiple of 10 s


def readings(rows: list[tuple[str | None, int]]) -> pa.Table:
    """Readings of nothing but a device and a stamp, in microseconds since START_US."""
    return pa.table(
        {
            "device_id": pa.array([device for device, _ in rows], pa.string()),
            "stamp": pa.array([START_US + us for _, us in rows], pa.timestamp("us", tz="UTC")),
        }
    )


def stamps_of(packed: bytes) -> list[int]:
    return np.frombuffer(packed, RECORD)["stamp_us"].tolist()


def test_a_reading_without_a_device_is_rejected():
    with pytest.raises(DataError):
        panes_of_readings(readings([(None, 0)]), 10)


def test_panes_are_cut_at_multiples_of_the_slide():
    panes = panes_of_readings(readings([("b", 9_999_999), ("b", 0), ("b", 10_000_000), ("a", 5)]), 10)
    assert panes.schema == grouping.PANES_SCHEMA
    assert panes.column("device_id").to_pylist() == ["a", "b", "b"]
    assert panes.column("n").to_pylist() == [1, 2, 1]
    unpacked = [[us - START_US for us in stamps_of(packed)] for packed in panes.column("packed").to_pylist()]
    assert unpacked == [[5], [0, 9_999_999], [10_000_000]]


def test_panes_are_cut_from_an_origin_of_their_own():
    run = np.array([0, 0, 0, 1])
    stamps = np.array([3, 12, 14, 14]) * 1_000_000
    cut = grouping.cut(run, stamps, 10_000_000, np.array([3, 3, 3, 14]) * 1_000_000)
    assert cut.first.tolist() == [0, 2, 3]
    assert cut.start_us.tolist() == [3_000_000, 13_000_000, 14_000_000]


def test_codes_rise_with_the_texts_and_null_is_negative():
    codes, names = grouping.ordered_codes(pa.chunked_array([["b", None], ["a", "b"]]))
    assert (codes.tolist(), names.to_pylist()) == ([1, -1, 0, 1], ["a", "b"])
    codes, names = grouping.ordered_codes(pa.chunked_array([], pa.string()))
    assert (len(codes), len(names)) == (0, 0)


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(-30_000_000, 60_000_000)), min_size=1, max_size=60
    ),
    st.sampled_from([(10, 10), (10, 5), (10, 2), (6, 3)]),
)
@hypothesis_settings(max_examples=60, deadline=None)
def test_windows_hold_what_a_plain_search_finds(rows, shape):
    length, slide = shape
    paned = windows_of(readings(rows), Windows(length_seconds=length, slide_seconds=slide))
    keys = list(zip(paned.device_id.to_pylist(), paned.window_start_us.tolist(), strict=True))
    found = {
        key: sorted(us for pane in panes for us in stamps_of(pane))
        for key, panes in zip(keys, paned.panes.to_pylist(), strict=True)
    }
    expected: dict[tuple[str, int], list[int]] = {}
    for device, since in rows:
        stamp = START_US + since
        newest = stamp // (slide * 1_000_000) * slide * 1_000_000
        for start in range(newest - length * 1_000_000 + slide * 1_000_000, newest + 1, slide * 1_000_000):
            expected.setdefault((device, start), []).append(stamp)
    assert found == {key: sorted(stamps) for key, stamps in expected.items()}
    assert keys == sorted(keys)


def test_a_window_keeps_the_newest_arrival_and_counts_its_readings():
    panes = pa.concat_batches(
        [
            panes_of_readings(readings([("a", 0), ("a", 1)]), 10),
            panes_of_readings(readings([("a", 2), ("a", 10_000_000)]), 10),
        ]
    )
    arrivals = pa.array([START_US + 7, None, None], pa.timestamp("us", tz="UTC"))
    panes = panes.set_column(4, grouping.PANES_SCHEMA.field("kafka_at"), arrivals)
    grouped = grouping.group_panes(panes, Windows())
    assert grouped.schema == grouping.WINDOWS_SCHEMA
    assert grouped.column("n").to_pylist() == [3, 1]
    assert grouped.column("kafka_at").cast(pa.int64()).to_pylist() == [START_US + 7, None]


def test_no_readings_make_no_windows():
    paned = windows_of(readings([]), Windows())
    assert len(paned.device_id) == len(paned.window_start_us) == len(paned.panes) == 0


def test_the_specification_for_spark_names_the_same_columns():
    assert [column.split()[-1] for column in grouping.SPARK_WINDOWS] == grouping.WINDOWS_SCHEMA.names
    assert [column.split()[0] for column in grouping.SPARK_PANES.split(", ")] == grouping.PANES_SCHEMA.names
    assert grouping.spark_window(Windows(length_seconds=20, slide_seconds=5)) == (
        "window(stamp, '20 seconds', '5 seconds') AS window"
    )
