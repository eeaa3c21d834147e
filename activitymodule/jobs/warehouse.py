"""`activity warehouse`: load daily records and predictions of past days from the lake into Redshift."""

from __future__ import annotations

import typer

from activitymodule.jobs import options, output
from activitymodule.settings import settings
from activitymodule.workflows.cloud import warehouse

SECTION = "Store and settings"

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    epilog="Example: activity warehouse load",
)


@app.callback()
def root() -> None:
    """Load daily records and predictions of past days from the lake into Redshift."""


@app.command(epilog="Example: activity warehouse load --json")
def load(as_json: bool = options.JSON) -> None:
    """Load the files of the lake that are new or changed since they were loaded last, each in one transaction."""
    report = warehouse.load(settings(), say=lambda text: typer.echo(text, err=True))
    if as_json:
        output.print_json(report)
        return
    rows = sum(one.rows for one in report.loaded)
    typer.echo(f"{len(report.loaded):,} files with {rows:,} rows loaded, {report.kept:,} kept -> {report.to}")
