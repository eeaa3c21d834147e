"""`activity fetch`: fetch the raw data of a web archive into a folder or a bucket."""

from __future__ import annotations

import time
from collections.abc import Callable

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from activitymodule.jobs import options, output
from activitymodule.settings import settings
from activitymodule.workflows.cloud import fetch as workflow
from activitymodule.workflows.cloud import one_file

SECTION = "Recordings"

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_EVERY_SECONDS = 0.25


@app.command(
    epilog="Examples: activity fetch casas   |   activity fetch casas --to s3://my-bucket/raw --people c01.p001"
)
def fetch(
    source: str = typer.Argument(help="Name of a manifest in fetch.manifests of config.yaml, such as casas."),
    to: str | None = typer.Option(
        None,
        help="A folder, s3://BUCKET/PREFIX or gs://BUCKET/PREFIX.  "
        "[default: raw/SOURCE of cloud.staging, else of the lake]",
    ),
    people: str | None = typer.Option(None, help="Only these people: p001,p002."),
    quiet: bool = typer.Option(False, help="Without the progress bar."),
    as_json: bool = options.JSON,
) -> None:
    """Fetch the raw data of a source: four files at once, zips opened on the way, straight into the bucket.

    May be interrupted at any time: the next run goes on where this one was, and passes over what is whole. Files are
    checked by their size, and by their SHA-256 where the manifest has it.
    """
    counts = one_file.Progress()
    report, error = workflow.fetch(
        settings(),
        source,
        to,
        options.names_of(people),
        progress=counts,
        watch=lambda running: None if quiet else _show(counts, running),
    )
    if as_json:
        output.print_json(report)
    else:
        rate = report.bytes / max(report.seconds, 1e-9) / 1e6
        typer.echo(
            f"{report.fetched:,} files fetched, {report.kept:,} kept, {report.failed:,} failed -> {report.to} "
            f"({report.bytes / 1e6:,.1f} MB in {report.seconds:,.1f} s, {rate:,.1f} MB/s)"
        )
    if error is not None:
        raise error


def _show(counts: one_file.Progress, running: Callable[[], bool]) -> None:
    """A bar on stderr, as long as files are fetched; nothing where nobody looks."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("fetching", total=None)
        while running():
            bar.update(
                task,
                description=f"{counts.done:,} of {counts.files:,} files",
                completed=counts.bytes,
                total=max(counts.total, counts.bytes) or None,
            )
            time.sleep(_EVERY_SECONDS)
