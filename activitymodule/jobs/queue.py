"""`activity queue`: list the windows that wait for a label and why each was selected."""

from __future__ import annotations

from dataclasses import asdict

import typer

from activitymodule.errors import ConfigError
from activitymodule.jobs import options, output, queue_explanation
from activitymodule.learning import policy
from activitymodule.learning.strata import STRATA
from activitymodule.settings import Settings, settings
from activitymodule.store import connection as store
from activitymodule.store import queue as queue_table
from activitymodule.store import queue_views

SECTION = "Labels and models"

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    epilog="Example: activity queue list --stratum audit",
)

_EMPTY = "no item waits; `activity score` adds them, as many as `queue.items_per_hour` allows"


@app.command("list", epilog="Example: activity queue list --device watch-0001 --all")
def list_(
    stratum: str = typer.Option(None, help="Only audit, cold or doubt."),
    device: str = options.DEVICE,
    closed: bool = typer.Option(False, "--all", help="Also items that are answered, expired or withdrawn."),
    limit: int = typer.Option(50, min=1, help="Items at most, the newest first."),
    as_json: bool = options.JSON,
) -> None:
    """List the items of the queue, the newest first."""
    if stratum is not None and stratum not in STRATA:
        raise ConfigError(f"{stratum} is no stratum; the strata are {', '.join(STRATA)}")
    with store.session(settings(), read_only=True) as connection:
        items = queue_views.list_items(
            connection, stratum=stratum, device_id=device, closed=closed, limit=limit
        )
    if as_json:
        output.print_json(items)
        return
    if not items:
        typer.echo("there are no such items" if closed or stratum or device else _EMPTY)
        return
    columns = {
        "window (UTC)": "window_start",
        "watch": "device_id",
        "predicted": "activity",
        "stratum": "stratum",
        "reason": "reason",
        "doubt": "doubt",
        "annotators required": "required_labels",
        "state": "state",
        "queued (UTC)": "queued_at",
    }
    output.print_table(list(columns), [[getattr(item, name) for name in columns.values()] for item in items])


@app.command(epilog="Example: activity queue explain watch-0001 2026-11-20T10:00:10")
def explain(
    device: str = typer.Argument(..., help="The watch."),
    window: str = typer.Argument(..., help="A time within the window, ISO-8601; UTC where it has no offset."),
    as_json: bool = options.JSON,
) -> None:
    """Explain why a window was queued, or show what is known of one that was not."""
    config = settings()
    with store.session(config, read_only=True) as connection:
        found = queue_views.explain(connection, device, options.moment(window))
    explanation = queue_explanation.sentences(found, config.windows.queue_coverage, config.queue.enabled)
    if as_json:
        output.print_json({**asdict(found), "explanation": explanation})
        return
    for sentence in explanation:
        typer.echo(sentence)


@app.command(epilog="Example: activity queue stats --json")
def stats(as_json: bool = options.JSON) -> None:
    """Count the items that wait, were answered or expired; show the budget and the audit rate."""
    config = settings()
    with store.session(config, read_only=True) as connection:
        counts = queue_views.stats(connection, policy.Rules.of(config))
    if as_json:
        output.print_json(counts)
    else:
        _print_stats(counts, config)


def _print_stats(counts: queue_views.QueueStats, config: Settings) -> None:
    if not counts.by_stratum:
        typer.echo(_EMPTY)
    else:
        columns = ("waiting", "answered", "expired", "withdrawn", "last_hour")
        output.print_table(
            ("stratum", *(name.replace("_", " ") for name in columns)),
            [(name, *(getattr(one, c) for c in columns)) for name, one in counts.by_stratum.items()],
        )
        typer.echo(
            f"{counts.waiting} items wait ({counts.leased} leased), of {counts.people} watches so far; "
            f"{counts.overlap} for two annotators; {counts.labels} windows labelled"
        )
    if counts.audit_tokens is not None and counts.chosen_tokens is not None:
        typer.echo(
            f"budget now: {counts.audit_tokens:.1f} audit items, {counts.chosen_tokens:.1f} selected items "
            f"({config.queue.items_per_hour:g} items an hour in all)"
        )
    if counts.audit_rate is not None:
        typer.echo(
            f"audit rate {counts.audit_rate:.6f} for {counts.windows_per_hour:,.0f} windows/h, until "
            f"{output.cell(counts.audit_until)} UTC or until the flow changes; {counts.audit_lost} of "
            f"{counts.audit_drawn} drawn windows were dropped for lack of budget"
        )


@app.command(epilog="Example: activity queue expire")
def expire(as_json: bool = options.JSON) -> None:
    """Close items that were not answered within queue.expire_hours. The scorer also does this now and then."""
    count = store.transact(settings(), queue_table.expire)
    if as_json:
        output.print_json({"expired": count})
    else:
        typer.echo(f"{count} items expired" if count else "nothing to expire")
