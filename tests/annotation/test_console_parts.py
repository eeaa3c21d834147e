"""Parts of the console that need no service: limits, where signing in leads, plots, strips."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activitymodule.errors import DataError
from activitymodule.settings import Archive, Kafka, Settings
from activitymodule.synthesis.history import training_readings
from activitymodule.telemetry.encode import messages
from activitymodule.windows.packing import CHANNELS, RECORD, to_records
from annotation.archived import archived_records
from annotation.gate import safe_target, same_origin
from annotation.items import label_key
from annotation.palette import COLOURS, colour, colours
from annotation.signals import facts, plot, small, unpack

START = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)


def records(seconds: float = 10, start_us: int = 0) -> np.ndarray:
    made = np.zeros(round(seconds * 10), RECORD)
    made["stamp_us"] = start_us + np.arange(len(made)) * 100_000
    made["values"] = np.nan
    time = np.arange(len(made)) / 10
    made["values"][:, 0] = np.sin(2 * np.pi * time)
    made["values"][:, 1] = 0
    made["values"][:, 2] = -1
    made["values"][:, CHANNELS.index("heart_rate")] = 80
    made["values"][:, CHANNELS.index("steps")] = (np.arange(len(made)) % 5 == 0).astype(np.float32)
    return made


@given(st.text(max_size=60))
@settings(max_examples=200, deadline=None)
def test_signing_in_never_leads_elsewhere(target: str) -> None:
    led = safe_target(target)
    assert led.startswith("/")
    assert not led.startswith(("//", "/\\"))
    assert not any(ord(character) < 32 for character in led)


@pytest.mark.parametrize(
    ("headers", "ours"),
    [
        ({"host": "a:1", "origin": "http://a:1"}, True),
        ({"host": "a:1", "origin": "https://A:1"}, True),
        ({"host": "a:1", "origin": "http://a"}, False),
        ({"host": "a:1", "origin": "null"}, False),
        ({"host": "", "origin": ""}, False),
        ({"host": "a:1", "sec-fetch-site": "same-site"}, False),
        ({"host": "a:1", "sec-fetch-site": "same-origin"}, True),
        ({"host": "a:1"}, True),
    ],
)
def test_what_counts_as_our_own_page(headers: dict[str, str], ours: bool) -> None:
    assert same_origin(headers) is ours


def _luminance(colour: str) -> float:
    channel = np.array([int(colour[k : k + 2], 16) for k in (1, 3, 5)]) / 255
    linear = np.where(channel <= 0.04045, channel / 12.92, ((channel + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("shade", COLOURS)
def test_colours_stand_out_on_light_and_on_dark(shade: str) -> None:
    for ground, least in (("#ffffff", 3.0), ("#12151a", 2.7)):
        light, dark = sorted((_luminance(shade), _luminance(ground)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= least


def test_an_activity_keeps_its_colour() -> None:
    some = colours(["walking", "sitting", "gardening"])
    more = colours(["walking", "sitting", "gardening", "stairs", "jogging"])
    assert {label: more[label] for label in ("walking", "sitting")} == {
        label: some[label] for label in ("walking", "sitting")
    }
    assert colour("walking") == some["walking"]
    assert len(set(more.values())) == 5


@given(st.lists(st.text("abcdefgstuz ", min_size=1, max_size=8), unique=True, max_size=12))
@settings(max_examples=100, deadline=None)
def test_letters_are_each_labels_own_and_no_other_key(labels: list[str]) -> None:
    keys = label_key(tuple(labels))
    assert len(set(keys.values())) == len(keys)
    assert not set(keys.values()) & set("zsufhobn?")
    assert all(key in label for label, key in keys.items())


def test_facts_of_a_window() -> None:
    figures = facts(records())
    assert figures.steps == 20
    assert figures.heart_rate == pytest.approx(80)
    assert figures.speed is None
    assert "20 steps" in figures.sentence()
    assert facts(np.empty(0, RECORD)).sentence() == "no readings"


def test_a_plot_shows_what_there_is_and_breaks_where_nothing_is() -> None:
    drawn = plot(records(30, -10_000_000), 0, 10_000_000, 900, what='<"words">')
    assert "before" in drawn
    assert "after" in drawn
    assert "rotation" not in drawn
    assert '<"' not in drawn
    assert "nan" not in drawn
    alone = plot(records(), 0, 10_000_000, 360, height=400)
    assert "before" not in alone
    gap = records()
    gap = gap[(gap["stamp_us"] < 3_000_000) | (gap["stamp_us"] > 6_000_000)]
    line = plot(gap, 0, 10_000_000, 900).split('class="line axis-x" d="')[1].split('"')[0]
    assert line.count("M") == 2
    for nothing in (plot(np.empty(0, RECORD), 0, 10_000_000, 900), small(np.empty(0, RECORD), 0, 10_000_000)):
        assert nothing.startswith("<svg")
        assert "nan" not in nothing


def test_unpacking_sorts_and_takes_each_stamp_once() -> None:
    made = records()
    packed = made[50:].tobytes(), made[:60].tobytes()
    np.testing.assert_array_equal(unpack(packed)["stamp_us"], made["stamp_us"])
    with pytest.raises(DataError, match="damaged"):
        unpack([b"123"])


# ---- before and after, out of the archive -------------------------------------------------------------------------


def test_readings_of_a_watch_come_out_of_the_archive_as_they_were(tmp_path: Path) -> None:
    """Messages in Parquet by date, as the stream writes them; what comes out is what was measured, to the bit."""
    begin = int(datetime.now(UTC).timestamp()) // 60 * 60 - 120
    readings = training_readings(2, 1, 3, start=begin).readings.drop_columns(["activity", "kcal_per_min"])
    made = messages(readings, 10)
    names = readings.column("device_id").to_pylist()
    day = tmp_path / "a-topic" / f"date={datetime.fromtimestamp(begin, UTC):%Y-%m-%d}"
    day.mkdir(parents=True)
    keys, values = (
        pa.array(column, pa.binary()) for column in ([n.encode() for n in made.device_id], made.value)
    )
    path = day / "part-0.parquet"
    pq.write_table(pa.table({"key": keys, "value": values}), path)
    os.utime(path, (begin + 90, begin + 90))
    (day / "part-1.parquet").write_bytes(b"half written")
    os.utime(day / "part-1.parquet", (begin + 90, begin + 90))
    own = Settings(archive=Archive(folder=str(tmp_path)), kafka=Kafka(topic="a-topic"))
    since = datetime.fromtimestamp(begin + 10, UTC)
    found = archived_records(own, names[0], since, since + timedelta(seconds=30))
    expected = to_records(readings.filter(pc.equal(readings.column("device_id"), names[0])))[100:400]
    np.testing.assert_array_equal(np.sort(found, order="stamp_us"), expected)
    later = since + timedelta(hours=2)
    assert len(archived_records(own, names[0], later, later + timedelta(seconds=30))) == 0
    elsewhere = Settings(archive=Archive(folder=str(tmp_path / "nowhere")))
    assert len(archived_records(elsewhere, names[0], since, later)) == 0
