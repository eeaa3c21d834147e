"""Assembling: ragged windows from panes in any order, on a grid."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from activitymodule.errors import DataError
from activitymodule.settings import Windows
from activitymodule.windows.assembling import WindowBatch, assemble, complete
from activitymodule.windows.packing import CHANNELS, RECORD

START_US = 1_700_000_000_000_000
WINDOWS = Windows()
STEPS = CHANNELS.index("steps")


def pane(*rows: tuple[int, list[float]]) -> bytes:
    """Readings (microseconds since the window's start, values of the first channels) as a packed pane."""
    records = np.empty(len(rows), RECORD)
    records["values"] = np.nan
    for k, (since, values) in enumerate(rows):
        records["stamp_us"][k] = START_US + since
        records["values"][k, : len(values)] = values
    return records.tobytes()


def one_window(panes: list[bytes], windows: Windows = WINDOWS) -> WindowBatch:
    return assemble(np.array([START_US]), pa.array([panes], pa.list_(pa.binary())), windows)


def same(one: WindowBatch, other: WindowBatch) -> bool:
    fields = WindowBatch.__annotations__
    return all(getattr(one, f).tobytes() == getattr(other, f).tobytes() for f in fields)


def test_readings_fall_into_their_slots():
    batch = one_window([pane((0, [1, 2, 3]), (250_000, [4, 5, 6]), (9_999_999, [7, 8, 9]))])
    assert batch.grid.shape == (1, 100, len(CHANNELS))
    assert batch.grid.dtype == np.float32
    there = np.flatnonzero(~np.isnan(batch.grid[0, :, 0]))
    assert there.tolist() == [0, 2, 99]
    assert batch.grid[0, there, :3].tolist() == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    assert batch.readings_used.tolist() == [3]
    assert batch.duplicates.tolist() == [0]
    assert batch.newest_us.tolist() == [START_US + 9_999_999]
    assert batch.coverage[0] == np.float32(0.03)


def test_a_slot_averages_what_is_there_and_adds_up_steps():
    first = [1, 2, np.nan, 0.5, np.nan, np.nan, 60, 1]
    second = [3, 4, 5, np.nan, np.nan, np.nan, 80, 2]
    # the other slots are full, so that no half slot is better
    rest = [(k * 100_000 + 10_000, [0.0]) for k in range(1, 100)]
    batch = one_window([pane((10_000, first), (60_000, second), *rest)])
    expected = [2, 3, 5, 0.5, np.nan, np.nan, 70, 3, np.nan]
    np.testing.assert_array_equal(batch.grid[0, 0], np.array(expected, np.float32))
    assert batch.coverage[0] == np.float32(0.01), "x alone is not a whole acceleration"


def test_readings_on_the_boundaries_of_slots_leave_none_empty():
    draw = np.random.default_rng(0)
    since = np.arange(100) * 100_000 + draw.integers(-9_000, 9_000, 100)
    since[0] = 0
    batch = one_window([pane(*((int(t), [k, 0, 0]) for k, t in enumerate(since)))])
    assert batch.coverage[0] == 1
    assert batch.grid[0, :, 0].tolist() == list(range(100))


def test_one_stamp_counts_once_and_the_first_bytes_win():
    low, high = pane((0, [1, 0, 0])), pane((0, [2, 0, 0]))
    winner = min(low, high)
    for panes in ([low, high], [high, low], [high, low, high, low]):
        batch = one_window(panes)
        assert batch.readings_used.tolist() == [1]
        assert batch.duplicates.tolist() == [len(panes) - 1]
        assert batch.grid[0, 0, 0] == np.frombuffer(winner, RECORD)["values"][0, 0]


def test_empty_windows_and_empty_batches():
    empty = assemble(np.empty(0, np.int64), pa.array([], pa.list_(pa.binary())), WINDOWS)
    assert empty.grid.shape == (0, 100, len(CHANNELS))
    panes = pa.array([[pane((0, [1, 1, 1]))], [], None, [b""]], pa.list_(pa.binary()))
    batch = assemble(np.full(4, START_US), panes, WINDOWS)
    assert batch.readings_used.tolist() == [1, 0, 0, 0]
    assert batch.newest_us.tolist() == [START_US] * 4
    assert np.isnan(batch.grid[1:]).all()


def test_a_slice_of_a_list_array_is_read_from_where_it_starts():
    panes = pa.array([[pane((0, [k, k, k]))] for k in range(4)], pa.list_(pa.binary()))
    batch = assemble(np.full(2, START_US), panes.slice(2), WINDOWS)
    assert batch.grid[:, 0, 0].tolist() == [2, 3]
    chunked = pa.chunked_array([panes.slice(0, 1), panes.slice(3)])
    assert assemble(np.full(2, START_US), chunked, WINDOWS).grid[:, 0, 0].tolist() == [0, 3]


def test_large_binary_is_read_too():
    panes = pa.array([[pane((0, [5, 5, 5]))]], pa.list_(pa.large_binary()))
    assert assemble(np.array([START_US]), panes, WINDOWS).grid[0, 0, 0] == 5


def test_readings_outside_their_window_are_ignored():
    batch = one_window([pane((-1, [1, 1, 1]), (0, [2, 2, 2]), (10_000_000, [3, 3, 3]))])
    assert batch.readings_used.tolist() == [1]
    assert batch.grid[0, 0, 0] == 2


def test_a_pane_of_broken_records_is_rejected():
    with pytest.raises(DataError, match="45 bytes"):
        one_window([bytes(RECORD.itemsize + 1)])


@given(st.data())
@hypothesis_settings(max_examples=80, deadline=None)
def test_nothing_depends_on_split_order_or_neighbours(data):
    """The law of the stream: any split into panes, order, repetition and company gives the same bits."""
    rate = data.draw(st.sampled_from([5, 10, 20]))
    windows = Windows(rate_hz=rate)
    draw = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    n = data.draw(st.integers(1, 150))
    records = np.empty(n, RECORD)
    records["stamp_us"] = START_US + draw.integers(0, 100, n) * 100_000 + draw.integers(0, 3, n) * 1_000
    records["values"] = draw.normal(size=(n, len(CHANNELS)))
    records["values"][draw.random((n, len(CHANNELS))) < 0.2] = np.nan
    whole = one_window([np.sort(records, order="stamp_us", kind="stable").tobytes()], windows)

    again = np.concatenate([records, records[draw.random(n) < 0.3]])
    again = again[draw.permutation(len(again))]
    cuts = np.sort(draw.integers(0, len(again) + 1, data.draw(st.integers(0, 12))))
    panes = [part.tobytes() for part in np.split(again, cuts)]
    shuffled = one_window(panes, windows)
    assert shuffled.duplicates[0] == whole.duplicates[0] + len(again) - n
    assert same(WindowBatch(**{**vars(shuffled), "duplicates": whole.duplicates}), whole)

    other = [np.sort(records[: n // 2], order="stamp_us")[::-1].tobytes()]
    company = pa.array([other, panes, [], other], pa.list_(pa.binary()))
    batch = assemble(np.full(4, START_US), company, windows)
    assert same(WindowBatch(**{f: v[1:2] for f, v in vars(batch).items()}), shuffled)
    used = len(np.unique(records["stamp_us"]))
    assert (batch.readings_used[1], batch.readings_used[1] + batch.duplicates[1]) == (used, len(again))


def test_a_window_is_complete_once_its_last_slot_is_there():
    own = Windows(length_seconds=10, rate_hz=10, queue_coverage=0.9)
    start = np.full(5, 1_000_000_000)
    newest = start + np.array([9_900_000, 9_850_000, 9_849_999, 9_999_999, 0])
    coverage = np.array([1.0, 0.9, 1.0, 0.89, 1.0])
    assert complete(start, newest, coverage, own).tolist() == [True, True, False, False, False]
    slower = own.model_copy(update={"rate_hz": 5})
    assert complete(start, start + 9_700_000, np.ones(5), slower).all()
    assert not complete(start, start + 9_699_999, np.ones(5), slower).any()
