"""A reason for doubt (an uncertainty measure): a function of evidence of windows, registered under its name."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from activitymodule.errors import ConfigError


class Need(StrEnum):
    """Evidence that a reason may need; the value is the field of Evidence."""

    PROBABILITIES = "probabilities"
    CONFORMAL_SET = "in_set"
    DRAW = "drawn"
    FAMILIARITY = "familiarity"
    PAST = "past"  # the only evidence that costs a query
    KCAL = "kcal_per_min"
    EXPECTED_KCAL = "expected"


@dataclass(frozen=True)
class Evidence:
    """Evidence of n windows; None where a source is lacking.

    probabilities : (n, n_labels); in_set : bool (n, n_labels), the conformal set
    drawn : (n,), from `draws.draws`
    familiarity : (n,), models/familiarity
    past : (n, n_labels), probabilities by the windows before (models/smoothing)
    kcal_per_min : (n,); expected : (n, 2), from `expected_kcal`
    """

    probabilities: np.ndarray
    in_set: np.ndarray
    drawn: np.ndarray
    familiarity: np.ndarray | None = None
    past: np.ndarray | None = None
    kcal_per_min: np.ndarray | None = None
    expected: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.probabilities)


@dataclass(frozen=True)
class Reason:
    """A reason for doubt: `value` takes the arrays of `needs`, in that order, and returns float64 (n,)."""

    name: str
    needs: tuple[Need, ...]
    value: Callable[..., np.ndarray]

    @property
    def summary(self) -> str:
        """The first sentence of its docstring."""
        return (self.value.__doc__ or "").strip().split("\n", 1)[0]

    def __call__(self, evidence: Evidence) -> np.ndarray:
        """Its number for every window; NaN where the evidence it needs is lacking."""
        arrays = [getattr(evidence, need) for need in self.needs]
        if any(array is None for array in arrays):
            return np.full(len(evidence), np.nan)
        return self.value(*arrays)


REASONS: dict[str, Reason] = {}
"""Name (a value of `queue.doubt`) -> reason."""


def reason(*needs: Need) -> Callable[[Callable[..., np.ndarray]], Callable[..., np.ndarray]]:
    """Register a function as the reason of its name; its arguments are the evidence that it needs."""

    def register(function: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
        REASONS[function.__name__] = Reason(function.__name__, needs, function)
        return function

    return register


def required(name: str) -> Reason:
    """The reason of a name. Raises ConfigError, with the nearest name, where there is none."""
    if name in REASONS:
        return REASONS[name]
    near = difflib.get_close_matches(name, REASONS, 1, 0.5)
    meant = f"did you mean {near[0]}?" if near else f"known are: {', '.join(sorted(REASONS))}"
    raise ConfigError(f"queue.doubt is {name!r}, which is not an uncertainty measure; {meant}")


def all_doubts(evidence: Evidence) -> dict[str, np.ndarray]:
    """Every reason's number for every window."""
    return {name: reason_(evidence) for name, reason_ in REASONS.items()}


def needing(need: Need) -> list[Reason]:
    """The reasons that need a kind of evidence."""
    return [one for one in REASONS.values() if need in one.needs]
