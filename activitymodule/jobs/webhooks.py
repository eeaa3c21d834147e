"""`activity webhooks`: add, list, test and remove addresses that get activity events."""

from __future__ import annotations

import typer

from activitymodule.jobs import options, output
from activitymodule.settings import settings
from activitymodule.store import connection as store
from activitymodule.store import webhooks
from activitymodule.workflows.events import webhooks as workflow

SECTION = "Stream"

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Add, list, test and remove addresses that get activity events (docs/events.md).",
)

_ID = typer.Argument(..., help="The number that `activity webhooks list` shows.", metavar="ID")


@app.command(epilog="Example: activity webhooks add https://example.org/hook --events began,ended")
def add(
    url: str = typer.Argument(
        ..., help="An https:// address on the public internet, or in events.webhook_networks."
    ),
    events: str = typer.Option(
        "began,ended,corrected,withdrawn", help="The kinds of events it gets, with commas between them."
    ),
    as_json: bool = options.JSON,
) -> None:
    """Send events from now on to an address, signed. The secret is printed once."""
    kinds = [one.strip() for one in events.split(",") if one.strip()]
    added = workflow.add(settings(), url, kinds)
    if as_json:
        output.print_json({"webhook": added.webhook.webhook_id, "secret": added.secret})
        return
    typer.echo(added.secret)
    typer.echo(
        f"webhook {added.webhook.webhook_id}; its secret is shown only once and verifies the header webhook-signature",
        err=True,
    )


@app.command("list", epilog="Example: activity webhooks list --json")
def list_(as_json: bool = options.JSON) -> None:
    """List webhooks with what they have got, and what keeps those that fail; without their secrets."""
    with store.session(settings(), read_only=True) as connection:
        found = webhooks.list_webhooks(connection)
    if as_json:
        output.print_json([{**_shown(one), "state": one.state} for one in found])
    elif not found:
        typer.echo("no webhooks; `activity webhooks add URL` adds one")
    else:
        output.print_table(
            ("id", "address", "events", "state", "delivered", "last (UTC)", "error"),
            [
                (
                    str(one.webhook_id),
                    workflow.shown_url(one.url),
                    ", ".join(one.events),
                    one.state,
                    f"{one.delivered:,}",
                    one.delivered_at,
                    one.error or "",
                )
                for one in found
            ],
        )


@app.command("test", epilog="Example: activity webhooks test 1")
def probe(webhook_id: int = _ID) -> None:
    """Send a signed request without events. A dead webhook that takes it goes on where it stopped."""
    workflow.probe(settings(), webhook_id)
    typer.echo(f"webhook {webhook_id} takes requests")


@app.command(epilog="Example: activity webhooks remove 1")
def remove(webhook_id: int = _ID) -> None:
    """Remove a webhook and its secret."""
    store.transact(settings(), lambda connection: webhooks.remove_webhook(connection, webhook_id))
    typer.echo(f"webhook {webhook_id} is removed")


def _shown(one: webhooks.Webhook) -> dict[str, object]:
    return {
        "webhook": one.webhook_id,
        "url": workflow.shown_url(one.url),
        "events": one.events,
        "delivered": one.delivered,
        "delivered_at": one.delivered_at,
        "failing_since": one.failing_since,
        "next_try_at": one.next_try_at,
        "dead_at": one.dead_at,
        "error": one.error,
    }
