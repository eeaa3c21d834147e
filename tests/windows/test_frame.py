"""The canonical frame: readings are turned once, by what a person decided, what they say, or what their watch said."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest

from activitymodule.settings import Telemetry, Windows
from activitymodule.telemetry.decoding import decode_messages
from activitymodule.telemetry.profiles import Axes, DeviceProfile
from activitymodule.windows import packing
from activitymodule.windows.frame import KnownModel, ReadingModels, in_known_frame, turn, with_said
from activitymodule.windows.panes import decode_panes, panes_of_readings

NOW_US = 1_700_000_060_000_000
E4, APPLE = "Empatica E4", "apple-watch"
# pitch = roll = 0: gravity is (0, 0, -1)
SENT = {
    "pitch": 0,
    "roll": 0,
    **{f"user_acceleration_{a}": v for a, v in zip("xyz", (0.1, 0.2, 0.3), strict=True)},
}
SENT |= {f"rotation_rate_{a}": v for a, v in zip("xyz", (1.0, 2.0, 3.0), strict=True)}
AS_SENT = [[0.1, 0.2, -0.7], [1, 2, 3]]
TURNED = [[-0.2, 0.1, -0.7], [-2, 1, 3]]


def message(device: str, second: float, **more: object) -> bytes:
    stamp_ms = NOW_US // 1000 - 50_000 + int(second * 1000)
    return json.dumps({"device_id": device, "stamp": stamp_ms, **SENT, **more}).encode()


def packed(messages: list[bytes], known: dict[str, KnownModel] | None = None) -> dict[str, list[list[float]]]:
    """Acceleration and rotation rate of each device's first reading; the stream's panes and the batch's agree."""
    values = pa.array(messages, pa.binary())
    limits = Telemetry()
    streamed, dead = decode_panes(
        values, np.zeros(len(messages)), now_us=NOW_US, limits=limits, slide_seconds=10, known=known or {}
    )
    assert len(dead) == 0
    readings = decode_messages(values, now_us=NOW_US, limits=limits).readings
    batch = panes_of_readings(readings, Windows().slide_seconds, known or {})
    by_device = [
        dict(zip(panes.column("device_id").to_pylist(), panes.column("packed").to_pylist(), strict=True))
        for panes in (streamed, batch)
    ]
    assert by_device[0] == by_device[1]
    records = {device: np.frombuffer(pane, packing.RECORD) for device, pane in by_device[0].items()}
    return {
        device: [np.round(r["values"][0, part].astype(float), 6).tolist() for part in (slice(3), slice(3, 6))]
        for device, r in records.items()
    }


def test_a_reading_is_turned_by_the_model_it_names():
    frames = packed(
        [
            message("b", 1, device_model=E4),
            message("a", 2),
            message("c", 0, device_model=APPLE),
            message("d", 0, device_model="no such watch"),
            message("e", 0, device_model=None),
        ]
    )
    assert frames == {"a": AS_SENT, "b": TURNED, "c": AS_SENT, "d": AS_SENT, "e": AS_SENT}


def test_each_reading_of_a_batch_has_its_own_model():
    values = [message("a", 1, device_model=E4), message("a", 0), message("a", 2, device_model=APPLE)]
    panes, _ = decode_panes(
        pa.array(values), np.zeros(3), now_us=NOW_US, limits=Telemetry(), slide_seconds=10
    )
    x = np.frombuffer(panes.column("packed")[0].as_py(), packing.RECORD)["values"][:, 0]
    np.testing.assert_allclose(x, [0.1, -0.2, 0.1], atol=1e-6)


@pytest.mark.parametrize(
    ("known", "named", "expected"),
    [
        (KnownModel("empatica-e4", True), None, TURNED),  # a person's word alone
        (KnownModel("empatica-e4", True), APPLE, TURNED),  # ... counts more than the message's
        (KnownModel("apple-watch", True), E4, AS_SENT),
        (KnownModel("unheard of", True), E4, AS_SENT),
        (KnownModel("empatica-e4", False), None, TURNED),  # what the watch said before
        (KnownModel("empatica-e4", False), APPLE, AS_SENT),  # ... counts less than what it says now
        (KnownModel("apple-watch", False), E4, TURNED),
    ],
)
def test_a_persons_word_counts_more_than_the_messages_and_that_more_than_the_one_before(
    known, named, expected
):
    frames = packed([message("a", 0, device_model=named), message("b", 0)], {"a": known, "z": known})
    assert frames == {"a": expected, "b": AS_SENT}


def test_the_models_that_messages_name_are_told_by_device():
    said: dict[str, str] = {}
    values = [
        message("a", 3, device_model=APPLE),
        message("a", 1, device_model=E4),
        message("a", 4),
        message("b", 0, device_model="Band 7"),
        message("c", 0, device_model="x" * 65),
        message("d", 0),
    ]
    decode_panes(
        pa.array(values), np.zeros(6), now_us=NOW_US, limits=Telemetry(), slide_seconds=10, said=said
    )
    assert said == {"a": "apple-watch", "b": "Band 7"}
    decided, before = KnownModel("axivity-ax3", True), KnownModel("garmin", False)
    known = with_said({"a": decided, "b": before, "c": before}, said)
    assert known == {"a": decided, "b": KnownModel("Band 7", False), "c": before}


def test_the_frame_of_a_watch_is_known_by_the_profile_of_its_model():
    assert in_known_frame([APPLE, None, "", "Band 7", E4]).tolist() == [True, False, False, False, True]


@pytest.mark.parametrize(
    ("axes", "turned"),
    [
        (Axes(x="-y", y="x"), [-2, 1, 3, -5, 4, 6]),  # a quarter turn about z
        (Axes(x="y", y="x"), [2, 1, 3, -5, -4, -6]),  # a mirrored frame sees rotations turn the other way
    ],
)
def test_a_frame_is_turned_by_axes_and_signs(axes, turned):
    profile = DeviceProfile(id="p", name="p", axes=axes, sign="android", source="")
    values = np.array([[1, 2, 3, 4, 5, 6, 7, 8, 9]] * 2, np.float32)
    turn(values, ReadingModels(np.array([0, 1]), [None, profile]))
    assert values.tolist() == [[1, 2, 3, 4, 5, 6, 7, 8, 9], [*turned, 7, 8, 9]]
