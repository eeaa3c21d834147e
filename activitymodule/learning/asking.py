"""Windows that pass by, and which of them are asked: the queue's policy away from a stream, for simulations.

What the scorer does beside a batch is done here in rounds, with the same functions of learning/policy; only the clock
and the budget are missing: a round takes as many windows as it is told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from activitymodule.learning import policy
from activitymodule.learning.doubt.margin import margin
from activitymodule.learning.policy import Candidate, Past, Rules

PASSING = 400  # windows of a round, from which the policy selects
POOL = 96  # of them it keeps so many, as the scorer does
_PASSES = 10  # of a round, where one pass has not enough that the policy selects

Probabilities = Callable[[np.ndarray], np.ndarray]
"""Of windows by their places (n,): (n, n_classes)."""


@dataclass(frozen=True)
class Passing:
    """Windows that pass by. watch : (n,), who is asked; at_us : int64 (n,); standard : (n, n_features), within +-3"""

    watch: Sequence[str]
    at_us: np.ndarray
    standard: np.ndarray


class Asking:
    """Rounds of asking. chances : of each window that was asked, by its place, as the queue records them."""

    def __init__(self, passing: Passing, rules: Rules, dice: np.random.Generator) -> None:
        self.chances: dict[int, float] = {}
        self._of, self._rules, self._dice = passing, rules, dice
        self._of_person: Counter[str] = Counter()
        self._of_activity: Counter[str] = Counter()

    def ask(
        self,
        left: np.ndarray,
        count: int,
        known: Sequence[int],
        probabilities: Probabilities,
        classes: np.ndarray,
        judged: Sequence[int] = (),
    ) -> list[int]:
        """So many of the windows `left`, places (n,), after those that are `known`, as the scorer selects them.

        Of the windows that pass by, those with the greatest keys; of these, what the policy chooses. What it leaves
        (people who rest, windows too alike) is filled from the next that pass by, and in the end at random. judged :
        places of the audit share
        """
        taken: list[int] = []
        rows = np.asarray(left)
        for _ in range(_PASSES):
            passing = self._dice.permutation(rows)[:PASSING]
            taken += self._round(
                passing, count - len(taken), [*known, *taken], len(known), probabilities, classes, judged
            )
            if len(taken) >= count:
                break
            rows = np.setdiff1d(rows, passing if len(passing) < len(rows) else taken)
        if len(taken) < count:  # everybody rests: the least that can be said is that it is shown
            spare = np.setdiff1d(left, taken)
            more = [int(row) for row in self._dice.permutation(spare)[: count - len(taken)]]
            self.chances |= dict.fromkeys(more, 1.0)
            taken += more
        return taken

    def _round(
        self,
        passing: np.ndarray,
        count: int,
        known: list[int],
        labels: int,
        probabilities: Probabilities,
        classes: np.ndarray,
        judged: Sequence[int],
    ) -> list[int]:
        if not len(passing):
            return []
        of, rules = self._of, self._rules
        found = probabilities(passing)
        activity, doubt = classes[found.argmax(1)], margin(found)
        weights = policy.weights(doubt, policy.doubt_power(labels, rules))
        salt = f"{rules.salt}/{len(known)}"
        keys = [
            policy.key(of.watch[row], int(of.at_us[row]), weight, salt)
            for row, weight in zip(passing, weights.tolist(), strict=True)
        ]
        pool = np.argsort(keys)[-POOL:].tolist()
        candidates = [
            Candidate(
                of.watch[passing[k]],
                int(of.at_us[passing[k]]),
                of.watch[passing[k]],
                activity[k],
                float(doubt[k]),
                of.standard[passing[k]],
            )
            for k in pool
        ]
        past = Past(
            items=[(of.watch[row], int(of.at_us[row])) for row in known],
            of_person=self._of_person,
            of_activity=self._of_activity,
            standard=policy.limited(of.standard[known]) if known else None,
            standard_of=[of.watch[row] for row in known],
            judged=[(of.watch[row], int(of.at_us[row])) for row in judged],
        )
        chosen = policy.choose(candidates, past, rules, labels=labels, count=count)
        taken = []
        for choice in chosen:
            place, one = pool[choice.place], candidates[choice.place]
            row = int(passing[place])
            taken.append(row)
            self.chances[row] = min(len(chosen) * float(weights[place] / weights.sum()), 1.0)
            self._of_person[one.person] += 1
            self._of_activity[one.activity] += 1
        return taken
