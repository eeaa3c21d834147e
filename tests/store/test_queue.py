"""The annotation queue in the store: items, budget, audit periods, and explanations."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from activitymodule.errors import DataError
from activitymodule.jobs.queue_explanation import sentences
from activitymodule.learning.policy import HOUR_US, AuditPeriod, Rules, first_period
from activitymodule.settings import load
from activitymodule.store import budget, queue, queue_views
from activitymodule.store.connection import Connection
from activitymodule.store.predictions import write_predictions
from activitymodule.store.queue import QueueItem

pytestmark = pytest.mark.integration

EPOCH_US = 1_790_000_000_000_000
EPOCH = datetime.fromtimestamp(EPOCH_US / 1e6, UTC)
RULES = Rules.of(load({}))
ITEM = QueueItem(
    device_id="watch-0",
    window_start_us=EPOCH_US,
    window_end_us=EPOCH_US + 10_000_000,
    stratum="audit",
    reason="random",
    doubt=float("nan"),
    doubts={"margin": 0.25, "novelty": float("nan")},
    propensity=0.01,
    decision={
        "stratum": "audit",
        "draw": 0.004,
        "rate": 0.01,
        "windows_per_hour": 1200.0,
        "rate_made_from": "a guess",
        "budget": 4.0,
    },
    required_labels=2,
    readings=b"\0\1\2",
    features=np.array([1.5, np.nan, -3], np.float32),
    features_version="1",
    activity='sit "down"',
    probabilities=np.array([0.7, 0.2, 0.1], np.float32),
    conformal_set=('sit "down"', "a,{b}"),
    kcal_per_min=float("nan"),
    model_version="1",
    energy_version=None,
    expire_hours=72,
)


def test_a_window_is_queued_once(connection: Connection) -> None:
    assert queue.put(connection, []) == 0
    other = replace(ITEM, window_start_us=EPOCH_US + 10_000_000, window_end_us=EPOCH_US + 20_000_000)
    assert queue.put(connection, [ITEM, other]) == 2
    assert queue.put(connection, [other, replace(ITEM, stratum="doubt", readings=b"another")]) == 0
    devices, features = queue.last_features(connection, "1", 1)
    assert devices == ["watch-0"]
    np.testing.assert_array_equal(features[0], ITEM.features)
    assert queue.items_of(connection, ["watch-0", "nobody"]) == {"watch-0": 2}
    assert queue.items_by_activity(connection) == {'sit "down"': 2}


def test_items_near_are_those_of_the_same_watch(connection: Connection) -> None:
    items = [
        replace(ITEM, device_id=device, window_start_us=us, window_end_us=us + 10_000_000)
        for device, us in (("a", EPOCH_US), ("a", EPOCH_US + HOUR_US), ("b", EPOCH_US))
    ]
    queue.put(connection, items)
    assert queue.items_near(connection, ["a"], [EPOCH_US + 60_000_000], 61_000_000) == [("a", EPOCH_US, "a")]
    assert queue.items_near(connection, ["a"], [EPOCH_US + 60_000_000], 60_000_000) == []
    assert queue.items_near(connection, ["c"], [EPOCH_US], HOUR_US) == []


def test_the_budget_outlives_its_process(connection: Connection) -> None:
    account = budget.open_account(connection, RULES)
    assert (account.budget.audit, account.budget.chosen) == (4, 16)
    budget.spend(connection, account.budget.less(audit=4, chosen=10), audit_drawn=6, audit_lost=2)
    connection.commit()
    again = budget.open_account(connection, RULES)
    assert again.salt == account.salt
    assert len(again.salt) >= 16
    assert again.budget.audit < 0.2
    assert 6 <= again.budget.chosen < 6.5
    found = queue_views.stats(connection, RULES)
    assert (found.audit_drawn, found.audit_lost, found.waiting) == (6, 2, 0)


def test_audit_periods_are_found_by_time(connection: Connection) -> None:
    assert budget.audit_period(connection, EPOCH_US) is None
    one = first_period(EPOCH_US, RULES)
    two = AuditPeriod(EPOCH_US + 30_000_000, EPOCH_US + HOUR_US, 0.5, 24.0, "the flow")
    budget.add_audit_period(connection, one)
    budget.add_audit_period(connection, two)
    budget.add_audit_period(connection, replace(two, rate=0.9))  # by another scorer: the first one counts
    cut = budget.audit_period(connection, EPOCH_US + 29_999_999)
    assert cut == replace(one, until_us=two.from_us)
    assert budget.audit_period(connection, EPOCH_US + 2 * HOUR_US) == two
    assert budget.audit_period(connection, EPOCH_US - 1) is None


def test_old_items_expire_unless_they_are_leased(connection: Connection) -> None:
    queue.put(
        connection,
        [replace(ITEM, device_id=f"watch-{k}", expire_hours=-1 if k else 1) for k in range(3)],
    )
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO leases (item_id, annotator, expires_at) SELECT item_id, 'ann', now() + interval '1 minute' "
            "FROM queue_items WHERE device_id = 'watch-1'"
        )
    assert queue.expire(connection) == 1
    assert queue.expire(connection) == 0
    states = {item.device_id: item.state for item in queue_views.list_items(connection, closed=True)}
    assert states["watch-0"] == "waiting"
    assert states["watch-2"] == "expired"
    assert [item.device_id for item in queue_views.list_items(connection)] == ["watch-0"]
    counts = queue_views.stats(connection).by_stratum["audit"]
    assert counts.waiting == 1
    assert counts.expired == 2


def test_labels_are_windows_with_a_label_that_is_not_undone(connection: Connection) -> None:
    add = (
        "INSERT INTO annotations (device_id, window_start, window_end, annotator, answer, label, undoes, origin) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s, 'console') RETURNING annotation_id"
    )
    with connection.cursor() as cursor:
        for device, who, answer, label in (
            ("a", "ann", "label", "walking"),
            ("a", "bob", "label", "sitting"),
            ("b", "ann", "skip", None),
            ("c", "ann", "label", "walking"),
        ):
            cursor.execute(add, (device, EPOCH, EPOCH + timedelta(seconds=10), who, answer, label, None))
            last = cursor.fetchone()[0]
        assert queue.labels_so_far(connection) == 2
        cursor.execute(add, ("c", EPOCH, EPOCH + timedelta(seconds=10), "ann", "undo", None, last))
    assert queue.labels_so_far(connection) == 1


def test_past_probabilities_are_ordered_by_time(connection: Connection, make_rows: Any) -> None:
    rows = make_rows(1, 5, unscored=0)
    write_predictions(connection, rows)
    labels = rows.probabilities.shape[1]
    past = queue.past_probabilities(
        connection,
        ["watch-0", "watch-0", "nobody"],
        [EPOCH_US + 30_000_000, EPOCH_US, EPOCH_US],
        windows=6,
        window_us=10_000_000,
        labels=labels,
        version="1",
    )
    assert past.shape == (3, 6, labels)
    np.testing.assert_array_equal(past[0, 3:].astype(np.float32), rows.probabilities[:3])
    assert np.isnan(past[0, :3]).all()
    assert np.isnan(past[1:]).all()


def test_a_decision_is_explained(connection: Connection, make_rows: Any) -> None:
    queue.put(connection, [ITEM])
    write_predictions(connection, make_rows(2, 3, unscored=0))
    found = queue_views.explain(connection, "watch-0", EPOCH + timedelta(seconds=9))
    assert found.queued
    explanation = " ".join(sentences(found, 0.9))
    assert "0.004000 is below the rate 0.010000" in explanation
    assert "2 annotators" in explanation
    other = queue_views.explain(connection, "watch-1", EPOCH)
    assert not other.queued
    assert "the audit did not draw it" in sentences(other, 0.9)[1]
    assert "below windows.queue_coverage" in sentences(other, 1.1)[1]
    with pytest.raises(DataError):
        queue_views.explain(connection, "watch-9", EPOCH)
