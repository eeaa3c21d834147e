"""What was counted of the champion's windows, beside what its baseline expects: the input of every drift measure.

Windows of one person are alike, and a person does one thing for a while, so windows are no independent samples. Hence
features are compared with what the baseline expects for the activities that are predicted now (a quiet night is no
drift of the sensors), and uncertainty is that of a cluster sample of people (Kish 1965), not of windows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from activitymodule.models.baseline import Baseline, Totals

CHANCE = 1e-4
"""How often chance alone may exceed a threshold that is adapted to the number of people."""


@dataclass(frozen=True)
class Observation:
    """Windows of `watches` watches. Arrays have one entry a feature; means are standardised by the baseline.

    drifted : bool (n_features,), features that exceed a threshold; distance : (n_features,), how far each is from the
    baseline, 1 at its threshold. Both are known once the measures of single features are computed, empty before.
    """

    baseline: Baseline
    totals: Totals
    watches: int
    drifted: np.ndarray = field(default_factory=lambda: np.empty(0, bool))
    distance: np.ndarray = field(default_factory=lambda: np.empty(0))

    @property
    def people(self) -> int:
        """People in the baseline."""
        return max(self.baseline.people, 1)

    @property
    def cluster_factor(self) -> float:
        """What turns a standard deviation over people into the standard error of a difference of two means."""
        return math.sqrt(1 / self.watches + 1 / self.people)

    @cached_property
    def share_expected(self) -> np.ndarray:
        """Share of the training windows that have the feature."""
        return self.baseline.share_there.astype(np.float64)

    @cached_property
    def _expected(self) -> tuple[np.ndarray, np.ndarray, float]:
        return self.baseline.expected(self.totals.activities)

    @property
    def expected_mean(self) -> np.ndarray:
        """Means that the baseline has for the activities of now."""
        return self._expected[0]

    @property
    def expected_bins(self) -> np.ndarray:
        """Shares of the bins that the baseline has for the activities of now, (n_features, BINS)."""
        return self._expected[1]

    @property
    def expected_confidence(self) -> float:
        """Mean confidence that the baseline has for the activities of now."""
        return self._expected[2]

    @cached_property
    def counts(self) -> np.ndarray:
        """Windows that have the feature, at least 1."""
        return np.maximum(self.totals.counts, 1)

    @cached_property
    def mean(self) -> np.ndarray:
        """Means of now."""
        return self.totals.sums / self.counts

    @cached_property
    def bins(self) -> np.ndarray:
        """Shares of the bins now, (n_features, BINS)."""
        return self.totals.histogram / self.counts[:, None]

    @cached_property
    def missing(self) -> np.ndarray:
        """Share of the windows of now that lack the feature."""
        return 1 - self.totals.counts / max(self.totals.windows, 1)

    @property
    def monitored(self) -> np.ndarray:
        """Features that the training windows had, bool."""
        return self.baseline.monitored

    @cached_property
    def comparable(self) -> np.ndarray:
        """Judged features that some window has now, bool."""
        return self.monitored & (self.totals.counts > 0)

    @cached_property
    def class_rates(self) -> np.ndarray:
        """Share of the windows by predicted activity, (n_labels,)."""
        return self.totals.activities / max(self.totals.activities.sum(), 1)

    @property
    def confidence(self) -> float:
        """Mean confidence of the windows of now."""
        return float(self.totals.confidence_sum / max(self.totals.windows, 1))

    def in_unit(self, feature: int, standardised: float) -> float:
        """A standardised mean of a feature in the feature's unit."""
        return float(self.baseline.mean[feature] + standardised * self.baseline.sd[feature])

    def effective_windows(self) -> tuple[np.ndarray, np.ndarray]:
        """How many independent windows those of now and those of the baseline are worth."""
        icc = self.baseline.icc
        return (
            _effective(self.totals.counts, self.watches, icc),
            _effective(self.share_expected * self.baseline.windows, self.people, icc),
        )


def _effective(windows: np.ndarray, people: int, icc: np.ndarray) -> np.ndarray:
    """N / (1 + (m - 1) icc) with m windows a person: the design effect of a cluster sample (Kish 1965)."""
    windows = np.maximum(windows, 1)
    return windows / (1 + (np.maximum(windows / people, 1) - 1) * icc)
