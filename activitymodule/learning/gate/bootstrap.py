"""Differences over people: bounds by the bootstrap, and the alpha that earlier verdicts leave."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats


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


def effective_people(weight: np.ndarray) -> float:
    """Effective number of people of weights w (n_people,): (sum w)^2 / sum w^2 (Kish 1965)."""
    return float(weight.sum() ** 2 / np.square(weight).sum())


def resampled_people(people: int, times: int, seed: int) -> np.ndarray:
    """How often each person is drawn in each resample: float64 (times, people), rows add up to `people`."""
    dice = np.random.default_rng(seed)
    return dice.multinomial(people, np.full(people, 1 / people), size=times).astype(np.float64)


def adjusted_alpha(alpha: float, verdicts_on_same_labels: int) -> float:
    """The alpha of one more verdict by audit labels that were used for so many verdicts already: alpha / j^2 for the
    j-th. Each verdict is another chance to be promoted by luck; so the chances of however many add up to no more than
    pi^2 / 6 = 1.64 times alpha, where at a constant alpha they would go on growing (alpha spending: Foster and Stine
    2008, J. R. Stat. Soc. B 70, Bonferroni's inequality)."""
    return alpha / (verdicts_on_same_labels + 1) ** 2
