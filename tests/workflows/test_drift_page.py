"""The drift report as a page: what moved is on it, it needs nothing else, and names cannot inject anything."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest
from drift_judges import Judge, judge, people

from activitymodule.models.baseline import read_baseline
from activitymodule.monitoring.course import CoursePoint
from activitymodule.monitoring.planted import expected_totals, shifted
from activitymodule.monitoring.report import DriftReport, compare, recommendation
from activitymodule.monitoring.slices import SliceDrift
from activitymodule.registry.versions import ModelVersion, fetch
from activitymodule.settings import Monitoring, Settings
from activitymodule.store.connection import Connection, transact
from activitymodule.store.drift import write_rest_minutes
from activitymodule.workflows import drift as workflow
from activitymodule.workflows.drift_page import drift_page

__all__ = ["judge", "people"]
NOW = datetime(2026, 11, 29, 3, 30, tzinfo=UTC)


class Page(HTMLParser):
    """Text and addresses of a page, and whether its tags are closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words, self.links, self.tags = "", list[str](), list[str]()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta",):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


@pytest.fixture(scope="module")
def report(judge: Judge) -> DriftReport:
    totals, _ = shifted(expected_totals(judge.baseline), judge.baseline)
    found = compare(judge.baseline, totals, 50, Monitoring())
    retrain, summary = recommendation(found)
    group = SliceDrift(
        kind="device model", name="<b>e4</b>", windows=10, watches=2, class_shift=0.1, confidence_now=0.8,
        confidence_expected=0.9,
    )  # fmt: skip
    return DriftReport(
        status="compared", model_name="activity", model_version="3", since=NOW - timedelta(minutes=30), until=NOW,
        retrain_recommended=retrain, summary=summary, comparison=found, slices=(group,),
    )  # fmt: skip


def test_it_has_every_feature_that_moved_and_needs_nothing_else(report: DriftReport):
    found = report.comparison
    assert found is not None
    course = [
        CoursePoint(
            begin=NOW - timedelta(hours=hour), windows=100 + hour, features_over=hour, confidence=0.8, missing=0.01,
            values={one.name: one.value for one in found.measures}, rates={"walking": 1.0},
        )
        for hour in (3, 2, 1)
    ]  # fmt: skip
    page = Page(drift_page(report, course, NOW))
    assert page.open == []
    assert page.links == []
    assert "script" not in page.tags
    moved = [one.name for one in found.features if one.over]
    assert len(moved) > 50
    assert all(name in page.words for name in moved)
    assert report.summary in page.words
    assert "<b>e4</b>" in page.words
    assert page.tags.count("svg") == len(moved) + 1 + len(found.measures) + 3


def test_without_a_comparison_it_says_why():
    nothing = DriftReport(
        status="no_champion", model_name="activity", model_version=None, summary="No comparison: no champion."
    )
    page = Page(drift_page(nothing, (), NOW))
    assert "No comparison: no champion." in page.words
    assert "svg" not in page.tags


@pytest.mark.integration
def test_the_dag_keeps_a_page_of_each_day_with_the_course_of_the_stream(
    fresh_settings: Settings, champion: ModelVersion, tmp_path: Path
):
    baseline = read_baseline(fetch(fresh_settings, champion))
    assert baseline is not None
    quiet = expected_totals(baseline, 2000)
    moved, places = shifted(quiet, baseline)
    now = int(time.time()) // 60 * 60
    minutes = {(now - ago) * 1_000_000: quiet for ago in (4 * 3600, 3 * 3600, 2 * 3600)}
    devices = [f"watch-{k}" for k in range(50)]

    def write(connection: Connection) -> None:
        version = champion.version
        given = {**minutes, (now - 60) * 1_000_000: moved}
        write_rest_minutes(connection, given, model_version=version, replica="r", number=1, devices=devices)

    transact(fresh_settings, write)
    old = tmp_path / "drift-2020-01-01.html"
    old.write_text("old")
    os.utime(old, (0, 0))
    result = workflow.monitor(fresh_settings, tmp_path)
    assert result.retrain_recommended, result.summary
    assert not old.exists()
    kept = (tmp_path / "latest.html").read_text()
    assert [path.read_text() for path in tmp_path.glob("drift-*.html")] == [kept]
    page = Page(kept)
    assert result.summary in page.words
    assert "2,000 windows of 50 watches" in page.words
    assert all(baseline.feature_names[place] in page.words for place in places.tolist())
    assert page.words.count("over time") >= 4
    hours = [f"{datetime.fromtimestamp(us / 1e6, UTC):%Y-%m-%d %H}" for us in minutes]
    assert "There are too few windows before these." not in page.words
    assert sum(hour in page.words for hour in hours) >= 2
