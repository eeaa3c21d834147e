"""The smoothed activity: what the last windows of a watch, taken together, say that it is now.

A forward filter of a hidden Markov model whose hidden state is the activity (Rabiner 1989, Proc. IEEE 77). It
looks at no more than the last few windows and only at stored probabilities, so a window's smoothed activity is a
pure function of those rows: a replay computes the same. The store does the same in SQL.
"""

from __future__ import annotations

import numpy as np

_LEAST = 1e-6  # no window rules a label out for good


def forward_filter(probabilities: np.ndarray, stay: float) -> np.ndarray:
    """Belief after the last of the windows: float64 ndarray of shape (n, n_labels); rows add up to 1.

    probabilities : (n, n_windows, n_labels), oldest window first; a window that is missing is NaN and lets the
    belief only spread. The chance `stay` that an activity goes on to the next window is what is left after all
    other labels share 1 - stay. The belief starts even. Labels are taken as equally common: a classifier's
    probability is then its likelihood, but for a factor.
    """
    probabilities = np.asarray(probabilities, np.float64)
    n, windows, labels = probabilities.shape
    belief = np.full((n, labels), 1.0 / labels)
    leave = (1.0 - stay) / max(labels - 1, 1)
    for k in range(windows):
        if k:
            belief = stay * belief + leave * (1.0 - belief)
        seen = probabilities[:, k]
        there = ~np.isnan(seen).any(1)
        belief[there] *= np.maximum(seen[there], _LEAST)
        belief /= belief.sum(1, keepdims=True)
    return belief


def smooth_runs(probabilities: np.ndarray, run: np.ndarray, stay: float, windows: int) -> np.ndarray:
    """`forward_filter` over the last `windows` windows of each run; ndarray of shape (n_windows, n_labels).

    probabilities : (n_windows, n_labels), in the order of time within a run; run : int (n_windows,), which
    recording a window is of; windows of one run stand together.
    """
    history = np.full((len(run), windows, probabilities.shape[1]), np.nan)
    for back in range(min(windows, len(run))):
        rows = np.arange(back, len(run))
        rows = rows[run[rows] == run[rows - back]]
        history[rows, windows - 1 - back] = probabilities[rows - back]
    return forward_filter(history, stay)
