"""The choice of windows by doubt, diversity and typicality."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from activitymodule.learning.draws import draw
from activitymodule.learning.gold import EMBARGO_SECONDS
from activitymodule.learning.policy.budget import Rules
from activitymodule.learning.strata import COLD, DOUBT

# Measured on people of two data sets (docs/active-learning.md); powers of what a window's chance is made of.
LABELS_A_POWER = (
    67.0  # the power of doubt is labels / this: the doubts of a model of few labels are unreliable
)
MOST_POWER = 6.0
LEAST_DOUBT = 1e-3
PERSON_POWER = 1.0  # 1 / (1 + items of this person)
COLD_PERSON_POWER = 2.0  # ... while cold: every person gets items early
ACTIVITY_POWER = 0.5  # 1 / (1 + items of this predicted activity), while cold
TYPICAL_POWER = 1.0  # 1 / distance to the nearest other candidates, while cold
NEIGHBOURS = 20  # ... so many of them, but at most an eighth of the candidates
# Too alike: a window nearer (root mean square, standard scores) to an item of the same person than a share of the
# candidates is. The share is items / (items + ALIKE_ITEMS): it grows with the items of a person.
ALIKE_ITEMS = 8.0
MOST_ALIKE = 0.65
NEAR = 0.05  # ... and nearer than this in any case


@dataclass(frozen=True)
class Candidate:
    """A window that may be chosen.

    person : who wears the watch, the watch itself where that is not known; activity : as predicted; doubt : by the
    measure of the rules, NaN where it has no opinion; standard : (n_features,), standard scores, None without
    """

    device_id: str
    window_start_us: int
    person: str
    activity: str
    doubt: float
    standard: np.ndarray | None = None


@dataclass(frozen=True)
class Past:
    """Earlier items, the audit share too: chosen windows must differ from them.

    items : (person, window_start_us) of those near enough in time to matter; of_person, of_activity : how many items
    each has had, by person and by predicted activity; judged : (person, window_start_us) of audit items: what is beside
    one is never learnt, so it is not chosen
    standard : (n, n_features), standard scores (`limited`) of items, None without; standard_of : (n,), whose each is
    """

    items: Sequence[tuple[str, int]] = ()
    of_person: Mapping[str, int] = field(default_factory=dict)
    of_activity: Mapping[str, int] = field(default_factory=dict)
    standard: np.ndarray | None = None
    standard_of: Sequence[str] = ()
    judged: Sequence[tuple[str, int]] = ()


@dataclass(frozen=True)
class Choice:
    """A decision for one candidate, by its place among them; `decision` explains it."""

    place: int
    stratum: str
    reason: str
    decision: dict[str, float | str | None]


def key(device_id: str, window_start_us: int, weight: float, salt: str = "") -> float:
    """The key of weighted sampling: the greatest of many keys belongs to a window with chances as the weights.
    log(weight) plus a Gumbel draw, the same as Efraimidis and Spirakis' u ** (1 / weight); -inf for no weight."""
    if not weight > 0:
        return float("-inf")
    u = draw(device_id, window_start_us, "choose", salt)
    return float(np.log(weight) - np.log(-np.log(max(u, 1e-300))))


def doubt_power(labels: int, rules: Rules) -> float:
    """How much doubt counts, by the gold labels so far: not at all while cold, then the more the more there are."""
    if labels < rules.cold_labels:
        return 0.0
    return min(labels / LABELS_A_POWER, MOST_POWER)


def weights(doubt: np.ndarray, power: float) -> np.ndarray:
    """What a window's chance is in proportion to before it is compared with others: a power of its doubt, 1 for the
    power 0. A window without a doubt (NaN) has the least chance, but one."""
    if not power:
        return np.ones(len(doubt))
    return np.maximum(np.nan_to_num(np.asarray(doubt, float), nan=0.0), LEAST_DOUBT) ** power


class _Selection:
    """The state of a choice: which candidates are left, and what was chosen so far."""

    def __init__(self, candidates: Sequence[Candidate], past: Past, rules: Rules, labels: int) -> None:
        self.rules = rules
        self.labels = labels
        self.cold = labels < rules.cold_labels
        self.power = doubt_power(labels, rules)
        self.candidates = candidates
        self.doubt = np.array([c.doubt for c in candidates], float)
        self.start = np.array([c.window_start_us for c in candidates], np.int64)
        self.person = np.array([c.person for c in candidates], object)
        self.keys = np.array(
            [
                key(c.device_id, c.window_start_us, w, rules.salt)
                for c, w in zip(candidates, weights(self.doubt, self.power), strict=True)
            ]
        )
        n = len(candidates)
        self.scores = _scores(candidates)
        self.typical = np.ones(n) if self.scores is None else _typical(self.scores)
        self.nearest = np.full(n, np.inf)
        if self.scores is not None and past.standard is not None and len(past.standard):
            same = self.person[:, None] == np.array(past.standard_of, object)[None]
            self.nearest = np.where(same, _distances(self.scores, past.standard), np.inf).min(1)
        self.free = np.ones(n, bool)
        for who, at in past.items:
            self._rest(who, at)
        self.resting = int((~self.free).sum())
        for who, at in past.judged:
            self.free &= (self.person != who) | (np.abs(self.start - at) > EMBARGO_SECONDS * 1_000_000)
        self.of_person, self.of_activity = Counter(past.of_person), Counter(past.of_activity)
        self.bar = _bar(self.nearest, np.array([self.of_person[who] for who in self.person], float))
        self.chosen: list[Choice] = []

    def _rest(self, who: str, at_us: int) -> None:
        """Leave out the windows of a person within the cooldown of a time."""
        apart = np.abs(self.start - at_us) >= max(self.rules.cooldown_us, 1)
        self.free &= (self.person != who) | apart

    def worth(self) -> np.ndarray:
        """Logarithm of the chance of each candidate with its draw in it: the greatest is chosen."""
        of_person = np.log([1.0 + self.of_person[who] for who in self.person])
        if not self.cold:
            return self.keys - PERSON_POWER * of_person
        of_activity = np.log([1.0 + self.of_activity[c.activity] for c in self.candidates])
        return (
            self.keys
            + TYPICAL_POWER * np.log(self.typical)
            - COLD_PERSON_POWER * of_person
            - ACTIVITY_POWER * of_activity
        )

    def choose(self) -> bool:
        """Choose one more candidate; False where none is left."""
        allowed = self.free & (self.nearest >= self.bar)
        if not allowed.any():
            return False
        worth = self.worth()
        place = int(np.where(allowed, worth, -np.inf).argmax())
        stratum, reason = (COLD, "random") if self.cold else (DOUBT, self.rules.measure)
        decision = self._decision(place, float(worth[place]), stratum, reason)
        self.chosen.append(Choice(place, stratum, reason, decision))
        self._take(place)
        return True

    def _decision(self, place: int, worth: float, stratum: str, reason: str) -> dict[str, float | str | None]:
        """What explains the choice of a candidate, as JSON has it."""
        taken = self.candidates[place]
        return {
            "stratum": stratum,
            "measure": reason,
            "doubt": _number(self.doubt[place]),
            "doubt_power": self.power,
            "draw": draw(taken.device_id, taken.window_start_us, "choose", self.rules.salt),
            "typicality": _number(self.typical[place]),
            "items_of_person": self.of_person[taken.person],
            "items_of_activity": self.of_activity[taken.activity],
            "worth": _number(worth),
            "place": len(self.chosen) + 1,
            "candidates": len(self.candidates),
            "resting": self.resting,
            "too_alike": int((self.free & (self.nearest < self.bar)).sum()),
            "nearest_before": _number(self.nearest[place]),
            "least_distance": self.bar,
            "labels": self.labels,
            "cold_labels": self.rules.cold_labels,
            "cooldown_minutes": self.rules.cooldown_us / 60e6,
        }

    def _take(self, place: int) -> None:
        taken = self.candidates[place]
        self.of_person[taken.person] += 1
        self.of_activity[taken.activity] += 1
        self._rest(taken.person, taken.window_start_us)
        self.free[place] = False
        if self.scores is not None:
            near = _distances(self.scores, self.scores[place : place + 1])[:, 0]
            own = self.person == taken.person
            self.nearest = np.where(own, np.minimum(self.nearest, near), self.nearest)


def choose(
    candidates: Sequence[Candidate], past: Past, rules: Rules, *, labels: int, count: int
) -> list[Choice]:
    """At most `count` of the candidates, best first, at least the cooldown apart of each person.

    labels : gold labels so far. Candidates that resemble an item of the same person, or one chosen here, are
    left out: how near that is depends on how far apart windows of one person are (`_bar`). The same input gives
    the same choice.
    """
    if not candidates or count <= 0:
        return []
    selection = _Selection(candidates, past, rules, labels)
    while len(selection.chosen) < count and selection.choose():
        pass
    return selection.chosen


def _bar(nearest: np.ndarray, items: np.ndarray) -> float:
    """The distance below which a candidate is too like an item of its person; items : how many the person had. One
    constant cannot be right: minutes of a watch that counts steps lie ten times closer together than windows of
    motion."""
    known = np.isfinite(nearest)
    if not known.any():
        return NEAR
    often = float(items[known].mean())
    share = min(often / (often + ALIKE_ITEMS), MOST_ALIKE)
    return max(NEAR, float(np.quantile(nearest[known], share)))


def _scores(candidates: Sequence[Candidate]) -> np.ndarray | None:
    """Standard scores of all candidates, limited to +-3, missing ones in the middle; None where one has none."""
    if any(c.standard is None for c in candidates):
        return None
    return limited(np.stack([np.asarray(c.standard) for c in candidates]))


def limited(standard: np.ndarray) -> np.ndarray:
    """Standard scores as distances take them: within +-3, 0 for what is missing."""
    return np.clip(np.nan_to_num(np.asarray(standard, np.float32), nan=0.0), -3, 3)


def _distances(some: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Root mean square differences of standard scores, (n_some, n_others)."""
    square = (some**2).sum(1)[:, None] + (others**2).sum(1)[None] - 2 * some @ others.T
    return np.sqrt(np.maximum(square, 0) / some.shape[1])


def _typical(scores: np.ndarray) -> np.ndarray:
    """How near a candidate is to the candidates around it: 1 / mean distance to the nearest. The label of an odd
    window carries little information on other windows."""
    n = len(scores)
    around = min(NEIGHBOURS, max(n // 8, 1), n - 1)
    if around < 1:
        return np.ones(n)
    # itself is among them, at no distance
    near = np.partition(_distances(scores, scores), around, axis=1)[:, : around + 1].sum(1) / around
    return 1.0 / np.maximum(near, 0.05)


def _number(value: float) -> float | None:
    """As JSON has it."""
    return float(value) if np.isfinite(value) else None
