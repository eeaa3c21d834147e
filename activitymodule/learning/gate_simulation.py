"""Simulation of the gate: pairs of models whose true difference is known, and how often a challenger is promoted.

People differ: some are hard for every model, some for one of the two, and each has a mix of activities of their
own. So windows of one person are near-duplicates, which a test over windows ignores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from activitymodule.learning.gate import Audit, Candidate, ComparedFigures, Verdict, judge, macro_f1_of
from activitymodule.settings import Learning
from activitymodule.windows.catalogue import FEATURE_NAMES

LABELS = ("cycling", "jogging", "sitting", "stairs", "standing", "walking")
SHARES = np.array([0.05, 0.1, 0.3, 0.1, 0.15, 0.3])  # how common each activity is
PERSON_SD = 0.6  # of what makes a person hard, in logits
ACTIVITY_SD = 0.7  # of what makes an activity of a person look like another
NOISE_SD = 0.9  # of a window
OWN = 0.4  # how much of the last two is of one model alone, as a share of the standard deviation
MIX = 4.0  # the smaller, the more the people's days differ (Dirichlet)
CLARITY = 2.4  # of the true activity's logit: macro-F1 of about .75
SHARPNESS = 1.6  # of the probabilities, so that they are about calibrated


@dataclass(frozen=True)
class Trial:
    """An audit and the answers of two models."""

    champion: Candidate
    challenger: Candidate
    audit: Audit


def draw(
    people: int, labels: int, dice: np.random.Generator, *, clarity: tuple[float, float] = (CLARITY, CLARITY)
) -> Trial:
    """`labels` audit windows of `people` people, unequally many each; clarity of champion and challenger.

    With equal clarity the two are exchangeable: neither is better in truth.
    """
    audit, (champion, challenger) = draw_models(people, labels, dice, clarity)
    return Trial(champion, challenger, audit)


def draw_models(
    people: int, labels: int, dice: np.random.Generator, clarity: Sequence[float]
) -> tuple[Audit, list[Candidate]]:
    """An audit, and the answers of models of these clarities."""
    share = dice.dirichlet(np.full(people, 3.0))
    person = np.sort(
        np.concatenate([np.arange(people), dice.choice(people, max(labels - people, 0), p=share)])
    )[: max(labels, people)]
    mixes = dice.dirichlet(MIX * len(LABELS) * SHARES, size=people)
    truth = (mixes.cumsum(1)[person] < dice.random((len(person), 1))).sum(1).clip(max=len(LABELS) - 1)
    hard = dice.normal(0, PERSON_SD, people)

    def noise() -> np.ndarray:
        habit = dice.normal(0, ACTIVITY_SD, (people, len(LABELS), len(LABELS)))
        return habit[person, truth] + dice.normal(0, NOISE_SD, (len(person), len(LABELS)))

    shared, rest = noise(), np.sqrt(1 - OWN**2)
    candidates = []
    for number, clear in enumerate(clarity, 1):
        logits = rest * shared + OWN * noise()
        logits[np.arange(len(truth)), truth] += clear + hard[person]
        logits *= SHARPNESS
        odds = np.exp(logits - logits.max(1, keepdims=True))
        candidates.append(Candidate(str(number), LABELS, odds / odds.sum(1, keepdims=True), 1.0, 1e4))
    audit = Audit(
        label=np.array(LABELS)[truth],
        person=np.array([f"watch-{who:03d}" for who in person]),
        features=np.zeros((len(truth), len(FEATURE_NAMES)), np.float32),
        propensity=np.full(len(truth), 0.01),
    )
    return audit, candidates


@lru_cache(maxsize=8)
def clarity_for(gain: float) -> float:
    """The clarity at which macro-F1 is `gain` above that at CLARITY, for a very large audit (bisection)."""

    def f1(clear: float) -> float:
        trial = draw(300, 15_000, np.random.default_rng(0), clarity=(clear, clear))
        return macro_f1_of(trial.challenger, trial.audit)

    target = f1(CLARITY) + gain
    low, high = CLARITY, CLARITY + 2.0
    for _ in range(8):
        middle = (low + high) / 2
        low, high = (middle, high) if f1(middle) < target else (low, middle)
    return (low + high) / 2


def verdicts(
    trials: int, people: int, labels: int, limits: Learning, *, gain: float = 0.0, seed: int = 0
) -> list[Verdict]:
    """The gate's verdicts on so many independent pairs, the challenger better by `gain` in truth."""
    clear = (CLARITY, clarity_for(gain) if gain else CLARITY)
    out = []
    for k in range(trials):
        dice = np.random.default_rng([seed, people, labels, k])
        trial = draw(people, labels, dice, clarity=clear)
        out.append(judge(trial.champion, trial.challenger, trial.audit, limits, seed=k))
    return out


def promoted_by_retries(
    trials: int,
    people: int,
    labels: int,
    limits: Learning,
    *,
    tries: int,
    adjust: bool,
    seed: int = 0,
) -> list[float]:
    """Share of champions replaced by one of so many challengers that are no better, all compared on the same audit
    labels: after the first, the second ... of them. adjust : whether alpha falls with each verdict."""
    lost = np.zeros((trials, tries), bool)
    for k in range(trials):
        audit, (champion, *others) = draw_models(
            people, labels, np.random.default_rng([seed, people, labels, k]), (CLARITY,) * (tries + 1)
        )
        for j, challenger in enumerate(others):
            verdict = judge(
                champion, challenger, audit, limits, seed=k, verdicts_on_same_labels=j if adjust else 0
            )
            lost[k, j] = verdict.promote
    return [float(share) for share in np.maximum.accumulate(lost, 1).mean(0)]


def passes(verdict: Verdict, name: str) -> bool:
    """Whether a check of the verdict passed."""
    return next(check.passed for check in verdict.checks if check.name == name)


def rates(verdicts: list[Verdict]) -> dict[str, float]:
    """Shares of verdicts: promoted; better by the gate's interval; F1 merely higher; better by percentiles of the
    bootstrap alone, without the correction for few people."""
    f1 = [one.figures.macro_f1 for one in verdicts if isinstance(one.figures, ComparedFigures)]
    return {
        "promoted": float(np.mean([verdict.promote for verdict in verdicts])),
        "better": float(np.mean([passes(verdict, "better") for verdict in verdicts])),
        "higher": float(np.mean([one.value > 0 for one in f1])),
        "percentile": float(np.mean([one.percentile_low > 0 for one in f1])),
    }
