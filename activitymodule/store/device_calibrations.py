"""The record of calibrations of a model version on a device model; the newest one of each is in force."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from activitymodule.models.recalibration import Recalibration
from activitymodule.store.connection import Connection
from activitymodule.store.queries import Row, execute, fetch_all

CALIBRATE, UNDO = "calibrate", "undo"


@dataclass(frozen=True)
class DeviceCalibration:
    """An entry of the record. act : calibrate or undo; found : None of an undo; detail : figures before and after"""

    calibration_id: int
    at: datetime
    model_version: str
    device_model: str
    act: str
    by_whom: str
    labels: int
    found: Recalibration | None
    detail: Mapping[str, float]


_IN_FORCE = """
SELECT device_model, quantile, power FROM device_calibrations_in_force WHERE name = %s AND model_version = %s
"""
_LIST = """
SELECT calibration_id, at, model_version, device_model, act, by_whom, labels, quantile, power, detail
FROM device_calibrations
WHERE name = %(name)s AND (%(version)s::text IS NULL OR model_version = %(version)s)
ORDER BY calibration_id DESC LIMIT %(limit)s
"""
_ADD = """
INSERT INTO device_calibrations (name, model_version, device_model, act, by_whom, labels, quantile, power, detail)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
"""


def in_force(connection: Connection, name: str, version: str) -> dict[str, Recalibration]:
    """Device model -> the calibration of a model version on it."""
    rows = fetch_all(connection, _IN_FORCE, (name, version))
    return {model: Recalibration(quantile, power) for model, quantile, power in rows}


def calibrations(
    connection: Connection, name: str, version: str | None = None, *, limit: int = 200
) -> list[DeviceCalibration]:
    """The record of a model (of one version), newest first."""
    values = {"name": name, "version": version, "limit": limit}
    return [_entry(row) for row in fetch_all(connection, _LIST, values)]


def _entry(row: Row) -> DeviceCalibration:
    number, at, version, device_model, act, by_whom, labels, quantile, power, detail = row
    found = None if quantile is None else Recalibration(quantile, power)
    return DeviceCalibration(number, at, version, device_model, act, by_whom, labels, found, detail)


def add_calibration(
    connection: Connection,
    name: str,
    version: str,
    device_model: str,
    found: Recalibration | None,
    *,
    by_whom: str,
    labels: int,
    detail: Mapping[str, float] | None = None,
) -> None:
    """Add an entry; without a calibration (None) the one in force is undone."""
    act = UNDO if found is None else CALIBRATE
    quantile, power = (None, None) if found is None else (found.quantile, found.power)
    text = json.dumps(dict(detail or {}))
    execute(connection, _ADD, (name, version, device_model, act, by_whom, labels, quantile, power, text))
