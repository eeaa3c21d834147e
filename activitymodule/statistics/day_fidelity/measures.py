"""Measures of the difference between the days of two groups of people."""

from __future__ import annotations

from collections.abc import Sequence

import lightgbm
import numpy as np
from scipy.stats import ks_2samp
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold

from activitymodule.errors import NotEnoughDataError
from activitymodule.statistics.day_fidelity.people import NUMBERS, PersonDays, well_known

People = Sequence[PersonDays]
LAGS = 14
FOLDS = 4


def within_people(a: People, b: People, name: str) -> float:
    """Kolmogorov-Smirnov distance of the worn days' values as shares of their person's mean."""
    return float(ks_2samp(relative(a, name), relative(b, name)).statistic)


def between_people(a: People, b: People, name: str) -> float:
    """Kolmogorov-Smirnov distance of the people's means over worn days."""
    return float(ks_2samp(means(a, name), means(b, name)).statistic)


def changeability(a: People, b: People, name: str) -> float:
    """Kolmogorov-Smirnov distance of the people's coefficients of variation."""
    return float(ks_2samp(variations(a, name), variations(b, name)).statistic)


def wear(a: People, b: People) -> float:
    """Kolmogorov-Smirnov distance of the people's shares of worn days."""
    return float(ks_2samp(worn_shares(a), worn_shares(b)).statistic)


def autocorrelation_error(a: People, b: People, name: str) -> float:
    """Mean absolute difference of the mean autocorrelation over 1 to 14 days."""
    return float(np.abs(autocorrelation(a, name) - autocorrelation(b, name)).mean())


def weekday_error(a: People, b: People, name: str) -> float:
    """Mean absolute difference of the weekdays' means, as shares of the person's mean."""
    return float(np.abs(weekdays(a, name) - weekdays(b, name)).mean())


def relative(people: People, name: str) -> np.ndarray:
    """Values of worn days as shares of their person's mean."""
    return np.concatenate([p.worn_values(name) / p.worn_values(name).mean() for p in well_known(people)])


def means(people: People, name: str) -> np.ndarray:
    """Each person's mean over worn days."""
    return np.array([p.worn_values(name).mean() for p in well_known(people)])


def variations(people: People, name: str) -> np.ndarray:
    """Each person's coefficient of variation over worn days."""
    return np.array([p.worn_values(name).std() / p.worn_values(name).mean() for p in well_known(people)])


def worn_shares(people: People) -> np.ndarray:
    """Each person's share of worn days."""
    return np.array([p.worn.mean() for p in people if len(p.worn)])


def off_again(people: People) -> float:
    """The chance that a day is not worn when the day before was not."""
    before = np.concatenate([~p.worn[:-1] for p in people])
    after = np.concatenate([~p.worn[1:] for p in people])
    return float(after[before].mean()) if before.any() else float("nan")


def weekdays(people: People, name: str) -> np.ndarray:
    """Mean value of each weekday (7,), Monday first, as a share of the person's mean."""
    day = np.concatenate([p.weekday[p.worn] for p in well_known(people)])
    value = relative(people, name)
    return np.array([value[day == k].mean() for k in range(7)])


def autocorrelation(people: People, name: str, lags: int = LAGS) -> np.ndarray:
    """Mean over people of the autocorrelation at lags of 1 to `lags` days, (lags,); pairs of worn days only."""
    found = []
    for person in well_known(people):
        value = person.worn_values(name)
        value = value - value.mean()
        at = dict(zip(person.day[person.worn].tolist(), value.tolist(), strict=True))
        row = []
        for lag in range(1, lags + 1):
            pairs = [v * at[d + lag] for d, v in at.items() if d + lag in at]
            row.append(np.mean(pairs) / value.var() if pairs and value.var() > 0 else np.nan)
        found.append(row)
    return np.asarray(np.nanmean(np.array(found), axis=0))


def kcal_a_step(people: People) -> float:
    """Median over people of the slope of kcal on steps over worn days."""
    slopes = [np.polyfit(p.worn_values("steps"), p.worn_values("kcal"), 1)[0] for p in well_known(people)]
    return float(np.median(slopes))


def two_sample_auc(a: People, b: People, *, absolute: bool = False, folds: int = FOLDS) -> float:
    """Area under the ROC curve of a classifier that tells worn days of one group from those of the other, on people
    that it was not trained on (Lopez-Paz and Oquab 2017). .5 is chance, 1 certainty.

    It sees a day's numbers and those of the day before as shares of the person's mean, and the weekday. absolute : it
    sees the numbers themselves too, which tell people apart; that takes many people on one side at least, or it falls
    below chance where there is no difference. Raises NotEnoughDataError for too few people.
    """
    groups = [[_described(person, absolute) for person in well_known(people)] for people in (a, b)]
    folds = min(folds, *map(len, groups))
    if folds < 2:
        raise NotEnoughDataError("the two-sample test needs at least two people on either side")
    X = np.concatenate([rows for group in groups for rows in group])
    y = np.repeat([1, 0], [sum(map(len, group)) for group in groups])
    sizes = [len(rows) for group in groups for rows in group]
    person = np.repeat(np.arange(len(sizes)), sizes)
    scores = []
    for train, test in StratifiedGroupKFold(folds, shuffle=True, random_state=0).split(X, y, person):
        model = lightgbm.LGBMClassifier(
            n_estimators=100, num_leaves=7, learning_rate=0.06, min_child_samples=20, subsample=0.8,
            subsample_freq=1, n_jobs=1, verbose=-1, random_state=0,
        )  # fmt: skip
        model.fit(X[train], y[train], sample_weight=_balanced(y[train]))
        scores.append(roc_auc_score(y[test], model.booster_.predict(X[test])))
    return float(np.mean(scores))  # over folds, whose scores have levels of their own


def _balanced(y: np.ndarray) -> np.ndarray:
    return np.where(y == 1, 0.5 / max(y.mean(), 1e-9), 0.5 / max(1 - y.mean(), 1e-9))


def _described(person: PersonDays, absolute: bool) -> np.ndarray:
    """A row for each worn day, (n, features)."""
    worn = person.worn
    columns = [person.weekday[worn].astype(float)]
    yesterday = person.day[worn] - 1
    place = np.minimum(np.searchsorted(person.day, yesterday), len(person.day) - 1)
    there = person.day[place] == yesterday
    shares = []
    for name in NUMBERS:
        values = person.numbers[name] / person.worn_values(name).mean()
        before = np.where(there, values[place], np.nan)
        shares.append(values[worn])
        columns += [shares[-1], before, shares[-1] - before]
        if absolute:
            columns.append(person.worn_values(name))
    columns += [shares[1] - shares[0], shares[2] - shares[0]]
    return np.stack(columns, 1)
