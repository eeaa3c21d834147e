"""Fleet rows, readings and messages: one function of (seed, device, time), whoever asks and however."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest

from activitymodule.errors import ConfigError
from activitymodule.settings import Telemetry
from activitymodule.synthesis import readings
from activitymodule.synthesis.attitude import (
    Vector,
    gravity_direction,
    gravity_of,
    pitch_and_roll,
    rotation_rates,
)
from activitymodule.synthesis.faults import Run
from activitymodule.synthesis.fleet import sending
from activitymodule.synthesis.history import readings_table, training_readings
from activitymodule.synthesis.readings import MOTION, Watches, watches
from activitymodule.telemetry.decoding import decode_messages
from activitymodule.telemetry.schema import arrow_schema

START = 1_767_254_400
SEED = 4


@pytest.fixture(scope="module")
def fleet() -> Watches:
    return watches("wisdm", SEED)


def fields_equal(one: readings.Seconds, other: readings.Seconds) -> None:
    for name in readings.Seconds.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


def test_readings_are_the_same_in_any_order_and_company(fleet: Watches) -> None:
    device, second = np.repeat(np.arange(1, 9), 150), np.tile(START + np.arange(150), 8)
    together = fleet.seconds(device, second)
    order = np.random.default_rng(0).permutation(len(device))[:240]
    alone = Watches(fleet._signals, SEED)
    for part in np.array_split(order, 24):
        fields_equal(alone.seconds(device[part], second[part]), together.take(part))


def test_a_worker_that_may_keep_little_makes_the_same(
    fleet: Watches, monkeypatch: pytest.MonkeyPatch
) -> None:
    device, second = np.tile(np.arange(1, 41), 3), np.repeat(START + np.arange(3) * 60, 40)
    expected = fleet.seconds(device, second)
    monkeypatch.setattr(readings, "MOST_BLOCKS", 16)
    small = Watches(fleet._signals, SEED)
    fields_equal(small.seconds(device, second), expected)
    fields_equal(small.seconds(device[:8], second[:8]), expected.take(np.arange(8)))


def test_total_acceleration_comes_back_from_what_is_sent(fleet: Watches) -> None:
    """user acceleration + gravity(pitch, roll) = the generator's signal, to the last digit sent."""
    device, minute = np.arange(1, 41), np.full(40, START // 60)
    made = fleet.minutes(device, minute)
    motion = made.motion.reshape(40, 600, len(MOTION)) / 1e4
    down = gravity_of(motion[..., 1], motion[..., 2])
    total = np.stack(down, -1) + motion[..., 6:9]
    steady = (made.activity.reshape(40, 60) == made.activity.reshape(40, 60)[:, :1]).all(1)
    steady &= made.bout_start.reshape(40, 60)[:, 0] < START - 130
    steady &= made.bout_end.reshape(40, 60)[:, 0] > START + 130
    assert steady.sum() >= 3
    profiles = np.array(
        [
            fleet._signals.profile_for(d, fleet.activities[a])
            for d, a in zip(device, made.activity.reshape(40, 60)[:, 0], strict=True)
        ]
    )
    signal = fleet._signals.blocks(profiles, device, minute)
    np.testing.assert_allclose(total[steady], signal[steady], atol=2e-4)


def test_gravity_turns_as_the_rotation_rates_say() -> None:
    """g' = g x w for a watch that turns as it likes."""
    time = np.arange(600) / 10
    pitch, roll = 0.6 * np.sin(0.7 * time)[None], 1.5 + 0.8 * np.sin(0.5 * time + 1)[None]
    gravity = gravity_of(pitch, roll)
    yaw = 0.3 * np.sin(0.4 * time)[None]
    expected = gravity.cross(rotation_rates(gravity, yaw))
    for part, turned in zip(gravity, expected, strict=True):
        np.testing.assert_allclose(np.gradient(part, 0.1, axis=1), turned, atol=0.02)
    again = pitch_and_roll(gravity)
    np.testing.assert_allclose(again[0], pitch, atol=1e-6)
    np.testing.assert_allclose(again[1], roll, atol=1e-6)


def test_a_watch_at_rest_face_up_has_gravity_down() -> None:
    still = Vector(np.zeros((1, 600)), np.zeros((1, 600)), np.full((1, 600), -1.0))
    pitch, roll = pitch_and_roll(gravity_direction(still))
    assert not pitch.any()
    assert not roll.any()


def test_a_change_of_activity_has_no_jump(fleet: Watches) -> None:
    """Between two bouts the signal goes over within a second, also where a minute ends there."""
    device, second = np.repeat(np.arange(1, 31), 900), np.tile(START + np.arange(900), 30)
    made = fleet.seconds(device, second)
    motion = made.motion.reshape(30, 9000, len(MOTION)) / 1e4
    total = np.stack(gravity_of(motion[..., 1], motion[..., 2]), -1) + motion[..., 6:9]
    step = np.linalg.norm(np.diff(total, axis=1), axis=2)
    quiet = np.isin(made.activity, [fleet.activities.index(a) for a in ("sitting", "standing")])
    quiet = quiet.reshape(30, 900)
    changes = (made.activity.reshape(30, 900)[:, 1:] != made.activity.reshape(30, 900)[:, :-1]) & (
        quiet[:, 1:] & quiet[:, :-1]
    )
    rows, seconds = np.nonzero(changes)
    assert len(rows) > 5
    # against a hard cut, which is one step from the old posture to the new
    shares = []
    for row, at in zip(rows, seconds, strict=True):
        edge = (at + 1) * 10
        cut = np.linalg.norm(total[row, edge - 7] - total[row, edge + 7])
        if cut > 0.5:
            shares.append(step[row, edge - 7 : edge + 7].max() / cut)
    assert len(shares) > 5
    assert np.median(shares) < 0.5


def test_steps_are_two_a_stride(fleet: Watches) -> None:
    device, second = np.repeat(np.arange(1, 31), 1200), np.tile(START + np.arange(1200), 30)
    made = fleet.seconds(device, second)
    strides = fleet.strides(device)
    for number in range(len(fleet.activities)):
        doing = made.activity == number
        if doing.sum() < 2000:
            continue
        expected = 2 * strides[doing, number].mean()
        assert made.steps[doing].sum(1).mean() == pytest.approx(expected, abs=0.03)


def test_messages_decode_to_the_history(fleet: Watches) -> None:
    """What goes to Kafka and what models train on are the same readings, to the last bit."""
    run = Run(SEED, 5, START, START + 64)
    number = np.arange(5 * 65)
    device, second = 1 + number % 5, START + number // 5
    batch = pa.RecordBatch.from_arrays(
        [pa.array(device), pa.array(second), pa.array(np.full(len(number), SEED))],
        names=["device", "second", "seed"],
    )
    outgoing = list(sending([batch], run=run, topic="a", truth_topic="b"))
    values = pa.concat_arrays([o.column("value") for o in outgoing if o.column("topic")[0].as_py() == "a"])
    result = decode_messages(values, now_us=(START + 86_400) * 1_000_000, limits=Telemetry())
    assert not result.dead.num_rows
    names = arrow_schema().names
    got = result.readings.select(names).to_pandas().sort_values(["device_id", "stamp"]).reset_index(drop=True)
    made = readings_table(fleet, device, second).select(names).to_pandas()
    made = made.sort_values(["device_id", "stamp"]).reset_index(drop=True)
    assert got.equals(made)
    truths = [
        json.loads(v)
        for o in outgoing
        if o.column("topic")[0].as_py() == "b"
        for v in o.column("value").to_pylist()
    ]
    assert {t["activity"] for t in truths} <= set(fleet.activities)


def test_a_message_of_one_reading_is_a_bare_object() -> None:
    run = Run(SEED, 1, START, START, readings_per_message=1)
    batch = pa.record_batch({"device": pa.array([1]), "second": pa.array([START]), "seed": pa.array([SEED])})
    (first, *_) = sending([batch], run=run, topic="a", truth_topic="b")
    assert first.num_rows == 10
    message = json.loads(first.column("value")[3].as_py())
    assert message["device_id"] == first.column("key")[3].as_py() == "watch-00001"
    assert message["stamp"] == "2026-01-01T08:00:00.300Z"
    assert message["location_type"] is None


def test_history_is_canonical_readings_with_the_truth() -> None:
    training = training_readings(3, 2, SEED)
    schema = arrow_schema()
    assert training.readings.schema.names == [*schema.names, "activity", "kcal_per_min"]
    assert training.readings.num_rows == 3 * 120 * 10
    assert training.people.num_rows == 3
    assert training.readings.column("activity").null_count == 0
    for name in ("heart_rate", "steps", "user_acceleration_x", "rotation_rate_z", "speed"):
        assert training.readings.column(name).null_count == 0
    with pytest.raises(ConfigError):
        training_readings(0, 2, SEED)
