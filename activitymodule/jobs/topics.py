"""`activity topics`: create and inspect the Kafka topics."""

from __future__ import annotations

import json
from dataclasses import asdict

import typer

from activitymodule.settings import settings

SECTION = "Stream"

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Create and inspect the Kafka topics.",
)


@app.command(epilog="Example: activity topics create")
def create(
    names: list[str] = typer.Argument(None, help="Names; kafka.topic and kafka.truth_topic if left out."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON for scripts."),
) -> None:
    """Make topics that are missing, by kafka.partitions and kafka.retention_hours; widen those that are smaller."""
    from activitymodule.kafka import topics

    made = topics.create(settings(), names)
    grown = topics.grow(settings(), names)
    if as_json:
        typer.echo(json.dumps({"made": made, "grown": grown}))
        return
    if made:
        typer.echo("made " + ", ".join(made))
    if grown:
        typer.echo(f"now of {settings().kafka.partitions} partitions: " + ", ".join(grown))
    if not made and not grown:
        typer.echo("all of them are there already")


@app.command("list", epilog="Example: activity topics list --json")
def list_topics(
    as_json: bool = typer.Option(False, "--json", help="Print JSON for scripts."),
) -> None:
    """List the topics of the broker, without Kafka's own."""
    from activitymodule.kafka import topics

    found = topics.names(settings())
    if as_json:
        typer.echo(json.dumps(found))
    else:
        for name in found:
            typer.echo(name)


@app.command(epilog="Example: activity topics describe ticker-watch-data")
def describe(
    names: list[str] = typer.Argument(None, help="Names; all topics if left out."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON for scripts."),
) -> None:
    """Show partitions, messages and retention of topics."""
    from rich.console import Console
    from rich.table import Table

    from activitymodule.kafka import topics

    found = topics.describe(settings(), names)
    if as_json:
        typer.echo(json.dumps([asdict(topic) for topic in found], indent=2))
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("topic")
    for heading in ("partitions", "messages", "first offsets", "next offsets", "kept for"):
        table.add_column(heading, justify="right")
    for topic in found:
        table.add_row(
            topic.name,
            str(topic.partitions),
            f"{topic.messages:,}",
            " ".join(map(str, topic.first_offsets)),
            " ".join(map(str, topic.next_offsets)),
            f"{topic.retention_hours:g} h" if topic.retention_hours is not None else "as the broker says",
        )
    Console().print(table)
