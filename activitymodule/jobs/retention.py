"""`activity retention`: delete what is no longer needed, and move old predictions to the lake."""

from __future__ import annotations

import typer

from activitymodule.jobs import options, output
from activitymodule.settings import settings
from activitymodule.workflows.retention import results, run

SECTION = "Store and settings"

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(epilog="Example: activity retention --dry-run")
def retention(
    dry_run: bool = typer.Option(False, "--dry-run", help="Show what would go; delete nothing."),
    as_json: bool = options.JSON,
) -> None:
    """Delete what is older than the settings `retention` say, and move old days of predictions to the lake.

    May be interrupted at any time: the next run continues. The DAG `retention` does the same every night. Ends with
    code 1 where something could not be done.
    """
    config = settings()
    report = run.plan(config) if dry_run else run.apply(config, say=lambda text: typer.echo(text, err=True))
    if as_json:
        output.print_json(report)
    else:
        output.print_table(
            ("what", "kept", "older than", "would go" if dry_run else "gone", "size"), map(_row, report.kinds)
        )
        for one in report.failed:
            typer.echo(f"activity: {one.title}: {one.error}", err=True)
    if report.failed:
        raise typer.Exit(1)


def _row(one: results.KindResult) -> tuple[object, ...]:
    kept = "for ever" if one.limit is None else f"{one.limit:,} {one.unit}"
    before = one.before.strftime("%Y-%m-%d %H:%M") if one.before else "-"
    count = "failed" if one.error else "-" if one.count is None else f"{one.count:,}"
    return one.title, kept, before, count, results.size_text(one.bytes)
