"""Events of bouts are written with the windows they tell of, and say what the view `bouts` says in the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from prediction_rows import EPOCH_US, LABELS, make_prediction_rows
from told import all_events, assert_in_order, stored_bouts, told_bouts

from activitymodule.settings import Scoring
from activitymodule.store.connection import Connection, session
from activitymodule.store.predictions import PredictionRows, write_predictions
from activitymodule.store.queries import execute, fetch_value
from activitymodule.store.smoothing import refresh_smoothed
from activitymodule.store.telling import Teller, silent_watches, tell_silent

pytestmark = pytest.mark.integration

SCORING = Scoring(smoothing_stay=0.6)
WALKING, SITTING = 0, 1


def windows(
    places: Sequence[int],
    activities: Sequence[int | None],
    *,
    device: str = "w",
    readings: int = 100,
    batch: int = 1,
    seconds: int = 10,
) -> PredictionRows:
    """Windows of one watch: their places in units of a window, and the label of each (None: no activity)."""
    n = len(places)
    rows = make_prediction_rows(1, n, unscored=0, batch_id=batch, readings=readings)
    probabilities = np.full((n, len(LABELS)), 0.002, np.float32)
    for row, label in enumerate(activities):
        if label is not None:
            probabilities[row, label] = 0.99
    probabilities[[label is None for label in activities]] = np.nan
    starts = EPOCH_US + seconds * 1_000_000 * np.asarray(places, np.int64)
    return replace(
        rows,
        device_id=pa.array([device] * n),
        window_start_us=starts,
        probabilities=probabilities,
        in_set=probabilities > 0.5,
        reason=["low coverage" if label is None else None for label in activities],
        last_reading_us=starts + 9_900_000,
        received_us=starts + 10_000_000,
    )


class Stream:
    """Batches as the scorer writes them: rows, then smoothing and events in one transaction."""

    def __init__(self, connection: Connection, teller: Teller | None = None) -> None:
        self.connection, self.teller, self.batch = connection, teller or Teller(), 0

    def write(self, rows: PredictionRows, *, raw: bool = False) -> None:
        self.batch += 1
        write_predictions(self.connection, replace(rows, batch_id=self.batch))
        self.connection.commit()
        if not raw:
            refresh_smoothed(self.connection, batch_id=self.batch, scoring=SCORING, teller=self.teller)
            self.connection.commit()
            self.teller.committed()

    def finish(self) -> None:
        """The watches are silent."""
        silent = silent_watches(self.connection, timedelta(0), by_clock=True)
        tell_silent(self.connection, silent, SCORING.smoothing_windows)
        self.connection.commit()

    def kinds(self) -> list[str]:
        return [event.kind for event in all_events(self.connection)]


@pytest.fixture
def stream(connection: Connection) -> Stream:
    return Stream(connection)


def at(place: int) -> datetime:
    return datetime.fromtimestamp(EPOCH_US / 1e6 + 10 * place, UTC)


def test_a_bout_begins_once_its_window_is_full_and_ends_with_the_next(stream: Stream) -> None:
    stream.write(windows([0], [WALKING], readings=30))
    stream.write(windows([0], [SITTING], readings=60))  # it fills, and says something else
    stream.write(windows([0], [WALKING], readings=100))
    assert stream.kinds() == [], "the newest window still changes"
    stream.write(windows([1], [WALKING]))
    stream.write(windows([2, 3], [WALKING, SITTING]))
    assert stream.kinds() == ["began"]
    stream.write(windows([4, 5], [SITTING, SITTING]))
    assert stream.kinds() == ["began", "ended", "began"]
    began, ended, after = all_events(stream.connection)
    assert (began.activity, began.start, began.end, began.minutes, began.kcal) == (
        LABELS[WALKING],
        at(0),
        None,
        None,
        None,
    )
    assert (ended.bout, ended.revision, ended.end, ended.minutes) == (began.bout, 1, at(3), 0.5)
    assert ended.kcal is not None
    assert (after.activity, after.start) == (LABELS[SITTING], at(3))
    stream.finish()
    assert told_bouts(all_events(stream.connection)) == stored_bouts(stream.connection)


def test_a_gap_of_a_minute_and_windows_without_activity(stream: Stream) -> None:
    stream.write(windows([0, 1, 2, 3, 4], [WALKING, None, None, WALKING, WALKING]))
    assert stream.kinds() == ["began"]
    stream.write(windows([12], [WALKING]))
    assert stream.kinds() == ["began", "ended"], "the next window is more than a minute later"
    stream.write(windows([13], [None]))
    stream.finish()
    events = all_events(stream.connection)
    assert [event.kind for event in events] == ["began", "ended", "began", "ended"]
    assert told_bouts(events) == stored_bouts(stream.connection)
    stream.finish()
    assert stream.kinds() == ["began", "ended", "began", "ended"]


def test_late_windows_correct_what_was_told(stream: Stream) -> None:
    stream.write(windows(range(0, 12), [WALKING] * 4 + [SITTING] * 8))
    stream.finish()
    assert stream.kinds() == ["began", "ended", "began", "ended"]
    # one more reading changes the energy alone; then a bout within the second one; then one before the first
    stream.write(windows([1], [WALKING], readings=101))
    assert stream.kinds()[4:] == ["corrected"]
    stream.write(windows([7, 8], [WALKING, WALKING], readings=101))
    assert {"corrected", "began", "ended"} == set(stream.kinds()[5:])
    stream.write(windows([-2, -1], [WALKING, WALKING]))
    assert stream.kinds()[-3:] == ["began", "ended", "withdrawn"], "the first bout begins earlier now"
    events = all_events(stream.connection)
    assert_in_order(events)
    assert told_bouts(events) == stored_bouts(stream.connection)
    # a watch that was held to be silent goes on
    stream.write(windows([12, 13], [SITTING, SITTING]))
    assert stream.kinds()[len(events) :] == ["corrected"]
    assert all_events(stream.connection)[-1].end is None
    stream.finish()
    assert told_bouts(all_events(stream.connection)) == stored_bouts(stream.connection)


def test_what_is_not_smoothed_yet_is_not_told(stream: Stream) -> None:
    stream.write(windows([0, 1, 2], [WALKING] * 3))
    stream.write(windows([3, 4], [SITTING] * 2), raw=True)  # the next batch, whose workers were quicker
    stream.write(windows([0], [WALKING], device="another"))
    assert stream.kinds() == ["began"]


def test_no_event_without_the_windows_it_tells_of(
    stream: Stream, connection: Connection, fresh_settings: Any
) -> None:
    """What is rolled back was not told, and the next transaction tells it."""
    stream.write(windows([0, 1], [WALKING] * 2))
    write_predictions(connection, windows([2, 3, 4], [SITTING] * 3, batch=9))
    connection.commit()
    refresh_smoothed(connection, batch_id=9, scoring=SCORING, teller=stream.teller)
    with session(fresh_settings) as other:
        assert len(all_events(other)) == 1
    connection.rollback()
    refresh_smoothed(connection, batch_id=9, scoring=SCORING, teller=stream.teller)
    connection.commit()
    assert stream.kinds() == ["began", "ended", "began"]


def test_bouts_under_way_when_it_was_switched_on_are_not_told(stream: Stream, connection: Connection) -> None:
    before = Stream(connection)
    before.write(windows(range(6), [WALKING] * 6))
    execute(connection, "DELETE FROM activity_events")
    connection.commit()
    stream.batch = before.batch
    stream.write(windows([6, 7], [WALKING] * 2))
    assert stream.kinds() == []
    stream.write(windows(range(8, 14), [SITTING] * 6))
    stream.finish()
    events = all_events(connection)
    assert [(event.kind, event.activity) for event in events] == [
        ("began", LABELS[SITTING]),
        ("ended", LABELS[SITTING]),
    ]
    assert told_bouts(events) < stored_bouts(connection)


def test_a_time_without_events_is_told_when_the_bout_before_it_ends(
    stream: Stream, connection: Connection
) -> None:
    stream.write(windows([0, 1], [WALKING] * 2))
    for batch, rows in (
        (50, windows(range(2, 8), [SITTING] * 6)),
        (51, windows(range(8, 14), [WALKING] * 6)),
    ):
        write_predictions(connection, replace(rows, batch_id=batch))
        refresh_smoothed(connection, batch_id=batch, scoring=SCORING)
        connection.commit()
    assert stream.kinds() == ["began"]
    stream.batch = 60
    stream.write(windows(range(14, 20), [SITTING] * 6))
    stream.finish()
    assert_in_order(all_events(connection))
    assert told_bouts(all_events(connection)) == stored_bouts(connection)


@pytest.mark.parametrize("seed", range(3))
def test_any_order_of_windows_ends_in_the_bouts_of_the_view(
    connection: Connection, seed: int, make_rows: Any
) -> None:
    """Batches in any order, windows twice and with more readings, gaps, restarts of the scorer."""
    rng = np.random.default_rng(seed)
    stream = Stream(connection)
    activities = np.repeat(rng.integers(0, 3, 30), rng.integers(1, 9, 30))
    places = np.cumsum(rng.choice([1, 1, 1, 1, 1, 1, 2, 9], len(activities)))
    order = np.argsort(np.arange(len(places)) + rng.choice([0, 0, 0, 0, 25], len(places)), kind="stable")
    begin = 0
    while begin < len(order):
        some = order[begin : begin + int(rng.integers(1, 12))]
        begin += len(some)
        if rng.random() < 0.3:
            some = np.append(some, rng.choice(order[:begin], 2))
        some = np.unique(some)
        labels = [None if rng.random() < 0.05 else int(activities[one]) for one in some]
        for device in ("a", "b"):
            stream.write(
                windows(places[some].tolist(), labels, device=device, readings=int(rng.integers(90, 120)))
            )
        if rng.random() < 0.15:
            stream.teller = Teller()  # another process
        if rng.random() < 0.05:
            stream.finish()
    stream.finish()
    events = all_events(connection)
    assert_in_order(events)
    stored = stored_bouts(connection)
    assert len(stored) > 20
    assert told_bouts(events) == stored
    # nothing is left to tell, whoever looks again
    newest = [(one, at(int(places.max()))) for one in ("a", "b")]
    assert tell_silent(connection, newest, SCORING.smoothing_windows) == 0
    whole = "SELECT tell_bouts(ARRAY['a', 'b'], ARRAY[%s, %s], ARRAY[%s, %s], 6, true)"
    first, last = at(int(places.min())), at(int(places.max()))
    assert fetch_value(connection, whole, (first, first, last, last)) == 0


def test_overlapping_windows(connection: Connection) -> None:
    stream = Stream(connection)
    for place in range(0, 40, 2):
        label = WALKING if place % 20 < 10 else SITTING
        rows = windows([place, place + 1], [label, label])
        stream.write(replace(rows, window_start_us=EPOCH_US + 5_000_000 * np.array([place, place + 1])))
    stream.finish()
    assert_in_order(all_events(connection))
    assert told_bouts(all_events(connection)) == stored_bouts(connection)
    assert "withdrawn" not in stream.kinds()


def test_silence_is_the_watermark_of_the_others_or_the_clock(stream: Stream) -> None:
    stream.write(windows([0, 1, 2], [WALKING] * 3, device="gone"))
    stream.write(windows([70], [WALKING], device="here"))
    execute(stream.connection, "UPDATE predictions SET processed_at = processed_at - interval '5 minutes'")
    minutes = timedelta(minutes=1)

    def silent(patience: timedelta, *, by_clock: bool = False) -> list[str]:
        return [one for one, _ in silent_watches(stream.connection, patience, by_clock=by_clock)]

    assert silent(11 * minutes) == ["gone"]
    assert silent(12 * minutes) == []
    assert silent(4 * minutes, by_clock=True) == ["gone", "here"]
    assert silent(12 * minutes, by_clock=True) == []
