"""The leakage filter: columns that know the future are dropped before a model is trained, and listed with the reason.

Two kinds are found (Kaufman et al. 2012, ACM TKDD 6:15: what was not known when the prediction is due):

- after the cut: a column that changes when the days after the cut are taken away, or holds a time after the cut;
- alone too good: a column that tells the outcome alone better than a sound one could: its area under the ROC curve, by
  a small tree on people held out, is ALONE or more; or, for a column that is not proven to come from the past, at least
  MARGIN above that of all proven columns together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold
from sklearn.tree import DecisionTreeClassifier

from activitymodule.behaviour.boosted import BoostedClassifier
from activitymodule.behaviour.grid import DayGrid
from activitymodule.behaviour.wearing.past import known_at
from activitymodule.behaviour.wearing.samples import Samples

AFTER_THE_CUT, ALONE_TOO_GOOD, NOT_A_NUMBER = "after the cut", "alone too good", "not a number"
ALONE = 0.95
MARGIN = 0.03
_LEAST_ALONE = 0.75  # below it no column is suspect, however weak the others are
_FOLDS = 3
_MOST_ROWS = 6000  # of one check; they are drawn by chance

Builder = Callable[[DayGrid, int], Mapping[str, np.ndarray]]
"""Columns of people at a cut, from a grid that goes on after it."""


@dataclass(frozen=True)
class Dropped:
    """A column that is not used. rule : a constant above; reason : in a sentence; auc : of the column alone"""

    column: str
    rule: str
    reason: str
    auc: float | None = None


@dataclass(frozen=True)
class Kept:
    """What passed: column -> values (n,), and what was dropped."""

    columns: Mapping[str, np.ndarray]
    dropped: tuple[Dropped, ...]

    def matrix(self) -> np.ndarray:
        """The columns side by side, float64 (n, n_columns)."""
        return np.stack(list(self.columns.values()), 1)


def changed_by_the_future(grid: DayGrid, cut: int, builder: Builder = known_at) -> tuple[str, ...]:
    """Columns of a builder whose values differ when it is given no day after the cut."""
    seeing, blind = builder(grid, cut), builder(grid.until(cut), cut)
    return tuple(name for name in seeing if not _same(seeing[name], blind.get(name)))


def without_leaks(
    samples: Samples, train: np.ndarray, *, changed: tuple[str, ...] = (), seed: int = 0
) -> Kept:
    """The columns of samples that do not know the future, by the samples `train` (places) alone.

    changed : columns that `changed_by_the_future` found
    """
    checked = np.asarray(train)
    if len(checked) > _MOST_ROWS:
        checked = np.sort(np.random.default_rng(seed).choice(checked, _MOST_ROWS, replace=False))
    stops, person = samples.stops[checked], samples.person[checked]
    dropped: list[Dropped] = []
    proven: dict[str, np.ndarray] = {}
    for name, values in samples.past.items():
        auc = alone(values[checked], stops, person)
        if name in changed:
            reason = "it changes when the days after the cut are taken away"
            dropped.append(Dropped(name, AFTER_THE_CUT, reason, auc))
        elif auc >= ALONE:
            dropped.append(Dropped(name, ALONE_TOO_GOOD, _too_good(auc, f"{ALONE:g}"), auc))
        else:
            proven[name] = values
    together = _together(proven, checked, stops, person)
    least = min(ALONE, max(together + MARGIN, _LEAST_ALONE))
    kept = dict(proven)
    for name, values in samples.extras.items():
        own = values[checked]
        if (late := _after(own, samples, checked)) is not None:
            dropped.append(Dropped(name, AFTER_THE_CUT, late))
            continue
        auc = alone(own, stops, person)
        if auc >= least:
            against = (
                f"{ALONE:g}" if least == ALONE else f"the columns of the past together reach {together:.3f}"
            )
            dropped.append(Dropped(name, ALONE_TOO_GOOD, _too_good(auc, against), auc))
        elif own.dtype == object:
            dropped.append(Dropped(name, NOT_A_NUMBER, "it is no number; models take numbers only", auc))
        else:
            kept[name] = values
    return Kept(kept, tuple(dropped))


def alone(values: np.ndarray, stops: np.ndarray, person: np.ndarray) -> float:
    """Area under the ROC curve of one column, float64 or object (n,), by a small tree on people held out.

    A tree, so that any relation counts, also that the value is missing. Texts are taken in the order of how often they
    stop in the training part.
    """
    folds = min(_FOLDS, len(np.unique(person)))
    if folds < 2 or len(np.unique(stops)) < 2:
        return 0.5
    scores = np.full(len(stops), np.nan)
    for train, test in GroupKFold(folds).split(stops, groups=person):
        learn, ask = _numbers(values, stops, train, test)
        tree = DecisionTreeClassifier(max_depth=4, min_samples_leaf=max(len(train) // 100, 5), random_state=0)
        tree.fit(learn, stops[train])
        if len(tree.classes_) == 2:
            scores[test] = tree.predict_proba(ask)[:, 1]
    known = ~np.isnan(scores)
    if len(np.unique(stops[known])) < 2:
        return 0.5
    return float(max(roc_auc_score(stops[known], scores[known]), 0.5))


def _numbers(
    values: np.ndarray, stops: np.ndarray, train: np.ndarray, test: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The column as numbers and whether it is missing, of training and test part: (n, 2) each."""
    if values.dtype != object:
        both = np.stack([np.nan_to_num(values, posinf=0, neginf=0), np.isnan(values)], 1).astype(float)
        return both[train], both[test]
    texts = np.array([None if one is None else str(one) for one in values], object)
    share: dict[object, list[int]] = {}
    for text, stop in zip(texts[train], stops[train], strict=True):
        share.setdefault(text, []).append(int(stop))
    overall = float(stops[train].mean())
    # shrunk to the overall share: a text that is there once tells nothing
    rate = {text: (sum(found) + 5 * overall) / (len(found) + 5) for text, found in share.items()}
    numbers = np.array([rate.get(text, overall) for text in texts])
    both = np.stack([numbers, [text is None for text in texts]], 1).astype(float)
    return both[train], both[test]


def _together(
    proven: Mapping[str, np.ndarray], checked: np.ndarray, stops: np.ndarray, person: np.ndarray
) -> float:
    """Area under the ROC curve of the proven columns together, on people held out."""
    folds = min(_FOLDS, len(np.unique(person)))
    if not proven or folds < 2:
        return 0.5
    X = np.stack([values[checked] for values in proven.values()], 1)
    scores = np.zeros(len(stops))
    for train, test in GroupKFold(folds).split(X, groups=person):
        if len(np.unique(stops[train])) == 2:
            scores[test] = (
                BoostedClassifier(rounds=60).fit(X[train], stops[train]).predict_proba(X[test])[:, 1]
            )
    return float(max(roc_auc_score(stops, scores), 0.5)) if len(np.unique(stops)) == 2 else 0.5


def _after(values: np.ndarray, samples: Samples, checked: np.ndarray) -> str | None:
    """Why a column of times is after the cut; None where it is none, or lies before."""
    if values.dtype != object:
        return None
    late = sum(
        (when := _day(value)) is not None and when > samples.dates[int(cut)]
        for value, cut in zip(values, samples.cut[checked], strict=True)
    )
    return f"it holds a time after the cut in {late:,} of {len(values):,} samples" if late else None


def _day(value: object) -> date | None:
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    if isinstance(value, str):
        try:
            return datetime.fromisoformat(value.strip()).date()
        except ValueError:
            return None
    return None


def _same(one: np.ndarray, other: np.ndarray | None) -> bool:
    return other is not None and one.shape == other.shape and bool(np.allclose(one, other, equal_nan=True))


def _too_good(auc: float, against: str) -> str:
    return f"alone it tells the outcome with an area under the ROC curve of {auc:.3f} ({against})"
