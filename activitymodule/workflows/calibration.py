"""The champion calibrated on device models, from the audit labels of their watches."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from activitymodule.errors import ModelError, NotFoundError
from activitymodule.learning.strata import AUDIT
from activitymodule.models.bundle import BundleBytes, ScoringModel, load_bundle
from activitymodule.models.calibration import conformal_sets
from activitymodule.models.recalibration import Recalibration, by_age, powered, recalibrate
from activitymodule.serving.checking import checked_promoted
from activitymodule.serving.record import serving
from activitymodule.settings import Settings
from activitymodule.store import device_calibrations as store
from activitymodule.store.connection import session
from activitymodule.store.devices import models_for
from activitymodule.store.labels import GoldRow, gold_rows
from activitymodule.windows.catalogue import FEATURES_VERSION

_SAME_QUANTILE, _SAME_POWER = 0.005, 0.02  # smaller changes, of the labels' age, make no entry
State = Literal["calibrated", "unchanged", "too few labels", "undone"]


class DeviceModelResult(BaseModel):
    """One device model. Figures are of its audit labels, before and after; None where they are too few."""

    model_config = ConfigDict(frozen=True)

    device_model: str
    labels: int = Field(description="Audit labels of its watches")
    state: State
    quantile: float | None = None
    power: float | None = None
    figures: dict[str, float] = Field(
        default_factory=dict,
        description="accuracy; confidence, coverage and set size before and after (on these labels themselves)",
    )


class CalibrationResult(BaseModel):
    """The calibrations of the champion."""

    model_config = ConfigDict(frozen=True)

    model_version: str | None
    summary: str
    device_models: tuple[DeviceModelResult, ...] = ()


@dataclass(frozen=True)
class _Labels:
    """Audit labels of watches of one device model."""

    rows: list[GoldRow]
    age_days: np.ndarray

    def without(self, devices: Collection[str]) -> _Labels:
        """Those of other watches."""
        kept = [place for place, row in enumerate(self.rows) if row.device_id not in devices]
        return _Labels([self.rows[place] for place in kept], self.age_days[kept])


def calibrate(
    config: Settings, *, by_whom: str, only: str | None = None, dry_run: bool = False
) -> CalibrationResult:
    """Calibrate the champion on each device model of which there are `learning.calibration_labels` audit labels.

    Of a device model that its training calibrated it on, only labels of watches that taught nothing count.

    only : one device model, also where its calibration was undone; without it those stay undone. dry_run : record
    nothing. The scorer takes a calibration up within registry.poll_seconds. Raises ModelError where the champion is
    refused, NotFoundError where `only` has no audit label.
    """
    champion = serving(config, config.registry.classifier)
    if champion is None:
        return CalibrationResult(model_version=None, summary="there is no champion to calibrate")
    with session(config, read_only=True) as connection:
        gold = gold_rows(connection, FEATURES_VERSION)
        rows = [one for one in gold if one.stratum == AUDIT]
        models = models_for(connection, sorted({one.device_id for one in rows}))
        newest: dict[str, store.DeviceCalibration] = {}
        for entry in store.calibrations(connection, champion.name, champion.version, limit=10_000):
            newest.setdefault(entry.device_model, entry)
    groups = _by_device_model(rows, {device: one.model for device, one in models.items()})
    if only is not None:
        if only not in groups:
            raise NotFoundError(f"there is no audit label of a watch of the device model {only!a}")
        groups = {only: groups[only]}
    least = config.learning.calibration_labels
    found: list[DeviceModelResult] = []
    model = _loaded(config) if any(len(one.rows) >= least for one in groups.values()) else None
    teachers = {one.device_id for one in gold if one.stratum != AUDIT}
    for name, labels in sorted(groups.items()):
        before = newest.get(name)
        if model is not None and name in model.card.calibrations:
            # it learnt labels of these watches, so it is surer of them than of others
            labels = labels.without(teachers)
        if model is None or len(labels.rows) < least:
            found.append(
                DeviceModelResult(device_model=name, labels=len(labels.rows), state="too few labels")
            )
        elif before is not None and before.act == store.UNDO and only is None:
            found.append(DeviceModelResult(device_model=name, labels=len(labels.rows), state="undone"))
        else:
            found.append(_result(config, model, name, labels, before))
    new = [one for one in found if one.state == "calibrated"]
    if new and not dry_run:
        with session(config) as connection:
            for one in new:
                assert one.quantile is not None
                assert one.power is not None
                store.add_calibration(
                    connection,
                    champion.name,
                    champion.version,
                    one.device_model,
                    Recalibration(one.quantile, one.power),
                    by_whom=by_whom,
                    labels=one.labels,
                    detail=one.figures,
                )
    names = ", ".join(one.device_model for one in new) or "no device model"
    summary = f"version {champion.version} is calibrated anew on {names}; with audit labels: {len(groups)}"
    return CalibrationResult(model_version=champion.version, summary=summary, device_models=tuple(found))


def undo(config: Settings, device_model: str, *, by_whom: str) -> str:
    """Undo the calibration of the champion on a device model, until it is asked for by its name; the version.

    Raises NotFoundError where none is in force.
    """
    champion = serving(config, config.registry.classifier)
    with session(config) as connection:
        known = store.in_force(connection, champion.name, champion.version) if champion else {}
        if champion is None or device_model not in known:
            raise NotFoundError(
                f"the champion has no calibration on the device model {device_model!a}; `activity calibrate --list` "
                "lists those it has"
            )
        store.add_calibration(
            connection, champion.name, champion.version, device_model, None, by_whom=by_whom, labels=0
        )
    return champion.version


def record(config: Settings, limit: int = 50) -> list[store.DeviceCalibration]:
    """The record of calibrations of the classifier, newest first."""
    with session(config, read_only=True) as connection:
        return store.calibrations(connection, config.registry.classifier, limit=limit)


def _loaded(config: Settings) -> ScoringModel:
    champion = serving(config, config.registry.classifier)
    if champion is None:
        raise ModelError("there is no champion to calibrate; `activity train` makes one")
    return load_bundle(BundleBytes(checked_promoted(config, champion).stored), config.windows, checked=True)


def _by_device_model(rows: Sequence[GoldRow], known: Mapping[str, str]) -> dict[str, _Labels]:
    """Labels of watches whose model is known, by model."""
    groups: dict[str, list[GoldRow]] = {}
    for row in rows:
        if (name := known.get(row.device_id)) is not None:
            groups.setdefault(name, []).append(row)
    now = datetime.now(UTC)
    return {
        name: _Labels(
            own, np.array([max((now - row.labelled_at).total_seconds(), 0) / 86_400 for row in own])
        )
        for name, own in groups.items()
    }


def _result(
    config: Settings,
    model: ScoringModel,
    name: str,
    labels: _Labels,
    before: store.DeviceCalibration | None,
) -> DeviceModelResult:
    """The calibration by these labels, and its figures on them."""
    features = np.array([row.features for row in labels.rows], np.float32)
    place = {label: k for k, label in enumerate(model.labels)}
    truth = np.array([place.get(row.label, -1) for row in labels.rows])
    alone = model.score(features, device_models=[name] * len(features), calibrations=None).probabilities
    # as it serves until it is calibrated by these labels
    scores = model.score(features, device_models=[name] * len(features))
    there = np.isfinite(alone).all(1)
    probabilities, truth = alone[there], truth[there]
    calibration = recalibrate(
        probabilities,
        truth,
        by_age(labels.age_days[there], config.learning.calibration_half_life_days),
        alpha=config.models.conformal_alpha,
    )
    after = powered(probabilities, calibration.power)
    figures = {"accuracy": float((probabilities.argmax(1) == truth).mean())}
    for when, p, sets in (
        ("before", scores.probabilities[there], scores.in_set[there]),
        ("after", after, conformal_sets(after, calibration.quantile)),
    ):
        figures[f"confidence_{when}"] = float(p.max(1).mean())
        figures[f"coverage_{when}"] = float((sets[np.arange(len(truth)), truth] & (truth >= 0)).mean())
        figures[f"set_size_{when}"] = float(sets.sum(1).mean())
    held = before.found if before is not None else None
    same = (
        held is not None
        and before is not None
        and before.labels == len(labels.rows)
        and abs(held.quantile - calibration.quantile) < _SAME_QUANTILE
        and abs(np.log(held.power / calibration.power)) < _SAME_POWER
    )
    return DeviceModelResult(
        device_model=name,
        labels=len(labels.rows),
        state="unchanged" if same else "calibrated",
        quantile=calibration.quantile,
        power=calibration.power,
        figures=figures,
    )
