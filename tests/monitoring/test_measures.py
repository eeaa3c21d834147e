"""A drift measure is one file: it shows wherever drift does, without another edit."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from drift_judges import Judge
from typer.testing import CliRunner

from activitymodule.errors import ConfigError
from activitymodule.jobs import drift as verb
from activitymodule.learning.agreement import OverallAgreement
from activitymodule.models.dataset import TrainingWindows
from activitymodule.monitoring import figures, measures, report
from activitymodule.settings import Monitoring, load
from activitymodule.store.drift import Seen
from activitymodule.workflows import drift

ADDED = """
import numpy as np
from activitymodule.monitoring.measures import (
    FeatureMeasure, FeatureValues, OverallMeasure, OverallValue, register,
)

def spread(seen, thresholds):
    value = np.full(len(seen.monitored), 2.0)
    bar = np.full(len(seen.monitored), thresholds["added_spread"])
    return FeatureValues(value, bar, value > bar, value / bar)

def count(seen, thresholds):
    bar = thresholds["added_count"]
    return OverallValue(7.0, bar, 7.0 > bar, "seven counted", "seven were counted")

register(FeatureMeasure("added_spread", "Added spread", "added spread", "", 3.0, spread))
register(OverallMeasure("added_count", "Added count", "", 5.0, count, recommends_retraining=True))
"""


@pytest.fixture
def added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two measures, of the features and of all windows together, as one more module of the package."""
    (tmp_path / "added.py").write_text(ADDED)
    monkeypatch.setattr(measures, "__path__", [*measures.__path__, str(tmp_path)])
    measures.discover()
    yield
    for name in ("added_spread", "added_count"):
        measures.unregister(name)
    del sys.modules["activitymodule.monitoring.measures.added"]


@pytest.fixture
def few(judge: Judge, fleet: TrainingWindows) -> Seen:
    """What the store would have of four watches."""
    some = fleet.take(np.isin(fleet.person, np.unique(fleet.person)[:4]))
    until = datetime.now(UTC)
    return Seen(until - timedelta(minutes=30), until, judge.look(some), 4)


@pytest.fixture
def stored(judge: Judge, few: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    """Registry and store answer with these: what a drift report reads."""
    monkeypatch.setattr(report, "promoted", lambda *_: [SimpleNamespace(version="3")])
    monkeypatch.setattr(report, "fetch", lambda *_: Path())
    monkeypatch.setattr(report, "read_baseline", lambda _: judge.baseline)
    monkeypatch.setattr(report, "read_seen", lambda *_: few)
    monkeypatch.setattr(report, "drift_slices", lambda *_: ())


def drift_of(config: Any = None) -> report.DriftReport:
    return report.drift_report(config or load({}), SimpleNamespace())  # type: ignore[arg-type]


def test_names_kept_with_alarms_stay():
    assert [one.name for one in measures.measures()] == [
        "z_score", "psi", "missing", "features_share", "confidence_shift", "class_shift",
    ]  # fmt: skip
    with pytest.raises(ConfigError):
        measures.register(measures.measures()[0])


def test_thresholds_are_the_settings_own_keys_or_the_defaults(added: None):
    config = Monitoring(z_score=7, thresholds={"missing": 0.4, "added_count": 9})
    found = measures.thresholds_of(config)
    assert (found["z_score"], found["psi"], found["missing"]) == (7, 0.25, 0.4)
    assert (found["added_count"], found["added_spread"]) == (9, 3)
    with pytest.raises(ConfigError):
        measures.thresholds_of(Monitoring(thresholds={"no_such_measure": 1}))


def test_every_measure_with_a_key_has_its_default():
    config = Monitoring()
    for one in measures.measures():
        if one.name in Monitoring.model_fields:
            assert getattr(config, one.name) == one.threshold


def test_an_added_measure_is_in_the_report(added: None, stored: None):
    found = drift_of()
    assert found.retrain_recommended
    assert "seven were counted" in found.summary
    assert found.comparison is not None
    assert {"added_count"} == {one.measure for one in found.comparison.tripped}
    # the answer of /monitoring/drift, and of `activity drift --json`
    answer = found.limited(3).model_dump(mode="json")["comparison"]
    assert len(answer["features"]) == 3
    assert all(one["measures"]["added_spread"]["value"] == 2 for one in answer["features"])
    assert {one["name"]: one["value"] for one in answer["measures"]}["added_count"] == 7


def test_the_keys_of_the_version_before_are_still_in_the_answer(stored: None):
    answer = drift_of().model_dump(mode="json")["comparison"]
    assert {"features_share", "class_shift", "class_bar", "confidence_shift", "confidence_bar"} <= set(answer)
    assert {"z", "psi", "psi_bar", "over"} <= set(answer["features"][0])


def test_an_added_measure_is_in_the_tables(added: None, stored: None):
    found = drift_of().comparison
    assert found is not None
    columns, rows = report.measures_table(found)
    assert len(columns) == len(rows[0])
    assert "Added count" in {row[0] for row in rows}
    columns, rows = report.features_table(found, 5)
    assert "added spread" in columns
    assert len(rows) == 5
    assert all(len(row) == len(columns) for row in rows)


def test_an_added_measure_is_printed(added: None, stored: None, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(drift, "transact", lambda _, transaction: transaction(SimpleNamespace()))
    shown = CliRunner().invoke(verb.app, [])
    assert shown.exit_code == 0, shown.output
    assert "Added count" in shown.output
    assert "added spread" in shown.output


def test_an_added_measure_is_among_the_figures(added: None, stored: None, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(figures, "pairs_of_labels", lambda _: [])
    monkeypatch.setattr(figures, "problems", lambda *_, **__: {})
    slow = figures.slow_figures(load({}), SimpleNamespace())  # type: ignore[arg-type]
    assert slow.agreement == OverallAgreement(0, None, None)
    assert slow.drift["added_count"] == (7, 5)
    assert set(slow.drift) == {one.name for one in measures.overall_measures()}
