"""Reasons to doubt a window: small callables, each with one number a window, larger where an answer would teach more.

Any one can be read and used alone; `DOUBTS` names them all for the setting `queue.doubt`. NaN says that a reason
has no opinion of a window (nothing is known of its past, the model keeps no training features, ...); it then
ranks behind all others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

_FAR_SD = 5.0  # further out than this a feature adds no more to the novelty
_TINY = 1e-12
# Of the energy of an activity as the tables have it (METs), what people of 45 to 110 kg at an easy or a hard pace use.
_EASY, _HARD = 0.6, 1.7
_LIGHT_KG, _HEAVY_KG = 45.0, 110.0
_RESTING_MET = 1.0


def least_confidence(probabilities: np.ndarray) -> np.ndarray:
    """How little the most probable label gets: 1 - p1 (Lewis and Gale 1994, SIGIR).

    probabilities : (n, n_labels); returns float64 (n,), 0 for a sure window.

    >>> least_confidence(np.array([[0.9, 0.1], [0.5, 0.5]])).round(2).tolist()
    [0.1, 0.5]
    """
    return 1.0 - np.asarray(probabilities, np.float64).max(1)


def margin(probabilities: np.ndarray) -> np.ndarray:
    """How close the two most probable labels are: 1 - (p1 - p2) (Scheffer, Decomain and Wrobel 2001, IDA).

    probabilities : (n, n_labels), at least two labels; returns float64 (n,), 1 where both are equal.

    >>> margin(np.array([[0.9, 0.1, 0.0], [0.4, 0.4, 0.2]])).round(2).tolist()
    [0.2, 1.0]
    """
    two = np.partition(np.asarray(probabilities, np.float64), -2, axis=1)[:, -2:]
    return 1.0 - (two[:, 1] - two[:, 0])


def entropy(probabilities: np.ndarray) -> np.ndarray:
    """How evenly the probability is spread over all labels: Shannon's entropy over its greatest value.

    probabilities : (n, n_labels); returns float64 (n,), 0 to 1.

    >>> entropy(np.array([[1.0, 0.0], [0.5, 0.5]])).round(2).tolist()
    [0.0, 1.0]
    """
    p = np.asarray(probabilities, np.float64)
    return -(p * np.log(np.maximum(p, _TINY))).sum(1) / np.log(max(p.shape[1], 2)) + 0.0


def set_size(in_set: np.ndarray) -> np.ndarray:
    """How many labels the conformal set holds besides one, as a share; 1 also where it is empty: nothing fits.

    in_set : bool (n, n_labels); returns float64 (n,), 0 to 1.

    >>> set_size(np.array([[True, False, False], [True, True, False], [False, False, False]])).tolist()
    [0.0, 0.5, 1.0]
    """
    size = np.asarray(in_set, bool).sum(1)
    return np.where(size == 0, 1.0, (size - 1) / max(in_set.shape[1] - 1, 1))


def novelty(standard: np.ndarray) -> np.ndarray:
    """How far a window lies from what the champion was trained on: mean size of its standard scores, a share of 5.

    standard : (n, n_features), features less their training mean, over their training deviation
    (`ScoringModel.standardised`); missing ones are NaN and left out. Each counts up to 5 deviations, so that one
    broken feature does not drown the rest. Windows like those of the training lie near .15. NaN without any feature.

    >>> novelty(np.array([[1.0, -1.0], [5.0, 50.0]])).tolist()
    [0.2, 1.0]
    """
    size = np.minimum(np.abs(np.asarray(standard, np.float64)), _FAR_SD)
    there = ~np.isnan(size)
    count = there.sum(1)
    total = np.where(there, size, 0.0).sum(1)
    return np.where(count > 0, total / np.maximum(count, 1) / _FAR_SD, np.nan)


def disagreement(probabilities: np.ndarray, past: np.ndarray) -> np.ndarray:
    """How much a window contradicts the smoothed past of its watch: total variation distance of the two beliefs.

    probabilities : (n, n_labels), of the window alone; past : (n, n_labels), what the windows before it, filtered
    (models/smoothing), say of it; a row of NaN where nothing is known. Returns float64 (n,), 0 to 1, or NaN.

    >>> disagreement(np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([[0.9, 0.1], [0.2, 0.8]])).round(2).tolist()
    [0.1, 0.8]
    """
    return 0.5 * np.abs(np.asarray(probabilities, np.float64) - past).sum(1)


def energy(kcal_per_min: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """How far the energy lies outside of what the predicted activity costs, as a logarithm of the ratio.

    kcal_per_min : (n,); expected : (n, 2), least and most kcal/min of the activity (see `expected_kcal`).
    Returns float64 (n,): 0 within, .69 at twice the most or half the least; NaN where either is not known.

    >>> energy(np.array([5.0, 20.0]), np.array([[4.0, 10.0], [4.0, 10.0]])).round(2).tolist()
    [0.0, 0.69]
    """
    kcal = np.log(np.maximum(np.asarray(kcal_per_min, np.float64), _TINY))
    low, high = np.log(np.maximum(np.asarray(expected, np.float64), _TINY)).T
    # np.maximum hands NaN on: what is not known stays so
    return np.maximum(np.maximum(low - kcal, kcal - high), 0.0)


def random(device_id: Sequence[str], window_start_us: Sequence[int], purpose: str = "cold") -> np.ndarray:
    """No reason at all: a draw from [0, 1) that belongs to the window, the same whenever it is asked for.

    >>> random(["watch-1"], [0]).tolist() == random(["watch-1"], [0]).tolist()
    True
    """
    return np.array(
        [draw(d, int(us), purpose) for d, us in zip(device_id, window_start_us, strict=True)], float
    )


def draw(device_id: str, window_start_us: int, purpose: str, salt: str = "") -> float:
    """A number from [0, 1) that is a pure function of window, purpose and salt: the first 53 bits of a keyed
    BLAKE2b. Draws of different purposes are independent of each other, and all of them of what the window holds."""
    digest = hashlib.blake2b(
        f"{window_start_us}/{device_id}".encode("utf-8", "surrogatepass"),
        digest_size=8,
        person=purpose.encode()[:16],
        key=salt.encode()[:64],
    ).digest()
    return (int.from_bytes(digest, "big") >> 11) / (1 << 53)


def expected_kcal(
    labels: Sequence[str], mets: dict[str, float], weight_kg: np.ndarray, label: np.ndarray
) -> np.ndarray:
    """Least and most kcal/min that an activity costs: MET x 3.5 x kg / 200 (Ainsworth et al. 2011), float64 (n, 2).

    labels, mets : activities and what is known of their METs; weight_kg : (n,), NaN where not known: then people
    of 45 to 110 kg; label : int (n,), place in labels. NaN for an activity that is not in the table. Nobody
    uses less than at rest.
    """
    met = np.array([mets.get(name, np.nan) for name in labels], float)[label]
    weight = np.asarray(weight_kg, float)
    lightest, heaviest = (np.where(np.isnan(weight), usual, weight) for usual in (_LIGHT_KG, _HEAVY_KG))
    least = np.maximum(met * _EASY, np.minimum(met, _RESTING_MET))
    return np.stack([least * 3.5 * lightest / 200, met * _HARD * 3.5 * heaviest / 200], 1)


@dataclass(frozen=True)
class Evidence:
    """What may be known of n windows; None where a source is lacking.

    probabilities : (n, n_labels); in_set : bool (n, n_labels); drawn : (n,), from `random`
    standard : (n, n_features), standard scores; past : (n, n_labels), the smoothed past
    kcal_per_min : (n,); expected : (n, 2), from `expected_kcal`
    """

    probabilities: np.ndarray
    in_set: np.ndarray
    drawn: np.ndarray
    standard: np.ndarray | None = None
    past: np.ndarray | None = None
    kcal_per_min: np.ndarray | None = None
    expected: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.probabilities)

    def unknown(self) -> np.ndarray:
        return np.full(len(self), np.nan)


def _novelty(e: Evidence) -> np.ndarray:
    return e.unknown() if e.standard is None else novelty(e.standard)


def _disagreement(e: Evidence) -> np.ndarray:
    return e.unknown() if e.past is None else disagreement(e.probabilities, e.past)


def _energy(e: Evidence) -> np.ndarray:
    if e.kcal_per_min is None or e.expected is None:
        return e.unknown()
    return energy(e.kcal_per_min, e.expected)


DOUBTS: dict[str, Callable[[Evidence], np.ndarray]] = {
    "least_confidence": lambda e: least_confidence(e.probabilities),
    "margin": lambda e: margin(e.probabilities),
    "entropy": lambda e: entropy(e.probabilities),
    "set_size": lambda e: set_size(e.in_set),
    "novelty": _novelty,
    "disagreement": _disagreement,
    "energy": _energy,
    "random": lambda e: np.asarray(e.drawn, float),
}
"""Name (a value of `queue.doubt`) -> Evidence to one number a window, float64 (n,)."""


def all_doubts(evidence: Evidence) -> dict[str, np.ndarray]:
    """Every reason's number for every window."""
    return {name: measure(evidence) for name, measure in DOUBTS.items()}
