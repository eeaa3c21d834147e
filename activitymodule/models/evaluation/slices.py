"""Slices: the figures of groups of windows, such as those of one device model, beside those of the whole.

A slicing gives each window the name of its group. Whatever reports a figure goes through `parts` and computes the same
figure of each group.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from activitymodule.models.calibration import calibration_error
from activitymodule.models.evaluation.scores import accuracy, macro_f1, truth_by_predicted

DEVICE_MODEL = "device model"
AGE_BAND = "age band"
WHOLE = "all"
UNKNOWN = "unknown"
"""The group of windows of which nothing is known; it is one only beside others."""

_BANDS = (18, 40, 65, 80)  # years, the first of each band but the youngest


@dataclass(frozen=True)
class Slicing:
    """One way to divide windows. name : str (n,), the group of each, empty where it is not known."""

    kind: str
    name: np.ndarray

    def take(self, rows: np.ndarray) -> Slicing:
        """Some of the windows: indices, or a mask."""
        return Slicing(self.kind, self.name[rows])


@dataclass(frozen=True)
class SliceFigures:
    """Figures of one group. confidence : mean; calibration_error : expected; coverage : share of the conformal sets
    that hold the truth; these three are None where they were not given."""

    kind: str
    name: str
    windows: int
    people: int
    accuracy: float
    macro_f1: float
    confidence: float | None = None
    calibration_error: float | None = None
    coverage: float | None = None


def age_band(years: float | None) -> str:
    """The band of an age; empty where it is not known."""
    if years is None or not years >= 0:
        return ""
    if years < _BANDS[0]:
        return f"under {_BANDS[0]}"
    if years >= _BANDS[-1]:
        return f"{_BANDS[-1]} and over"
    upper = next(one for one in _BANDS if years < one)
    return f"{_BANDS[_BANDS.index(upper) - 1]} to {upper - 1}"


def slicings_of(groups: Mapping[str, Mapping[str, str]], device_id: Sequence[str]) -> tuple[Slicing, ...]:
    """Slicings of windows by their watches; groups : kind -> device id -> group."""
    return tuple(
        Slicing(kind, np.array([of.get(device, "") for device in device_id], str))
        for kind, of in groups.items()
    )


def parts(slicings: Sequence[Slicing]) -> Iterator[tuple[str, str, np.ndarray]]:
    """Kind, name and rows (bool (n,)) of every group; a slicing that knows no window is left out."""
    for one in slicings:
        known = one.name != ""
        if not known.any():
            continue
        for name in np.unique(one.name[known]).tolist():
            yield one.kind, name, one.name == name
        if not known.all():
            yield one.kind, UNKNOWN, ~known


def slice_figures(
    slicings: Sequence[Slicing],
    truth: np.ndarray,
    predicted: np.ndarray,
    person: np.ndarray,
    *,
    confidence: np.ndarray | None = None,
    covered: np.ndarray | None = None,
) -> tuple[SliceFigures, ...]:
    """Figures of every group.

    truth, predicted : labels or codes (n,); person : (n,); confidence : (n,), of the prediction; covered : bool (n,),
    whether the conformal set holds the truth
    """
    found = []
    for kind, name, rows in parts(slicings):
        counts = truth_by_predicted(truth[rows], predicted[rows]).counts
        sure = None if confidence is None else confidence[rows].astype(np.float64)
        if sure is not None and np.isnan(sure).any():
            sure = None
        right = truth[rows] == predicted[rows]
        found.append(
            SliceFigures(
                kind=kind,
                name=name,
                windows=int(rows.sum()),
                people=len(np.unique(person[rows])),
                accuracy=float(accuracy(counts)),
                macro_f1=float(macro_f1(counts)),
                confidence=None if sure is None else float(sure.mean()),
                calibration_error=None if sure is None else calibration_error(sure, right),
                coverage=None if covered is None else float(covered[rows].mean()),
            )
        )
    return tuple(found)
