"""`activity backfill`: score archived readings that arrived too late for the stream."""

from __future__ import annotations

from datetime import datetime

import typer

from activitymodule.jobs import options, output
from activitymodule.settings import settings
from activitymodule.streaming import backfill as streaming
from activitymodule.streaming import session, spark_errors

SECTION = "Stream"

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(epilog="Example: activity backfill --since 2026-11-01 --json")
def backfill(
    since: datetime | None = typer.Option(
        None, formats=["%Y-%m-%d"], help="Only messages that arrived on this day or later (UTC)."
    ),
    until: datetime | None = typer.Option(
        None, formats=["%Y-%m-%d"], help="Only messages that arrived on this day or earlier (UTC)."
    ),
    device: list[str] = typer.Option([], help="Only windows of this watch. May be repeated."),
    again: bool = typer.Option(
        False, "--again", help="Score stored windows anew, such as after a watch's model was set."
    ),
    as_json: bool = options.JSON,
) -> None:
    """Score the windows for which the archive holds more readings than the store."""
    config = settings()
    with spark_errors.explained_spark(config):
        spark = session.spark_session(config, "backfill", scoring=True)
        report = streaming.backfill(
            spark,
            config,
            since=since.date() if since else None,
            until=until.date() if until else None,
            devices=device,
            again=again,
        )
        spark.stop()
    if as_json:
        output.print_json(report)
    else:
        why = "were" if again else "had more readings there than in the store and were"
        typer.echo(
            f"{report.windows_in_archive:,} windows in the archive; {report.windows_scored:,} {why} scored by version "
            f"{report.model_version}; {report.rows_written:,} rows written"
        )
