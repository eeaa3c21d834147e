"""Drift monitoring: compare current readings with the champion's training data, keep the report and the alarms."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

from pydantic import AliasChoices, BaseModel, ConfigDict, Field
from pydantic_core import to_json

from activitymodule import files
from activitymodule.monitoring.report import DriftReport, drift_report
from activitymodule.registry.versions import get
from activitymodule.settings import Settings, resolve
from activitymodule.store.connection import Connection, transact
from activitymodule.store.drift import merge_minutes

FEATURES_KEPT = 40
"""How many features a kept report lists, those that drifted furthest first."""


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


def monitor(config: Settings, folder: Path | None = None) -> DriftResult:
    """Make the report, open and end alarms, and keep it as drift-TIME.json and latest.json.

    folder : of the reports; those older than monitoring.keep_days are removed
    """
    folder = folder or reports_folder(config)
    report = transact(config, lambda connection: drift_report(config, connection, record=True))
    now = datetime.now(UTC)
    folder.mkdir(parents=True, exist_ok=True)
    content = {"made_at": now, **report.limited(FEATURES_KEPT).model_dump()}
    text = to_json(content, indent=1, inf_nan_mode="null") + b"\n"
    path = folder / f"drift-{now:%Y%m%dT%H%M%SZ}.json"
    for target in (path, folder / "latest.json"):
        files.write_bytes(target, text)
    for old in folder.glob("drift-*.json"):
        if time.time() - old.stat().st_mtime > config.monitoring.keep_days * 86_400:
            old.unlink(missing_ok=True)
    return DriftResult(retrain_recommended=report.retrain_recommended, summary=report.summary, path=str(path))
