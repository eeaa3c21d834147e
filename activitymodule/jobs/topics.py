"""`activity topics`: create and inspect the Kafka topics."""

from __future__ import annotations

import typer

from activitymodule.jobs import options, output
from activitymodule.kafka import topics
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
    names: list[str] = typer.Argument(
        None, help="Names; kafka.topic, kafka.truth_topic and events.topic if left out."
    ),
    as_json: bool = options.JSON,
) -> None:
    """Create missing topics with kafka.partitions and kafka.retention_hours; add partitions to smaller ones."""
    config = settings()
    made = topics.create(config, names)
    grown = topics.grow(config, names)
    if as_json:
        output.print_json({"made": made, "grown": grown})
        return
    if made:
        typer.echo("made " + ", ".join(made))
    if grown:
        typer.echo(f"now {config.kafka.partitions} partitions: " + ", ".join(grown))
    if not made and not grown:
        typer.echo("all topics exist already")


@app.command("list", epilog="Example: activity topics list --json")
def list_topics(as_json: bool = options.JSON) -> None:
    """List the topics of the broker, without Kafka's own."""
    found = topics.names(settings())
    if as_json:
        output.print_json(found)
        return
    for name in found:
        typer.echo(name)


@app.command(epilog="Example: activity topics describe ticker-watch-data")
def describe(
    names: list[str] = typer.Argument(None, help="Names; all topics if left out."),
    as_json: bool = options.JSON,
) -> None:
    """Show partitions, messages and retention of topics."""
    found = topics.describe(settings(), names)
    if as_json:
        output.print_json(found)
        return
    output.print_table(
        ("topic", "partitions", "messages", "first offsets", "next offsets", "retention"),
        [
            (
                topic.name,
                topic.partitions,
                topic.messages,
                " ".join(map(str, topic.first_offsets)),
                " ".join(map(str, topic.next_offsets)),
                "the broker's" if topic.retention_hours is None else f"{topic.retention_hours:g} h",
            )
            for topic in found
        ],
    )
