"""Why a window was queued, or was not, in sentences."""

from __future__ import annotations

from activitymodule.jobs.output import cell, safe
from activitymodule.learning.strata import AUDIT, COLD
from activitymodule.store import queue_views


def sentences(
    window: queue_views.QueuedWindow | queue_views.UnqueuedWindow, queue_coverage: float, enabled: bool = True
) -> list[str]:
    """The result of `store.queue_views.explain` in sentences.

    queue_coverage, enabled : the settings windows.queue_coverage and queue.enabled
    """
    head = f"{safe(window.device_id)}, window of {cell(window.window_start)} UTC: "
    if isinstance(window, queue_views.UnqueuedWindow):
        return [head + "not queued.", _why_not(window, queue_coverage, enabled)]
    doubts = [f"{name} {value:.3g}" for name, value in sorted(window.doubts.items()) if value is not None]
    lines = [
        head + f"queued {cell(window.queued_at)} UTC as {window.stratum}, now {window.state}.",
        f"Version {window.model_version} predicted {safe(window.activity)}; conformal set: "
        f"{safe(', '.join(window.conformal_set)) or 'empty'}.",
        *_reasons(window),
        f"Doubts: {', '.join(doubts)}.",
    ]
    if window.required_labels > 1:
        lines.append(
            f"{window.required_labels} annotators label it independently: it is in the overlap sample."
        )
    for answer in window.answers:
        word = answer.label or answer.answer
        lines.append(f"{safe(answer.annotator)} answered {safe(word)} ({cell(answer.created_at)} UTC).")
    return lines


def _reasons(window: queue_views.QueuedWindow) -> list[str]:
    decision = window.decision
    if window.stratum == AUDIT:
        return [
            f"Drawn at random for the audit: its draw {decision['draw']:.6f} is below the rate "
            f"{decision['rate']:.6f}, which does not depend on the window and is its exact propensity.",
            f"The rate is for {decision['windows_per_hour']:,.0f} windows/h ({decision['rate_made_from']}).",
        ]
    if window.stratum == COLD:
        first = (
            f"Selected at random, spread over people and activities: there were {decision['labels']} labels, fewer "
            f"than queue.cold_labels ({decision['cold_labels']})."
        )
    else:
        first = (
            f"Selected for its doubt: {window.reason} {cell(window.doubt)}, among {decision['candidates']} "
            f"candidates of {decision['windows_seen']:,} windows; with {decision['labels']} labels the doubt counted "
            f"to the power of {cell(decision.get('doubt_power'))}."
        )
    return [
        first,
        f"Place {decision['place']} of its round; items before: {decision['items_of_person']} of this person, "
        f"{decision['items_of_activity']} of this activity; {decision['resting']} candidates were in their cooldown "
        f"({decision['cooldown_minutes']:g} minutes), {decision['too_alike']} were too similar to earlier items.",
        f"Typicality {cell(decision.get('typicality'))}; distance to the nearest earlier item: "
        f"{cell(decision.get('nearest_before'))}; propensity about {window.propensity:.2g}; budget then: "
        f"{decision['budget']:.1f} items.",
    ]


def _why_not(window: queue_views.UnqueuedWindow, queue_coverage: float, enabled: bool) -> str:
    if not enabled:
        return "The queue is off (queue.enabled)."
    if window.activity is None:
        return f"It has no activity ({window.reason}), so there is no doubt to measure."
    if window.coverage < queue_coverage:
        return (
            f"Its coverage {window.coverage:.2f} is below windows.queue_coverage ({queue_coverage:g}): too few "
            "readings to label it."
        )
    return (
        f"It was predicted as {window.activity} with confidence {window.confidence:.2f}; the audit did not draw it, "
        "and other windows were more informative or the budget was spent."
    )
