"""`activity events`: send activity events to their topic and to webhooks."""

from __future__ import annotations

import signal
from dataclasses import asdict

import typer

from activitymodule.jobs import options, output
from activitymodule.settings import settings
from activitymodule.store import connection as store
from activitymodule.workflows.events import report, sending

SECTION = "Stream"

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Send activity events to their topic and to webhooks (docs/events.md).",
)


@app.command(epilog="Example: activity events send --once")
def send(
    once: bool = typer.Option(False, help="End when everything that waits now is sent."),
    as_json: bool = options.JSON,
) -> None:
    """Send events from the outbox as they come. Ctrl-C ends it in order; where events are off it only waits."""
    config = settings()
    if not config.events.enabled:
        # a service that is started anew whenever it ends would begin again and again
        typer.echo("events are off (events.enabled): there is nothing to send", err=True)
        if not once:
            signal.pause()
        return
    sender = sending.Sender(config, once=once)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, sender.stop)
    sent = sender.run()
    if as_json:
        output.print_json(sent)
    else:
        typer.echo(f"sent {sent.sent:,} events, delivered {sent.delivered:,} to webhooks", err=True)


@app.command(epilog="Example: activity events status --json")
def status(as_json: bool = options.JSON) -> None:
    """Show how many events wait to be sent, and which webhooks are dead. Ends with code 3 where no sender runs."""
    config = settings()
    with store.session(config, read_only=True) as connection:
        found = report.of_store(config, connection)
    if as_json:
        output.print_json({"sender": found.sender, **asdict(found.outbox), "dead_webhooks": found.dead})
    else:
        typer.echo(found.summary)
    if config.events.enabled and not found.sender:
        raise typer.Exit(3)
