"""Leases, answers and undo on a real PostgreSQL: what must hold whoever comes when."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import psycopg2
import pytest

from activitymodule.errors import DataError, RefusedError
from activitymodule.settings import Settings
from activitymodule.store import annotations as store
from activitymodule.store.connection import Connection, connect
from activitymodule.store.models import record_model_version
from activitymodule.store.queue import QueueItem, put
from activitymodule.windows.packing import RECORD

pytestmark = pytest.mark.integration

LABELS = ("sitting", "walking", "Nordic Walking")
START_US = 1_790_000_000_000_000
MINUTES = 5.0


def make_item(number: int, **changes: Any) -> QueueItem:
    """One of many items: a watch of its own every second one, ten seconds after each other."""
    start = START_US + number * 10_000_000
    records = np.zeros(100, RECORD)
    records["stamp_us"] = start + np.arange(100) * 100_000
    return replace(
        QueueItem(
            device_id=f"watch-{number % 2}",
            window_start_us=start,
            window_end_us=start + 10_000_000,
            stratum="doubt",
            reason="margin",
            doubt=0.5,
            doubts={},
            propensity=0.5,
            decision={},
            required_labels=1,
            readings=records.tobytes(),
            features=np.array([number, np.nan, -1.5], np.float32),
            features_version="1",
            activity="walking",
            probabilities=np.array([0.2, 0.5, 0.3], np.float32),
            conformal_set=("walking",),
            kcal_per_min=float("nan"),
            model_version="1",
            energy_version=None,
            expire_hours=1,
        ),
        **changes,
    )


@pytest.fixture
def opened(fresh_settings: Settings) -> Iterator[Any]:
    connection = connect(fresh_settings)
    record_model_version(connection, name="m", version="1", labels=LABELS, feature_version="1")
    connection.commit()
    yield connection
    connection.close()


def rows(connection: Connection, sql: str, values: Any = None) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchall() if cursor.description else []


def fill(connection: Connection, items: int, **changes: Any) -> list[int]:
    # a time of their own each: items that came together are not ordered among themselves
    for number in range(items):
        put(connection, [make_item(number, **changes)])
        connection.commit()
    return [row[0] for row in rows(connection, "SELECT item_id FROM queue_items ORDER BY item_id")]


def state(connection: Connection, item_id: int) -> str | None:
    return rows(connection, "SELECT closed_because FROM queue_items WHERE item_id = %s", (item_id,))[0][0]


def label(connection: Connection, item_id: int, who: str, said: str = "walking", **more: Any) -> int:
    return store.answer(connection, item_id, who, "label", said, minutes=MINUTES, **more)


def test_an_item_is_what_was_queued(opened: Any) -> None:
    (number,) = fill(opened, 1)
    item = store.lease_next(opened, "a", MINUTES)
    assert item is not None
    assert (item.item_id, item.device_id, item.labels) == (number, "watch-0", LABELS)
    np.testing.assert_array_equal(item.features, np.array([0, np.nan, -1.5], np.float32))
    assert item.probabilities == pytest.approx((0.2, 0.5, 0.3))
    assert len(item.readings) == 100 * RECORD.itemsize


def test_whoever_waited_longest_comes_first_whatever_its_stratum(opened: Any) -> None:
    for number, stratum in enumerate(("doubt", "audit", "cold", "doubt", "audit")):
        put(opened, [make_item(number, stratum=stratum)])
        opened.commit()
    came = []
    while (item := store.lease_next(opened, "a", MINUTES, besides=[n for n, _ in came])) is not None:
        came.append((item.item_id, item.stratum))
    assert [stratum for _, stratum in came] == ["doubt", "audit", "cold", "doubt", "audit"]


def test_a_page_loaded_again_gets_what_it_held(opened: Any) -> None:
    fill(opened, 3)
    first = store.lease_next(opened, "a", MINUTES)
    again = store.lease_next(opened, "a", MINUTES)
    assert first is not None
    assert again is not None
    assert first.item_id == again.item_id


def test_many_at_once_never_hold_the_same(opened: Any, fresh_settings: Settings) -> None:
    fill(opened, 40)
    got: dict[str, list[int]] = {}
    start = threading.Barrier(6)

    def annotate(who: str) -> None:
        connection = connect(fresh_settings)
        mine = got[who] = []
        start.wait()
        while (item := store.lease_next(connection, who, MINUTES, besides=mine)) is not None:
            connection.commit()
            mine.append(item.item_id)
        connection.close()

    threads = [threading.Thread(target=annotate, args=(f"a{k}",)) for k in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    every = [number for mine in got.values() for number in mine]
    assert len(every) == len(set(every)) == 40


def test_a_lease_that_is_over_frees_the_item(opened: Any) -> None:
    (number,) = fill(opened, 1)
    assert store.lease_next(opened, "a", MINUTES) is not None
    assert store.lease_next(opened, "b", MINUTES) is None
    assert not store.renew(opened, number, "b", MINUTES)
    rows(opened, "UPDATE leases SET expires_at = clock_timestamp() - interval '1 second'")
    taken = store.lease_next(opened, "b", MINUTES)
    assert taken is not None
    assert taken.item_id == number
    with pytest.raises(RefusedError, match="somebody else has it"):
        label(opened, number, "a")
    label(opened, number, "b")
    with pytest.raises(RefusedError, match="closed"):
        label(opened, number, "a")


def test_a_late_answer_counts_while_nobody_else_came(opened: Any) -> None:
    (number,) = fill(opened, 1)
    store.lease_next(opened, "a", MINUTES)
    rows(opened, "UPDATE leases SET expires_at = clock_timestamp() - interval '1 second'")
    label(opened, number, "a")
    assert state(opened, number) == "answered"


def test_an_expired_item_is_not_given(opened: Any) -> None:
    fill(opened, 1)
    rows(opened, "UPDATE queue_items SET expires_at = clock_timestamp() - interval '1 second'")
    assert store.lease_next(opened, "a", MINUTES) is None


def test_two_voices_where_two_are_wanted_and_each_blind(opened: Any) -> None:
    (number,) = fill(opened, 1, required_labels=2)
    assert store.lease_next(opened, "a", MINUTES) is not None
    assert store.lease_next(opened, "b", MINUTES) is not None
    assert store.lease_next(opened, "c", MINUTES) is None
    label(opened, number, "a", "walking")
    assert state(opened, number) is None
    assert store.lease_next(opened, "a", MINUTES) is None, "what one has answered never comes back"
    assert store.lease_next(opened, "c", MINUTES) is None, "the second voice is b's already"
    label(opened, number, "b", "sitting")
    assert state(opened, number) == "answered"
    assert [case.why for case in store.cases(opened)] == ["disputed"]
    store.adjudicate(opened, number, "reviewer", "sitting", minutes=MINUTES)
    assert store.cases(opened) == []
    assert rows(opened, "SELECT label, adjudicated, disputed FROM gold_labels") == [("sitting", True, False)]
    assert store.undo_adjudication(opened, "reviewer", MINUTES) == number
    assert [case.item_id for case in store.cases(opened)] == [number]


def test_skips_of_three_people_withdraw_and_undo_brings_back(opened: Any) -> None:
    (number,) = fill(opened, 1)
    for who, kind in (("a", "skip"), ("b", "unsure"), ("c", "flag")):
        assert state(opened, number) is None
        item = store.lease_next(opened, who, MINUTES)
        assert item is not None
        store.answer(opened, number, who, kind, minutes=MINUTES)  # type: ignore[arg-type]
        assert store.lease_next(opened, who, MINUTES) is None
    assert state(opened, number) == "withdrawn"
    assert [case.why for case in store.cases(opened)] == ["flagged"]
    undone = store.undo(opened, "c", MINUTES)
    assert undone is not None
    assert undone.held == (number,)
    assert state(opened, number) is None
    assert store.cases(opened) == []
    label(opened, number, "c")
    assert state(opened, number) == "answered"


def test_undo_goes_back_ten_steps_and_no_further(opened: Any) -> None:
    numbers = fill(opened, 12)
    for number in numbers:
        label(opened, number, "a")
    for number in reversed(numbers[2:]):
        undone = store.undo(opened, "a", MINUTES)
        assert undone is not None
        assert undone.items == (number,)
    assert store.undo(opened, "a", MINUTES) is None
    assert store.undo(opened, "b", MINUTES) is None
    assert [row[0] for row in rows(opened, "SELECT item_id FROM annotations_in_force ORDER BY 1")] == numbers[
        :2
    ]


def test_several_at_once_are_one_step(opened: Any) -> None:
    numbers = fill(opened, 6)
    label(opened, numbers[0], "b")
    taken = store.answer_many(opened, numbers, "a", "walking", minutes=MINUTES)
    assert taken == numbers[1:]
    undone = store.undo(opened, "a", MINUTES)
    assert undone is not None
    assert undone.items == tuple(numbers[1:])
    assert all(state(opened, number) is None for number in numbers[1:])
    assert state(opened, numbers[0]) == "answered"


def test_what_may_be_labelled_together(opened: Any) -> None:
    put(
        opened,
        [
            make_item(0),
            make_item(2),
            make_item(4, stratum="audit"),
            make_item(6, required_labels=2),
            make_item(1),
        ],
    )
    put(opened, [make_item(8)])
    held = {
        round(start.timestamp() * 1e6 - START_US) // 10_000_000: number
        for start, number in rows(opened, "SELECT window_start, item_id FROM queue_items")
    }
    store.lease_these(opened, [held[8]], "b", MINUTES)
    found = store.open_of_device(opened, store.get_item(opened, held[0]), "a")
    assert found == [held[2]]


def test_answers_are_only_ever_added(opened: Any) -> None:
    (number,) = fill(opened, 1)
    label(opened, number, "a")
    opened.commit()
    for change in ("UPDATE annotations SET label = 'sitting'", "DELETE FROM annotations"):
        with pytest.raises(psycopg2.errors.RaiseException):
            rows(opened, change)
        opened.rollback()
    with pytest.raises(RefusedError, match="answered this window"):
        label(opened, number, "a", "sitting")


def test_labels_keep_the_spelling_that_is_known(opened: Any) -> None:
    assert store.clean_label(opened, " nordic  WALKING ") == "Nordic Walking"
    assert store.clean_label(opened, "Riding a Bicycle") == "riding a bicycle"
    for bad in ("", "   ", "=1+1", "<b>", "x" * 61, "a\0b"):
        with pytest.raises(DataError):
            store.clean_label(opened, bad)


def test_import_adds_once_and_closes_the_item(opened: Any) -> None:
    (number,) = fill(opened, 1)
    item = store.get_item(opened, number)
    known = store.Imported(item.device_id, item.window_start, item.window_end, "outside", "walking")
    unknown = replace(known, device_id="elsewhere", window_start=item.window_start - timedelta(days=1))
    first = store.import_labels(opened, [known, unknown], minutes=MINUTES)
    again = store.import_labels(opened, [known, unknown], minutes=MINUTES)
    assert (first.added, first.known, first.unmatched) == (2, 0, 1)
    assert (again.added, again.known) == (0, 2)
    assert state(opened, number) == "answered"
    assert len(store.exported(opened)) == 2


def test_pairs_of_labels_are_of_windows_two_people_labelled(opened: Any) -> None:
    first, second = fill(opened, 2, required_labels=2)
    label(opened, first, "a", "walking")
    label(opened, first, "b", "sitting")
    label(opened, second, "a", "walking")
    assert sorted((who, said) for who, _, said in store.pairs_of_labels(opened)) == [
        ("a", "walking"),
        ("b", "sitting"),
    ]
