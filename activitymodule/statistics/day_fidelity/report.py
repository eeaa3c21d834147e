"""The comparison of synthesised days with real ones: a portrait of each group, and a line a measure with its spread.

Real people are dealt into two halves by the SHA-256 of their name: the first may be tuned on, the second is reported.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from activitymodule.errors import NotEnoughDataError
from activitymodule.statistics.day_fidelity import measures
from activitymodule.statistics.day_fidelity.people import PersonDays, well_known
from activitymodule.statistics.fidelity.report import Spread, spread

People = Sequence[PersonDays]


def _of(measure: Callable[[People, People, str], float], name: str, a: People, b: People) -> float:
    return measure(a, b, name)


MEASURES: dict[str, Callable[[People, People], float]] = {
    "C2ST AUC, days within people": measures.two_sample_auc,
    **{
        f"{text}, {name}": partial(_of, measure, name)
        for text, measure in (
            ("KS, days within people", measures.within_people),
            ("KS, means between people", measures.between_people),
            ("KS, variation between people", measures.changeability),
            ("ACF error, 1 to 14 days", measures.autocorrelation_error),
            ("weekday error", measures.weekday_error),
        )
        for name in ("steps", "kcal")
    },
    "KS, days within people, active minutes": partial(_of, measures.within_people, "active_minutes"),
    "KS, means between people, active minutes": partial(_of, measures.between_people, "active_minutes"),
    "KS, share of worn days between people": measures.wear,
}
PORTRAIT: dict[str, Callable[[People], float]] = {
    "steps a day: mean over people": lambda p: float(measures.means(p, "steps").mean()),
    "steps a day: SD over people": lambda p: float(measures.means(p, "steps").std(ddof=1)),
    "steps a day: median coefficient of variation": lambda p: float(
        np.median(measures.variations(p, "steps"))
    ),
    "kcal a day: mean over people": lambda p: float(measures.means(p, "kcal").mean()),
    "kcal a day: SD over people": lambda p: float(measures.means(p, "kcal").std(ddof=1)),
    "kcal a day: median coefficient of variation": lambda p: float(np.median(measures.variations(p, "kcal"))),
    "active minutes a day: mean over people": lambda p: float(measures.means(p, "active_minutes").mean()),
    "kcal a step within people: median": measures.kcal_a_step,
    "worn days: mean share": lambda p: float(measures.worn_shares(p).mean()),
    "worn days: lowest tenth of people": lambda p: float(np.quantile(measures.worn_shares(p), 0.1)),
    "not worn after a day not worn": measures.off_again,
    "autocorrelation of steps: 1 day": lambda p: float(measures.autocorrelation(p, "steps")[0]),
    "autocorrelation of steps: 7 days": lambda p: float(measures.autocorrelation(p, "steps")[6]),
    "steps on Saturday, of the mean": lambda p: float(measures.weekdays(p, "steps")[5]),
    "steps on Sunday, of the mean": lambda p: float(measures.weekdays(p, "steps")[6]),
}


@dataclass(frozen=True)
class Halves:
    """Real people: those that may be tuned on, and those that are reported."""

    tuned: list[PersonDays]
    reported: list[PersonDays]


@dataclass(frozen=True)
class PortraitLine:
    """A figure of each group; of synthesised people with its spread over seeds."""

    name: str
    tuned: float
    reported: float
    synthetic: Spread


@dataclass(frozen=True)
class MeasureLine:
    """A measure of difference: synthesised people from each half of the real ones over seeds, and the halves."""

    name: str
    reported: Spread
    tuned: Spread
    real: float


@dataclass(frozen=True)
class DayComparison:
    """The whole comparison. people, days : of the tuned and the reported half"""

    people: tuple[int, int]
    days: tuple[int, int]
    seeds: int
    portrait: tuple[PortraitLine, ...]
    measures: tuple[MeasureLine, ...]


def halves(people: People, key: Callable[[str], str] = str) -> Halves:
    """Deal people into halves by the SHA-256 of `key` of their name. Raises NotEnoughDataError for fewer than eight."""
    if len(well_known(people)) < 8:
        raise NotEnoughDataError(
            f"a comparison needs eight people with two weeks of worn days; there are {len(well_known(people))}"
        )
    ranked = sorted(people, key=lambda p: hashlib.sha256(key(p.participant).encode()).hexdigest())
    return Halves(ranked[::2], ranked[1::2])


def compare(
    real: Halves, synthetic: Sequence[Halves], step: Callable[[str, int], None] = lambda text, steps: None
) -> DayComparison:
    """Compare real people with synthesised ones that live on the same dates, once a seed."""
    lines = []
    for name, measure in MEASURES.items():
        step(name, len(MEASURES))
        lines.append(
            MeasureLine(
                name,
                spread(measure(real.reported, made.reported) for made in synthetic),
                spread(measure(real.tuned, made.tuned) for made in synthetic),
                measure(real.tuned, real.reported),
            )
        )
    # numbers themselves tell people apart, so all seeds at once
    everybody = [[p for made in synthetic for p in getattr(made, half)] for half in ("reported", "tuned")]
    with_levels = partial(measures.two_sample_auc, absolute=True)
    lines.insert(
        1,
        MeasureLine(
            "C2ST AUC, days and levels, all seeds at once",
            spread([with_levels(real.reported, everybody[0])]),
            spread([with_levels(real.tuned, everybody[1])]),
            with_levels(real.tuned, real.reported),
        ),
    )
    portrait = [
        PortraitLine(
            name,
            of(real.tuned),
            of(real.reported),
            spread(of([*made.tuned, *made.reported]) for made in synthetic),
        )
        for name, of in PORTRAIT.items()
    ]
    both = (real.tuned, real.reported)
    return DayComparison(
        (len(real.tuned), len(real.reported)),
        (sum(len(p.day) for p in both[0]), sum(len(p.day) for p in both[1])),
        len(synthetic),
        tuple(portrait),
        tuple(lines),
    )
