"""The summary of a comparison: one line a measure, with its spread and its target."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from activitymodule.statistics.fidelity.protocol import Report

C2ST_TARGET, TRANSFER_TARGET, AUTOCORRELATION_TARGET, COPYING_TARGET = 0.75, 0.95, 0.12, 0.9

_COPYING = (
    ("features, median", "features_median"),
    ("features, closest 1 %", "features_nearest"),
    ("signal, median", "signal_median"),
    ("signal, closest 1 %", "signal_nearest"),
)


@dataclass(frozen=True)
class Spread:
    """A measure over seeds, folds or both."""

    mean: float
    sd: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.mean:.3f} ± {self.sd:.3f} ({self.low:.3f} to {self.high:.3f})"


def spread(values: Iterable[float]) -> Spread:
    """Mean, standard deviation (of a sample) and range."""
    v = np.array(list(values), float)
    return Spread(
        float(v.mean()), float(v.std(ddof=1)) if len(v) > 1 else 0.0, float(v.min()), float(v.max()), len(v)
    )


@dataclass(frozen=True)
class Line:
    """A line of the summary: a measure, its spread, the same of real people alone, and the target.

    sense : 'at most' or 'at least'; target : None where there is none; it is met on the mean over seeds and folds
    """

    name: str
    value: Spread
    real: Spread | None = None
    sense: str = "at most"
    target: float | None = None

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None without a target."""
        if self.target is None:
            return None
        return self.value.mean <= self.target if self.sense == "at most" else self.value.mean >= self.target


def summary(report: Report) -> list[Line]:
    """The measures of a report in one line each, with their targets."""
    return [*_two_sample(report), *_transfer(report), *_distributions(report), *_copying(report)]


def _two_sample(report: Report) -> list[Line]:
    real = spread(report.real_pairs.c2st_auc)
    left_out = spread(auc for seed in report.left_out for auc in seed.c2st_auc)
    return [
        Line("C2ST AUC, people used", spread(u.c2st.auc for u in report.used), real, target=C2ST_TARGET),
        Line("C2ST AUC, people left out", left_out, real, target=C2ST_TARGET),
    ]


def _transfer(report: Report) -> list[Line]:
    transfers = [t for seed in report.left_out for t in seed.transfers]
    trtr = spread(t.trtr for t in report.left_out[0].transfers)
    return [
        Line("TSTR macro-F1, people left out", spread(t.tstr for t in transfers), sense="at least"),
        Line("TRTR macro-F1, the same people", trtr, sense="at least"),
        Line(
            "TSTR / TRTR, people left out",
            spread(t.ratio for t in transfers),
            sense="at least",
            target=TRANSFER_TARGET,
        ),
    ]


def _distributions(report: Report) -> list[Line]:
    real = report.real_pairs
    return [
        Line(
            "ACF error, people used" + (", person by person" if report.used[0].matched else ""),
            spread(_mean(u.autocorrelation) for u in report.used),
            spread([_mean(real.autocorrelation_minutes)]),
            target=AUTOCORRELATION_TARGET,
        ),
        Line(
            "ACF error, people left out, by activity",
            spread(_mean(one) for seed in report.left_out for one in seed.autocorrelation),
            spread(_mean(one) for one in real.autocorrelation_people),
            target=AUTOCORRELATION_TARGET,
        ),
        Line("KS distance, people used", spread(_mean(u.marginals) for u in report.used)),
        Line(
            "KS distance, people left out",
            spread(_mean(one) for seed in report.left_out for one in seed.marginals),
            spread(_mean(one) for one in real.marginals_people),
        ),
    ]


def _copying(report: Report) -> list[Line]:
    lines = []
    for what, field in _COPYING:
        ratios = [getattr(u.copying, field) for u in report.used]
        if np.isfinite(ratios).all():
            name = f"nearest neighbour, {what}, synthetic / real"
            lines.append(Line(name, spread(ratios), sense="at least", target=COPYING_TARGET))
    return lines


def _mean(values: dict[str, float]) -> float:
    return float(np.mean(list(values.values())))
