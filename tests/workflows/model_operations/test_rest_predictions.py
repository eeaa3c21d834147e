"""Counts of what REST predicted while the store is away, and a log that cannot be written: no request fails for it."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from activitymodule.errors import StoreUnavailableError
from activitymodule.models.baseline import Totals
from activitymodule.models.bundle import Scores
from activitymodule.settings import Settings, build
from activitymodule.store.connection import Connection, session, transact
from activitymodule.store.drift import merge_minutes
from activitymodule.store.queries import fetch_all
from activitymodule.streaming.queue.marks import Scored
from activitymodule.windows.catalogue import FEATURE_NAMES
from activitymodule.workflows.model_operations.rest_predictions import Recorder, Taken, lines, log_folder

MINUTE = 60_000_000


def totals(windows: int) -> Totals:
    one = np.ones(3, int)
    return Totals(windows, one, one, one, np.ones((3, 10), int), np.ones(2, int), 1.0, np.ones(10, int))


def scored(windows: int) -> Scored:
    """Windows of two features that differ; the second one has no probabilities."""
    features = np.zeros((windows, len(FEATURE_NAMES)), np.float32)
    features[:, 0] = np.arange(windows)
    features[:, 5] = np.nan
    probabilities = np.tile(np.float32([0.25, 0.75]), (windows, 1))
    probabilities[1] = np.nan
    nothing = np.full(windows, np.nan, np.float32)
    return Scored(
        device_id=pa.array([f"watch-{k}" for k in range(windows)]),
        window_start_us=np.arange(windows) * MINUTE,
        panes=pa.array([[]] * windows, pa.list_(pa.binary())),
        assembled=SimpleNamespace(coverage=np.ones(windows, np.float32)),  # type: ignore[arg-type]
        rows=np.arange(windows),
        features=features,
        scores=Scores(probabilities, probabilities > 0.5, nothing, nothing),
        weight_kg=nothing,
    )


class Model:
    """What the log needs of a model."""

    version, energy_version, labels, baseline = "3", "", ("sitting", "walking"), None


class Given(Taken):
    """A request with these counts."""

    def __init__(self, config: Settings, counted: Mapping[int, Totals]) -> None:
        super().__init__(config)
        self._totals = dict(counted)
        self.scored = [(scored(2), Model())]  # type: ignore[list-item]


@pytest.fixture
def config(tmp_path: Path) -> Settings:
    return build({"local": {"folder": str(tmp_path)}, "console": {"prediction_log_megabytes": 0.001}})


def test_a_line_tells_what_was_predicted_from_what_and_no_watch():
    first, second, third = (json.loads(line) for line in lines(scored(3), Model()))  # type: ignore[arg-type]
    assert (first["activity"], first["probability"], first["model_version"]) == ("walking", 0.75, "3")
    assert (second["activity"], second["probability"]) == (None, None)
    assert first["window_start"] == "1970-01-01T00:00:00+00:00"
    assert first["features"]["missing"] == 1
    assert first["energy_version"] is first["kcal_per_min"] is first["features"]["farthest"] is None
    assert len({one["features_sha256"] for one in (first, second, third)}) == 3
    assert "watch-" not in json.dumps([first, second, third])


@pytest.mark.integration
def test_counts_wait_for_the_store_and_are_written_once(fresh_settings: Settings):
    config, away = fresh_settings, [True]

    def write(work: Callable[[Connection], None]) -> None:
        if away[0]:
            raise StoreUnavailableError("the store is away")
        transact(config, work)

    def rows() -> list[tuple[str, int, int]]:
        with session(config, read_only=True) as connection:
            return fetch_all(
                connection,
                "SELECT model_version, windows, watches FROM feature_minutes ORDER BY minute, windows",
            )

    recorder = Recorder(config, write)
    recorder.record(Given(config, {0: totals(1), MINUTE: totals(2)}), "3")
    recorder.write()
    recorder.record(Given(config, {MINUTE: totals(4)}), "3")
    recorder.write()
    assert rows() == []
    away[0] = False
    recorder.write()
    recorder.write()
    assert rows() == [("3", 1, 2), ("3", 6, 2)]
    recorder.record(Given(config, {MINUTE: totals(8)}), "3")
    recorder.close()
    assert rows() == [("3", 1, 2), ("3", 6, 2), ("3", 8, 2)]
    transact(config, merge_minutes)
    assert rows() == [("3", 1, 2), ("3", 14, 2)]


def test_the_log_rotates(config: Settings):
    recorder = Recorder(config, lambda _: None)
    for _ in range(20):
        recorder.record(Given(config, {}), "3")
    recorder.close()
    files = sorted(log_folder(config).iterdir())
    assert len(files) == 1 + config.console.prediction_log_files
    assert all(path.stat().st_size <= 1000 for path in files)
    assert all(json.loads(line) for path in files for line in path.read_text().splitlines())


def test_a_log_that_cannot_be_written_is_told_once(config: Settings, caplog: pytest.LogCaptureFixture):
    log_folder(config).parent.mkdir(parents=True)
    log_folder(config).write_text("a file where the folder should be")
    with caplog.at_level(logging.WARNING):
        recorder = Recorder(config, lambda _: None)
        recorder.record(Given(config, {}), "3")
        recorder.close()
    assert len([one for one in caplog.records if "not logged" in one.message]) == 1
