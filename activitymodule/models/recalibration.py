"""A classifier on the watches of one device model: confidence and conformal sets by the labels of these watches.

A model keeps its promises on watches like those of its training. On another device model they are restored from audit
labels of its watches: a power of the probabilities makes the mean confidence the accuracy, and the conformal quantile
is that of the labelled windows. Both weigh labels by their age, and the power is drawn to 1 while they are few.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

LEAST_LABELS = 20  # of a device model, before it is calibrated on, or counts as one of the training
LEAST_PEOPLE = 2

_PRIOR_LABELS = 5.0  # how many labels the model's own confidence counts for
# How many its probabilities count for besides, where it has learnt the device model. Labelled windows are harder than
# the average, and models that never saw the person learnt from fewer people than the one that serves, which is well
# calibrated by the rest of its training already. Chosen on simulated watches (docs/models.md).
_OWN_LABELS = 120.0
_POWERS = (0.02, 20.0)
_HALVINGS = 50


@dataclass(frozen=True)
class Recalibration:
    """Probabilities to the power `power`, renormalised; `quantile` : of the conformal sets of these."""

    quantile: float
    power: float


def powered(probabilities: np.ndarray, power: float | np.ndarray) -> np.ndarray:
    """Probabilities (n_windows, n_labels) to a power, of all windows or of each (n_windows,), renormalised."""
    exponent = np.asarray(power, np.float64)
    tiny = np.finfo(np.float32).tiny
    logarithm = np.log(np.maximum(probabilities, tiny)) * (exponent[:, None] if exponent.ndim else exponent)
    raised = np.exp(logarithm - logarithm.max(1, keepdims=True))
    return np.asarray(raised / raised.sum(1, keepdims=True)).astype(probabilities.dtype)


def by_age(age_days: np.ndarray, half_life_days: float) -> np.ndarray:
    """Weights of labels of this age: half as much after `half_life_days`."""
    return np.asarray(0.5 ** (np.asarray(age_days, np.float64) / half_life_days))


def recalibrate(
    probabilities: np.ndarray,
    truth: np.ndarray,
    weight: np.ndarray,
    *,
    alpha: float,
    own_labels: float = 0.0,
) -> Recalibration:
    """The calibration by labelled windows of watches of one device model.

    probabilities : (n_windows, n_labels), of the model alone; truth : int (n_windows,), -1 for a label that the model
    does not know; weight : (n_windows,), of the labels, the next window weighing 1; own_labels : how many labels the
    probabilities count for, in the quantile and, beside _PRIOR_LABELS, in the power

    The quantile leaves room for the next window, which weighs 1 and may be worse than all (Barber, Candes, Ramdas and
    Tibshirani 2023, Annals of Statistics 51, section 3.1). With few or old labels it is 1: all labels are in the set.
    """
    prior = _PRIOR_LABELS + own_labels
    power = matching_power(probabilities, probabilities.argmax(1) == truth, weight, prior)
    raised = powered(np.asarray(probabilities, np.float64), power)
    score = np.where(truth >= 0, 1.0 - raised[np.arange(len(truth)), truth], 1.0)
    # by the labels the truth is one label, by the probabilities a little of each
    scores = np.concatenate([score, (1.0 - raised).ravel()])
    shares = np.concatenate([weight, (own_labels * weight[:, None] / weight.sum() * raised).ravel()])
    order = np.argsort(scores, kind="stable")
    reached = np.cumsum(shares[order]) / (weight.sum() + own_labels + 1.0)
    place = int(np.searchsorted(reached, 1.0 - alpha - 1e-12))
    return Recalibration(float(scores[order][place]) if place < len(scores) else 1.0, power)


def matching_power(
    probabilities: np.ndarray, right: np.ndarray, weight: np.ndarray, prior: float = _PRIOR_LABELS
) -> float:
    """The power with which the weighted mean of the confidence is the accuracy, drawn to 1 as if so many labels said
    that the confidence is right as it is."""

    def confidence(power: float) -> float:
        return float(weight @ powered(np.asarray(probabilities, np.float64), power).max(1) / weight.sum())

    total = weight.sum()
    expected = (weight @ right + prior * confidence(1.0)) / (total + prior)
    low, high = np.log(_POWERS[0]), np.log(_POWERS[1])
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if confidence(float(np.exp(middle))) < expected else (low, middle)
    return float(np.exp((low + high) / 2))


def by_held_out(
    probabilities: np.ndarray,
    truth: np.ndarray,
    person: np.ndarray,
    device_model: np.ndarray,
    weight: np.ndarray,
    *,
    alpha: float,
) -> dict[str, Recalibration]:
    """The calibrations on the device models of a training, by what models that never saw the person say of its windows.

    So they hold for people of whom there is no label. Device models with fewer than LEAST_LABELS windows or
    LEAST_PEOPLE people have none. Arguments are those of `recalibrate`, with `person` and `device_model`, (n_windows,),
    '' where it is not known; weight : the inverse of the propensity of each window, in any unit

    The next window comes as windows come, so it weighs what they weigh on average by these weights: the sum of squares
    over the sum (Tibshirani, Barber, Candes and Ramdas 2019, NeurIPS 32, weighted conformal prediction). The labels
    then count for as many as their effective number (Kish 1965).
    """
    out = {}
    for name in sorted(set(device_model.tolist()) - {""}):
        own = device_model == name
        if own.sum() >= LEAST_LABELS and len(np.unique(person[own])) >= LEAST_PEOPLE:
            relative = weight[own] * weight[own].sum() / np.square(weight[own]).sum()
            out[name] = recalibrate(
                probabilities[own], truth[own], relative, alpha=alpha, own_labels=_OWN_LABELS
            )
    return out


def by_device_model(
    probabilities: np.ndarray,
    quantiles: np.ndarray,
    wide: float,
    device_models: Sequence[str | None],
    known: Mapping[str, Recalibration],
    trained: Collection[str] = (),
) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and conformal quantiles of windows by the device model of their watch.

    Those of a device model in `known` are calibrated; those of one in `trained`, which the model learnt from, stay as
    they are, as do those without one (None); of another one the quantile is at least `wide`, for nothing is known of
    it. quantiles : (n_windows,)
    """
    probabilities, quantiles = probabilities.copy(), np.array(quantiles, np.float64)
    models = np.array([model or "" for model in device_models], object)
    for model in set(models.tolist()) - {""}:
        own = models == model
        if (found := known.get(model)) is None:
            if model not in trained:
                quantiles[own] = np.maximum(quantiles[own], wide)
        else:
            probabilities[own] = powered(probabilities[own], found.power)
            quantiles[own] = found.quantile
    return probabilities, quantiles
