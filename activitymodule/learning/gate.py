"""The gate: may a challenger take the champion's place? Arrays in, a verdict with every figure out.

Only audit labels judge: windows drawn at random, which no model has learnt from. The challenger must be better
by more than chance over *people*: windows of one person are near-duplicates, and a test over windows, or none
at all, lets an equal model in far too often (docs/retraining.md has the figures). Besides, it must load and
answer, know every label the champion knows, lose no activity, stay calibrated, and be small and quick enough.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from scipy import stats

from activitymodule import settings
from activitymodule.errors import ModelError
from activitymodule.models.bundle import ModelBytes, ScoringModel, load_model
from activitymodule.models.calibration import ECE_BINS
from activitymodule.models.export import check_size

GUARD_ALPHA = 0.05  # a loss beyond chance, for the guards of the activities and of the calibration
LOST_HITS = 3  # an activity the champion found so often and the challenger never is lost
WEIGHT_RATIO = 5.0  # no audit window weighs more than so many times the median one
_SPEED_WINDOWS = 2048
_SPEED_TRIES = 3


@dataclass(frozen=True)
class Audit:
    """The windows that judge. label, person : str (n,); features : float32 (n, len(FEATURE_NAMES));
    propensity : float (n,), how likely each was to be drawn"""

    label: np.ndarray
    person: np.ndarray
    features: np.ndarray
    propensity: np.ndarray

    def __len__(self) -> int:
        return len(self.label)

    def weights(self) -> np.ndarray:
        """Each window's weight, mean 1: the inverse of its propensity (which differs only where the audit share
        was changed meanwhile), capped at WEIGHT_RATIO times the median."""
        if not len(self):
            return np.empty(0)
        inverse = 1.0 / self.propensity
        capped = np.minimum(inverse, WEIGHT_RATIO * np.median(inverse))
        return capped / capped.mean()


@dataclass(frozen=True)
class Candidate:
    """One side of the comparison: what a model says of the audit windows, or why it says nothing.

    probabilities : (n, n_labels), None where it was refused; refusal : one sentence
    """

    version: str
    labels: tuple[str, ...] = ()
    probabilities: np.ndarray | None = None
    megabytes: float = 0.0
    windows_per_second: float = 0.0
    refusal: str | None = None
    too_large: str | None = None


@dataclass(frozen=True)
class Check:
    """One condition: whether it holds, in a sentence, with its figures."""

    name: str
    passed: bool
    says: str
    figures: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """Whether the challenger may serve, and everything that was looked at."""

    promote: bool
    says: str
    champion: str
    challenger: str
    checks: tuple[Check, ...]
    figures: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        """The verdict as JSON's types, as the store keeps it."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Verdict:
        """The verdict that `as_json` gave, of this version or an older one."""
        return cls(**{**content, "checks": tuple(Check(**check) for check in content["checks"])})

    def reasons(self) -> tuple[str, ...]:
        """Sentences of the checks that failed."""
        return tuple(check.says for check in self.checks if not check.passed)


def examine(
    stored: ModelBytes, features: np.ndarray, windows: settings.Windows, *, max_megabytes: float
) -> Candidate:
    """Load a model as the scorer does, let it answer for `features` (n, len(FEATURE_NAMES)), and time it.

    A model that does not load, does not fit the features or does not answer comes back with its refusal.
    """
    size = len(stored.content) / 1e6
    too_large = None
    try:
        check_size(len(stored.content), f"version {stored.version}", max_megabytes)
    except ModelError as error:
        too_large = str(error)
    try:
        pipeline, card = load_model(stored, "activity", windows)
        model = ScoringModel(pipeline, card, stored.version)
        probabilities = model.score(features).probabilities.astype(np.float64)
        if np.isnan(probabilities).any() and not np.isnan(features).all(1).any():
            raise ModelError(f"version {stored.version} gives no number for some windows; train it again")
    except ModelError as error:
        return Candidate(stored.version, megabytes=size, refusal=str(error), too_large=too_large)
    return Candidate(
        stored.version,
        card.labels,
        probabilities,
        size,
        _windows_per_second(model, features),
        too_large=too_large,
    )


def _windows_per_second(model: ScoringModel, features: np.ndarray) -> float:
    """Windows a second of one core, by the processor's time, so that a busy machine does not count."""
    if not len(features):
        return 0.0
    probe = np.resize(features, (_SPEED_WINDOWS, features.shape[1]))
    spent = []
    for _ in range(_SPEED_TRIES):
        begin = time.process_time()
        model.score(probe)
        spent.append(time.process_time() - begin)
    return _SPEED_WINDOWS / max(min(spent), 1e-6)


def spent_alpha(alpha: float, judged_before: int) -> float:
    """The alpha of one more verdict by audit labels that have judged so many challengers already: alpha / j^2 for the
    j-th. Each verdict is another chance to be let in by luck; so the chances of however many add up to no more than
    pi^2 / 6 = 1.64 times alpha, where at a constant alpha they would go on growing (alpha spending: Foster and Stine
    2008, J. R. Stat. Soc. B 70, Bonferroni's inequality)."""
    return alpha / (judged_before + 1) ** 2


def has_judged(judged_before: int) -> str:
    """How often the audit labels judged before, in words."""
    times = "once" if judged_before == 1 else f"{judged_before} times"
    return f"most of these audit labels have judged {times} before"


def judge(
    champion: Candidate,
    challenger: Candidate,
    audit: Audit,
    limits: settings.Learning,
    *,
    seed: int = 0,
    judged_before: int = 0,
) -> Verdict:
    """The verdict on a challenger. Both candidates answered for the windows of `audit`, which have judged so many
    challengers before.

    Labels that only one model knows: a label the champion knows and the challenger does not is a refusal; one
    that is new counts for the challenger as it would for whoever is served (the champion cannot name it, so its
    F1 there is 0). A gold label neither knows counts as an error of both and is no class of the mean.
    """
    checks = [_loads(champion, challenger)]
    figures: dict[str, Any] = {
        "labels": len(audit),
        "people": len(np.unique(audit.person)),
        "judged_before": judged_before,
    }
    if not checks[0].passed:
        return _verdict(champion, challenger, checks, figures)
    checks += [_labels(champion, challenger), _size(challenger), _speed(challenger, limits)]
    checks.append(_enough(audit, limits))
    if len(audit) and figures["people"] > 1:
        compared = compare(champion, challenger, audit, limits, seed=seed, judged_before=judged_before)
        figures |= compared.figures
        checks += compared.checks
    return _verdict(champion, challenger, checks, figures)


def _verdict(
    champion: Candidate, challenger: Candidate, checks: list[Check], figures: dict[str, Any]
) -> Verdict:
    failed = [check for check in checks if not check.passed]
    if failed:
        says = f"version {challenger.version} is turned away: " + "; ".join(check.says for check in failed)
    else:
        says = f"version {challenger.version} is better than version {champion.version}: " + next(
            check.says for check in checks if check.name == "better"
        )
    return Verdict(not failed, says, champion.version, challenger.version, tuple(checks), figures)


def _loads(champion: Candidate, challenger: Candidate) -> Check:
    if challenger.refusal:
        return Check("loads", False, f"it does not serve ({challenger.refusal})")
    if champion.refusal:
        return Check(
            "loads",
            False,
            f"the champion itself does not load ({champion.refusal}); roll back, then retrain",
        )
    return Check("loads", True, "it loads, fits the features of this code and answers")


def _labels(champion: Candidate, challenger: Candidate) -> Check:
    lost = [label for label in champion.labels if label not in challenger.labels]
    new = [label for label in challenger.labels if label not in champion.labels]
    figures = {"lost": lost, "new": new}
    if lost:
        return Check("labels", False, f"it no longer knows {', '.join(lost)}", figures)
    more = f" and {', '.join(new)} besides" if new else ""
    return Check("labels", True, f"it knows every label of the champion{more}", figures)


def _size(challenger: Candidate) -> Check:
    figures = {"megabytes": round(challenger.megabytes, 3)}
    if challenger.too_large:
        return Check("size", False, challenger.too_large, figures)
    return Check("size", True, f"it has {challenger.megabytes:.1f} MB", figures)


def _speed(challenger: Candidate, limits: settings.Learning) -> Check:
    rate, least = challenger.windows_per_second, limits.least_windows_per_second
    figures = {"windows_per_second": round(rate), "least": least}
    says = f"it scores {rate:,.0f} windows/s a core"
    if rate < least:
        return Check("speed", False, f"{says}, {least:,.0f} are needed", figures)
    return Check("speed", True, says, figures)


def _enough(audit: Audit, limits: settings.Learning) -> Check:
    labels, people = len(audit), len(np.unique(audit.person))
    figures = {
        "labels": labels,
        "people": people,
        "least_labels": limits.least_audit_labels,
        "least_people": limits.least_audit_people,
    }
    says = f"{labels} audit labels of {people} people"
    if labels < limits.least_audit_labels or people < limits.least_audit_people:
        return Check(
            "enough",
            False,
            f"{says} decide nothing: {limits.least_audit_labels} of {limits.least_audit_people} people are needed",
            figures,
        )
    return Check("enough", True, f"{says} judge", figures)


@dataclass(frozen=True)
class Compared:
    """Figures of both models on the audit windows, and the checks that follow from them."""

    figures: dict[str, Any]
    checks: list[Check]


@dataclass(frozen=True)
class Change:
    """A difference challenger - champion: itself, its standard error over people, and one-sided bounds at alpha.

    p : chance of so large a difference, were there none; percentile_low : the bound before its correction for few
    people
    """

    value: float
    se: float
    low: float
    high: float
    p: float
    percentile_low: float


def effective_people(weight: np.ndarray) -> float:
    """How many people of equal weight tell as much as these: (sum w)^2 / sum w^2 (Kish 1965), w (n_people,)."""
    return float(weight.sum() ** 2 / np.square(weight).sum())


def change_over_people(value: float, drawn: np.ndarray, people: float, alpha: float) -> Change:
    """Bounds of a difference from its bootstrap over people.

    The percentile interval of few clusters is too narrow: it takes neither the t quantile nor the factor
    sqrt(n / (n - 1)) of a standard error from n people (Hesterberg 2015, The American Statistician 69). So the
    bounds are value -+ t(1 - alpha, n - 1) se sqrt(n / (n - 1)), and no tighter than the percentiles. n is the
    effective number of people. drawn : (n_resamples,), the difference in each resample
    """
    freedom = max(people - 1.0, 1.0)
    se = float(drawn.std()) * float(np.sqrt((freedom + 1) / freedom))
    reach = float(stats.t.ppf(1 - alpha, freedom)) * se
    low, high = np.quantile(drawn, (alpha, 1 - alpha))
    p = float(stats.t.sf(value / se, freedom)) if se > 0 else float(value <= 0)
    return Change(
        value=value,
        se=se,
        low=min(float(low), value - reach),
        high=max(float(high), value + reach),
        p=max(p, 1 / len(drawn)),
        percentile_low=float(low),
    )


def resampled_people(people: int, times: int, seed: int) -> np.ndarray:
    """How often each person is drawn in each resample: float64 (times, people), rows add up to `people`."""
    dice = np.random.default_rng(seed)
    return dice.multinomial(people, np.full(people, 1 / people), size=times).astype(np.float64)


@dataclass(frozen=True)
class _Tally:
    """Weights by person of what F1 and ECE are made of; (n_people, n_classes) and (n_people, n_bins)."""

    hits: np.ndarray
    predicted: np.ndarray
    confidence: np.ndarray
    right: np.ndarray


def _tally(
    candidate: Candidate, classes: list[str], truth: np.ndarray, person: np.ndarray, weight: np.ndarray
) -> _Tally:
    assert candidate.probabilities is not None
    people, n = int(person.max()) + 1, len(classes)
    probabilities = np.nan_to_num(candidate.probabilities)
    place = np.array([classes.index(label) for label in candidate.labels])
    predicted = place[probabilities.argmax(1)]
    right = predicted == truth

    def by(code: np.ndarray, width: int, value: np.ndarray) -> np.ndarray:
        return np.bincount(person * width + code, value, people * width).reshape(people, width)

    confidence = probabilities.max(1)
    bins = np.minimum((confidence * ECE_BINS).astype(int), ECE_BINS - 1)
    return _Tally(
        hits=by(predicted, n, weight * right),
        predicted=by(predicted, n, weight),
        confidence=by(bins, ECE_BINS, weight * confidence),
        right=by(bins, ECE_BINS, weight * right),
    )


def _mean_f1(hits: np.ndarray, predicted: np.ndarray, actual: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """Mean F1 over the classes that are there; all arrays (..., n_classes), `counted` bool (n_classes,)."""
    there = (actual > 0) & counted
    f1 = 2 * hits / np.maximum(actual + predicted, 1e-12)
    return np.where(there, f1, 0.0).sum(-1) / np.maximum(there.sum(-1), 1)


def _ece(confidence: np.ndarray, right: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Expected calibration error from sums over bins, (..., n_bins); total : (...,), the weight of it all."""
    return np.abs(confidence - right).sum(-1) / np.maximum(total, 1e-12)


def macro_f1_of(candidate: Candidate, audit: Audit) -> float:
    """Macro-F1 of one model on audit windows, over the activities it knows that are there."""
    classes = sorted(set(candidate.labels) | set(audit.label.tolist()))
    counted = np.array([label in candidate.labels for label in classes])
    truth = np.searchsorted(np.array(classes), audit.label)
    person, weight = np.zeros(len(truth), int), audit.weights()
    tally = _tally(candidate, classes, truth, person, weight)
    actual = np.bincount(truth, weight, len(classes))
    return float(_mean_f1(tally.hits[0], tally.predicted[0], actual, counted))


def macro_f1_interval(
    candidate: Candidate, audit: Audit, resamples: int, *, seed: int = 0
) -> tuple[float, float, float]:
    """Macro-F1 of one model with the 95 % interval over people (percentile bootstrap): value, low, high."""
    classes = sorted(set(candidate.labels) | set(audit.label.tolist()))
    counted = np.array([label in candidate.labels for label in classes])
    truth = np.searchsorted(np.array(classes), audit.label)
    names, person = np.unique(audit.person, return_inverse=True)
    weight, n = audit.weights(), len(classes)
    tally = _tally(candidate, classes, truth, person, weight)
    actual = np.bincount(person * n + truth, weight, len(names) * n).reshape(len(names), n)
    times = resampled_people(len(names), resamples, seed)
    drawn = _mean_f1(times @ tally.hits, times @ tally.predicted, times @ actual, counted)
    low, high = np.quantile(drawn, (0.025, 0.975))
    return macro_f1_of(candidate, audit), float(low), float(high)


def compare(
    champion: Candidate,
    challenger: Candidate,
    audit: Audit,
    limits: settings.Learning,
    *,
    seed: int = 0,
    judged_before: int = 0,
) -> Compared:
    """Both models on the same windows: macro-F1, F1 of each activity and calibration, over resampled people.

    The same resamples serve both models, so that what makes a person easy or hard for either cancels out.
    """
    known = set(champion.labels) | set(challenger.labels)
    classes = sorted(known | set(audit.label.tolist()))
    counted = np.array([label in known for label in classes])
    truth = np.searchsorted(np.array(classes), audit.label)
    names, person = np.unique(audit.person, return_inverse=True)
    weight = audit.weights()
    n = len(classes)
    actual = np.bincount(person * n + truth, weight, len(names) * n).reshape(len(names), n)
    before = _tally(champion, classes, truth, person, weight)
    after = _tally(challenger, classes, truth, person, weight)
    times = resampled_people(len(names), limits.bootstrap, seed)
    people = effective_people(actual.sum(1))

    def f1(tally: _Tally, weights: np.ndarray) -> np.ndarray:
        return _mean_f1(weights @ tally.hits, weights @ tally.predicted, weights @ actual, counted)

    def ece(tally: _Tally, weights: np.ndarray) -> np.ndarray:
        return _ece(weights @ tally.confidence, weights @ tally.right, (weights @ actual).sum(-1))

    everybody = np.ones(len(names))
    f1_before, f1_after = float(f1(before, everybody)), float(f1(after, everybody))
    drawn = f1(after, times) - f1(before, times)
    alpha = spent_alpha(limits.alpha, judged_before)
    better = change_over_people(f1_after - f1_before, drawn, people, alpha)
    ece_before, ece_after = float(ece(before, everybody)), float(ece(after, everybody))
    drawn = ece(after, times) - ece(before, times)
    worse = change_over_people(ece_after - ece_before, drawn, people, GUARD_ALPHA)
    per_label = _by_label(classes, counted, truth, actual, before, after, times)
    accuracy = [float(tally.hits.sum() / actual.sum()) for tally in (before, after)]
    figures = {
        "effective_people": round(people, 1),
        "alpha": alpha,
        "resamples": limits.bootstrap,
        "macro_f1": {"champion": f1_before, "challenger": f1_after, **asdict(better)},
        "accuracy": {"champion": accuracy[0], "challenger": accuracy[1]},
        "ece": {"champion": ece_before, "challenger": ece_after, **asdict(worse)},
        "per_label": per_label,
        "unknown_to_both": sorted(set(audit.label.tolist()) - known),
    }
    return Compared(
        figures,
        [
            _better(f1_before, f1_after, better, alpha, judged_before),
            _no_class_lost(per_label, limits),
            _calibrated(ece_before, ece_after, worse, limits),
        ],
    )


def _by_label(
    classes: Sequence[str],
    counted: np.ndarray,
    truth: np.ndarray,
    actual: np.ndarray,
    before: _Tally,
    after: _Tally,
    times: np.ndarray,
) -> dict[str, dict[str, Any]]:
    """Recall and F1 of each activity that judges, before and after, with the bound of the change of F1 over people."""
    out: dict[str, dict[str, Any]] = {}
    there = times @ actual
    for k in np.flatnonzero(counted & (actual.sum(0) > 0)).tolist():
        total = actual[:, k].sum()
        recall = [float(tally.hits[:, k].sum() / total) for tally in (before, after)]
        f1 = [
            float(2 * tally.hits[:, k].sum() / (total + tally.predicted[:, k].sum()))
            for tally in (before, after)
        ]
        held = there[:, k] > 0  # resamples without the activity say nothing of it
        drawn_f1 = [
            2 * (times @ tally.hits[:, k])[held] / (there[held, k] + (times @ tally.predicted[:, k])[held])
            for tally in (before, after)
        ]
        people = effective_people(actual[:, k])
        own = change_over_people(f1[1] - f1[0], drawn_f1[1] - drawn_f1[0], people, GUARD_ALPHA)
        out[classes[k]] = {
            "windows": int((truth == k).sum()),
            "people": int((actual[:, k] > 0).sum()),
            "champion": recall[0],
            "challenger": recall[1],
            "champion_hits": float(before.hits[:, k].sum()),
            "challenger_hits": float(after.hits[:, k].sum()),
            "champion_f1": f1[0],
            "challenger_f1": f1[1],
            "high": own.high,
        }
    return out


def _better(before: float, after: float, change: Change, alpha: float, judged_before: int) -> Check:
    tightened = f" because {has_judged(judged_before)}" if judged_before else ""
    says = (
        f"macro-F1 {before:.3f} to {after:.3f}, {change.value:+.3f} with a lower bound of {change.low:+.3f} "
        f"(one-sided, alpha {alpha:.2g}{tightened}, over people)"
    )
    figures = {"alpha": alpha, "judged_before": judged_before}
    return Check("better", change.low > 0, says if change.low > 0 else f"{says} is not above chance", figures)


def _no_class_lost(per_label: dict[str, dict[str, Any]], limits: settings.Learning) -> Check:
    """A loss counts where the F1 of an activity falls by more than the guard and by more than chance over people
    (one-sided, 5 %). F1 and not recall: a champion that calls half the day by one name finds all of it. An activity
    that the champion found at least LOST_HITS times and the challenger never is lost, whatever chance says."""
    losses = []
    for label, one in per_label.items():
        before, after = one["champion_f1"], one["challenger_f1"]
        if one["champion_hits"] >= LOST_HITS and one["challenger_hits"] == 0:
            losses.append(f"{label} altogether (F1 {before:.2f} to 0)")
        elif before - after > limits.class_guard and one["high"] < 0:
            losses.append(f"{label} (F1 {before:.2f} to {after:.2f})")
    if losses:
        says = f"it loses {', '.join(losses)}; the guard is {limits.class_guard:g}"
        return Check("classes", False, says)
    says = f"the F1 of no activity falls by more than {limits.class_guard:g} beyond chance"
    return Check("classes", True, says)


def _calibrated(before: float, after: float, change: Change, limits: settings.Learning) -> Check:
    says = f"calibration error {before:.3f} to {after:.3f}"
    if change.value > limits.calibration_guard and change.low > 0:
        return Check(
            "calibration", False, f"{says}, more than the guard of {limits.calibration_guard:g} worse"
        )
    return Check("calibration", True, says)
