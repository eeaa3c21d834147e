"""`activity report`: daily records, models on them, figures and one page, from the settings `reports` alone."""

from __future__ import annotations

import typer

from activitymodule.jobs import options, output
from activitymodule.settings import settings
from activitymodule.workflows.reports import run

SECTION = "Recordings"

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(epilog="Example: activity report")
def report(
    force: bool = typer.Option(False, help="Generate and train again, even where nothing has changed."),
    as_json: bool = options.JSON,
) -> None:
    """Make the report on daily records: ingest, features, training, evaluation, exports for the console, and a page.

    With reports.source: synthetic it generates people first; with devices it takes the days of watches and imports.
    """
    made = run.build(settings(), force=force, say=lambda text: typer.echo(text, err=True))
    if as_json:
        output.print_json(made)
        return
    for model, reason in made.skipped.items():
        typer.echo(f"{model}: not trained; {reason}")
    typer.echo(
        f"{made.records:,} daily records of {made.people:,} people, {made.metrics} figures"
        f"{'' if made.made else '; nothing has changed since the last report'}"
    )
    typer.echo(f"{made.page}")
