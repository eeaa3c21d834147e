"""`activity backfill`: score archived readings that arrived too late for the stream."""

from __future__ import annotations

import json
from datetime import datetime

import typer

from activitymodule.settings import settings

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
    json_: bool = typer.Option(False, "--json", help="Print the report as JSON."),
) -> None:
    """Score the windows for which the archive holds more readings than the store."""
    from activitymodule.streaming.backfill import backfill as run
    from activitymodule.streaming.session import spark_session

    spark = spark_session(settings(), "backfill", scoring=True)
    try:
        report = run(
            spark, settings(), since=since.date() if since else None, until=until.date() if until else None
        )
    finally:
        spark.stop()
    if json_:
        typer.echo(json.dumps(report.as_dict()))
    else:
        typer.echo(
            f"{report.windows_in_archive:,} windows in the archive; {report.windows_scored:,} had more readings there "
            f"than in the store and were scored by version {report.model_version}; {report.rows_written:,} rows written"
        )
