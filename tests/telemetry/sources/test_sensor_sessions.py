"""Pushes of one session of Sensor Logger: in any order, split and repeated anyhow, they give the same readings."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from random import Random
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


def received(pushes: list[list[dict[str, Any]]]) -> pa.Table:
    """The readings of pushes that arrive in this order, each counted once, by device and time."""
    tables, steps = [], StepCounter()
    for payload in pushes:
        pushed = readings_of_push({"payload": payload, "deviceId": "p"}, steps_before=steps)
        steps = pushed.steps
        tables.append(pushed.readings)
    rows: dict[tuple[str, Any], dict[str, Any]] = {}
    for row in pa.concat_tables([WHOLE.readings.slice(0, 0), *tables]).to_pylist():
        # which of two with one stamp counts must not matter
        kept = rows.setdefault((row["device_id"], row["stamp"]), row)
        assert kept == row
    return pa.Table.from_pylist([rows[key] for key in sorted(rows)], WHOLE.readings.schema)


def slot(entry: dict[str, Any]) -> int:
    return int(entry["time"]) // 100_000_000


def test_phone_and_watch_are_two_devices() -> None:
    rows = WHOLE.readings
    assert pc.unique(rows.column("device_id")).to_pylist() == ["p", "p-watch"]
    phone = rows.filter(pc.equal(rows.column("device_id"), "p"))
    watch = rows.filter(pc.equal(rows.column("device_id"), "p-watch"))
    assert [part.column("pitch").drop_null().length() for part in (phone, watch)] == [30, 30]
    assert phone.column("heart_rate").null_count == phone.column("rotation_rate_x").null_count == len(phone)
    assert watch.column("yaw").null_count == len(watch)
    assert watch.column("heart_rate").drop_null().to_pylist()[:2] == [70.0, np.float32(71.7)]
    assert WHOLE.passed_over == {}


def without_steps(rows: pa.Table) -> pa.Table:
    return rows.filter(pc.is_null(rows.column("steps")))


# an acceleration and what gives it its gravity are measured together
TOGETHER = {"gravity": "accelerometer", "orientation": "accelerometer"}


@given(
    st.dictionaries(
        st.tuples(
            st.sampled_from(["accelerometer", "wrist motion", "heart rate", "pedometer"]), st.integers(0, 29)
        ),
        st.integers(1, 4),
    ),
    st.permutations(range(5)),
    st.lists(st.integers(0, 4), max_size=3),
)
@hypothesis_settings(max_examples=25)
def test_tenths_of_any_sensor_in_any_pushes_and_order(
    part_of: dict[tuple[str, int], int], order: list[int], again: list[int]
) -> None:
    first = slot(SESSION[0])
    parts: list[list[dict[str, Any]]] = [[] for _ in range(5)]
    for entry in SESSION:
        sensor = TOGETHER.get(entry["name"], entry["name"])
        parts[part_of.get((sensor, min(29, slot(entry) - first)), 0)].append(entry)
    found = received([parts[k] for k in (*order, *again)])
    # only the steps depend on the order, and not their sum
    assert without_steps(found).equals(without_steps(WHOLE.readings))
    assert pc.sum(found.column("steps")).as_py() == pc.sum(WHOLE.readings.column("steps")).as_py() == 147


FIELD = {
    "accelerometer": "pitch",
    "wrist motion": "pitch",
    "orientation": "yaw",
    "heart rate": "heart_rate",
}
TORN = st.lists(st.sampled_from(SESSION), unique_by=lambda e: (e["name"], e["time"]), max_size=60)


@given(TORN, st.lists(st.integers(0, 60), max_size=4), st.randoms(use_true_random=False))
@hypothesis_settings(max_examples=50)
def test_single_samples_in_any_pushes_and_order(
    some: list[dict[str, Any]], cuts: list[int], random: Random
) -> None:
    """However they are torn apart, every sample is in a reading of its tenth, or counted, the same in any order."""
    ends = sorted({0, len(some), *(min(cut, len(some)) for cut in cuts)})
    pushes = [some[a:b] for a, b in itertools.pairwise(ends)]
    for payload in pushes:
        pushed = readings_of_push({"payload": payload, "deviceId": "p"})
        samples = Counter(e["name"].replace(" ", "") for e in payload)
        alone = {"accelerometer": {"gravity", "orientation"}, "gravity": {"accelerometer"}}
        lost = {
            name: samples[name] for name, other in alone.items() if samples[name] and not other & set(samples)
        }
        assert all(pushed.passed_over[name] == lost[name] for name in lost)
        for sensor, field in FIELD.items():
            if not pushed.passed_over.get(sensor.replace(" ", "")):
                device = "p-watch" if sensor in ("wrist motion", "heart rate") else "p"
                rows = pushed.readings.filter(pc.equal(pushed.readings.column("device_id"), device))
                made = rows.filter(pc.is_valid(rows.column(field))).column("stamp").cast(pa.int64())
                tenths = {slot(e) for e in payload if e["name"] == sensor}
                assert sorted(at // 100_000 for at in made.to_pylist()) == sorted(tenths)
    found = received(pushes)
    random.shuffle(pushes)
    assert without_steps(received(pushes)).equals(without_steps(found))
    counts = [e["values"]["steps"] for e in some if e["name"] == "pedometer"]
    total = pc.sum(found.column("steps")).as_py()
    assert (total or 0) == (max(counts) - min(counts) if counts else 0)


def test_an_attitude_of_the_very_time_of_an_acceleration_in_another_push() -> None:
    moved = [sample("accelerometer", 0, x=1, y=0, z=0), sample("gravity", 0, x=0, y=0, z=-G)]
    turned = [sample("orientation", 0, yaw=0.5), sample("gyroscope", 0, x=1, y=2, z=3)]
    rows = received([turned, moved]).to_pylist()
    assert len({row["stamp"] for row in rows}) == len(rows) == 3
    assert received([moved, turned]) == received([[*turned, *moved]]) == received([turned, moved])


def test_angles_are_averaged_as_directions() -> None:
    entries = [sample("orientation", at, yaw=yaw) for at, yaw in ((0, 3.1), (10, -3.1))]
    (yaw,) = readings_of_push({"payload": entries, "deviceId": "p"}).readings.column("yaw").to_pylist()
    assert abs(yaw) == np.float32(np.pi)


def test_a_total_acceleration_does_not_depend_on_where_the_push_begins() -> None:
    entries = [sample("totalacceleration", k * 20, x=k % 7, y=3.0 * (k % 2), z=G) for k in range(100)]
    whole = received([entries])
    assert whole.num_rows == 20
    assert received([entries[50:], entries[:50]]).equals(whole)


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
        sample("heart rate", 2, bpm="71\x1f"),
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
