"""The names of workouts: one word a kind, whatever the maker calls it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_KINDS = {
    "jogging": "run running jog jogging treadmill treadmillrunning trailrunning trackrunning virtualrun",
    "walking": "walk walking casualwalking speedwalking indoorwalking wheelchairwalkpace",
    "hiking": "hike hiking",
    "cycling": "bike biking cycling cyclingbike outdoorbike indoorcycling spinning mountainbiking handcycling "
    "roadbiking virtualride ebiking",
    "swimming": "swim swimming lapswimming openwater openwaterswimming swimmingopenwater poolswim",
    "strength": "strength strengthtraining traditionalstrengthtraining functionalstrengthtraining weights "
    "weighttraining coretraining",
    "rowing": "row rowing rowingmachine indoorrowing",
    "elliptical": "elliptical ellipticaltrainer",
    "stairs": "stairs stairclimbing stairclimber stairstepper stepmachine stepper",
    "interval training": "hiit highintensityintervaltraining intervalworkout circuittraining crosstraining bootcamp",
    "yoga": "yoga pilates mindandbody",
    "dance": "dance dancing socialdance cardiodance danceinspiredtraining aerobicworkout aerobics zumba",
    "tennis": "tennis badminton squash tabletennis racquetball pickleball racket",
    "soccer": "soccer football",
    "basketball": "basketball",
    "skiing": "skiing alpineskiing crosscountryskiing downhillskiing snowboarding",
    "golf": "golf",
    "climbing": "climbing rockclimbing bouldering",
    "martial arts": "martialarts boxing kickboxing taichi",
}
_KIND_OF = {name: kind for kind, names in _KINDS.items() for name in names.split()}


@dataclass(frozen=True)
class Workout:
    """A workout. start, end : seconds since 1970 (UTC); minutes : of activity, pauses not among them; kcal : None
    where unknown"""

    kind: str
    start: float
    end: float
    minutes: float
    kcal: float | None


def kind_of(name: str) -> str:
    """The kind of workout of a maker's name: `HKWorkoutActivityTypeRunning` and `Run` are jogging, as a watch calls it.

    An unknown name stays, in small letters and words.
    """
    bare = name.removeprefix("HKWorkoutActivityType")
    known = _KIND_OF.get(re.sub(r"[^a-z0-9]", "", bare.lower()))
    words = re.sub(r"(?<=[a-z])(?=[A-Z])|[^A-Za-z0-9]+", " ", bare)
    return known or words.lower().strip()[:60] or "other"


def distinct(workouts: Iterable[Workout]) -> tuple[list[Workout], int]:
    """Workouts in the order of time, and how many were told by another source too.

    Of two that share more than half of the shorter one, the one with energy stays, else the longer one.
    """
    kept: list[Workout] = []
    found = sorted(set(workouts), key=lambda one: (one.kcal is None, -one.minutes, one.start, one.kind))
    total = 0
    for one in found:
        total += 1
        if not any(_same(one, other) for other in kept):
            kept.append(one)
    return sorted(kept, key=lambda one: (one.start, one.kind)), total - len(kept)


def _same(one: Workout, other: Workout) -> bool:
    shared = min(one.end, other.end) - max(one.start, other.start)
    return shared > 0.5 * min(one.end - one.start, other.end - other.start)
