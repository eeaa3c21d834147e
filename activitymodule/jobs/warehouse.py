"""`activity warehouse`: load daily records, predictions, labels and model versions into Redshift or BigQuery."""

from __future__ import annotations

import typer

from activitymodule.jobs import options, output
from activitymodule.settings import settings
from activitymodule.workflows.cloud.warehouse import loading, views

SECTION = "Store and settings"

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    epilog="Example: activity warehouse load",
)

_TABLES = typer.Argument(None, metavar="[TABLE]...", help="Only these tables.", show_default=False)


@app.callback()
def root() -> None:
    """Load daily records, predictions, labels and model versions into Redshift or BigQuery."""


@app.command(epilog="Example: activity warehouse load annotations gold_labels --json")
def load(tables: list[str] | None = _TABLES, as_json: bool = options.JSON) -> None:
    """Load what is new or changed since it was loaded last, each part in one transaction."""
    report = loading.load(settings(), tables or (), say=lambda text: typer.echo(text, err=True))
    if as_json:
        output.print_json(report)
        return
    rows = sum(one.rows for one in report.loaded)
    typer.echo(f"{len(report.loaded):,} parts with {rows:,} rows loaded, {report.kept:,} kept -> {report.to}")


@app.command("views", epilog="Example: activity warehouse views --sql")
def make_views(
    sql: bool = typer.Option(False, "--sql", help="Print their text, and make none."),
) -> None:
    """Make the views of the warehouse, or replace them: their text is the same for PostgreSQL."""
    if sql:
        for name, query in views.queries().items():
            typer.echo(f"CREATE OR REPLACE VIEW {name} AS\n{query};\n")
        return
    typer.echo(f"made: {', '.join(views.make(settings()))}")
