"""Faults and their ledger: what the rows send, put together in any way, is what the ledger says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activitymodule.settings import Faults, Telemetry
from activitymodule.synthesis.faults import KINDS, SKEWS_SECONDS, Faulty, Ledger, Run, ledger
from activitymodule.synthesis.fleet import sending
from activitymodule.telemetry.decoding import decode_messages
from activitymodule.telemetry.reasons import Reason

START = 1_767_254_407
ALL = {"gap": 0.5, "late": 0.6, "duplicate": 0.1, "clock_skew": 0.4, "malformed": 0.1, "flat": 0.4}


def rows(run: Run, at_once: int) -> list[pa.RecordBatch]:
    assert run.last_second is not None
    number = np.arange(run.devices * (run.last_second - run.first_second + 1))
    columns = [
        1 + number % run.devices,
        run.first_second + number // run.devices,
        np.full(len(number), run.seed),
    ]
    table = pa.table(
        {name: pa.array(c) for name, c in zip(("device", "second", "seed"), columns, strict=True)}
    )
    return table.to_batches(max_chunksize=at_once)


def sent(run: Run, at_once: int = 1000) -> list[bytes]:
    out: list[bytes] = []
    for batch in sending(rows(run, at_once), run=run, topic="readings", truth_topic="truth"):
        if batch.column("topic")[0].as_py() == "readings":
            out += batch.column("value").to_pylist()
    return out


def counted(messages: list[bytes]) -> tuple[int, int, dict[str, int]]:
    """Distinct readings, readings that came again, dead letters by reason."""
    result = decode_messages(
        pa.array(messages, pa.binary()), now_us=(START + 3 * 86_400) * 1_000_000, limits=Telemetry()
    )
    frame = result.readings.select(["device_id", "stamp"]).to_pandas()
    distinct = len(frame.drop_duplicates())
    return distinct, len(frame) - distinct, result.dead.to_pandas()["reason"].value_counts().to_dict()


@pytest.mark.parametrize("readings_per_message", [10, 4, 1])
def test_what_is_sent_is_what_the_ledger_says(readings_per_message: int) -> None:
    run = Run(2, 12, START, START + 299, readings_per_message, faults=Faults(**ALL))
    said = ledger(run)
    messages = sent(run)
    assert len(messages) == said.messages
    good, duplicates, dead = counted(messages)
    assert (good, duplicates, dead) == (said.readings_good, said.readings_duplicate, said.malformed)
    assert said.readings_made == 12 * 300 * 10
    assert said.readings_made == said.readings_good + said.readings_silent + said.readings_broken
    for count in (said.readings_silent, said.readings_late, said.readings_flat, said.readings_duplicate):
        assert count > 0
    assert sum(said.readings_by_skew.values()) == said.readings_good


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    devices=st.integers(1, 4),
    seconds=st.integers(1, 400),
    at_once=st.integers(1, 700),
    shares=st.fixed_dictionaries({name: st.sampled_from([0.0, 0.2, 1.0]) for name in ALL}),
    size=st.integers(1, 10),
)
def test_every_run_keeps_its_ledger_however_it_is_cut(
    seed: int, devices: int, seconds: int, at_once: int, shares: dict[str, float], size: int
) -> None:
    run = Run(seed, devices, START, START + seconds - 1, size, faults=Faults(**shares))
    said = ledger(run, devices_at_once=3)
    messages = sent(run, at_once)
    assert len(messages) == said.messages
    if messages:
        good, duplicates, dead = counted(messages)
        assert (good, duplicates, dead) == (said.readings_good, said.readings_duplicate, said.malformed)
    assert sorted(messages) == sorted(sent(run, 5000))


def test_without_faults_everything_is_sent_once_in_order() -> None:
    run = Run(1, 3, START, START + 39, readings_per_message=4)
    said = ledger(run)
    assert said == Ledger(1200, 0, 0, 1200, 0, 0, 0, {0: 1200}, 360, {})
    letters = Faulty(run).letters(np.array([1, 2]), np.array([START, START]))
    assert letters.row.tolist() == [0, 0, 0, 1, 1, 1]
    assert letters.part.tolist() == [0, 1, 2, 0, 1, 2]


def test_a_late_burst_comes_at_once_and_minutes_later() -> None:
    run = Run(1, 40, START, START + 1799, faults=Faults(late=1.0))
    faulty = Faulty(run)
    seconds = np.arange(START, START + 1800)
    for device in range(1, 41):
        due = faulty.delivered(np.full(1800, device), seconds)
        late = due > seconds
        assert late.any()
        waits = (due - seconds)[late & (due < run.last_second)]
        assert waits.min() > 120
        assert waits.max() <= 390
        # each episode has one instant
        assert len(np.unique(due[late])) <= 8


def test_clocks_are_wrong_for_a_share_of_watches_and_always() -> None:
    faulty = Faulty(Run(1, 5000, START, START, faults=Faults(clock_skew=0.2)))
    skew = faulty.skew(np.arange(1, 5001))
    assert abs((skew != 0).mean() - 0.2) < 0.02
    assert set(skew) == {0, *SKEWS_SECONDS}


def test_every_way_to_be_broken_is_a_reason_of_decode() -> None:
    assert {kind.value for kind in KINDS} <= {reason.value for reason in Reason}


def test_a_stuck_sensor_repeats_itself_at_one_g() -> None:
    run = Run(3, 2, START, START + 299, faults=Faults(flat=1.0))
    result = decode_messages(
        pa.array(sent(run), pa.binary()), now_us=(START + 86_400) * 1_000_000, limits=Telemetry()
    )
    frame = result.readings.to_pandas().sort_values(["device_id", "stamp"])
    stuck = (frame[["user_acceleration_x", "user_acceleration_y", "user_acceleration_z"]] == 0).all(axis=1)
    assert stuck.sum() >= 2 * 300
    for _, own in frame[stuck].groupby("device_id"):
        assert own["pitch"].nunique() == own["roll"].nunique() == 1


def test_a_ledger_needs_an_end() -> None:
    with pytest.raises(ValueError, match="end"):
        ledger(Run(1, 1, START))


def test_faults_do_not_change_the_readings_that_arrive() -> None:
    clean = Run(5, 4, START, START + 119)
    faulty = Run(5, 4, START, START + 119, faults=Faults(gap=0.5, late=0.5, duplicate=0.3))
    assert set(sent(faulty)) <= set(sent(clean))


def test_the_order_is_time_but_for_the_late() -> None:
    run = Run(5, 4, START, START + 119)
    stamps: list[Any] = (
        decode_messages(
            pa.array(sent(run), pa.binary()), now_us=(START + 86_400) * 1_000_000, limits=Telemetry()
        )
        .readings.to_pandas()
        .groupby("device_id")["stamp"]
        .apply(lambda s: s.is_monotonic_increasing)
        .tolist()
    )
    assert all(stamps)
