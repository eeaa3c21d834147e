"""Packing: total acceleration and records."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

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


def test_a_missing_stamp_is_rejected():
    with pytest.raises(DataError, match="stamp"):
        packing.to_records(readings(["a"], [None]))


def test_more_readings_than_offsets_can_count_are_rejected(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(packing, "_LARGEST", 1)
    records = packing.to_records(readings(["a", "a"], [START_US, START_US + 1]))
    with pytest.raises(DataError):
        packing.binary_of_records(records, np.array([0]))
