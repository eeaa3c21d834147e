"""The inputs of the gate: the audit windows, and the answers of a model to them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from activitymodule.models.evaluation.slices import DEVICE_MODEL, Slicing

WEIGHT_RATIO = 5.0  # no audit window weighs more than so many times the median one


@dataclass(frozen=True)
class Audit:
    """The audit windows.

    label, person : str (n,); features : float32 (n, len(FEATURE_NAMES)); propensity : float (n,), how likely each
    was to be drawn; slicings : the groups that are guarded, such as device models
    """

    label: np.ndarray
    person: np.ndarray
    features: np.ndarray
    propensity: np.ndarray
    slicings: tuple[Slicing, ...] = ()

    def __len__(self) -> int:
        return len(self.label)

    @property
    def device_models(self) -> list[str] | None:
        """Of the watches (n,), '' where it is not known; None where it is of none."""
        return next((one.name.tolist() for one in self.slicings if one.kind == DEVICE_MODEL), None)

    def weights(self) -> np.ndarray:
        """Each window's weight, mean 1: the inverse of its propensity (which differs only where the audit share
        was changed meanwhile), capped at WEIGHT_RATIO times the median."""
        if not len(self):
            return np.empty(0)
        inverse = 1.0 / self.propensity
        capped = np.minimum(inverse, WEIGHT_RATIO * np.median(inverse))
        return capped / capped.mean()


@dataclass(frozen=True)
class Candidate:
    """One side of the comparison: a model's answers for the audit windows, or why it has none.

    probabilities : (n, n_labels), None where the model cannot be used; refusal : why, in one sentence; too_large :
    in one sentence, where it is larger than the limit; sha256 : of its files, empty where they were not checked
    """

    version: str
    labels: tuple[str, ...] = ()
    probabilities: np.ndarray | None = None
    megabytes: float = 0.0
    windows_per_second: float = 0.0
    refusal: str | None = None
    too_large: str | None = None
    sha256: str = ""
