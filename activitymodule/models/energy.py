"""The energy regressor: kcal/min of a window from its features, its predicted activity and who wears the watch.

Anything may be missing: a watch without heart rate, an unknown person. Training shows the model such rows
(`with_gaps`), so that a prediction without them is an average over their possible values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

from activitymodule.models.boosting import KeepsBooster, grow, predict

WINDOW_COLUMNS: tuple[str, ...] = (
    "heart_mean",
    "heart_slope",
    "steps_per_minute",
    "speed_mean",
    "statistics_magnitude_log_sd",
    "statistics_magnitude_iqr",
    "jerk_size_log_mean",
    "vertical_log_sd",
    "vertical_horizontal_log_sd",
    "stillness_log_sd_q50",
    "gravity_log_path",
    "spectrum_sum_dominant",
    "spectrum_sum_dominant_share",
    "spectrum_sum_centroid",
    *(f"spectrum_sum_log_power_band{band}" for band in range(1, 10)),
)
PERSON_COLUMNS: tuple[str, ...] = ("age_years", "height_cm", "weight_kg", "resting_heart_rate_bpm")
SEXES: tuple[str, ...] = ("female", "male")
COLUMNS: tuple[str, ...] = (*WINDOW_COLUMNS, *PERSON_COLUMNS, "heart_rate_reserve", "sex", "activity")
"""Columns of the regressor's matrix. `sex` and `activity` are codes: places in SEXES and in its label set."""

_HEART = tuple(COLUMNS.index(name) for name in ("heart_mean", "heart_slope", "heart_rate_reserve"))
_PERSON = tuple(COLUMNS.index(name) for name in (*PERSON_COLUMNS, "heart_rate_reserve", "sex"))
_STEPS = (COLUMNS.index("steps_per_minute"),)
_SPEED = (COLUMNS.index("speed_mean"),)
_ACTIVITY = (COLUMNS.index("activity"),)


@dataclass(frozen=True)
class PersonColumns:
    """The wearer of the watch, one value a window; NaN (sex: None) where it is not known.

    age_years, height_cm, weight_kg, resting_heart_rate_bpm : float ndarray of shape (n_windows,)
    sex : array of shape (n_windows,) of 'female', 'male' or None
    """

    age_years: np.ndarray
    sex: np.ndarray
    height_cm: np.ndarray
    weight_kg: np.ndarray
    resting_heart_rate_bpm: np.ndarray

    def __len__(self) -> int:
        return len(self.age_years)

    def take(self, rows: np.ndarray) -> PersonColumns:
        """The same for some of the windows."""
        return PersonColumns(**{f.name: np.asarray(getattr(self, f.name))[rows] for f in fields(self)})

    @classmethod
    def unknown(cls, n: int) -> PersonColumns:
        """N windows of unknown people."""
        nothing = np.full(n, np.nan, np.float32)
        return cls(nothing, np.full(n, None, object), nothing, nothing, nothing)


def heart_rate_reserve(heart_rate: np.ndarray, resting: np.ndarray, age_years: np.ndarray) -> np.ndarray:
    """Share of the way from the resting to the highest heart rate, which follows the share of the oxygen
    reserve (Swain and Leutholtz 1997); highest: 208 - .7 age (Tanaka et al. 2001). Shapes (n,)."""
    highest = 208.0 - 0.7 * age_years
    return (heart_rate - resting) / np.maximum(highest - resting, 1.0)


def energy_matrix(
    features: np.ndarray,
    names: Sequence[str],
    people: PersonColumns | None,
    activity_code: np.ndarray,
) -> np.ndarray:
    """The regressor's matrix, float64 ndarray of shape (n_windows, len(COLUMNS)).

    features : (n_windows, len(names)); a column that `names` lacks is missing
    activity_code : float (n_windows,), place of the activity in the regressor's label set, NaN where unknown
    """
    n = len(features)
    out = np.full((n, len(COLUMNS)), np.nan)
    place = {name: k for k, name in enumerate(names)}
    for column, name in enumerate(WINDOW_COLUMNS):
        if name in place:
            out[:, column] = features[:, place[name]]
    if people is not None:
        start = len(WINDOW_COLUMNS)
        for column, name in enumerate(PERSON_COLUMNS, start):
            out[:, column] = getattr(people, name)
        reserve = heart_rate_reserve(
            out[:, 0], out[:, COLUMNS.index("resting_heart_rate_bpm")], out[:, COLUMNS.index("age_years")]
        )
        out[:, COLUMNS.index("heart_rate_reserve")] = reserve
        sex = np.asarray(people.sex, object)
        for code, name in enumerate(SEXES):
            out[sex == name, COLUMNS.index("sex")] = code
    out[:, COLUMNS.index("activity")] = activity_code
    return out


class BoostedTrees(KeepsBooster, RegressorMixin, BaseEstimator):
    """LightGBM for a number that cannot be negative; NaN is a value of its own.

    X : ndarray of shape (n_windows, n_columns). With `mass_column`, the trees learn the number by kilogram of
    body mass, as the tables of energy are written (METs), with `usual_mass_kg` for those whose mass is not
    known; windows weigh by the square of the mass, so that it is still the error in kcal/min that counts.
    """

    def __init__(
        self,
        rounds: int = 300,
        learning_rate: float = 0.05,
        leaves: int = 15,
        least_windows_a_leaf: int = 20,
        column_share: float = 0.5,
        window_share: float = 0.7,
        leaf_penalty: float = 5.0,
        mass_column: int | None = None,
        usual_mass_kg: float = 75.0,
        seed: int = 0,
    ) -> None:
        self.rounds = rounds
        self.learning_rate = learning_rate
        self.leaves = leaves
        self.least_windows_a_leaf = least_windows_a_leaf
        self.mass_column = mass_column
        self.usual_mass_kg = usual_mass_kg
        self.column_share = column_share
        self.window_share = window_share
        self.leaf_penalty = leaf_penalty
        self.seed = seed

    def fit(self, X: np.ndarray, y: np.ndarray, sample_weight: np.ndarray | None = None) -> BoostedTrees:
        """Learn from X (n_windows, n_columns) and y (n_windows,)."""
        X = np.asarray(X)
        self.n_features_in_ = X.shape[1]
        self._booster = None
        mass = self._mass(X)
        weight = np.square(mass / self.usual_mass_kg) * (1.0 if sample_weight is None else sample_weight)
        self.trees_ = grow(
            X,
            np.asarray(y, np.float64) / mass,
            self.rounds,
            weight,
            objective="regression",
            learning_rate=self.learning_rate,
            num_leaves=self.leaves,
            min_data_in_leaf=self.least_windows_a_leaf,
            feature_fraction=self.column_share,
            bagging_fraction=self.window_share,
            bagging_freq=1,
            lambda_l2=self.leaf_penalty,
            seed=self.seed,
        )
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Predictions, float64 ndarray of shape (n_windows,), never below 0."""
        X = np.ascontiguousarray(X)
        return np.maximum(predict(self._grown(), X) * self._mass(X), 0.0) if len(X) else np.empty(0)

    def _mass(self, X: np.ndarray) -> np.ndarray:
        """What to divide by and multiply with, (n_windows,): the body mass in kg, 1 without a mass column."""
        if self.mass_column is None:
            return np.ones(len(X))
        mass = X[:, self.mass_column]
        return np.where(mass > 0, mass, self.usual_mass_kg)


def energy_pipeline(labels: Sequence[str], seed: int = 0) -> Pipeline:
    """The whole regressor over the columns COLUMNS: numbers as they are, sex and activity one-hot, trees.

    A code that is missing or beyond `labels` is a row of zeros.
    """
    numbers = list(range(len(COLUMNS) - 2))

    def one_hot(count: int) -> OneHotEncoder:
        codes = np.arange(count, dtype=np.float64)
        return OneHotEncoder(categories=[codes], handle_unknown="ignore", sparse_output=False)

    parts = [
        ("numbers", "passthrough", numbers),
        ("sex", one_hot(len(SEXES)), [COLUMNS.index("sex")]),
    ]
    # the numbers stand first, so the mass keeps its place
    trees = BoostedTrees(mass_column=COLUMNS.index("weight_kg"), seed=seed)
    if labels:
        parts.append(("activity", one_hot(len(labels)), [COLUMNS.index("activity")]))
    return Pipeline([("encode", ColumnTransformer(parts)), ("model", trees)])


def with_gaps(
    X: np.ndarray, y: np.ndarray, seed: int, share: float = 0.5
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """X, y and weights with a second copy of a share of the rows, each of which lacks something.

    A copy loses, each by chance, the person, the heart rate, the steps, the speed and the activity: what a watch
    in the field may not know. Returns X (m, n_columns), y (m,), weight (m,), copies at half weight.
    """
    dice = np.random.default_rng(seed)
    rows = np.flatnonzero(dice.random(len(X)) < share)
    copies = X[rows].copy()
    for columns, chance in ((_PERSON, 0.5), (_HEART, 0.5), (_STEPS, 0.5), (_SPEED, 0.5), (_ACTIVITY, 0.2)):
        lost = dice.random(len(rows)) < chance
        copies[np.ix_(lost, np.array(columns))] = np.nan
    weight = np.concatenate([np.ones(len(X)), np.full(len(rows), 0.5)])
    return np.concatenate([X, copies]), np.concatenate([y, y[rows]]), weight
