"""The stream gives the features of the batch, to the last bit, however messages are split and ordered."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from activitymodule.settings import Telemetry, Windows
from activitymodule.telemetry import decoding
from activitymodule.windows import assembling, packing
from activitymodule.windows import features as fast
from activitymodule.windows.grouping import group_panes
from activitymodule.windows.panes import decode_panes, panes_of_readings, windows_of

START_US = 1_700_000_000_000_000
WINDOWS = Windows()


@given(st.data())
@hypothesis_settings(max_examples=25, deadline=None)
def test_the_stream_gives_the_features_of_the_batch(data):
    """Panes cut anyhow by whoever saw them, in any order, some twice, windows in micro-batches of any size."""
    overlap = data.draw(st.sampled_from([1, 2]))
    windows = Windows(slide_seconds=10 // overlap)
    draw = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    n = data.draw(st.integers(50, 900))
    stamps = START_US + np.sort(draw.choice(60_000, n, replace=False)) * 1_000
    fields = [f"{kind}_{axis}" for kind in ("user_acceleration", "rotation_rate") for axis in "xyz"]
    values = {name: draw.normal(size=n) for name in ("pitch", "roll", *fields)}
    values |= {"heart_rate": draw.normal(80, 5, n), "steps": draw.poisson(0.2, n)}
    table = pa.table(
        {
            "device_id": pa.array(draw.choice(["a", "b", "c"], n)),
            "stamp": pa.array(stamps, pa.timestamp("us", tz="UTC")),
            "device_model": pa.array(draw.choice([None, "Empatica E4", "apple-watch"], n), pa.string()),
            **{
                k: pa.array(np.where(draw.random(n) < 0.1, np.nan, v).astype(np.float32), from_pandas=True)
                for k, v in values.items()
            },
        }
    )
    paned = windows_of(table, windows)
    expected = fast.features(assembling.assemble(paned.window_start_us, paned.panes, windows), windows)
    keys = list(zip(paned.device_id.to_pylist(), paned.window_start_us.tolist(), strict=True))

    # the stream: messages in any order, some twice, in several batches, each of which packs what it got
    arrived = np.concatenate([np.arange(n), np.flatnonzero(draw.random(n) < 0.2)])
    arrived = arrived[draw.permutation(len(arrived))]
    parts = np.array_split(arrived, data.draw(st.integers(1, 8)))
    panes = pa.concat_batches(
        [panes_of_readings(table.take(pa.array(part)), windows.slide_seconds) for part in parts]
    )
    grouped = group_panes(panes.take(pa.array(draw.permutation(panes.num_rows))), windows)
    assert grouped.column("n").to_pylist() == [
        sum(len(pane) for pane in panes) // packing.RECORD.itemsize
        for panes in grouped.column("panes").to_pylist()
    ]
    seen = list(
        zip(grouped.column("device_id").to_pylist(), grouped.column("window_us").to_pylist(), strict=True)
    )
    assert seen == keys
    size = data.draw(st.integers(1, 7))
    order = draw.permutation(len(keys))
    for first in range(0, len(order), size):
        some = order[first : first + size]
        part = grouped.take(pa.array(some))
        batch = assembling.assemble(part.column("window_us").to_numpy(), part.column("panes"), windows)
        assert fast.features(batch, windows).tobytes() == expected[some].tobytes()


@given(st.integers(0, 2**32 - 1), st.integers(1, 5))
@hypothesis_settings(max_examples=15, deadline=None)
def test_messages_through_the_stream_give_the_features_of_decoded_readings(seed, batches):
    """The stream's own decoder and packing against the batch's, from the same JSON."""
    draw = np.random.default_rng(seed)
    n = 400
    stamps_ms = START_US // 1000 + np.sort(draw.choice(30_000, n, replace=False))
    names = [
        "pitch",
        "roll",
        *(f"{kind}_{a}" for kind in ("user_acceleration", "rotation_rate") for a in "xyz"),
    ]
    rows = []
    for k in range(n):
        reading: dict[str, object] = {"device_id": f"w{draw.integers(3)}", "stamp": int(stamps_ms[k])}
        reading |= {name: round(float(draw.normal()), 4) for name in names if draw.random() > 0.05}
        reading |= {"device_model": ["Empatica E4", None, "apple-watch"][k % 5]} if k % 5 < 3 else {}
        rows.append(reading | {"heart_rate": int(draw.integers(60, 90)), "steps": int(draw.integers(0, 2))})
    messages = [json.dumps(r if k % 3 else [r]).encode() for k, r in enumerate(rows)]
    limits, now_us = Telemetry(), START_US + 60_000_000

    decoded = decoding.decode_messages(pa.array(messages), now_us=now_us, limits=limits)
    paned = windows_of(decoded.readings, WINDOWS)
    expected = fast.features(assembling.assemble(paned.window_start_us, paned.panes, WINDOWS), WINDOWS)

    decoded_panes = []
    for part in np.array_split(draw.permutation(n), batches):
        values = pa.array([messages[k] for k in part])
        panes, dead = decode_panes(
            values, np.zeros(len(part), np.int64), now_us=now_us, limits=limits, slide_seconds=10
        )
        assert len(dead) == 0
        decoded_panes.append(panes)
    grouped = group_panes(pa.concat_batches(decoded_panes), WINDOWS)
    assert grouped.column("device_id").equals(paned.device_id)
    assert grouped.column("window_us").to_pylist() == paned.window_start_us.tolist()
    batch = assembling.assemble(paned.window_start_us, grouped.column("panes"), WINDOWS)
    assert fast.features(batch, WINDOWS).tobytes() == expected.tobytes()


# What is missing
