"""Parity: how far the answers of an export lie from those of the model that it was made from, and what is allowed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

ONNX, INT8 = "onnx", "onnx-int8"
FILES: dict[str, str] = {ONNX: "model.onnx", INT8: "model.int8.onnx"}
"""Format -> the name of its file beside the model file."""


@dataclass(frozen=True)
class Bounds:
    """What is allowed. each, mean : of the difference of a probability (or of kcal/min), absolutely; same_activity :
    the least share of windows with the same most probable activity"""

    each: float
    mean: float
    same_activity: float = 0.995


BOUNDS: dict[str, Bounds] = {ONNX: Bounds(1e-5, 1e-5), INT8: Bounds(0.04, 0.01)}


@dataclass(frozen=True)
class Parity:
    """The comparison over some windows. largest, mean : of the absolute differences; same_activity : share of windows,
    1 of a number"""

    format: str
    windows: int
    largest: float
    mean: float
    same_activity: float

    @property
    def failure(self) -> str | None:
        """What is not allowed about it, None where all is."""
        bounds = BOUNDS[self.format]
        # not (a <= b): also where a number is missing
        if not self.largest <= bounds.each:
            return f"an answer differs by {self.largest:.2g}, more than {bounds.each:g}"
        if not self.mean <= bounds.mean:
            return f"answers differ by {self.mean:.2g} in the mean, more than {bounds.mean:g}"
        if not self.same_activity >= bounds.same_activity:
            return (
                f"{self.same_activity:.2%} of the windows have the same activity, less than "
                f"{bounds.same_activity:.1%}"
            )
        return None


def parity(expected: np.ndarray, found: np.ndarray, form: str) -> Parity:
    """The comparison of answers, both (n_windows, n_labels) or (n_windows,), of an export in the format `form`."""
    if expected.shape != found.shape or not len(expected):
        return Parity(form, len(expected), np.nan, np.nan, np.nan)
    difference = np.abs(np.asarray(found, np.float64) - expected)
    same = 1.0 if expected.ndim == 1 else float((expected.argmax(1) == found.argmax(1)).mean())
    return Parity(form, len(expected), float(difference.max()), float(difference.mean()), same)
