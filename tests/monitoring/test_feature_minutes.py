"""The rows of drift in the store: written once however often a batch is run, merged without a change of sums."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from drift_judges import Judge

from activitymodule.models.baseline import Counter, Totals
from activitymodule.models.dataset import TrainingWindows
from activitymodule.settings import Settings
from activitymodule.store.batches import begin_batch, finish_batch
from activitymodule.store.connection import Connection, connect
from activitymodule.store.drift import (
    Tripped,
    alarms,
    forget_minutes,
    merge_minutes,
    read_seen,
    update_alarms,
    write_late_minutes,
    write_minutes,
)

pytestmark = pytest.mark.integration
START = datetime(2026, 1, 1, 8, tzinfo=UTC)


@pytest.fixture
def connection(fresh_settings: Settings) -> Iterator[Any]:
    connection = connect(fresh_settings)
    yield connection
    connection.close()


def batch(connection: Connection, number: int, finished: bool = True) -> None:
    begin_batch(
        connection, query_id="q", batch_id=number, topic="t", offsets={0: (0, 1)}, model_version="1",
        energy_version=None,
    )  # fmt: skip
    if finished:
        finish_batch(connection, query_id="q", batch_id=number, windows=1)


def rows(connection: Connection) -> list[tuple[int, int]]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT batch_id, windows FROM feature_minutes ORDER BY batch_id, minute, part")
        return cursor.fetchall()


def close_to(found: Totals, expected: Totals) -> None:
    for f in fields(Totals):
        np.testing.assert_allclose(
            getattr(found, f.name), getattr(expected, f.name), atol=0.01, err_msg=f.name
        )


def test_batches_are_counted_once_and_merged_when_they_are_done_with(
    connection: Connection, judge: Judge, people: TrainingWindows
):
    counter = Counter(judge.baseline)
    chances = judge.fitted.predict_proba(people.features).astype(np.float32)
    start_us = int(START.timestamp() * 1e6)
    expected: Totals | None = None
    for number in range(4):
        batch(connection, number, finished=number < 3)
        for part in range(2):
            chosen = slice(100 * (2 * number + part), 100 * (2 * number + part) + 100)
            minutes = counter.by_minute(
                np.full(100, start_us + 20_000_000 * number), people.features[chosen], chances[chosen]
            )
            for _ in range(2):  # a task that ran twice
                write_minutes(
                    connection, minutes, model_version="1", query_id="q", batch_id=number, part=part
                )
            for totals in minutes.values():
                expected = totals if expected is None else expected + totals
    connection.commit()
    assert expected is not None
    seen = read_seen(connection, "1", 30, 0.9)
    assert seen is not None
    close_to(seen.totals, expected)
    assert seen.until == START + timedelta(minutes=2)

    # batch 3 is not finished, so batch 2 may be run again: neither is merged
    assert merge_minutes(connection) == 4
    assert [number for number, _ in rows(connection)] == [-1, 2, 2, 3, 3]
    again = read_seen(connection, "1", 30, 0.9)
    assert again is not None
    close_to(again.totals, expected)
    batch(connection, 4)
    batch(connection, 3)
    assert merge_minutes(connection) == 4
    assert merge_minutes(connection) == 0
    connection.commit()
    last = read_seen(connection, "1", 30, 0.9)
    assert last is not None
    close_to(last.totals, expected)
    assert {number for number, _ in rows(connection)} == {-1}
    assert len(rows(connection)) == 2  # minutes

    assert forget_minutes(connection, 0.0001) == 2
    assert read_seen(connection, "1", 30, 0.9) is None


def test_late_windows_are_merged_at_once_and_each_round_adds_its_own(
    connection: Connection, judge: Judge, people: TrainingWindows
):
    chances = judge.fitted.predict_proba(people.features).astype(np.float32)
    minutes = Counter(judge.baseline).by_minute(
        np.full(50, int(START.timestamp() * 1e6)), people.features[:50], chances[:50]
    )
    for number in range(2):
        for _ in range(2):
            write_late_minutes(connection, minutes, model_version="1")
        assert merge_minutes(connection) == 2
        assert rows(connection) == [(-1, 100 * (number + 1))]


def test_an_alarm_lasts_from_when_it_tripped_until_it_is_over(connection: Connection):
    far = Tripped("psi", "jerk_x_log_sd", 0.7, 0.25)
    other = Tripped("class_shift", "all", 0.5, 0.3)
    update_alarms(connection, "1", [far, other], START)
    update_alarms(connection, "1", [Tripped("psi", "jerk_x_log_sd", 0.9, 0.25)], START + timedelta(minutes=5))
    found = alarms(connection)
    assert [(a.measure, a.value, a.since, a.last_seen) for a in found if a.over_at is None] == [
        ("psi", 0.9, START, START + timedelta(minutes=5))
    ]
    assert [a.over_at for a in found if a.measure == "class_shift"] == [START + timedelta(minutes=5)]
    # another version serves: what was wrong with the one before is over; the same measure begins anew
    update_alarms(connection, "2", [far], START + timedelta(minutes=9))
    assert [(a.model_version, a.since) for a in alarms(connection, open_only=True)] == [
        ("2", START + timedelta(minutes=9))
    ]
    assert len(alarms(connection)) == 3
