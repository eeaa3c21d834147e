"""How far annotators agree, and which labels look wrong. Pure functions of arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from activitymodule.errors import DataError

_RESAMPLES = 2000


@dataclass(frozen=True)
class PairAgreement:
    """Two annotators on the windows both labelled: Cohen's kappa with a 95 % interval.

    kappa : None where it is not defined (no common window, or both always gave one and the same label); then
    `agree` alone speaks. low, high : None likewise
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
    windows agree it is [1, 1] and says little: look at their number.
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

    window : anything hashable that tells windows apart. An annotator's last label of a window counts.
    """
    common = _in_common(annotator, window, label)
    return [pair_agreement(*pair, common[pair], seed=seed) for pair in sorted(common)]


def _in_common(
    annotator: Sequence[str], window: Sequence[object], label: Sequence[str]
) -> dict[tuple[str, str], list[tuple[str, str]]]:
    """Pair of annotators -> what each said of every window that both labelled."""
    by_window: dict[object, dict[str, str]] = {}
    for who, what, said in zip(annotator, window, label, strict=True):
        by_window.setdefault(what, {})[who] = said
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


def _table(labels: Sequence[tuple[str, str]]) -> np.ndarray:
    """Counts of first by second annotator, int (n_labels, n_labels)."""
    names = sorted({label for pair in labels for label in pair})
    place = {name: k for k, name in enumerate(names)}
    k = len(names)
    code = np.array([place[one] * k + place[other] for one, other in labels])
    return np.bincount(code, minlength=k * k).reshape(k, k)


@dataclass(frozen=True)
class Suspicion:
    """A label that looks wrong: the row it is of, what it says, what the model takes it for, and its quality (the
    probability a model that never saw the person gives the label; 0 to 1, low is suspicious)."""

    row: int
    label: str
    suggested: str
    quality: float


def suspicious_labels(
    probabilities: np.ndarray, label: np.ndarray, labels: Sequence[str], *, most: int | None = None
) -> list[Suspicion]:
    """Labels to look at again, the most suspicious first (confident learning: Northcutt, Jiang and Chuang 2021,
    Journal of Artificial Intelligence Research 70, as in cleanlab).

    probabilities : (n, n_labels), of models that never saw the window's person: a model that learnt the label
    believes it; label : str (n,); labels : of the columns. A label that has no column is not judged.
    """
    probabilities = np.asarray(probabilities, np.float64)
    if probabilities.shape != (len(label), len(labels)):
        raise DataError(
            f"probabilities of shape {probabilities.shape} do not fit {len(label)} windows and {len(labels)} labels"
        )
    place = {name: k for k, name in enumerate(labels)}
    rows = np.array([k for k, name in enumerate(label) if str(name) in place], np.int64)
    rows = rows[np.isfinite(probabilities[rows]).all(1)] if len(rows) else rows
    code = np.array([place[str(label[k])] for k in rows], np.int64)
    used = np.unique(code)
    if len(rows) < 2 or len(used) < 2:
        return []
    from cleanlab.filter import find_label_issues

    # cleanlab wants every class to be given at least once
    own = probabilities[np.ix_(rows, used)]
    own = own / np.maximum(own.sum(1, keepdims=True), 1e-12)
    given = np.searchsorted(used, code)
    found = find_label_issues(
        labels=given,
        pred_probs=own,
        return_indices_ranked_by="self_confidence",
        filter_by="prune_by_noise_rate",
        n_jobs=1,
    )
    out = [
        Suspicion(
            row=int(rows[k]),
            label=str(label[rows[k]]),
            suggested=str(labels[int(used[own[k].argmax()])]),
            quality=float(own[k, given[k]]),
        )
        for k in found
        if used[own[k].argmax()] != code[k]
    ]
    return out if most is None else out[:most]
