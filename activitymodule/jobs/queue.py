"""`activity queue`: list the windows that wait for a label and why each was selected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import typer

from activitymodule.errors import ConfigError
from activitymodule.settings import settings

if TYPE_CHECKING:
    from activitymodule.store.queue_views import QueuedWindow, UnqueuedWindow

SECTION = "Labels and models"

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Windows that wait to be labelled: which, and why they were chosen.",
    epilog="Example: activity queue list --stratum audit",
)

_JSON = typer.Option(False, "--json", help="Print JSON for scripts.")
_STRATA = ("audit", "cold", "doubt")
_EMPTY = "nothing waits; items come while `activity score` runs and `queue.items_per_hour` allows"


@app.command("list", epilog="Example: activity queue list --device watch-0001 --all")
def list_(
    stratum: str = typer.Option(None, help="Only audit, cold or doubt."),
    device: str = typer.Option(None, help="Only of this watch."),
    closed: bool = typer.Option(False, "--all", help="Also what was answered, expired or withdrawn."),
    limit: int = typer.Option(50, min=1, help="Items at the most, the newest first."),
    as_json: bool = _JSON,
) -> None:
    """List the items of the queue, the newest first."""
    from activitymodule.jobs.output import print_json, print_table
    from activitymodule.store.connection import session
    from activitymodule.store.queue_views import list_items

    if stratum is not None and stratum not in _STRATA:
        raise ConfigError(f"{stratum} is no stratum; there are {', '.join(_STRATA)}")
    with session(settings(), read_only=True) as connection:
        items = list_items(connection, stratum=stratum, device_id=device, closed=closed, limit=limit)
    if as_json:
        print_json([asdict(item) for item in items])
        return
    if not items:
        typer.echo("there are no such items" if closed or stratum or device else _EMPTY)
        return
    print_table(
        (
            "window (UTC)",
            "watch",
            "predicted",
            "stratum",
            "reason",
            "doubt",
            "annotators required",
            "state",
            "queued (UTC)",
        ),
        [
            (
                item.window_start,
                item.device_id,
                item.activity,
                item.stratum,
                item.reason,
                item.doubt,
                item.required_labels,
                item.state,
                item.queued_at,
            )
            for item in items
        ],
    )


@app.command(epilog="Example: activity queue explain watch-0001 2026-11-20T10:00:10")
def explain(
    device: str = typer.Argument(..., help="The watch."),
    window: str = typer.Argument(..., help="A time within the window, ISO-8601; UTC where it has no offset."),
    as_json: bool = _JSON,
) -> None:
    """Say why a window was queued, or what is known of one that was not."""
    from activitymodule.jobs.output import print_json
    from activitymodule.store import queue_views
    from activitymodule.store.connection import session

    try:
        at = datetime.fromisoformat(window.strip())
    except ValueError:
        raise ConfigError(f"{window} is no time; write 2026-11-20T10:00:10, as `list` prints") from None
    config = settings()
    with session(config, read_only=True) as connection:
        found = queue_views.explain(connection, device, at if at.tzinfo else at.replace(tzinfo=UTC))
    explanation = sentences(found, config.windows.queue_coverage, config.queue.enabled)
    if as_json:
        print_json({**asdict(found), "explanation": explanation})
        return
    for sentence in explanation:
        typer.echo(sentence)


def sentences(found: QueuedWindow | UnqueuedWindow, queue_coverage: float, enabled: bool = True) -> list[str]:
    """The result of `store.queue_views.explain` in sentences."""
    from activitymodule.jobs.output import cell, safe

    head = f"{safe(found.device_id)}, window of {cell(found.window_start)} UTC: "
    if not found.queued:
        return [head + "not queued.", _why_not(found, queue_coverage, enabled)]
    decision = found.decision
    said = [
        head + f"queued {cell(found.queued_at)} UTC as {found.stratum}, now {found.state}.",
        f"Version {found.model_version} said {safe(found.activity)}; conformal set: "
        f"{safe(', '.join(found.conformal_set)) or 'empty'}.",
        *_reasons(found, decision),
    ]
    known = {name: value for name, value in found.doubts.items() if value is not None}
    said.append("Doubts: " + ", ".join(f"{name} {value:.3g}" for name, value in sorted(known.items())) + ".")
    if found.required_labels > 1:
        said.append(f"{found.required_labels} annotators are to see it, blind: drawn for the overlap.")
    for answer in found.answers:
        word = answer.label or answer.answer
        said.append(f"{safe(answer.annotator)} said {safe(word)} ({cell(answer.created_at)} UTC).")
    return said


def _reasons(found: QueuedWindow, decision: Mapping[str, Any]) -> list[str]:
    from activitymodule.jobs.output import cell

    if found.stratum == "audit":
        return [
            f"Drawn for the audit: its draw {decision['draw']:.6f} is below the rate {decision['rate']:.6f}, which "
            "depends on no window; that is its exact propensity.",
            f"The rate was made for {decision['windows_per_hour']:,.0f} windows/h ({decision['rate_made_from']}).",
        ]
    if found.stratum == "cold":
        first = (
            f"Chosen at random, spread over people and activities: there were {decision['labels']} labels, fewer than "
            f"queue.cold_labels ({decision['cold_labels']})."
        )
    else:
        first = (
            f"Chosen for its doubt: {found.reason} {cell(found.doubt)}, among {decision['candidates']} "
            f"candidates of {decision['windows_seen']:,} windows; with {decision['labels']} labels doubt counted "
            f"with the power {cell(decision.get('doubt_power'))}."
        )
    typical = decision.get("typicality")
    nearest = decision.get("nearest_before")
    return [
        first,
        f"Place {decision['place']} of its round; items before: {decision['items_of_person']} of this person, "
        f"{decision['items_of_activity']} of this activity; {decision['resting']} candidates rested "
        f"(cooldown of {decision['cooldown_minutes']:g} minutes), {decision['too_alike']} resembled what was asked.",
        f"Typicality {cell(typical)}; distance to the nearest item before it: {cell(nearest)}; "
        f"propensity about {found.propensity:.2g}; budget then: {decision['budget']:.1f} items.",
    ]


def _why_not(found: UnqueuedWindow, queue_coverage: float, enabled: bool) -> str:
    if not enabled:
        return "The queue is off (queue.enabled)."
    if found.activity is None:
        return f"It has no activity ({found.reason}), so there is nothing to doubt."
    if found.coverage < queue_coverage:
        return (
            f"Its coverage {found.coverage:.2f} is below windows.queue_coverage ({queue_coverage:g}): too little to "
            "be shown to a person."
        )
    return (
        f"It was predicted as {found.activity} with confidence {found.confidence:.2f}; the audit did not draw "
        "it, and others had more to teach or the budget was spent."
    )


@app.command(epilog="Example: activity queue stats --json")
def stats(as_json: bool = _JSON) -> None:
    """The queue in numbers: what waits, what was answered, what the budget still allows."""
    from activitymodule.jobs.output import cell, print_json, print_table
    from activitymodule.learning.policy import Rules
    from activitymodule.store import queue_views
    from activitymodule.store.connection import session

    config = settings()
    with session(config, read_only=True) as connection:
        found = queue_views.stats(connection, Rules.of(config))
    if as_json:
        print_json(asdict(found))
        return
    if not found.by_stratum:
        typer.echo(_EMPTY)
    else:
        columns = ("waiting", "answered", "expired", "withdrawn", "last_hour")
        print_table(
            ("stratum", *(name.replace("_", " ") for name in columns)),
            [(name, *(getattr(counts, c) for c in columns)) for name, counts in found.by_stratum.items()],
        )
        typer.echo(
            f"{found.waiting} wait ({found.leased} held by annotators), of {found.people} watches asked so far; "
            f"{found.overlap} for two annotators; {found.labels} windows labelled"
        )
    if found.audit_tokens is not None and found.chosen_tokens is not None:
        typer.echo(
            f"budget now: {found.audit_tokens:.1f} of the audit, {found.chosen_tokens:.1f} chosen "
            f"({config.queue.items_per_hour:g} an hour in all)"
        )
    if found.audit_rate is not None:
        typer.echo(
            f"audit rate {found.audit_rate:.6f} for {found.windows_per_hour:,.0f} windows/h, "
            f"until {cell(found.audit_until)} UTC or until the flow changes; "
            f"{found.audit_lost} of {found.audit_drawn} drawn found the bucket empty"
        )


@app.command(epilog="Example: activity queue expire")
def expire(as_json: bool = _JSON) -> None:
    """Close items that nobody answered within queue.expire_hours. The scorer does so too, now and then."""
    from activitymodule.jobs.output import print_json
    from activitymodule.store import queue
    from activitymodule.store.connection import session

    with session(settings()) as connection:
        count = queue.expire(connection)
    if as_json:
        print_json({"expired": count})
        return
    typer.echo(f"{count} items expired" if count else "nothing to expire")
