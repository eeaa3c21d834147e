"""Agreement of annotators: Cohen's kappa with its interval. Pure functions of arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from activitymodule.models.evaluation.slices import Slicing, parts

_RESAMPLES = 2000


@dataclass(frozen=True)
class PairAgreement:
    """Two annotators on the windows both labelled: Cohen's kappa with a 95 % interval.

    agree : share of the windows with the same label; kappa : None where it is not defined (no common window, or both
    used one and the same label only); low, high : None likewise
    """

    first: str
    second: str
    windows: int
    agree: float | None
    kappa: float | None
    low: float | None
    high: float | None


def cohens_kappa(counts: np.ndarray) -> np.ndarray:
    """Cohen's kappa (1960, Educational and Psychological Measurement 20) of tables (..., n_labels, n_labels) of
    first by second annotator; NaN where chance alone would make them agree always."""
    counts = np.asarray(counts, float)
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = counts / counts.sum((-2, -1), keepdims=True)
        agree = np.trace(shares, axis1=-2, axis2=-1)
        chance = (shares.sum(-1) * shares.sum(-2)).sum(-1)
        return np.where(chance < 1 - 1e-12, (agree - chance) / (1 - chance), np.nan)


def pair_agreement(
    first: str, second: str, labels: Sequence[tuple[str, str]], *, seed: int = 0
) -> PairAgreement:
    """Agreement on windows that both labelled: (first's label, second's label) of each.

    The interval is a percentile bootstrap over windows, which are few and of different watches, mostly; where all
    windows agree it is [1, 1], and their number matters.
    """
    n = len(labels)
    if not n:
        return PairAgreement(first, second, 0, None, None, None, None)
    counts = _table(labels)
    k = len(counts)
    agree = float(np.trace(counts) / n)
    kappa = float(cohens_kappa(counts))
    if np.isnan(kappa):
        return PairAgreement(first, second, n, agree, None, None, None)
    drawn = np.random.default_rng(seed).multinomial(n, counts.ravel() / n, size=_RESAMPLES)
    kappas = cohens_kappa(drawn.reshape(-1, k, k))
    kappas = kappas[~np.isnan(kappas)]
    low, high = np.quantile(kappas, (0.025, 0.975)) if len(kappas) else (kappa, kappa)
    return PairAgreement(first, second, n, agree, kappa, float(low), float(high))


def agreements(
    annotator: Sequence[str], window: Sequence[object], label: Sequence[str], *, seed: int = 0
) -> list[PairAgreement]:
    """Every pair of annotators who labelled a window both; one entry a label in the arguments.

    window : anything hashable that identifies a window. An annotator's last label of a window counts.
    """
    common = _in_common(annotator, window, label)
    return [pair_agreement(*pair, common[pair], seed=seed) for pair in sorted(common)]


def _in_common(
    annotator: Sequence[str], window: Sequence[object], label: Sequence[str]
) -> dict[tuple[str, str], list[tuple[str, str]]]:
    """Pair of annotators -> both labels of every window that both labelled."""
    by_window: dict[object, dict[str, str]] = {}
    for who, what, given in zip(annotator, window, label, strict=True):
        by_window.setdefault(what, {})[who] = given
    common: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for answers in by_window.values():
        for one, other in combinations(sorted(answers), 2):
            common.setdefault((one, other), []).append((answers[one], answers[other]))
    return common


@dataclass(frozen=True)
class OverallAgreement:
    """All pairs of annotators together. windows : labelled by both of a pair, counted for each pair; agree : share
    of them with one label; kappa : mean of the pairs' Cohen's kappa by their windows, None where no pair has one."""

    windows: int
    agree: float | None
    kappa: float | None


def overall_agreement(
    annotator: Sequence[str], window: Sequence[object], label: Sequence[str]
) -> OverallAgreement:
    """How far annotators agree in one number, without an interval; arguments as of `agreements`."""
    pairs = _in_common(annotator, window, label).values()
    windows = sum(len(labels) for labels in pairs)
    if not windows:
        return OverallAgreement(0, None, None)
    alike = sum(one == other for labels in pairs for one, other in labels)
    kappas = [(float(cohens_kappa(_table(labels))), len(labels)) for labels in pairs]
    defined = [(kappa, n) for kappa, n in kappas if not np.isnan(kappa)]
    weight = sum(n for _, n in defined)
    return OverallAgreement(
        windows, alike / windows, sum(kappa * n for kappa, n in defined) / weight if weight else None
    )


def agreement_by_group(
    annotator: Sequence[str], window: Sequence[object], label: Sequence[str], slicings: Sequence[Slicing]
) -> list[tuple[str, str, OverallAgreement]]:
    """Kind and name of every group, such as a device model, and the agreement on its windows.

    slicings : groups of the labels; the other arguments as of `agreements`
    """
    found = []
    for kind, name, rows in parts(slicings):
        own = np.flatnonzero(rows).tolist()
        who, what, given = [annotator[k] for k in own], [window[k] for k in own], [label[k] for k in own]
        found.append((kind, name, overall_agreement(who, what, given)))
    return found


def _table(labels: Sequence[tuple[str, str]]) -> np.ndarray:
    """Counts of first by second annotator, int (n_labels, n_labels)."""
    names = sorted({label for pair in labels for label in pair})
    place = {name: k for k, name in enumerate(names)}
    k = len(names)
    code = np.array([place[one] * k + place[other] for one, other in labels])
    return np.bincount(code, minlength=k * k).reshape(k, k)
