"""The checks of the gate: each is one condition with its message."""

from __future__ import annotations

import numpy as np

from activitymodule.learning.gate.subjects import Audit, Candidate
from activitymodule.learning.gate.verdict import Check, ComparedFigures, same_labels_note
from activitymodule.settings import Learning

LOST_HITS = 3  # an activity the champion found so often and the challenger never is lost


def loads(champion: Candidate, challenger: Candidate) -> Check:
    """Whether both models load and answer."""
    message = "it loads, fits the features of this code and answers"
    if challenger.refusal:
        message = f"it does not serve ({challenger.refusal})"
    elif champion.refusal:
        message = f"the champion itself does not load ({champion.refusal}); roll back, then retrain"
    return Check(name="loads", passed=not (champion.refusal or challenger.refusal), message=message)


def labels(champion: Candidate, challenger: Candidate) -> Check:
    """Whether the challenger knows every label of the champion."""
    lost = [label for label in champion.labels if label not in challenger.labels]
    new = [label for label in challenger.labels if label not in champion.labels]
    message = "it knows every label of the champion" + (f" and also {', '.join(new)}" if new else "")
    if lost:
        message = f"it no longer knows {', '.join(lost)}"
    return Check(name="labels", passed=not lost, message=message, figures={"lost": lost, "new": new})


def size(challenger: Candidate) -> Check:
    """Whether the challenger is smaller than the limit."""
    message = challenger.too_large or f"it has {challenger.megabytes:.1f} MB"
    return Check(
        name="size",
        passed=not challenger.too_large,
        message=message,
        figures={"megabytes": round(challenger.megabytes, 3)},
    )


def speed(challenger: Candidate, limits: Learning) -> Check:
    """Whether the challenger scores enough windows a second."""
    rate, least = challenger.windows_per_second, limits.least_windows_per_second
    message = f"it scores {rate:,.0f} windows/s a core"
    return Check(
        name="speed",
        passed=rate >= least,
        message=message if rate >= least else f"{message}; at least {least:,.0f} are required",
        figures={"windows_per_second": round(rate), "least": least},
    )


def enough(audit: Audit, limits: Learning) -> Check:
    """Whether there are enough audit labels and people."""
    n, people = len(audit), len(np.unique(audit.person))
    passed = n >= limits.least_audit_labels and people >= limits.least_audit_people
    message = f"there are {n} audit labels of {people} people"
    if not passed:
        message += (
            f"; at least {limits.least_audit_labels} of {limits.least_audit_people} people are required"
        )
    return Check(
        name="enough",
        passed=passed,
        message=message,
        figures={
            "labels": n,
            "people": people,
            "least_labels": limits.least_audit_labels,
            "least_people": limits.least_audit_people,
        },
    )


def better(figures: ComparedFigures) -> Check:
    """Whether the macro-F1 is significantly higher over people."""
    change, earlier = figures.macro_f1, figures.verdicts_on_same_labels
    adjusted = f" because {same_labels_note(earlier)}" if earlier else ""
    message = (
        f"macro-F1 {change.champion:.3f} to {change.challenger:.3f}, {change.value:+.3f} with a lower bound of "
        f"{change.low:+.3f} (one-sided, alpha {figures.alpha:.2g}{adjusted}, over people)"
    )
    return Check(
        name="better",
        passed=change.low > 0,
        message=message if change.low > 0 else f"{message} is not significant",
        figures={"alpha": figures.alpha, "verdicts_on_same_labels": earlier},
    )


def classes(figures: ComparedFigures, limits: Learning) -> Check:
    """Whether no activity is lost.

    A loss counts where the F1 of an activity falls by more than the guard and by more than chance over people
    (one-sided, 5 %). F1 and not recall: a champion that predicts one activity for half the day finds all of it. An
    activity that the champion found at least LOST_HITS times and the challenger never is lost in any case.
    """
    losses = []
    for label, one in figures.per_label.items():
        before, after = one.champion_f1, one.challenger_f1
        if one.champion_hits >= LOST_HITS and one.challenger_hits == 0:
            losses.append(f"{label} altogether (F1 {before:.2f} to 0)")
        elif before - after > limits.class_guard and one.high < 0:
            losses.append(f"{label} (F1 {before:.2f} to {after:.2f})")
    message = f"the F1 of no activity falls by more than {limits.class_guard:g} beyond chance"
    if losses:
        message = f"it loses {', '.join(losses)}; the guard is {limits.class_guard:g}"
    return Check(name="classes", passed=not losses, message=message)


def calibration(figures: ComparedFigures, limits: Learning) -> Check:
    """Whether the calibration error does not grow by more than the guard."""
    change = figures.ece
    worse = change.value > limits.calibration_guard and change.low > 0
    message = f"calibration error {change.champion:.3f} to {change.challenger:.3f}"
    if worse:
        message += f", worse by more than the guard of {limits.calibration_guard:g}"
    return Check(name="calibration", passed=not worse, message=message)


def slices(figures: ComparedFigures, limits: Learning) -> Check:
    """Whether no group of watches, such as those of a device model, is harmed.

    A loss counts where the accuracy on a group with at least `least_slice_labels` audit labels falls by more than the
    guard and by more than chance (one-sided, 5 %).
    """
    guarded = [one for one in figures.slices if one.windows >= limits.least_slice_labels]
    losses = [
        f"{one.kind} {one.name} (accuracy {one.champion:.2f} to {one.challenger:.2f} on {one.windows} labels)"
        for one in guarded
        if one.champion - one.challenger > limits.slice_guard and one.high < 0
    ]
    message = f"the accuracy on none of {len(guarded)} groups falls by more than {limits.slice_guard:g} beyond chance"
    if losses:
        message = f"it harms {', '.join(losses)}; the guard is {limits.slice_guard:g}"
    return Check(name="slices", passed=not losses, message=message, figures={"guarded": len(guarded)})
