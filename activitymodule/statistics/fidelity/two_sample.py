"""Classifier two-sample test (C2ST; Lopez-Paz and Oquab 2017): can a classifier distinguish synthetic from real?

It is tested on people it was not trained on. An AUC of .5 is chance, 1 is certainty.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import lightgbm
import numpy as np
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold

from activitymodule.errors import NotEnoughDataError
from activitymodule.statistics.fidelity.windows import WINDOW, cut, describe
from activitymodule.statistics.recordings import Recording

FOLDS = 4


@dataclass(frozen=True)
class TwoSampleResult:
    """Result of the two-sample test.

    auc : over all windows; by_activity : AUC of the same scores within an activity; top_features : the twelve
    features that separate the data sets most, with their share of the gain
    """

    auc: float
    by_activity: dict[str, float]
    top_features: tuple[tuple[str, float], ...]


def two_sample_test(
    real: Sequence[Recording], synthetic: Sequence[Recording], *, folds: int = FOLDS
) -> TwoSampleResult:
    """The test, grouped by person: LightGBM on `describe`, windows half overlapping.

    Raises DataError where there are fewer than two people on either side.
    """
    a, b = cut(real, WINDOW // 2), cut(synthetic, WINDOW // 2)
    features_a, names = describe(a.values)
    features_b, _ = describe(b.values)
    X = np.concatenate([features_a, features_b])
    y = np.r_[np.ones(len(a)), np.zeros(len(b))]
    person = np.concatenate([a.person, b.person])
    activity = np.concatenate([a.activity, b.activity])
    folds = min(folds, len(np.unique(a.person)), len(np.unique(b.person)))
    if folds < 2:
        raise NotEnoughDataError("the two-sample test needs at least two people on either side")
    score, gain = np.zeros(len(y)), np.zeros(X.shape[1])
    for train, test in GroupKFold(folds).split(X, y, person):
        model = lightgbm.LGBMClassifier(
            n_estimators=120,
            num_leaves=15,
            learning_rate=0.08,
            subsample=0.8,
            subsample_freq=1,
            colsample_bytree=0.5,
            n_jobs=1,
            verbose=-1,
            random_state=0,
            importance_type="gain",
        ).fit(X[train], y[train])
        score[test] = model.booster_.predict(X[test])
        gain += model.feature_importances_
    order = gain.argsort()[::-1][:12]
    by_activity = {
        str(name): float(roc_auc_score(y[activity == name], score[activity == name]))
        for name in np.unique(activity)
        if len(np.unique(y[activity == name])) == 2
    }
    return TwoSampleResult(
        float(roc_auc_score(y, score)),
        by_activity,
        tuple((names[i], float(gain[i] / gain.sum())) for i in order),
    )
