"""Resampling: any rate, jitter and gaps to a grid of 10 Hz, the same bits however the rows are cut."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activitymodule.telemetry.chunks import Ledger
from activitymodule.telemetry.lowpass import BRIDGE_US, SLOT_US
from activitymodule.telemetry.resampling import HOLD_US, Resampler, Rows

START_US = 1_700_000_000_000_000
AXES = tuple(f"acceleration_{axis}" for axis in "xyz")
TURNS = tuple(f"rotation_rate_{axis}" for axis in "xyz")


def resampled(
    time_us: np.ndarray, columns: dict[str, np.ndarray], cuts: list[int] | None = None
) -> tuple[pa.Table, Ledger]:
    resampler, chunks = Resampler("p1", "watch"), []
    bounds = [0, *sorted(cuts or []), len(time_us)]
    for low, high in pairwise(bounds):
        part = {name: values[low:high] for name, values in columns.items()}
        chunks += resampler.push(Rows(time_us[low:high], part))
    chunks += resampler.finish()
    total = Ledger()
    for chunk in chunks:
        assert chunk.ledger.balanced
        assert chunk.ledger.readings == len(chunk.readings)
        total += chunk.ledger
    return pa.concat_tables([chunk.readings for chunk in chunks]), total


def stamps(table: pa.Table) -> np.ndarray:
    return np.asarray(table.column("stamp").cast(pa.int64()).to_numpy())


def evenly(rate: float, seconds: float, jitter: float = 0.0, seed: int = 0) -> np.ndarray:
    n = int(rate * seconds)
    moved = np.arange(n) + jitter * np.random.default_rng(seed).uniform(-0.5, 0.5, n)
    return START_US + 37_000 + (moved * 1e6 / rate).astype(np.int64)


def turning(time_us: np.ndarray, hz: float) -> dict[str, np.ndarray]:
    return dict.fromkeys(TURNS, np.sin(2 * np.pi * hz * (time_us - START_US) / 1e6))


@pytest.mark.parametrize("rate", [20, 25, 32, 50, 100, 200])
@pytest.mark.parametrize("jitter", [0, 0.2])
def test_a_sine_below_half_the_rate_is_kept_and_one_above_is_gone(rate: float, jitter: float) -> None:
    time_us = evenly(rate, 40, jitter)
    for hz in (0.5, 2, 3.9):
        table, _ = resampled(time_us, turning(time_us, hz))
        at = stamps(table)
        inner = (at > START_US + 3_000_000) & (at < START_US + 37_000_000)
        expected = np.sin(2 * np.pi * hz * (at - START_US) / 1e6)
        found = table.column("rotation_rate_y").to_numpy()
        assert np.sqrt(np.mean((found - expected)[inner] ** 2)) < (0.05 if jitter else 0.02)
    for hz in (5.2, 7, 9.5):
        table, _ = resampled(time_us, turning(time_us, hz))
        inner = slice(30, -30)
        assert table.column("rotation_rate_x").to_numpy()[inner].std() < (0.1 if jitter else 0.01)


@pytest.mark.parametrize("rate", [4, 5, 8])
def test_below_ten_hertz_slots_between_close_samples_are_interpolated_and_counted(rate: float) -> None:
    time_us = evenly(rate, 40)
    table, ledger = resampled(time_us, turning(time_us, 1))
    at = stamps(table)
    inner = (at > START_US + 5_000_000) & (at < START_US + 35_000_000)
    expected = np.sin(2 * np.pi * (at - START_US) / 1e6)
    assert np.abs(table.column("rotation_rate_z").to_numpy() - expected)[inner].max() < 0.02
    assert (np.diff(at) == SLOT_US).all()
    assert ledger.added == {"interpolated": len(table) - len(time_us)}


def test_far_samples_below_ten_hertz_stay_alone() -> None:
    time_us = evenly(2, 20)
    table, ledger = resampled(time_us, turning(time_us, 0.2))
    assert (ledger.rows, ledger.readings, dict(ledger.added)) == (40, 40, {})
    np.testing.assert_allclose(table.column("rotation_rate_x").to_numpy(), turning(time_us, 0.2)[TURNS[0]])


def test_readings_on_the_grid_stay_as_they_are() -> None:
    time_us = START_US + np.arange(500) * SLOT_US
    values = np.random.default_rng(1).normal(size=500)
    table, ledger = resampled(time_us, dict.fromkeys(TURNS, values))
    np.testing.assert_allclose(table.column("rotation_rate_x").to_numpy(), values, atol=1e-6)
    assert ledger == Ledger(500, 500)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_rows_cut_anyhow_give_the_same_bits(data: st.DataObject) -> None:
    rate = data.draw(st.sampled_from([3, 5, 10, 20, 50, 120]))
    steps = st.one_of(
        st.just(1.0), st.floats(0, 3), st.sampled_from([20.0, 1_000.0, 100_000.0, -1.5, -400.0])
    )
    step = np.array(data.draw(st.lists(steps, min_size=2, max_size=300)))
    time_us = START_US + (np.cumsum(step) * 1e6 / rate).astype(np.int64)
    random = np.random.default_rng(data.draw(st.integers(0, 99)))
    columns = {name: random.normal(size=len(step)) for name in (*AXES, *TURNS, "heart_rate", "steps", "yaw")}
    for name in ("acceleration_x", "rotation_rate_y", "heart_rate", "steps"):
        columns[name][random.random(len(step)) < 0.2] = np.nan
    columns["activity"] = np.array(random.choice(["walk", "sit", None], len(step)), object)
    cuts = data.draw(st.lists(st.integers(0, len(step)), max_size=12))
    whole, of_whole = resampled(time_us, columns)
    parts, of_parts = resampled(time_us, columns, cuts)
    assert whole.equals(parts)
    assert of_whole == of_parts
    assert of_whole.rows == len(step)


@given(st.floats(BRIDGE_US / 1e6 + 0.3, 1e6), st.sampled_from([5, 10, 32, 100]))
@settings(max_examples=30, deadline=None)
def test_gaps_stay_gaps(gap_seconds: float, rate: float) -> None:
    before = evenly(rate, 8)
    after = before + int(before[-1] - before[0]) + int(gap_seconds * 1e6)
    time_us = np.r_[before, after]
    at = stamps(resampled(time_us, turning(time_us, 1))[0])
    inside = (at > before[-1] + SLOT_US // 2) & (at < after[0] - SLOT_US // 2)
    assert not inside.any()
    assert ((at >= before[0] - SLOT_US // 2) & (at <= after[-1] + SLOT_US // 2)).all()


def test_gravity_and_what_is_left_make_the_total_again() -> None:
    time_us = evenly(50, 30)
    total = np.stack([0.3 * np.sin((time_us - START_US) / 2e5), 0 * time_us, -np.ones(len(time_us))])
    table, _ = resampled(time_us, dict(zip(AXES, total, strict=True)))
    pitch, roll = (table.column(name).to_numpy().astype(float) for name in ("pitch", "roll"))
    x = table.column("user_acceleration_x").to_numpy() + np.cos(pitch) * np.sin(roll)
    z = table.column("user_acceleration_z").to_numpy() - np.cos(pitch) * np.cos(roll)
    at = stamps(table)
    np.testing.assert_allclose(x[20:-20], 0.3 * np.sin((at - START_US) / 2e5)[20:-20], atol=5e-3)
    np.testing.assert_allclose(z, -1, atol=1e-6)


def test_gravity_that_the_source_knows_is_used() -> None:
    time_us = evenly(20, 5)
    n = len(time_us)
    columns = {"gravity_x": np.zeros(n), "gravity_y": np.full(n, -1.0), "gravity_z": np.zeros(n)}
    columns |= {f"user_acceleration_{axis}": np.full(n, 0.5) for axis in "xyz"}
    table, _ = resampled(time_us, columns)
    np.testing.assert_allclose(table.column("pitch").to_numpy(), np.pi / 2, atol=1e-6)
    np.testing.assert_allclose(table.column("user_acceleration_y").to_numpy(), 0.5, atol=1e-6)
    without, _ = resampled(time_us, {k: v for k, v in columns.items() if k.startswith("user")})
    assert without.column("pitch").null_count == len(without)
    np.testing.assert_allclose(without.column("user_acceleration_x").to_numpy(), 0.5, atol=1e-6)


def test_heart_rate_is_held_for_ten_seconds_and_steps_are_added_up() -> None:
    time_us = evenly(50, 60)
    n = len(time_us)
    heart, steps = np.full(n, np.nan), np.full(n, np.nan)
    heart[500], steps[500:505] = 80, 1  # at 10 s
    table, _ = resampled(time_us, turning(time_us, 1) | {"heart_rate": heart, "steps": steps})
    at = stamps(table)
    held = table.column("heart_rate").to_numpy()
    assert np.isfinite(held).sum() == HOLD_US // SLOT_US + 1
    assert at[np.isfinite(held)].min() == START_US + 10_000_000
    assert np.nansum(table.column("steps").to_numpy()) == 5


def test_the_activity_is_that_of_the_nearest_row_with_motion() -> None:
    fast, slow = evenly(50, 20), evenly(1, 20)
    resampler = Resampler("p1", "watch", "model-x")
    labels = np.array(["walk"] * 500 + [None] * 500, object)
    chunks = list(resampler.push(Rows(fast, turning(fast, 1) | {"activity": labels})))
    chunks += resampler.push(Rows(slow[-4:], {"heart_rate": np.full(4, 90.0)}))  # a file without labels
    chunks += resampler.finish()
    activity = pa.concat_tables([chunk.readings for chunk in chunks]).column("activity").to_pylist()
    assert activity == ["walk"] * 101 + [None] * 100


def test_a_recording_that_begins_is_not_mixed_with_the_one_before() -> None:
    time_us = evenly(50, 4)
    still, moved = ({axis: np.full(len(time_us), value) for axis in TURNS} for value in (0.0, 1.0))
    resampler = Resampler("p1", "watch")
    chunks = list(resampler.push(Rows(time_us, still)))
    chunks += resampler.push(Rows(time_us + 4_000_000, moved, begins=True))
    chunks += resampler.finish()
    found = pa.concat_tables([chunk.readings for chunk in chunks]).column("rotation_rate_x").to_numpy()
    assert set(np.round(found, 6)) == {0.0, 1.0}


def test_rows_without_a_value_are_counted_and_what_was_left_out_before_is_kept() -> None:
    time_us = evenly(10, 3)
    values = np.where(np.arange(30) < 10, np.nan, 1.0)
    resampler = Resampler("p1", "watch")
    chunks = list(
        resampler.push(
            Rows(time_us, dict.fromkeys(TURNS, values), Ledger(2, 0, {"malformed_row": 2}, {"x": 1}))
        )
    )
    chunks += resampler.finish()
    ledger = sum((chunk.ledger for chunk in chunks), Ledger())
    assert ledger == Ledger(32, 20, {"no_value": 10, "malformed_row": 2}, {"x": 1})
