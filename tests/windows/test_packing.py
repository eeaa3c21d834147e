"""Packing: total acceleration, records, panes and windows of a batch."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from activitymodule import settings
from activitymodule.errors import DataError
from activitymodule.windows import packing

START_US = 1_700_000_000_000_000  # a multiple of 10 s


def readings(device: list[str], stamp_us: list[int], **columns: list[float | None]) -> pa.Table:
    return pa.table(
        {
            "device_id": pa.array(device, pa.string()),
            "stamp": pa.array(stamp_us, pa.timestamp("us", tz="UTC")),
            **{name: pa.array(values, pa.float32()) for name, values in columns.items()},
        }
    )


@pytest.mark.parametrize(
    ("pitch", "roll", "gravity"),
    [
        (0, 0, (0, 0, -1)),  # at rest, face up
        (0, np.pi, (0, 0, 1)),  # face down
        (np.pi / 2, 0, (0, -1, 0)),
        (0, np.pi / 2, (1, 0, 0)),
    ],
)
def test_gravity_follows_the_attitude(pitch, roll, gravity):
    total = packing.total_acceleration(*(np.array([v]) for v in (pitch, roll, 0.5, 0.25, -0.125)))
    expected = np.add(gravity, (0.5, 0.25, -0.125))
    np.testing.assert_allclose(np.concatenate(total), expected, atol=1e-7)
    assert all(axis.dtype == np.float32 for axis in total)


def test_a_missing_operand_spoils_only_the_axes_that_need_it():
    x, y, z = packing.total_acceleration(*(np.array([v]) for v in (0.0, np.nan, 0.0, 0.5, 0.0)))
    assert np.isnan(x[0])
    assert y[0] == 0.5
    assert np.isnan(z[0])


@given(st.integers(1, 70), st.integers(0, 69), st.integers(0, 2**32 - 1))
@hypothesis_settings(max_examples=50, deadline=None)
def test_the_bits_of_a_reading_do_not_depend_on_its_place(n, k, seed):
    draw = np.random.default_rng(seed)
    columns = draw.uniform(-6.28, 6.28, (5, n)).astype(np.float32)
    alone = packing.total_acceleration(*columns[:, [k % n]])
    together = packing.total_acceleration(*columns)
    assert [a[0].tobytes() for a in alone] == [t[k % n].tobytes() for t in together]


def test_records_hold_the_channels_and_nan_for_what_is_missing():
    table = readings(
        ["a", "a"], [START_US, START_US + 1], pitch=[0, None], roll=[0, 0], user_acceleration_x=[0.25, 0],
        user_acceleration_y=[0, 0], user_acceleration_z=[0, 0], heart_rate=[70, None], steps=[None, 2],
    )  # fmt: skip
    records = packing.to_records(table)
    assert records["stamp_us"].tolist() == [START_US, START_US + 1]
    expected = [[0.25, 0, -1, *[np.nan] * 3, 70, np.nan, np.nan], [*[np.nan] * 7, 2, np.nan]]
    np.testing.assert_array_equal(records["values"], np.array(expected, np.float32))


def test_a_missing_stamp_or_device_is_refused():
    with pytest.raises(DataError, match="stamp"):
        packing.to_records(readings(["a"], [None]))
    with pytest.raises(DataError, match="device_id"):
        packing.records_to_panes(readings([None], [START_US]), 10)


def test_panes_are_cut_at_multiples_of_the_slide():
    stamps = [START_US + 9_999_999, START_US, START_US + 10_000_000, START_US + 5]
    panes = packing.records_to_panes(readings(["b", "b", "b", "a"], stamps), 10)
    assert panes.device_id.to_pylist() == ["a", "b", "b"]
    assert panes.start_us.tolist() == [START_US, START_US, START_US + 10_000_000]
    unpacked = [np.frombuffer(p, packing.RECORD)["stamp_us"].tolist() for p in panes.packed.to_pylist()]
    assert unpacked == [[START_US + 5], [START_US, START_US + 9_999_999], [START_US + 10_000_000]]


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(-30_000_000, 60_000_000)), min_size=1, max_size=60
    ),
    st.sampled_from([(10, 10), (10, 5), (10, 2), (6, 3)]),
)
@hypothesis_settings(max_examples=60, deadline=None)
def test_windows_hold_what_a_plain_search_finds(rows, shape):
    length, slide = shape
    windows = settings.Windows(length_seconds=length, slide_seconds=slide)
    table = readings([d for d, _ in rows], [START_US + t for _, t in rows])
    paned = packing.windows_of(table, windows)
    found = {
        (device, start): sorted(
            stamp for pane in panes for stamp in np.frombuffer(pane, packing.RECORD)["stamp_us"].tolist()
        )
        for device, start, panes in zip(
            paned.device_id.to_pylist(), paned.window_start_us.tolist(), paned.panes.to_pylist(), strict=True
        )
    }
    expected: dict[tuple[str, int], list[int]] = {}
    for device, since in rows:
        stamp = START_US + since
        newest = stamp // (slide * 1_000_000) * slide * 1_000_000
        for start in range(newest - length * 1_000_000 + slide * 1_000_000, newest + 1, slide * 1_000_000):
            expected.setdefault((device, start), []).append(stamp)
    assert found == {key: sorted(stamps) for key, stamps in expected.items()}
    keys = list(zip(paned.device_id.to_pylist(), paned.window_start_us.tolist(), strict=True))
    assert keys == sorted(keys)


def test_no_readings_make_no_windows():
    table = readings([], [])
    paned = packing.windows_of(table, settings.Windows())
    assert len(paned.device_id) == len(paned.window_start_us) == len(paned.panes) == 0
