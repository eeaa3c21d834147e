"""Windows with gold labels: which of them a model may learn from, and with which weight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from activitymodule.learning.spans import bout_weights
from activitymodule.learning.strata import AUDIT, SPAN
from activitymodule.models.dataset import TrainingWindows
from activitymodule.models.energy import PersonColumns
from activitymodule.windows.catalogue import FEATURE_NAMES

EMBARGO_SECONDS = 60
LEAST_NEW_LABELS = 20  # of an activity that is not in the base, before a model learns it ...
LEAST_NEW_PEOPLE = 3  # ... and of so many people
WEIGHT_RATIO = 3.0  # no label counts more than so many times, or less than a third of, the typical one
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

    device_id, label, stratum : str (n,); person : str (n,), who wore the watch, else the watch; window_us : int64 (n,),
    UTC microseconds of the start; propensity : float64 (n,), how likely the window was to be queued (1 under a span);
    features : float32 (n, len(FEATURE_NAMES)); device_model : str (n,), of the watch, '' where it is not known
    """

    device_id: np.ndarray
    window_us: np.ndarray
    label: np.ndarray
    stratum: np.ndarray
    propensity: np.ndarray
    features: np.ndarray
    device_model: np.ndarray = field(default_factory=lambda: np.empty(0, str))
    person: np.ndarray = field(default_factory=lambda: np.empty(0, str))

    def __post_init__(self) -> None:
        if len(self.device_model) != len(self.label):
            object.__setattr__(self, "device_model", np.zeros(len(self.label), str))
        if len(self.person) != len(self.label):
            object.__setattr__(self, "person", self.device_id)

    def __len__(self) -> int:
        return len(self.label)

    def take(self, rows: np.ndarray) -> GoldWindows:
        """Some of the windows: indices, or a mask."""
        return GoldWindows(**{name: getattr(self, name)[rows] for name in self.__dataclass_fields__})

    def __add__(self, other: GoldWindows) -> GoldWindows:
        """These windows, and then the others."""
        names = self.__dataclass_fields__
        return GoldWindows(
            **{name: np.concatenate([getattr(self, name), getattr(other, name)]) for name in names}
        )

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
    would learn one person's habit. Windows under spans count by their weight.
    """
    keep = np.isin(gold.label, list(known))
    count, spans = np.ones(len(gold)), gold.stratum == SPAN
    count[spans] = bout_weights(gold.device_id[spans], gold.label[spans], gold.window_us[spans])
    added = []
    for label in sorted(set(gold.label[~keep].tolist())):
        rows = gold.label == label
        if count[rows].sum() >= LEAST_NEW_LABELS and len(np.unique(gold.person[rows])) >= LEAST_NEW_PEOPLE:
            keep |= rows
            added.append(label)
    return keep, tuple(added)


def gold_as_training(gold: GoldWindows) -> TrainingWindows:
    """Gold windows as a training set of their own: each is its own run, its energy is not known. Those under spans
    teach and never evaluate, as copies do."""
    n = len(gold)
    return TrainingWindows(
        features=np.asarray(gold.features, np.float32),
        activity=np.asarray(gold.label, str),
        person=np.char.add(PREFIX, np.asarray(gold.person, str)) if n else np.empty(0, str),
        run=np.arange(n),
        kcal_per_min=np.full(n, np.nan, np.float32),
        people=PersonColumns.unknown(n),
        copied=gold.stratum == SPAN,
        device_model=gold.device_model,
    )
