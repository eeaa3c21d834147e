"""The verdict on a challenger."""

from __future__ import annotations

import numpy as np

from activitymodule.learning.gate import checks
from activitymodule.learning.gate.comparison import compare
from activitymodule.learning.gate.subjects import Audit, Candidate
from activitymodule.learning.gate.verdict import Check, Figures, Verdict
from activitymodule.settings import Learning


def judge(
    champion: Candidate,
    challenger: Candidate,
    audit: Audit,
    limits: Learning,
    *,
    seed: int = 0,
    verdicts_on_same_labels: int = 0,
) -> Verdict:
    """The verdict on a challenger. Both candidates answered for the windows of `audit`, whose labels were used for
    so many verdicts before.

    Labels that only one model knows: a challenger that lacks a label of the champion is rejected; a label that is
    new counts for the challenger as it would in service (the champion cannot predict it, so its F1 there is 0). A
    gold label neither knows counts as an error of both and is no class of the mean.
    """
    people = len(np.unique(audit.person))
    figures = Figures(labels=len(audit), people=people, verdicts_on_same_labels=verdicts_on_same_labels)
    done = [checks.loads(champion, challenger)]
    if done[0].passed:
        done += [
            checks.labels(champion, challenger),
            checks.size(challenger),
            checks.speed(challenger, limits),
            checks.enough(audit, limits),
        ]
        if len(audit) and people > 1:
            figures = compared = compare(
                champion,
                challenger,
                audit,
                limits,
                seed=seed,
                verdicts_on_same_labels=verdicts_on_same_labels,
            )
            done += [
                checks.better(compared),
                checks.classes(compared, limits),
                checks.calibration(compared, limits),
                checks.slices(compared, limits),
            ]
    return Verdict(
        promote=all(check.passed for check in done),
        summary=_summary(champion, challenger, done),
        champion=champion.version,
        challenger=challenger.version,
        checks=tuple(done),
        figures=figures,
    )


def _summary(champion: Candidate, challenger: Candidate, done: list[Check]) -> str:
    failed = [check.message for check in done if not check.passed]
    if failed:
        return f"version {challenger.version} is rejected: " + "; ".join(failed)
    better = next(check.message for check in done if check.name == "better")
    return f"version {challenger.version} is better than version {champion.version}: {better}"
