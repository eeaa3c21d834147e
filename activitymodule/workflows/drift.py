"""Drift monitoring: compare current readings with the champion's training data, keep the report and the alarms."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

from pydantic import AliasChoices, BaseModel, ConfigDict, Field
from pydantic_core import to_json

from activitymodule import files
from activitymodule.models.baseline import read_baseline
from activitymodule.monitoring.course import CoursePoint, drift_course
from activitymodule.monitoring.report import DriftReport, drift_report
from activitymodule.registry.versions import ModelVersion, fetch, get
from activitymodule.settings import Settings, resolve
from activitymodule.store.connection import Connection, session, transact
from activitymodule.store.drift import merge_minutes
from activitymodule.workflows.drift_page import drift_page

FEATURES_KEPT = 40
"""How many features a kept report lists, those that drifted furthest first."""


LATEST_PAGE = "latest.html"


class DriftResult(BaseModel):
    """The recommendation of a drift report, and where it is kept."""

    model_config = ConfigDict(frozen=True)

    retrain_recommended: bool = Field(validation_alias=AliasChoices("retrain_recommended", "retrain"))
    summary: str = Field(validation_alias=AliasChoices("summary", "says"))
    path: str


def reports_folder(config: Settings) -> Path:
    """Where the drift reports are kept."""
    return resolve(config.reports.folder) / "drift"


def compare(config: Settings, *, record: bool = False, version: str | None = None) -> DriftReport:
    """The report on the last monitoring.look_back_minutes.

    record : open and end alarms too; version : of the classifier, the champion where None. Raises ModelError for an
    unknown version, ServiceUnavailableError where the registry does not answer.
    """
    chosen = get(config, config.registry.classifier, version) if version else None

    def transaction(connection: Connection) -> DriftReport:
        if record:
            merge_minutes(connection)
        return drift_report(config, connection, record=record, version=chosen)

    return transact(config, transaction)


def page(config: Settings, *, version: str | None = None, report: DriftReport | None = None) -> str:
    """The report as a page of HTML that needs nothing else, with the measures of the last day by the hour.

    report : made just now, where there is one; version : as of `compare`, which also says what is raised
    """
    found = report or compare(config, version=version)
    course: tuple[CoursePoint, ...] = ()
    if found.comparison is not None and found.until is not None and found.model_version is not None:
        until, watches, number = found.until, found.comparison.watches, found.model_version
        baseline = read_baseline(fetch(config, ModelVersion(found.model_name, number)))
        if baseline is not None:
            with session(config, read_only=True) as connection:
                course = drift_course(connection, baseline, number, until, watches, config.monitoring)
    return drift_page(found, course, datetime.now(UTC))


def keep_page(config: Settings, text: str, folder: Path | None = None) -> Path:
    """Write a page as that of today, which the last one of a day stays, and as latest.html; its path."""
    folder = folder or reports_folder(config)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"drift-{datetime.now(UTC):%Y-%m-%d}.html"
    for target in (path, folder / LATEST_PAGE):
        files.write_text(target, text)
    return path


def monitor(config: Settings, folder: Path | None = None) -> DriftResult:
    """Make the report, open and end alarms, and keep it as drift-TIME.json and latest.json, and as a page.

    folder : of the reports; those older than monitoring.keep_days are removed
    """
    folder = folder or reports_folder(config)
    report = compare(config, record=True)
    now = datetime.now(UTC)
    folder.mkdir(parents=True, exist_ok=True)
    content = {"made_at": now, **report.limited(FEATURES_KEPT).model_dump()}
    text = to_json(content, indent=1, inf_nan_mode="null") + b"\n"
    path = folder / f"drift-{now:%Y%m%dT%H%M%SZ}.json"
    for target in (path, folder / "latest.json"):
        files.write_bytes(target, text)
    keep_page(config, page(config, report=report), folder)
    for old in (*folder.glob("drift-*.json"), *folder.glob("drift-*.html")):
        if time.time() - old.stat().st_mtime > config.monitoring.keep_days * 86_400:
            old.unlink(missing_ok=True)
    return DriftResult(retrain_recommended=report.retrain_recommended, summary=report.summary, path=str(path))
