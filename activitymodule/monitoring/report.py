"""Drift report: compares current readings with the champion's training data.

The measures are those of monitoring/measures; each documents what it compares and where its threshold comes from.
"""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, computed_field

from activitymodule.models.baseline import BINS, Baseline, Totals, read_baseline
from activitymodule.monitoring.measures import (
    FeatureValues,
    OverallValue,
    Thresholds,
    feature_measures,
    overall_measures,
    thresholds_of,
)
from activitymodule.monitoring.observation import Observation
from activitymodule.monitoring.slices import SliceDrift, drift_slices
from activitymodule.registry.versions import ModelVersion, fetch
from activitymodule.serving.record import promoted
from activitymodule.settings import Monitoring, Settings
from activitymodule.store.connection import Connection
from activitymodule.store.drift import Tripped, read_seen, update_alarms
from activitymodule.windows.catalogue import FEATURES

Status = Literal[
    "compared", "no_champion", "no_baseline", "no_windows", "too_few_windows", "counts_of_another_model"
]
"""Whether there is a comparison, or why there is none."""

ALL = "all"
"""The subject of an alarm of an overall measure."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, protected_namespaces=())


class FeatureValue(_Frozen):
    """One measure of one feature."""

    value: float
    bar: float = Field(description="The threshold")
    exceeded: bool


class FeatureDrift(_Frozen):
    """One feature now against what is expected for the activities that are predicted now.

    Means are in the feature's unit; shares of bins sum to 1.
    """

    name: str = Field(examples=["statistics_magnitude_mean"])
    meaning: str
    unit: str = Field(examples=["m/s2"])
    mean_now: float | None
    mean_expected: float
    missing_now: float = Field(description="Share of the windows that lack it")
    missing_expected: float
    now: tuple[float, ...] = Field(description="Shares of the bins")
    expected: tuple[float, ...]
    bins: tuple[tuple[float | None, float | None], ...] = Field(
        description="From where to where each bin goes, null at an open end"
    )
    measures: dict[str, FeatureValue] = Field(description="By name of the measure")
    over: tuple[str, ...] = Field(description="Names of the measures that exceed their thresholds")

    @computed_field(description="Distance of the means in standard errors over people")  # type: ignore[prop-decorator]
    @property
    def z(self) -> float:
        """`measures["z_score"].value`."""
        return self.measures["z_score"].value

    @computed_field(description="Population stability index")  # type: ignore[prop-decorator]
    @property
    def psi(self) -> float:
        """`measures["psi"].value`."""
        return self.measures["psi"].value

    @computed_field(description="Threshold of the index")  # type: ignore[prop-decorator]
    @property
    def psi_bar(self) -> float:
        """`measures["psi"].bar`."""
        return self.measures["psi"].bar


class MeasureResult(_Frozen):
    """One measure of all windows together."""

    name: str = Field(examples=["class_shift"])
    title: str = Field(examples=["Activity rates"])
    unit: str
    value: float
    bar: float = Field(description="The threshold")
    exceeded: bool
    detail: str = Field(description="The value in words")
    explanation: str = Field(description="A clause of the summary")
    recommends_retraining: bool = Field(
        description="Whether a retraining is recommended where it is exceeded"
    )
    value_text: str = Field(description="The value as it is shown")
    bar_text: str


class Exceeded(_Frozen):
    """A measure that exceeds its threshold; subject: a feature, or all."""

    measure: str = Field(examples=["psi"])
    subject: str = Field(examples=["jerk_x_log_sd"])
    value: float
    bar: float = Field(description="The threshold")


class Comparison(_Frozen):
    """Current windows against the baseline. Features: those that drifted furthest first."""

    windows: int
    watches: int
    features: tuple[FeatureDrift, ...]
    features_over: int = Field(description="Features that exceed a threshold")
    features_judged: int = Field(description="Features that the baseline has")
    measures: tuple[MeasureResult, ...] = Field(description="Of all windows together")
    class_rates: dict[str, tuple[float, float]] = Field(description="Activity: now, baseline")
    confidence_now: float
    confidence_expected: float
    confidences_now: tuple[float, ...] = Field(description="Shares of the windows by tenth of confidence")
    confidences_baseline: tuple[float, ...]
    tripped: tuple[Exceeded, ...]

    def measure(self, name: str) -> MeasureResult:
        """The result of an overall measure."""
        return next(one for one in self.measures if one.name == name)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def features_share(self) -> float:
        """Share of the features that exceed a threshold."""
        return self.measure("features_share").value

    @computed_field  # type: ignore[prop-decorator]
    @property
    def class_shift(self) -> float:
        """Half the sum of the differences of the activity rates."""
        return self.measure("class_shift").value

    @computed_field  # type: ignore[prop-decorator]
    @property
    def class_bar(self) -> float:
        """Threshold of class_shift."""
        return self.measure("class_shift").bar

    @computed_field  # type: ignore[prop-decorator]
    @property
    def confidence_shift(self) -> float:
        """Mean confidence less the expected one."""
        return self.measure("confidence_shift").value

    @computed_field  # type: ignore[prop-decorator]
    @property
    def confidence_bar(self) -> float:
        """Threshold of confidence_shift, for either sign."""
        return self.measure("confidence_shift").bar


class DriftReport(_Frozen):
    """The comparison and what follows from it. comparison: null where nothing could be compared; the summary says
    why."""

    status: Status
    model_name: str
    model_version: str | None
    since: datetime | None = None
    until: datetime | None = None
    retrain_recommended: bool = False
    summary: str = Field(examples=["No retraining: no feature and no other measure exceeds its threshold."])
    comparison: Comparison | None = None
    slices: tuple[SliceDrift, ...] = Field((), description="By device model, and by age band of the wearer")

    def limited(self, features: int) -> DriftReport:
        """The same with at most so many features, those that drifted furthest first."""
        if self.comparison is None:
            return self
        few = self.comparison.model_copy(update={"features": self.comparison.features[:features]})
        return self.model_copy(update={"comparison": few})


def compare(baseline: Baseline, totals: Totals, watches: int, config: Monitoring) -> Comparison:
    """Compute every measure for windows of `watches` watches. Reads nothing but its arguments.

    Raises ConfigError where `monitoring.thresholds` names no measure.
    """
    thresholds = thresholds_of(config)
    seen = Observation(baseline, totals, watches)
    by_feature = {one.name: one.compute(seen, thresholds) for one in feature_measures()}
    seen = replace(
        seen,
        drifted=seen.monitored & np.logical_or.reduce([values.exceeded for values in by_feature.values()]),
        distance=np.maximum.reduce([values.distance for values in by_feature.values()]),
    )
    order = np.argsort(-np.where(seen.monitored, seen.distance, -1), kind="stable")
    features = tuple(_feature(seen, int(place), by_feature) for place in order if seen.monitored[place])
    overall = _overall(seen, thresholds)
    tripped = [
        Exceeded(measure=name, subject=feature.name, value=value.value, bar=value.bar)
        for feature in features
        for name, value in feature.measures.items()
        if value.exceeded
    ]
    tripped += [
        Exceeded(measure=one.name, subject=ALL, value=one.value, bar=one.bar)
        for one in overall
        if one.exceeded
    ]
    return Comparison(
        windows=totals.windows,
        watches=watches,
        features=features,
        features_over=int(seen.drifted.sum()),
        features_judged=len(features),
        measures=overall,
        class_rates={
            label: (float(now), float(then))
            for label, now, then in zip(baseline.labels, seen.class_rates, baseline.class_rates, strict=True)
        },
        confidence_now=seen.confidence,
        confidence_expected=seen.expected_confidence,
        confidences_now=tuple((totals.confidences / max(totals.windows, 1)).tolist()),
        confidences_baseline=tuple(baseline.confidences.tolist()),
        tripped=tuple(tripped),
    )


def _overall(seen: Observation, thresholds: Thresholds) -> tuple[MeasureResult, ...]:
    results = []
    for measure in overall_measures():
        found: OverallValue = measure.compute(seen, thresholds)
        results.append(
            MeasureResult(
                name=measure.name,
                title=measure.title,
                unit=measure.unit,
                value=found.value,
                bar=found.threshold,
                exceeded=found.exceeded,
                detail=found.detail,
                explanation=found.explanation,
                recommends_retraining=measure.recommends_retraining,
                value_text=format(found.value, measure.number_format),
                bar_text=format(found.threshold, measure.number_format),
            )
        )
    return tuple(results)


def _feature(seen: Observation, place: int, by_feature: dict[str, FeatureValues]) -> FeatureDrift:
    def end(value: float) -> float | None:
        return float(value) if math.isfinite(value) else None

    measures = {
        name: FeatureValue(
            value=float(values.value[place]),
            bar=float(values.threshold[place]),
            exceeded=bool(values.exceeded[place]),
        )
        for name, values in by_feature.items()
    }
    feature, baseline = FEATURES[place], seen.baseline
    return FeatureDrift(
        name=feature.name,
        meaning=feature.meaning,
        unit=feature.unit,
        mean_now=seen.in_unit(place, seen.mean[place]) if seen.comparable[place] else None,
        mean_expected=seen.in_unit(place, seen.expected_mean[place]),
        missing_now=float(seen.missing[place]),
        missing_expected=float(1 - baseline.share_there[place]),
        now=tuple(seen.bins[place].tolist()),
        expected=tuple(seen.expected_bins[place].tolist()),
        bins=tuple((end(low), end(high)) for low, high in (baseline.describe(place, b) for b in range(BINS))),
        measures=measures,
        over=tuple(name for name, value in measures.items() if value.exceeded),
    )


Table = tuple[tuple[str, ...], list[tuple[str | float | None, ...]]]
"""Titles of the columns, and the rows."""


def measures_table(found: Comparison) -> Table:
    """The overall measures as a table."""
    rows: list[tuple[str | float | None, ...]] = [
        (one.title, one.value_text, one.bar_text, "yes" if one.exceeded else "no", one.detail)
        for one in found.measures
    ]
    return ("measure", "value", "threshold", "exceeded", "detail"), rows


def features_table(found: Comparison, features: int) -> Table:
    """The features that drifted furthest as a table: of each measure value / threshold."""
    measures = feature_measures()
    rows: list[tuple[str | float | None, ...]] = [
        (
            one.name,
            one.mean_now,
            one.mean_expected,
            one.unit,
            *(f"{one.measures[m.name].value:.2f} / {one.measures[m.name].bar:.2f}" for m in measures),
            ", ".join(one.over),
        )
        for one in found.features[:features]
    ]
    return ("feature", "now", "expected", "unit", *(m.heading for m in measures), "exceeded"), rows


def recommendation(found: Comparison) -> tuple[bool, str]:
    """Whether to retrain, and the reason in one sentence.

    A retraining is recommended where a measure that asks for one exceeds its threshold.
    """
    exceeded = [one for one in found.measures if one.exceeded]
    reasons = [one for one in exceeded if one.recommends_retraining]
    if reasons:
        return True, f"Retrain: {reasons[0].explanation}."
    if exceeded:
        return False, f"No retraining: {exceeded[0].explanation}."
    if found.features_over:
        few = f"{found.features_over} of {found.features_judged} features exceed a threshold, no other measure does"
        return False, f"No retraining: {few}."
    return False, "No retraining: no feature and no other measure exceeds its threshold."


def drift_report(
    config: Settings, connection: Connection, *, record: bool = False, version: ModelVersion | None = None
) -> DriftReport:
    """Compare the last monitoring.look_back_minutes with the baseline of the champion (or of `version`).

    record : also open and end alarms, in the caller's transaction. Raises ServiceUnavailableError where the registry
    is away.
    """
    name, monitoring = config.registry.classifier, config.monitoring

    def nothing(status: Status, reason: str, number: str | None = None) -> DriftReport:
        return DriftReport(
            status=status, model_name=name, model_version=number, summary=f"No comparison: {reason}."
        )

    served = promoted(connection, config, name)
    serving = version or (ModelVersion(name, served[-1].version) if served else None)
    if serving is None:
        return nothing("no_champion", f"{name} has no champion yet; `activity train` makes one")
    number = serving.version
    baseline = read_baseline(fetch(config, serving))
    if baseline is None:
        return nothing(
            "no_baseline", f"version {number} has no drift baseline; the next training makes one", number
        )
    seen = read_seen(connection, number, monitoring.look_back_minutes, config.windows.queue_coverage)
    if seen is None:
        return nothing("no_windows", f"version {number} has not scored a complete window yet", number)
    if len(seen.totals.counts) != len(baseline.mean) or len(seen.totals.activities) != len(baseline.labels):
        return nothing(
            "counts_of_another_model",
            f"the counts stored for version {number} are of another model of that number",
            number,
        )
    if seen.totals.windows < monitoring.least_windows:
        few = nothing(
            "too_few_windows",
            f"{seen.totals.windows} complete windows in {monitoring.look_back_minutes:g} minutes; at least "
            f"{monitoring.least_windows} are required",
            number,
        )
        return few.model_copy(update={"since": seen.since, "until": seen.until})
    found = compare(baseline, seen.totals, seen.watches, monitoring)
    retrain, summary = recommendation(found)
    if datetime.now(UTC) - seen.until > timedelta(minutes=monitoring.look_back_minutes):
        summary = f"As of {seen.until:%Y-%m-%d %H:%M} UTC, the newest window: {summary}"
    if record:
        tripped = [Tripped(one.measure, one.subject, one.value, one.bar) for one in found.tripped]
        update_alarms(connection, number, tripped, seen.until)
    return DriftReport(
        status="compared",
        model_name=name,
        model_version=number,
        since=seen.since,
        until=seen.until,
        retrain_recommended=retrain,
        summary=summary,
        comparison=found,
        slices=drift_slices(
            connection, baseline, number, seen.since, seen.until, config.windows.queue_coverage
        ),
    )
