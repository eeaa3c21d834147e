"""Which windows a person is asked about: budgets, the audit share, cold start, doubt with diversity.

Pure functions of what they are given: no clock, no store, no chance but draws that belong to a window
(`doubt.draw`), so a replay decides the same. Every decision comes with a dict that explains it.

- Budget: two token buckets, one for the audit share and one for all else; neither takes from the other.
- Audit share: a window is drawn where its draw is below the rate of the period. Nothing else about the window
  counts, so the rate is the exact propensity.
- Chosen windows: drawn with chances in proportion to doubt x spread (Efraimidis and Spirakis 2006,
  Inf. Process. Lett. 97, by exponential keys), at least a cooldown apart of each person and unlike what was asked
  of them before. While labels are few, typicality counts in the place of doubt.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from activitymodule.learning.doubt import required
from activitymodule.learning.draws import draw
from activitymodule.settings import Settings

AUDIT, COLD, DOUBT = "audit", "cold", "doubt"
HOUR_US = 3_600_000_000

# Measured on people of two data sets (docs/active-learning.md); powers of what a window's chance is made of.
LABELS_A_POWER = 67.0  # the power of doubt is labels / this: a model that has seen little doubts wrongly
MOST_POWER = 6.0
LEAST_DOUBT = 1e-3
PERSON_POWER = 1.0  # 1 / (1 + items of this person)
COLD_PERSON_POWER = 2.0  # ... while cold: everybody is to be asked early
ACTIVITY_POWER = 0.5  # 1 / (1 + items of this predicted activity), while cold
TYPICAL_POWER = 1.0  # 1 / distance to the nearest other candidates, while cold
NEIGHBOURS = 20  # ... so many of them, but at most an eighth of the candidates
# Too alike: a window nearer (root mean square, standard scores) to one the same person was asked about than a share of
# the candidates is. The share is items / (items + ALIKE_ITEMS): who was asked little is known little.
ALIKE_ITEMS = 8.0
MOST_ALIKE = 0.65
NEAR = 0.05  # ... and nearer than this in any case

_FIRST_PERIOD_US = 60_000_000
_GUESSED_WATCHES = 100  # before anything is known of the flow
_FAR_OFF = 4.0  # a flow that is so many times the assumed one, or less than this part, ends a period early
_ENOUGH_WINDOWS = 500  # ... once so many were expected or seen
_SETTLED = 2.0  # the next period is twice as long only where the flow was within this factor


@dataclass(frozen=True)
class Rules:
    """The settings of the queue as the policy needs them; salt : of the installation, so that no two audit alike."""

    items_per_hour: float
    burst: int
    cooldown_us: int
    cold_labels: int
    audit_share: float
    overlap_share: float
    measure: str
    window_us: int = 10_000_000
    salt: str = ""

    @classmethod
    def of(cls, config: Settings, salt: str = "") -> Rules:
        """The rules of the settings. Raises ConfigError where `queue.doubt` is no reason for doubt."""
        queue = config.queue
        return cls(
            items_per_hour=queue.items_per_hour,
            burst=queue.burst,
            cooldown_us=int(queue.cooldown_minutes * 60e6),
            cold_labels=queue.cold_labels,
            audit_share=queue.audit_share,
            overlap_share=queue.overlap_share,
            measure=required(queue.doubt).name,
            window_us=config.windows.length_seconds * 1_000_000,
            salt=salt,
        )

    @property
    def audit_per_hour(self) -> float:
        """Audit items an hour."""
        return self.items_per_hour * self.audit_share

    @property
    def chosen_per_hour(self) -> float:
        """Items an hour that are chosen by uncertainty."""
        return self.items_per_hour - self.audit_per_hour

    @property
    def audit_burst(self) -> float:
        """At least one item: a bucket that never holds a whole token would never give one."""
        return max(1.0, self.burst * self.audit_share)

    @property
    def chosen_burst(self) -> float:
        """Most chosen items at once."""
        return max(1.0, self.burst - self.audit_burst)


# ---- budget --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Budget:
    """What may be asked now, in items; time stands still while the clock goes back."""

    audit: float
    chosen: float
    as_of_us: int

    @classmethod
    def full(cls, rules: Rules, now_us: int) -> Budget:
        """A budget that has refilled to its bursts."""
        return cls(rules.audit_burst, rules.chosen_burst, now_us)

    def at(self, now_us: int, rules: Rules) -> Budget:
        """The same later: refilled by the hour's rate up to the burst."""
        hours = max(now_us - self.as_of_us, 0) / HOUR_US
        return Budget(
            min(self.audit + hours * rules.audit_per_hour, rules.audit_burst),
            min(self.chosen + hours * rules.chosen_per_hour, rules.chosen_burst),
            max(now_us, self.as_of_us),
        )

    def less(self, *, audit: int = 0, chosen: int = 0) -> Budget:
        """After so many items; the caller asks for no more than there are."""
        return replace(self, audit=self.audit - audit, chosen=self.chosen - chosen)


# ---- audit ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class AuditPeriod:
    """How long the audit draws at one rate, and from what flow (windows an hour) the rate was made."""

    from_us: int
    until_us: int
    rate: float
    windows_per_hour: float
    why: str

    def covers(self, us: int) -> bool:
        """Whether the period holds this time, in UTC microseconds."""
        return self.from_us <= us < self.until_us


def first_period(now_us: int, rules: Rules, windows_per_hour: float | None = None) -> AuditPeriod:
    """A short first period on the last flow that is known, or on a guess."""
    why = "the flow known from before"
    if windows_per_hour is None:
        windows_per_hour = _GUESSED_WATCHES * HOUR_US / rules.window_us
        why = f"a guess: {_GUESSED_WATCHES} watches"
    return _period(now_us, _FIRST_PERIOD_US, windows_per_hour, rules, why)


def next_period(
    before: AuditPeriod, seen: int, since_us: int, now_us: int, rules: Rules
) -> AuditPeriod | None:
    """The period that follows, or None while the one before goes on.

    seen : windows that could have been drawn since since_us, which is when the period began or, after a restart,
    when counting began. A period ends at its time, or earlier where the flow
    is far from what was assumed; whichever windows were drawn has no say in it, so propensities stay exact.
    Periods begin with a minute and double up to an hour while the flow is steady.
    """
    elapsed = now_us - max(since_us, before.from_us)
    if elapsed <= 0:
        return None
    expected = before.windows_per_hour * elapsed / HOUR_US
    far_off = (seen > _FAR_OFF * expected and seen >= _ENOUGH_WINDOWS) or (
        seen * _FAR_OFF < expected and expected >= _ENOUGH_WINDOWS
    )
    if now_us < before.until_us and not far_off:
        return None
    if not seen:  # silence says nothing of the flow to come
        length = before.until_us - before.from_us
        return _period(now_us, length, before.windows_per_hour, rules, "the flow before the silence")
    flow = seen * HOUR_US / elapsed
    steady = not far_off and expected / _SETTLED <= seen <= expected * _SETTLED
    length = min(2 * (before.until_us - before.from_us), HOUR_US) if steady else _FIRST_PERIOD_US
    return _period(now_us, length, flow, rules, f"the flow of the {elapsed / 60e6:.1f} minutes before")


def _period(now_us: int, length_us: int, windows_per_hour: float, rules: Rules, why: str) -> AuditPeriod:
    rate = min(rules.audit_per_hour / max(windows_per_hour, 1e-9), 1.0)
    return AuditPeriod(now_us, now_us + length_us, rate, windows_per_hour, why)


def audit_draw(device_id: str, window_start_us: int, salt: str) -> float:
    """The draw that alone decides about the audit; [0, 1)."""
    return draw(device_id, window_start_us, AUDIT, salt)


def wanted(device_id: str, window_start_us: int, rules: Rules) -> int:
    """How many annotators are to see a window: two for the overlap, by a draw of its own."""
    return 2 if draw(device_id, window_start_us, "overlap", rules.salt) < rules.overlap_share else 1


# ---- choice --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Candidate:
    """A window that may be chosen: what the policy knows of it.

    person : who wears the watch, the watch itself where that is not known; activity : as predicted; doubt : by the
    measure of the rules, NaN where it says nothing; standard : (n_features,), standard scores, None without
    """

    device_id: str
    window_start_us: int
    person: str
    activity: str
    doubt: float
    standard: np.ndarray | None = None


@dataclass(frozen=True)
class Past:
    """What was asked before, the audit share too: the policy keeps away from it.

    items : (person, window_start_us) of those near enough in time to matter; of_person, of_activity : how many items
    each has had, by person and by predicted activity
    standard : (n, n_features), standard scores (`limited`) of items, None without; standard_of : (n,), whose each is
    """

    items: Sequence[tuple[str, int]] = ()
    of_person: Mapping[str, int] = field(default_factory=dict)
    of_activity: Mapping[str, int] = field(default_factory=dict)
    standard: np.ndarray | None = None
    standard_of: Sequence[str] = ()


@dataclass(frozen=True)
class Choice:
    """A decision for one candidate, by its place among them; `decision` says why."""

    place: int
    stratum: str
    reason: str
    decision: dict[str, Any]


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
    power 0. A window of which the measure says nothing has the least chance there is, but one."""
    if not power:
        return np.ones(len(doubt))
    return np.maximum(np.nan_to_num(np.asarray(doubt, float), nan=0.0), LEAST_DOUBT) ** power


def choose(
    candidates: Sequence[Candidate], past: Past, rules: Rules, *, labels: int, count: int
) -> list[Choice]:
    """At most `count` of the candidates, best first, at least the cooldown apart of each person.

    labels : gold labels so far. Candidates that resemble one the same person was asked about, or one taken here, are
    passed over: how near that is depends on how far apart windows of one person are (`_bar`). The same input gives
    the same choice.
    """
    if not candidates or count <= 0:
        return []
    cold = labels < rules.cold_labels
    power = doubt_power(labels, rules)
    n = len(candidates)
    doubt = np.array([c.doubt for c in candidates], float)
    start = np.array([c.window_start_us for c in candidates], np.int64)
    person = np.array([c.person for c in candidates], object)
    own = np.array(
        [
            key(c.device_id, c.window_start_us, w, rules.salt)
            for c, w in zip(candidates, weights(doubt, power), strict=True)
        ]
    )
    scores = _scores(candidates)
    typical = np.ones(n) if scores is None else _typical(scores)
    nearest = np.full(n, np.inf)
    if scores is not None and past.standard is not None and len(past.standard):
        same = person[:, None] == np.array(past.standard_of, object)[None]
        nearest = np.where(same, _distances(scores, past.standard), np.inf).min(1)
    free = np.ones(n, bool)
    for who, at in past.items:
        free &= (person != who) | (np.abs(start - at) >= max(rules.cooldown_us, 1))
    resting = int((~free).sum())
    asked, had = Counter(past.of_person), Counter(past.of_activity)
    bar = _bar(nearest, np.array([asked[who] for who in person], float))
    activity = [c.activity for c in candidates]
    chosen: list[Choice] = []
    while len(chosen) < count:
        allowed = free & (nearest >= bar)
        if not allowed.any():
            break
        worth = (
            own
            + (TYPICAL_POWER if cold else 0) * np.log(typical)
            - (COLD_PERSON_POWER if cold else PERSON_POWER) * np.log([1.0 + asked[who] for who in person])
            - (ACTIVITY_POWER if cold else 0) * np.log([1.0 + had[name] for name in activity])
        )
        place = int(np.where(allowed, worth, -np.inf).argmax())
        taken = candidates[place]
        decision = {
            "stratum": COLD if cold else DOUBT,
            "measure": "random" if cold else rules.measure,
            "doubt": _number(doubt[place]),
            "doubt_power": power,
            "draw": draw(taken.device_id, taken.window_start_us, "choose", rules.salt),
            "typicality": _number(typical[place]),
            "items_of_person": asked[taken.person],
            "items_of_activity": had[taken.activity],
            "worth": _number(worth[place]),
            "place": len(chosen) + 1,
            "candidates": n,
            "resting": resting,
            "too_alike": int((free & (nearest < bar)).sum()),
            "nearest_before": _number(nearest[place]),
            "least_distance": bar,
            "labels": labels,
            "cold_labels": rules.cold_labels,
            "cooldown_minutes": rules.cooldown_us / 60e6,
        }
        chosen.append(Choice(place, COLD if cold else DOUBT, "random" if cold else rules.measure, decision))
        asked[taken.person] += 1
        had[taken.activity] += 1
        free &= (person != taken.person) | (np.abs(start - start[place]) >= max(rules.cooldown_us, 1))
        free[place] = False
        if scores is not None:
            near = _distances(scores, scores[place : place + 1])[:, 0]
            nearest = np.where(person == taken.person, np.minimum(nearest, near), nearest)
    return chosen


def _bar(nearest: np.ndarray, items: np.ndarray) -> float:
    """The distance below which a candidate is too like what its person was asked, items : how often that was. No one
    number would do: minutes of a watch that counts steps lie ten times closer together than windows of motion."""
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
    """How near a candidate is to the candidates around it: 1 / mean distance to the nearest. An odd window teaches
    little of the others."""
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
