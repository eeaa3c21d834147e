"""Labels that look wrong, by confident learning. Pure functions of arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from cleanlab.filter import find_label_issues

from activitymodule.errors import DataError


@dataclass(frozen=True)
class Suspicion:
    """A label that looks wrong: its row, the label, the model's suggestion, and its quality (the probability of the
    label by a model that never saw the person; 0 to 1, low is suspicious)."""

    row: int
    label: str
    suggested: str
    quality: float


def suspicious_labels(
    probabilities: np.ndarray, label: np.ndarray, labels: Sequence[str], *, most: int | None = None
) -> list[Suspicion]:
    """Labels to review, the most suspicious first (confident learning: Northcutt, Jiang and Chuang 2021,
    Journal of Artificial Intelligence Research 70, as in cleanlab).

    probabilities : (n, n_labels), of models that never saw the window's person, for a model repeats what it learnt;
    label : str (n,); labels : of the columns. A label that has no column is left out.
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
