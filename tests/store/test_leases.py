"""Leases of queue items on a real PostgreSQL: what must hold with several annotators."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from queued import LABELS, MINUTES, START_US, fill, label, make_item, rows

from activitymodule.errors import ItemClosedError, ItemHeldError
from activitymodule.settings import Settings
from activitymodule.store import answers, items, leases
from activitymodule.store.connection import connect
from activitymodule.store.queue import put
from activitymodule.windows.packing import RECORD

pytestmark = pytest.mark.integration


def test_an_item_is_returned_as_it_was_queued(opened: Any) -> None:
    (number,) = fill(opened, 1)
    item = leases.lease_next(opened, "a", MINUTES)
    assert item is not None
    assert (item.item_id, item.device_id, item.labels) == (number, "watch-0", LABELS)
    np.testing.assert_array_equal(item.features, np.array([0, np.nan, -1.5], np.float32))
    assert item.probabilities == pytest.approx((0.2, 0.5, 0.3))
    assert len(item.readings) == 100 * RECORD.itemsize


def test_items_are_leased_in_the_order_they_were_queued(opened: Any) -> None:
    for number, stratum in enumerate(("doubt", "audit", "cold", "doubt", "audit")):
        put(opened, [make_item(number, stratum=stratum)])
        opened.commit()
    came = []
    while (item := leases.lease_next(opened, "a", MINUTES, besides=[n for n, _ in came])) is not None:
        came.append((item.item_id, item.stratum))
    assert [stratum for _, stratum in came] == ["doubt", "audit", "cold", "doubt", "audit"]


def test_a_reloaded_page_gets_its_leased_item_again(opened: Any) -> None:
    fill(opened, 3)
    first = leases.lease_next(opened, "a", MINUTES)
    again = leases.lease_next(opened, "a", MINUTES)
    assert first is not None
    assert again is not None
    assert first.item_id == again.item_id


def test_annotators_in_parallel_never_lease_the_same_item(opened: Any, fresh_settings: Settings) -> None:
    fill(opened, 40)
    got: dict[str, list[int]] = {}
    start = threading.Barrier(6)

    def annotate(who: str) -> None:
        connection = connect(fresh_settings)
        mine = got[who] = []
        start.wait()
        while (item := leases.lease_next(connection, who, MINUTES, besides=mine)) is not None:
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


def test_an_expired_lease_frees_the_item(opened: Any) -> None:
    (number,) = fill(opened, 1)
    assert leases.lease_next(opened, "a", MINUTES) is not None
    assert leases.lease_next(opened, "b", MINUTES) is None
    assert leases.lease_these(opened, [number], "b", MINUTES) == []
    rows(opened, "UPDATE leases SET expires_at = clock_timestamp() - interval '1 second'")
    taken = leases.lease_next(opened, "b", MINUTES)
    assert taken is not None
    assert taken.item_id == number
    with pytest.raises(ItemHeldError):
        label(opened, number, "a")
    label(opened, number, "b")
    with pytest.raises(ItemClosedError):
        label(opened, number, "a")


def test_an_answer_needs_a_lease_of_ones_own(opened: Any) -> None:
    (number,) = fill(opened, 1, required_labels=2)

    def refused(who: str) -> None:
        for kind, said in (("label", "walking"), ("skip", None), ("flag", None), ("unsure", None)):
            with pytest.raises(ItemHeldError):
                answers.answer(opened, number, who, kind, said, minutes=MINUTES)  # type: ignore[arg-type]

    refused("a")
    leases.lease_next(opened, "a", MINUTES)
    refused("b")
    rows(opened, "UPDATE leases SET expires_at = clock_timestamp() - interval '1 second'")
    refused("a")
    assert rows(opened, "SELECT count(*) FROM annotations") == [(0,)]
    assert leases.renew(opened, [number], "b", MINUTES) == [], "renewing is no way to choose an item"
    assert leases.renew(opened, [number], "a", MINUTES) == [number], "while nobody else has it"
    answers.answer(opened, number, "a", "label", "walking", minutes=MINUTES)
    refused("b")


def test_an_expired_item_is_not_leased(opened: Any) -> None:
    fill(opened, 1)
    rows(opened, "UPDATE queue_items SET expires_at = clock_timestamp() - interval '1 second'")
    assert leases.lease_next(opened, "a", MINUTES) is None


def test_items_that_may_be_labelled_together(opened: Any) -> None:
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
    leases.lease_these(opened, [held[8]], "b", MINUTES)
    found = items.open_of_device(opened, items.get_item(opened, held[0]), "a")
    assert found == [held[2]]
