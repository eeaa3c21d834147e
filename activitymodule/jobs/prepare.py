"""`activity prepare`: recordings of a source to cleaned Parquet."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import typer

from activitymodule.settings import location, project_root, settings

app = typer.Typer(add_completion=False, rich_markup_mode=None)

SUMMARY = "reports/ingestion_summary.json"


@app.command(epilog="Example: activity prepare wisdm data/wisdm_watch.tar.gz")
def prepare(
    source: str = typer.Argument(help="Name of a source; docs/telemetry.md lists them."),
    path: Path = typer.Argument(help="A folder, a file, or where the source knows it an archive."),
    out: str | None = typer.Option(None, help="Where to write; lake/prepared/SOURCE unless given."),
    json_: bool = typer.Option(False, "--json", help="Print the summary as JSON."),
) -> None:
    """Clean recordings of a data source into Parquet by person and date; running it again changes nothing.

    Duplicates, impossible values and rows without a usable reading are counted in
    reports/ingestion_summary.json.
    """
    from activitymodule.telemetry.sources import source_named

    # what can be wrong with the command is said before Spark starts
    source_named(source).scan(path)

    from activitymodule.lake import preprocess
    from activitymodule.streaming.session import spark_session

    folder = location(out or f"{settings().lake.folder}/prepared/{source}")
    typer.echo(f"preparing {path} ...", err=True)
    ingestion = preprocess.prepare(spark_session(settings(), "prepare"), source, path.resolve(), folder)
    preprocess.report(ingestion, project_root() / SUMMARY)
    if json_:
        typer.echo(json.dumps(asdict(ingestion)))
        return
    typer.echo(
        f"{ingestion.readings:,} readings of {ingestion.people} people from {ingestion.rows:,} rows -> {folder}"
    )
    for title, counts in (("removed", ingestion.removed), ("noticed", ingestion.noticed)):
        for reason, count in counts.items():
            typer.echo(f"  {title}: {count:,} {reason.replace('_', ' ')}")
