"""The closed loop keeps to a database, topics, models and folders of its own."""

from __future__ import annotations

import pytest

from activitymodule.errors import RefusedError
from activitymodule.settings import load
from activitymodule.workflows.closed_loop import Plan, loop_settings, queue_of, start_afresh


def test_nothing_of_the_user_is_shared() -> None:
    config, own = load({}), loop_settings(load({}), Plan())
    assert own.store.database == f"{config.store.database}_loop"
    for section, key in (
        ("kafka", "topic"),
        ("kafka", "truth_topic"),
        ("registry", "classifier"),
        ("registry", "regressor"),
        ("spark", "checkpoints"),
        ("archive", "folder"),
        ("lake", "folder"),
    ):
        assert getattr(getattr(own, section), key) != getattr(getattr(config, section), key), (section, key)
    assert own.kafka.bootstrap_servers == config.kafka.bootstrap_servers


def test_the_queue_allows_all_labels_within_two_minutes() -> None:
    plan = Plan(teaching=100, audit=20)
    queue = loop_settings(load({}), plan).queue
    assert queue.items_per_hour / 30 == 120
    assert queue.audit_share == pytest.approx(20 / 120)
    assert queue_of(plan)["enabled"] is True


def test_another_database_is_never_emptied() -> None:
    with pytest.raises(RefusedError):
        start_afresh(load({}))
