"""The closed loop keeps to a database, topics, models and folders of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from activitymodule.errors import ConfigError, RefusedError
from activitymodule.settings import Events, load
from activitymodule.workflows.closed_loop import Plan, loop_settings, queue_of, start_afresh
from activitymodule.workflows.closed_loop_people import Split, champion_data
from activitymodule.workflows.requests import RecordedPeople


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
    assert not loop_settings(
        config.model_copy(update={"events": Events(enabled=True)}), Plan()
    ).events.enabled
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


def test_recorded_people_are_split_by_seed_and_none_is_asked_and_never_asked(tmp_path: Path) -> None:
    for person in range(1700, 1705):
        force = np.random.default_rng(person).normal([0, 3, 9], 1, (400, 3))
        lines = [f"{person},A,{x:.4f},{y:.4f},{z:.4f};" for x, y, z in force]
        (tmp_path / f"data_{person}_accel_watch.txt").write_text("\n".join(lines))
    splits = [Split.of(load({}), RecordedPeople(str(tmp_path), seed=seed)) for seed in range(6)]
    for one in splits:
        assert sorted(one.asked + one.never) == [str(person) for person in range(1700, 1705)]
        assert min(len(one.asked), len(one.never)) == 2
    assert len({one.asked for one in splits}) > 1
    assert splits[0] == Split.of(load({}), RecordedPeople(str(tmp_path), seed=0))
    few = RecordedPeople(str(tmp_path / "data_1700_accel_watch.txt"))
    with pytest.raises(ConfigError):
        Split.of(load({}), few)


def test_where_people_are_recorded_windows_overlap_and_the_base_is_named() -> None:
    who = RecordedPeople("weda:somewhere.tar.gz", champion="twristar:elsewhere.tar.gz")
    own = loop_settings(load({}), Plan(people=who))
    assert own.windows.slide_seconds < own.windows.length_seconds
    assert own.queue.cooldown_minutes * 60 == pytest.approx(own.windows.slide_seconds)
    assert own.learning.base == "twristar:elsewhere.tar.gz"


def test_the_champion_of_wisdm_needs_its_recordings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ACTIVITYDATA", str(tmp_path))
    with pytest.raises(ConfigError):
        champion_data(RecordedPeople("weda:somewhere.tar.gz"))
    (tmp_path / "wisdm_watch.tar.gz").touch()
    assert champion_data(RecordedPeople("weda:somewhere.tar.gz")).startswith("wisdm:")
    assert champion_data(RecordedPeople("x", champion="synthetic")) == "champion"
