"""Pushes of one session of Sensor Logger: in any order, split and repeated anyhow, they give the same readings."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from activitymodule.telemetry.sources.sensor_logger import readings_of_push
from activitymodule.telemetry.sources.sensor_steps import StepCounter

NOW_NS = 1_790_000_000_000_000_000
G = 9.80665


def sample(name: str, at_ms: float, **values: Any) -> dict[str, Any]:
    return {"name": name, "time": str(NOW_NS + int(at_ms * 1e6)), "values": values}


def session(seconds: int = 3, hz: int = 50) -> list[dict[str, Any]]:
    """A phone in the pocket, and a watch with heart rate; steps that only count up."""
    made = []
    for k in range(seconds * hz):
        at = k * 1000 / hz
        made += [
            sample("accelerometer", at, x=2 * math.sin(k), y=0.0, z=0.0),
            sample("gravity", at + 1, x=0.0, y=0.0, z=-G),
            sample("orientation", at, yaw=0.5, pitch=0.0, roll=0.0),
            sample("wrist motion", at + 3, accelerationX=0.5 + k / 1000, accelerationY=0.0, accelerationZ=0.0,
                   gravityX=0.6, gravityY=0.0, gravityZ=-0.8, rotationRateX=1, rotationRateY=2, rotationRateZ=3),
        ]  # fmt: skip
        if k % 17 == 0:
            made.append(sample("heart rate", at + 5, bpm=str(70 + k / 10)))  # numbers may come as text
        if k % 7 == 0:
            made.append(sample("pedometer", at + 9, steps=1500 + k))
    return made


SESSION = session()
WHOLE = readings_of_push({"payload": SESSION, "deviceId": "p"})


def received(pushes: list[list[dict[str, Any]]], *, alike: bool = True) -> pa.Table:
    """The readings of pushes that arrive in this order, each counted once, by device and time."""
    tables, steps = [], StepCounter()
    for payload in pushes:
        pushed = readings_of_push({"payload": payload, "deviceId": "p"}, steps_before=steps)
        steps = pushed.steps
        tables.append(pushed.readings)
    rows: dict[tuple[str, Any], dict[str, Any]] = {}
    for row in pa.concat_tables(tables).to_pylist():
        # which of two with one stamp counts must not matter
        kept = rows.setdefault((row["device_id"], row["stamp"]), row)
        assert kept == row or not alike
    return pa.Table.from_pylist([rows[key] for key in sorted(rows)], WHOLE.readings.schema)


def slot(entry: dict[str, Any]) -> int:
    return int(entry["time"]) // 100_000_000


def test_phone_and_watch_are_two_devices() -> None:
    rows = WHOLE.readings
    assert pc.unique(rows.column("device_id")).to_pylist() == ["p", "p-watch"]
    phone = rows.filter(pc.equal(rows.column("device_id"), "p"))
    watch = rows.filter(pc.equal(rows.column("device_id"), "p-watch"))
    assert (phone.column("pitch").drop_null().length(), len(watch)) == (30, 30)
    assert phone.column("heart_rate").null_count == phone.column("rotation_rate_x").null_count == len(phone)
    assert watch.column("yaw").null_count == 30
    assert watch.column("heart_rate").drop_null().to_pylist()[:2] == [70.0, np.float32(71.7)]
    assert WHOLE.passed_over == {}


@given(
    st.lists(st.integers(0, 4), min_size=30, max_size=30),
    st.permutations(range(5)),
    st.lists(st.integers(0, 4), max_size=3),
)
@hypothesis_settings(max_examples=25)
def test_whole_tenths_in_any_pushes_and_order(of_slot: list[int], order: list[int], again: list[int]) -> None:
    first = slot(SESSION[0])
    parts = [[e for e in SESSION if of_slot[min(29, slot(e) - first)] == part] for part in range(5)]
    found = received([parts[k] for k in (*order, *again)])
    # only the steps depend on the order, and not their sum
    without = pc.is_null(WHOLE.readings.column("steps"))
    assert found.filter(pc.is_null(found.column("steps"))).equals(WHOLE.readings.filter(without))
    assert pc.sum(found.column("steps")).as_py() == pc.sum(WHOLE.readings.column("steps")).as_py() == 147


@given(st.data())
@hypothesis_settings(max_examples=25)
def test_single_samples_in_any_pushes_and_order(data: st.DataObject) -> None:
    """However they are torn apart, every sample is in a reading, or counted."""
    some = data.draw(
        st.lists(st.sampled_from(SESSION), unique_by=lambda e: (e["name"], e["time"]), max_size=60)
    )
    cuts = sorted(data.draw(st.lists(st.integers(0, len(some)), max_size=4)))
    pushes = [some[a:b] for a, b in zip([0, *cuts], [*cuts, len(some)], strict=True)]
    steps = StepCounter()
    for payload in pushes:
        pushed = readings_of_push({"payload": payload, "deviceId": "p"}, steps_before=steps)
        steps = pushed.steps
        hearts = [float(e["values"]["bpm"]) for e in payload if e["name"] == "heart rate"]
        kept = pushed.readings.column("heart_rate").drop_null().to_pylist()
        np.testing.assert_allclose(sorted(kept), sorted(hearts), rtol=1e-6)
        alone = {"accelerometer": {"gravity", "orientation"}, "gravity": {"accelerometer"}}
        names = {e["name"] for e in payload}
        for name, wanted in alone.items():
            if name in names and not wanted & names:
                assert pushed.passed_over[name] == sum(e["name"] == name for e in payload)
    counts = [e["values"]["steps"] for e in some if e["name"] == "pedometer"]
    # an orientation of the very time of an acceleration in another push is a reading of the same stamp
    total = pc.sum(received(pushes, alike=False).column("steps")).as_py()
    assert (total or 0) == (max(counts) - min(counts) if counts else 0)


def test_steps_that_are_too_many_do_not_cost_the_acceleration() -> None:
    before = readings_of_push({"payload": [sample("pedometer", -9e6, steps=1)], "deviceId": "p"}).steps
    entries = [*SESSION[:40], sample("pedometer", 50, steps=5000)]
    rows = readings_of_push({"payload": entries, "deviceId": "p"}, steps_before=before).readings.to_pylist()
    assert [row["pitch"] for row in rows if row["steps"] == 5000 - 1500] == [None]


def test_a_counter_that_began_anew_and_one_of_long_ago() -> None:
    times, steps, counter = StepCounter().after(np.array([1, 2, 3]), np.array([100.0, 110.0, 4.0]))
    assert (times.tolist(), steps.tolist()) == ([2, 3], [10, 4])
    _, _, long = StepCounter().after(np.arange(5000) + 10, np.arange(5000.0))
    assert long.after(np.array([5, 20]), np.array([0.0, 10.0]))[0].size == 0
    assert counter.after(np.array([2]), np.array([110.0]))[0].size == 0


def test_what_no_reading_takes_is_counted() -> None:
    entries = [
        sample("heart rate", 0, bpm="none"),
        sample("heart rate", 1, bpm=0),
        sample("battery", 2, batteryState=["full"]),
        sample("\ud800", 3, x=1),
        *(sample(f"sensor {k}", 4, x=1) for k in range(150)),
    ]
    pushed = readings_of_push({"payload": entries, "deviceId": "p" * 128})
    assert pushed.readings.num_rows == 0
    assert sum(pushed.passed_over.values()) == len(entries)
    assert len(pushed.passed_over) == 101
    for name in pushed.passed_over:
        name.encode()
