"""Old files go, what is in use stays, and a second run finds nothing."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from own_settings import replaced

from activitymodule import settings as config
from activitymodule.settings import Settings
from activitymodule.workflows.retention import files
from activitymodule.workflows.retention.kind import Kind, Run
from activitymodule.workflows.retention.results import size_text

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
KINDS = {kind.name: kind for kind in files.KINDS}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return replaced(
        config.load({}),
        local={"folder": str(tmp_path / "local"), "artifacts": str(tmp_path / "local" / "mlflow")},
        airflow={"folder": str(tmp_path / "airflow")},
        spark={"checkpoints": str(tmp_path / "checkpoints")},
        archive={"folder": str(tmp_path / "lake" / "archive")},
        lake={"folder": str(tmp_path / "lake")},
        retention={"archive_days": 10},
    )


def put(path: Path, days_ago: float, content: str = "12345") -> Path:
    """A file that was written so many days ago, and so were its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    at = (NOW - timedelta(days=days_ago)).timestamp()
    for one in (path, path.parent):
        os.utime(one, (at, at))
    return path


def done(kind: Kind, settings: Settings) -> tuple[int, int]:
    """What goes; it is what was announced, and afterwards there is nothing more."""
    run = Run(settings, NOW)
    limit = kind.limit(settings)
    assert limit is not None
    announced = kind.due(run, limit)
    gone = kind.delete(run, limit)
    assert gone == announced
    assert kind.due(run, limit).count == 0
    return gone.count, gone.bytes


def test_logs_that_nobody_writes_go(settings: Settings, tmp_path: Path) -> None:
    old = put(tmp_path / "airflow" / "logs" / "dag_id=x" / "run_id=1" / "attempt=1.log", 31)
    young = put(tmp_path / "airflow" / "logs" / "dag_id=x" / "run_id=2" / "attempt=1.log", 29)
    rotated = put(tmp_path / "local" / "logs" / "kafka.log.1", 40)
    current = put(tmp_path / "local" / "logs" / "kafka.log", 0)
    block = put(tmp_path / "local" / "spark" / "blockmgr-1" / "0a" / "shuffle_0.data", 60)
    os.utime(block.parents[1], (0, 0))
    assert done(KINDS["logs_days"], settings) == (3, 15)
    assert not old.parent.exists()
    assert not rotated.exists()
    assert not block.parents[1].exists()
    assert young.exists()
    assert current.exists()
    assert (tmp_path / "airflow" / "logs").is_dir()


def test_checkpoints_go_by_the_time_they_were_set_aside(settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    current = put(folder / "score-t" / "metadata", 400)
    old = put(folder / "score-t.set-aside-20261029T115959" / "offsets" / "7", 400)
    young = put(folder / "archive-t.set-aside-20261030T120001" / "offsets" / "7", 400)
    fleet = put(folder / f"generate-{'0' * 32}" / "metadata", 31)
    other = put(folder / "mine.set-aside-yesterday" / "metadata", 400)
    assert done(KINDS["checkpoints_days"], settings) == (2, 10)
    assert not old.parents[1].exists()
    assert not fleet.parent.exists()
    assert all(path.exists() for path in (current, young, other))


def test_the_newest_versions_of_a_model_stay(settings: Settings, tmp_path: Path) -> None:
    cache = tmp_path / "local" / "models" / "activity-classifier"
    kept = [put(cache / f"{version}-run" / "model.skops", 100 - version) for version in (3, 4, 5)]
    gone = [put(cache / f"{version}-run" / "model.skops", 100 - version) for version in (1, 2)]
    half = put(cache / ".fetching-x" / "model.skops", 50)
    assert done(KINDS["models_days"], settings) == (3, 15)
    assert all(path.exists() for path in kept)
    assert not any(path.exists() for path in (*gone, half))


def test_dates_of_the_archive_go_whole(settings: Settings, tmp_path: Path) -> None:
    topic = tmp_path / "lake" / "archive" / settings.kafka.topic
    for day in ("2026-11-18", "2026-11-19", "2026-11-20"):
        put(topic / f"date={day}" / "messages-0-1-2-x.parquet", 0)
    assert done(KINDS["archive_days"], settings) == (1, 5)
    assert sorted(path.name for path in topic.iterdir()) == ["date=2026-11-19", "date=2026-11-20"]


def test_without_a_limit_nothing_is_looked_at(settings: Settings) -> None:
    assert KINDS["archive_days"].limit(replaced(settings, retention={"archive_days": None})) is None


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (None, "-"),
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (99_960, "100 kB"),
        (12_345_678, "12.3 MB"),
        (10**16, "10,000 TB"),
    ],
)
def test_sizes_as_people_read_them(count: int | None, text: str) -> None:
    assert size_text(count) == text
