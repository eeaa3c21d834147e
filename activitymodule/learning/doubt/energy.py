"""Doubt by an energy that does not fit the predicted activity."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from activitymodule.learning.doubt.reason import Need, reason
from activitymodule.models.mets import METS, kcal_per_min

_TINY = 1e-12
# Share of the MET of an activity that people use at an easy or a hard pace; weights where a weight is not known.
_EASY, _HARD = 0.6, 1.7
_LIGHT_KG, _HEAVY_KG = 45.0, 110.0
_RESTING_MET = 1.0


@reason(Need.KCAL, Need.EXPECTED_KCAL)
def energy(kcal: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """How far the energy lies outside of what the predicted activity costs, as a logarithm of the ratio.

    kcal : (n,), kcal/min; expected : (n, 2), least and most kcal/min of the activity (see `expected_kcal`).
    Returns float64 (n,): 0 within, .69 at twice the most or half the least; NaN where either is not known.

    >>> energy(np.array([5.0, 20.0]), np.array([[4.0, 10.0], [4.0, 10.0]])).round(2).tolist()
    [0.0, 0.69]
    """
    spent = np.log(np.maximum(np.asarray(kcal, np.float64), _TINY))
    low, high = np.log(np.maximum(np.asarray(expected, np.float64), _TINY)).T
    # np.maximum passes NaN on
    return np.maximum(np.maximum(low - spent, spent - high), 0.0)


def expected_kcal(labels: Sequence[str], weight_kg: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Least and most kcal/min that an activity costs by its MET (models/mets), float64 (n, 2).

    labels : activities; weight_kg : (n,), NaN where not known: then people of 45 to 110 kg; label : int (n,), place
    in labels. NaN for an activity without a MET. Nobody uses less than at rest.
    """
    met = np.array([METS.get(name, np.nan) for name in labels], float)[label]
    weight = np.asarray(weight_kg, float)
    lightest, heaviest = (np.where(np.isnan(weight), usual, weight) for usual in (_LIGHT_KG, _HEAVY_KG))
    least = np.maximum(met * _EASY, np.minimum(met, _RESTING_MET))
    return np.stack([kcal_per_min(least, lightest), kcal_per_min(met * _HARD, heaviest)], 1)
