"""`activity prepare`: clean the recordings of a data source into Parquet."""

from __future__ import annotations

from pathlib import Path

import typer

from activitymodule.jobs import options, output
from activitymodule.settings import settings
from activitymodule.workflows import preparing

SECTION = "Recordings"

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(epilog="Example: activity prepare wisdm data/wisdm_watch.tar.gz")
def prepare(
    source: str = typer.Argument(help="Name of a source; docs/telemetry.md lists them."),
    path: Path = typer.Argument(help="A folder, a file, or an archive where the source supports it."),
    out: str | None = typer.Option(None, help="Folder to write to.  [default: lake/prepared/SOURCE]"),
    as_json: bool = options.JSON,
) -> None:
    """Clean recordings of a data source into Parquet by person and date; running it again changes nothing.

    Duplicates, impossible values and rows without a usable reading are counted in
    reports/ingestion_summary.json.
    """
    done = preparing.prepare(settings(), source, path, out, say=lambda text: typer.echo(text, err=True))
    if as_json:
        output.print_json(done)
        return
    typer.echo(f"{done.readings:,} readings of {done.people} people from {done.rows:,} rows -> {done.out}")
    for title, counts in (("added", done.added), ("removed", done.removed), ("noticed", done.noticed)):
        for reason, count in counts.items():
            typer.echo(f"  {title}: {count:,} {reason.replace('_', ' ')}")
