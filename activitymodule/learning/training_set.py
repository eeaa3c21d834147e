"""The training set of a challenger: the base the champion learnt from, and the labels given since.

Labels of the audit share are never among them: they evaluate models, and a model must not be evaluated on what it
learnt. Nor are windows within EMBARGO_SECONDS of an audit window of the same watch, which are nearly the same
window. Arrays in, arrays out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from activitymodule.errors import NotEnoughDataError
from activitymodule.learning.strata import AUDIT
from activitymodule.models.activity import feature_names
from activitymodule.models.dataset import TrainingWindows, concatenated
from activitymodule.models.energy import PersonColumns
from activitymodule.windows.catalogue import FEATURE_NAMES, FEATURES_VERSION

EMBARGO_SECONDS = 60
LEAST_NEW_LABELS = 20  # of an activity that is not in the base, before a model learns it ...
LEAST_NEW_PEOPLE = 3  # ... and of so many people
WEIGHT_RATIO = 3.0  # no label counts more than so many times, or less than a third of, the typical one
CHANGE_QUANTILE = 0.95  # of the steps within one activity: a larger one is a change point
PREFIX = "watch:"  # of the people of labels: the base's people may have the same names

# why labels are left out of a training set
AUDIT_SHARE = "audit share: used for evaluation only"
NEAR_AUDIT = f"within {EMBARGO_SECONDS} s of an audit window of the same watch"


def too_few(label: str) -> str:
    """Why labels of a new activity are left out."""
    return f"too few labels of {label}, which is new ({LEAST_NEW_LABELS} of {LEAST_NEW_PEOPLE} people are required)"


@dataclass(frozen=True)
class GoldWindows:
    """Windows with gold labels; every array has one entry a window.

    device_id, label, stratum : str (n,); window_us : int64 (n,), UTC microseconds of the start; propensity :
    float64 (n,), how likely the window was to be queued; features : float32 (n, len(FEATURE_NAMES))
    """

    device_id: np.ndarray
    window_us: np.ndarray
    label: np.ndarray
    stratum: np.ndarray
    propensity: np.ndarray
    features: np.ndarray

    def __len__(self) -> int:
        return len(self.label)

    def take(self, rows: np.ndarray) -> GoldWindows:
        """Some of the windows: indices, or a mask."""
        return GoldWindows(**{name: getattr(self, name)[rows] for name in self.__dataclass_fields__})

    @classmethod
    def none(cls) -> GoldWindows:
        """No windows."""
        text = np.empty(0, str)
        return cls(
            text,
            np.empty(0, np.int64),
            text,
            text,
            np.empty(0),
            np.empty((0, len(FEATURE_NAMES)), np.float32),
        )


@dataclass(frozen=True)
class TrainingSet:
    """The windows a challenger learns from, with their weights, and how they were selected.

    base : windows of weight 1; labelled : gold windows and the neighbours their labels were spread to, with `weight`,
    float64 (n_labelled,); labels : gold labels used; spread : neighbours; left_out : reason -> how many gold labels;
    labels_added : activities the base did not know
    """

    base: TrainingWindows
    labelled: TrainingWindows
    weight: np.ndarray
    labels: int
    spread: int
    left_out: dict[str, int] = field(default_factory=dict)
    labels_added: tuple[str, ...] = ()

    @property
    def windows(self) -> TrainingWindows:
        """All of them, the base first."""
        return concatenated([self.base, self.labelled])

    @property
    def weights(self) -> np.ndarray:
        """Of `windows`, float64 (n,)."""
        return np.concatenate([np.ones(len(self.base)), self.weight])

    @property
    def people(self) -> int:
        """The number of people."""
        return len(set(self.base.person.tolist()) | set(self.labelled.person.tolist()))

    def labelled_sha256(self) -> str:
        """Fingerprint of the gold windows and their weights."""
        digest = hashlib.sha256(self.labelled.sha256().encode())
        digest.update(np.ascontiguousarray(self.weight, np.float64).tobytes())
        return digest.hexdigest()

    def sha256(self) -> str:
        """Fingerprint of the training set: equal content has an equal fingerprint."""
        parts = (FEATURES_VERSION, self.base.sha256(), self.labelled_sha256())
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def for_training(gold: GoldWindows) -> np.ndarray:
    """Which gold windows may be learnt from, bool (n,): none of the audit share, none beside one of it."""
    audit = gold.stratum == AUDIT
    usable = ~audit
    for device in np.unique(gold.device_id[audit]):
        own = np.flatnonzero((gold.device_id == device) & usable)
        judged = np.sort(gold.window_us[audit & (gold.device_id == device)])
        usable[own] = distance_us(gold.window_us[own], judged) > EMBARGO_SECONDS * 1_000_000
    return usable


def distance_us(times: np.ndarray, sorted_times: np.ndarray) -> np.ndarray:
    """Distance of each of `times` to the nearest of `sorted_times` (not empty), both int64."""
    place = np.searchsorted(sorted_times, times)
    after = sorted_times[np.minimum(place, len(sorted_times) - 1)]
    before = sorted_times[np.maximum(place - 1, 0)]
    return np.minimum(np.abs(after - times), np.abs(times - before))


def propensity_weights(propensity: np.ndarray) -> np.ndarray:
    """Weights that undo some of the queue's choice: the inverse of the propensity relative to the median one,
    kept between 1/WEIGHT_RATIO and WEIGHT_RATIO.

    Windows chosen for their doubt are harder than the rest, so unweighted they bias the probabilities. The full
    inverse would remove the bias at the price of a variance that a few windows cause (Cole and Hernan 2008, American
    Journal of Epidemiology 168), hence the caps.
    """
    if not len(propensity):
        return np.empty(0)
    inverse = 1.0 / propensity
    return np.clip(inverse / np.median(inverse), 1 / WEIGHT_RATIO, WEIGHT_RATIO)


def known_or_enough(gold: GoldWindows, known: Sequence[str]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Which windows have a label that may be learnt, bool (n,), and the labels that are new.

    A label that is not in the base needs LEAST_NEW_LABELS windows of LEAST_NEW_PEOPLE people: with fewer, the model
    would learn one person's habit.
    """
    keep = np.isin(gold.label, list(known))
    added = []
    for label in sorted(set(gold.label[~keep].tolist())):
        rows = gold.label == label
        if rows.sum() >= LEAST_NEW_LABELS and len(np.unique(gold.device_id[rows])) >= LEAST_NEW_PEOPLE:
            keep |= rows
            added.append(label)
    return keep, tuple(added)


def training_set(
    base: TrainingWindows,
    gold: GoldWindows,
    *,
    label_weight: float = 1.0,
    neighbours: Mapping[tuple[str, int], Neighbours] | None = None,
    spread_windows: int = 0,
    spread_weight: float = 0.5,
    slide_us: int = 10_000_000,
) -> TrainingSet:
    """The base and the gold windows that may be learnt from, in an order that depends on their content alone.

    base : windows with an activity each; label_weight : of a typical gold label, a window of the base having 1
    neighbours : by (device_id, window_us) of a label, the windows around it; a label is spread to them at
    `spread_weight` of its own weight, `spread_windows` to each side and up to a change point
    """
    if not len(base):
        raise NotEnoughDataError("the base of the training set is empty; see learning.base")
    left_out: dict[str, int] = {}
    usable = for_training(gold)
    audit = gold.stratum == AUDIT
    _count(left_out, AUDIT_SHARE, audit)
    _count(left_out, NEAR_AUDIT, ~usable & ~audit)
    teaching = gold.take(usable)
    keep, added = known_or_enough(teaching, np.unique(base.activity).tolist())
    for label in sorted(set(teaching.label[~keep].tolist())):
        _count(left_out, too_few(label), teaching.label[~keep] == label)
    teaching = teaching.take(keep)
    order = np.lexsort((teaching.window_us, teaching.device_id))
    teaching = teaching.take(order)
    weight = label_weight * propensity_weights(teaching.propensity)
    parts, weights = [gold_as_training(teaching)], [weight]
    spread = 0
    if spread_windows and neighbours:
        audit_gold = gold.take(audit)
        bar = change_bar(base)
        scale = feature_scale(base)
        for k in range(len(teaching)):
            around = neighbours.get((str(teaching.device_id[k]), int(teaching.window_us[k])))
            if around is None:
                continue
            near = reached(
                around, teaching.features[k], int(teaching.window_us[k]), spread_windows, slide_us, scale, bar
            )
            near = near[~_claimed(str(teaching.device_id[k]), around.window_us[near], teaching, audit_gold)]
            if len(near):
                own = GoldWindows(
                    np.repeat(teaching.device_id[k], len(near)),
                    around.window_us[near],
                    np.repeat(teaching.label[k], len(near)),
                    np.repeat(teaching.stratum[k], len(near)),
                    np.repeat(teaching.propensity[k], len(near)),
                    around.features[near],
                )
                parts.append(gold_as_training(own))
                weights.append(np.full(len(near), spread_weight * weight[k]))
                spread += len(near)
    return TrainingSet(
        base=base,
        labelled=concatenated(parts, empty=True),
        weight=np.concatenate(weights),
        labels=len(teaching),
        spread=spread,
        left_out=left_out,
        labels_added=added,
    )


def _count(left_out: dict[str, int], reason: str, rows: np.ndarray) -> None:
    if rows.any():
        left_out[reason] = int(rows.sum())


def gold_as_training(gold: GoldWindows) -> TrainingWindows:
    """Gold windows as a training set of their own: each is its own run, its energy is not known."""
    n = len(gold)
    return TrainingWindows(
        features=np.asarray(gold.features, np.float32),
        activity=np.asarray(gold.label, str),
        person=np.char.add(PREFIX, np.asarray(gold.device_id, str)) if n else np.empty(0, str),
        run=np.arange(n),
        kcal_per_min=np.full(n, np.nan, np.float32),
        people=PersonColumns.unknown(n),
    )


@dataclass(frozen=True)
class Neighbours:
    """Windows around a labelled one, of the same watch, in order of time; without the labelled one itself.

    window_us : int64 (n,); features : float32 (n, len(FEATURE_NAMES)); whole : bool (n,), whether there are
    enough readings in it
    """

    window_us: np.ndarray
    features: np.ndarray
    whole: np.ndarray


_MOTION = np.array([FEATURE_NAMES.index(name) for name in feature_names()])


@dataclass(frozen=True)
class Scale:
    """Centre and spread of the features a change is looked for in; (n_motion_features,)."""

    centre: np.ndarray
    spread: np.ndarray

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Standard scores, clipped at 3, what is missing as the centre."""
        scores = (features[..., _MOTION].astype(np.float64) - self.centre) / self.spread
        return np.nan_to_num(np.clip(scores, -3, 3))


def feature_scale(base: TrainingWindows) -> Scale:
    """Mean and standard deviation of the motion features, NaN left out."""
    X = base.features[:, _MOTION].astype(np.float64)
    there = ~np.isnan(X).all(0)
    centre, spread = np.zeros(X.shape[1]), np.ones(X.shape[1])
    centre[there] = np.nanmean(X[:, there], 0)
    spread[there] = np.nanstd(X[:, there], 0)
    return Scale(centre, np.where(spread > 1e-12, spread, 1.0))


def step(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """How far windows are apart: root mean square over standard scores; (..., n_features) each."""
    return np.sqrt(np.square(one - other).mean(-1))


def change_bar(base: TrainingWindows) -> float:
    """The step between neighbouring windows that is a change point: CHANGE_QUANTILE of the steps within one run
    of one activity; infinite where the base has no such neighbours."""
    scores = feature_scale(base)(base.features)
    same = base.run[1:] == base.run[:-1]
    if not same.any():
        return float("inf")
    return float(np.quantile(step(scores[1:], scores[:-1])[same], CHANGE_QUANTILE))


def reached(
    around: Neighbours,
    features: np.ndarray,
    window_us: int,
    most: int,
    slide_us: int,
    scale: Scale,
    bar: float,
) -> np.ndarray:
    """Rows of `around` that the label of a window reaches: up to `most` to each side, without a gap, as long as
    the step from one window to the next stays below the bar."""
    rows: list[int] = []
    place = {int(us): k for k, us in enumerate(around.window_us)}
    scores = scale(around.features)
    for direction in (-1, 1):
        before = scale(features)
        for k in range(1, most + 1):
            row = place.get(window_us + direction * k * slide_us)
            if row is None or not around.whole[row] or step(scores[row], before) > bar:
                break
            before = scores[row]
            rows.append(row)
    return np.array(sorted(rows), np.int64)


def _claimed(device_id: str, window_us: np.ndarray, teaching: GoldWindows, audit: GoldWindows) -> np.ndarray:
    """Windows that a label must not be spread to: those with a label of their own, those beside an audit window."""
    own = np.isin(window_us, teaching.window_us[teaching.device_id == device_id])
    judged = np.sort(audit.window_us[audit.device_id == device_id])
    if len(judged) and len(window_us):
        own |= distance_us(window_us, judged) <= EMBARGO_SECONDS * 1_000_000
    return own


def only_known(base: TrainingWindows) -> TrainingWindows:
    """The windows of a base whose activity is known."""
    rows = np.flatnonzero(base.activity != "")
    if not len(rows):
        raise NotEnoughDataError("no window of the base has a known activity; see learning.base")
    return base.take(rows)
