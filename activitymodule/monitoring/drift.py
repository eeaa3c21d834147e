"""Has what the watches send moved away from what the champion was trained on?

Windows of one person are alike, and a person does one thing for a while; so windows are no independent samples, and
ten thousand of them from five watches say little. Hence:
- features are compared with what the baseline expects for the activities that are there now, so that a quiet
  night is no drift of the sensors (label shift is a measure of its own);
- a mean is judged in standard errors over people: the spread between people that remains within an activity, by
  the number of watches and of people in the baseline (the design effect of a cluster sample, Kish 1965);
- a population stability index must also be larger than chance makes it with so few people: under no drift it is
  near chi-squared (Yurdakul 2018), of the effective numbers of windows.
So a small fleet trips only on what is large, and a large one on what is real.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from activitymodule.models.baseline import BINS, Baseline, Totals, read_baseline
from activitymodule.settings import Monitoring, Settings
from activitymodule.store.connection import Connection
from activitymodule.store.drift import Tripped, read_seen, update_alarms
from activitymodule.windows.catalogue import FEATURES

if TYPE_CHECKING:
    from activitymodule.registry.versions import ModelVersion

_CHANCE = 1e-4  # of a bar that adapts to few people: how often chance alone may pass it
_LEAST_PERSON_SD = 0.1  # in standard deviations; nothing is known more sharply than that
_LEAST_SHARE = 1e-3  # of a bin: an empty one would make the index infinite
_MISSING_BAR = 0.5  # of the windows that should have a feature
_ALL = "all"


@dataclass(frozen=True)
class FeatureDrift:
    """One feature now against what is expected of it. Means are in the feature's unit, shares of bins sum to 1.

    z : distance of the means in standard errors over people; over : which measures are over their bar
    bins : from where to where each bin goes, None at an open end
    """

    name: str
    meaning: str
    unit: str
    z: float
    psi: float
    psi_bar: float
    mean_now: float | None
    mean_expected: float
    missing_now: float
    missing_expected: float
    now: tuple[float, ...]
    expected: tuple[float, ...]
    bins: tuple[tuple[float | None, float | None], ...]
    over: tuple[str, ...]


@dataclass(frozen=True)
class Comparison:
    """All measures of one look. class_rates : activity -> (now, baseline)."""

    windows: int
    watches: int
    features: tuple[FeatureDrift, ...]
    features_over: int
    features_share: float
    class_rates: dict[str, tuple[float, float]]
    class_shift: float
    class_bar: float
    confidence_now: float
    confidence_expected: float
    confidence_bar: float
    confidences_now: tuple[float, ...]
    confidences_baseline: tuple[float, ...]
    tripped: tuple[Tripped, ...]

    @property
    def confidence_shift(self) -> float:
        return self.confidence_now - self.confidence_expected


@dataclass(frozen=True)
class DriftReport:
    """What a person or a schedule needs to know. comparison : None where nothing could be judged, and `says` why."""

    model_name: str
    model_version: str | None
    since: datetime | None
    until: datetime | None
    retrain: bool
    says: str
    comparison: Comparison | None

    def as_dict(self, *, features: int | None = None) -> dict[str, Any]:
        """For JSON; features: at most so many, those that drifted furthest first."""
        values = asdict(self)
        if self.comparison is not None:
            values["comparison"]["confidence_shift"] = self.comparison.confidence_shift
            values["comparison"]["features"] = [asdict(f) for f in self.comparison.features[:features]]
        return values


def compare(baseline: Baseline, now: Totals, watches: int, bars: Monitoring) -> Comparison:
    """Windows of `watches` watches against the baseline. Pure; see the module's text for the measures."""
    share = baseline.share_there.astype(np.float64)
    means, shares, confidence_expected = baseline.expected(now.activities)
    count = np.maximum(now.counts, 1)
    people = max(baseline.people, 1)
    both = 1 / watches + 1 / people
    # means, in standard errors over people
    error = np.maximum(baseline.person_sd, _LEAST_PERSON_SD) * math.sqrt(both)
    mean = now.sums / count
    z = (mean - means) / error
    # shares of bins; how many independent windows there are, by the design effect
    observed = now.histogram / count[:, None]
    a, b = np.maximum(observed, _LEAST_SHARE), np.maximum(shares, _LEAST_SHARE)
    psi = ((a - b) * np.log(a / b)).sum(1)
    effective_now = _effective(now.counts, watches, baseline.icc)
    effective_then = _effective(share * baseline.windows, people, baseline.icc)
    from scipy.stats import chi2

    psi_bar = np.maximum(bars.psi, chi2.ppf(1 - _CHANCE, BINS - 1) * (1 / effective_now + 1 / effective_then))
    missing = 1 - now.counts / max(now.windows, 1)
    judged = baseline.judged
    there = judged & (now.counts > 0)
    far = there & (np.abs(z) > bars.z_score)
    other = there & (psi > psi_bar)
    lost = judged & (share * (missing - (1 - share)) > _MISSING_BAR * share)
    over = far | other | lost
    order = np.argsort(
        -np.where(judged, np.where(lost, np.inf, np.maximum(np.abs(z) / bars.z_score, psi / psi_bar)), -1)
    )
    features = tuple(
        _feature(baseline, int(i), float(z[i]), float(psi[i]), float(psi_bar[i]), mean, means, observed, shares,
                 float(missing[i]), tuple(n for n, m in (("z_score", far), ("psi", other), ("missing", lost)) if m[i]),
                 bool(there[i]))
        for i in order if judged[i]
    )  # fmt: skip
    rates = now.activities / max(now.activities.sum(), 1)
    class_shift = float(np.abs(rates - baseline.class_rates).sum() / 2)
    k = len(baseline.labels)
    # mean and tail of half the L1 distance of a multinomial of as many draws as there are watches
    chance = 0.5 * math.sqrt(k / watches) + math.sqrt(math.log(1 / _CHANCE) / (2 * watches))
    class_bar = max(bars.class_shift, min(chance, 1.0))
    confidence = now.confidence_sum / max(now.windows, 1)
    confidence_bar = max(
        bars.confidence_shift, bars.z_score * baseline.confidence_person_sd * math.sqrt(both)
    )
    features_share = float(over.sum() / max(judged.sum(), 1))
    tripped = [
        Tripped(measure, f.name, {"z_score": f.z, "psi": f.psi, "missing": f.missing_now}[measure], bar)
        for f in features
        for measure, bar in (
            ("z_score", bars.z_score),
            ("psi", f.psi_bar),
            ("missing", f.missing_expected + _MISSING_BAR * (1 - f.missing_expected)),
        )
        if measure in f.over
    ]
    if features_share >= bars.features_share:
        tripped.append(Tripped("features_share", _ALL, features_share, bars.features_share))
    if class_shift > class_bar:
        tripped.append(Tripped("class_shift", _ALL, class_shift, class_bar))
    if abs(confidence - confidence_expected) > confidence_bar:
        tripped.append(
            Tripped("confidence_shift", _ALL, float(confidence - confidence_expected), confidence_bar)
        )
    return Comparison(
        windows=now.windows,
        watches=watches,
        features=features,
        features_over=int(over.sum()),
        features_share=features_share,
        class_rates={
            label: (float(rate), float(base))
            for label, rate, base in zip(baseline.labels, rates, baseline.class_rates, strict=True)
        },
        class_shift=class_shift,
        class_bar=class_bar,
        confidence_now=float(confidence),
        confidence_expected=confidence_expected,
        confidence_bar=confidence_bar,
        confidences_now=tuple((now.confidences / max(now.windows, 1)).tolist()),
        confidences_baseline=tuple(baseline.confidences.tolist()),
        tripped=tuple(tripped),
    )


def _effective(windows: np.ndarray, people: int, icc: np.ndarray) -> np.ndarray:
    """Independent windows worth as much as these: n / (1 + (m - 1) icc), m windows a person (Kish 1965)."""
    windows = np.maximum(windows, 1)
    return windows / (1 + (np.maximum(windows / people, 1) - 1) * icc)


def _feature(
    baseline: Baseline,
    i: int,
    z: float,
    psi: float,
    psi_bar: float,
    mean: np.ndarray,
    means: np.ndarray,
    observed: np.ndarray,
    shares: np.ndarray,
    missing: float,
    over: tuple[str, ...],
    there: bool,
) -> FeatureDrift:
    def unit(value: float) -> float:
        return float(baseline.mean[i] + value * baseline.sd[i])

    def end(value: float) -> float | None:
        return value if math.isfinite(value) else None

    feature = FEATURES[i]
    return FeatureDrift(
        name=feature.name,
        meaning=feature.meaning,
        unit=feature.unit,
        z=z if there else 0.0,
        psi=psi if there else 0.0,
        psi_bar=psi_bar,
        mean_now=unit(mean[i]) if there else None,
        mean_expected=unit(means[i]),
        missing_now=missing,
        missing_expected=float(1 - baseline.share_there[i]),
        now=tuple(observed[i].tolist()),
        expected=tuple(shares[i].tolist()),
        bins=tuple((end(low), end(high)) for low, high in (baseline.describe(i, b) for b in range(BINS))),
        over=over,
    )


def verdict(found: Comparison, bars: Monitoring) -> tuple[bool, str]:
    """Whether to retrain, by the configured rule, and one plain sentence that says why.

    The rule: a share of the features of at least monitoring.features_share over their bars, or a shift of the mean
    confidence over its bar. Other activities than in training are no reason of their own: the model knows them.
    """
    if found.features_share >= bars.features_share:
        worst = found.features[0]
        now = "missing" if worst.mean_now is None else f"{_short(worst.mean_now)}{_unit(worst)} on average"
        return True, (
            f"Retrain: {found.features_over} of {len(found.features)} features ({found.features_share:.0%}) have left "
            f"what the champion was trained on, most of all {worst.name} ({now}, where "
            f"{_short(worst.mean_expected)}{_unit(worst)} is expected)."
        )
    if abs(found.confidence_shift) > found.confidence_bar:
        return True, (
            f"Retrain: the champion is {'less' if found.confidence_shift < 0 else 'more'} sure of itself than it "
            f"was with people it had not seen ({found.confidence_now:.0%} on average, {found.confidence_expected:.0%} "
            "expected)."
        )
    if found.class_shift > found.class_bar:
        label, (now_, then) = max(found.class_rates.items(), key=lambda item: abs(item[1][0] - item[1][1]))
        return False, (
            f"No retraining: people do other things than in training ({label}: {now_:.0%} of the windows, {then:.0%} "
            "there), but what their watches send is as expected."
        )
    few = (
        f"{found.features_over} of {len(found.features)} features are"
        if found.features_over
        else "no feature is"
    )
    return False, f"No retraining: {few} over a bar, and activities and confidence are within theirs."


def _short(value: float) -> str:
    return f"{value:.3g}"


def _unit(feature: FeatureDrift) -> str:
    return f" {feature.unit}" if feature.unit else ""


def drift_report(
    settings: Settings, connection: Connection, *, record: bool = False, version: ModelVersion | None = None
) -> DriftReport:
    """Compare the last monitoring.look_back_minutes with the baseline of the champion (or of `version`).

    record : also open and end alarms, in the caller's transaction. Raises ServiceUnavailableError where the registry
    is away.
    """
    from activitymodule.registry.versions import champion, fetch

    name = settings.registry.classifier
    bars = settings.monitoring

    def nothing(says: str, number: str | None = None) -> DriftReport:
        return DriftReport(name, number, None, None, False, says, None)

    serving = version or champion(settings, name)
    if serving is None:
        return nothing(f"Nothing to judge: {name} has no champion yet; `activity train` makes one.")
    baseline = read_baseline(fetch(settings, serving))
    if baseline is None:
        return nothing(
            f"Nothing to judge: version {serving.version} was trained without a drift baseline; the next training "
            "makes one.",
            serving.version,
        )
    seen = read_seen(connection, serving.version, bars.look_back_minutes, settings.windows.queue_coverage)
    if seen is None:
        return nothing(
            f"Nothing to judge: version {serving.version} has scored no complete window yet; `activity score` does.",
            serving.version,
        )
    if len(seen.totals.counts) != len(baseline.mean) or len(seen.totals.activities) != len(baseline.labels):
        return nothing(
            f"Nothing to judge: what was counted for version {serving.version} is of another model of that number.",
            serving.version,
        )
    if seen.totals.windows < bars.least_windows:
        return DriftReport(
            name,
            serving.version,
            seen.since,
            seen.until,
            False,
            f"Too early: {seen.totals.windows} complete windows in {bars.look_back_minutes:g} minutes; "
            f"{bars.least_windows} say something.",
            None,
        )
    found = compare(baseline, seen.totals, seen.watches, bars)
    retrain, says = verdict(found, bars)
    if datetime.now(UTC) - seen.until > timedelta(minutes=bars.look_back_minutes):
        says = f"As of {seen.until:%Y-%m-%d %H:%M} UTC, the newest window: {says}"
    if record:
        update_alarms(connection, serving.version, found.tripped, seen.until)
    return DriftReport(name, serving.version, seen.since, seen.until, retrain, says, found)
