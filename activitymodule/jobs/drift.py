"""`activity drift`: compare current readings with the champion's training data."""

from __future__ import annotations

from pathlib import Path

import typer

from activitymodule import files
from activitymodule.jobs import options, output
from activitymodule.monitoring import report as monitoring
from activitymodule.monitoring import slices
from activitymodule.settings import settings
from activitymodule.workflows import drift as workflow

SECTION = "Labels and models"

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.callback(
    invoke_without_command=True,
    epilog="Example: activity drift --json | jq .summary   |   activity drift report --html",
)
def drift(
    context: typer.Context,
    as_json: bool = options.JSON,
    record: bool = typer.Option(
        False, help="Open and end alarms in the store, as the DAG drift_report does."
    ),
    version: str = typer.Option(None, help="A version's number.  [default: the champion]"),
    features: int = typer.Option(
        10, min=0, help="At most so many features, those that drifted furthest first."
    ),
) -> None:
    """Compare the last windows with the champion's baseline, and say whether a retraining is recommended.

    The exit status is 0 whatever the result; `retrain_recommended` in the JSON is the recommendation.
    """
    if context.invoked_subcommand is not None:
        return
    report = workflow.compare(settings(), record=record, version=version)
    if as_json:
        output.print_json(report.limited(features))
        return
    typer.echo(report.summary)
    found = report.comparison
    if found is None or report.since is None or report.until is None:
        return
    typer.echo(
        f"  {found.windows:,} windows of {found.watches:,} watches from {report.since:%Y-%m-%d %H:%M} to "
        f"{report.until:%H:%M} UTC; {report.model_name} version {report.model_version}"
    )
    columns, rows = monitoring.measures_table(found)
    output.print_table(columns, rows)
    if report.slices:
        output.print_table(*slices.slices_table(report.slices))
    if features:
        columns, rows = monitoring.features_table(found, features)
        output.print_table(columns, rows)


@app.command(
    "report", epilog="Example: activity drift report --html   |   activity drift report --html --output -"
)
def report_(
    html: bool = typer.Option(False, "--html", help="As a page of HTML that needs no other file."),
    path: Path = typer.Option(
        None, "--output", help="File to write; - is standard output.  [default: of today, in reports/drift]"
    ),
    version: str = typer.Option(None, help="A version's number.  [default: the champion]"),
) -> None:
    """Write the report: features that moved beside what is expected, predictions, confidence, missing values, by device
    model and over the last day. The DAG drift_report keeps one of each day."""
    config = settings()
    if not html:
        text = output.json_line(workflow.compare(config, version=version)) + "\n"
    else:
        text = workflow.page(config, version=version)
    if path is not None and str(path) == "-":
        output.print_text(text)
    elif path is not None:
        files.write_text(path, text)
        typer.echo(path)
    elif html:
        typer.echo(workflow.keep_page(config, text))
    else:
        output.print_text(text)
