"""`activity days`: build, import and show daily records."""

from __future__ import annotations

from datetime import date, datetime

import typer

from activitymodule.jobs import days_import, options, output
from activitymodule.settings import settings
from activitymodule.workflows import days as workflow

SECTION = "People and days"

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    epilog="Example: activity days build --from 2026-11-01",
)

_SINCE = typer.Option(None, "--from", formats=["%Y-%m-%d"], help="First local date.")
_UNTIL = typer.Option(None, "--to", formats=["%Y-%m-%d"], help="Last local date.")
_SHOWN = (
    "wear_minutes",
    "active_minutes",
    "steps",
    "kcal",
    "workout",
    "workout_minutes",
    "heart_resting",
    "steps_7d",
)


def _date(at: datetime | None) -> date | None:
    return None if at is None else at.date()


@app.command(epilog="Example: activity days build --from 2026-11-01 --to 2026-11-30")
def build(
    since: datetime | None = _SINCE, until: datetime | None = _UNTIL, as_json: bool = options.JSON
) -> None:
    """Build daily records from predictions and the archive. Without dates: the days of which something new was written.

    May be interrupted at any time, and repeated: the same predictions and archive give the same bytes. The DAG
    `build_days` does the same every night.
    """
    report = workflow.build(
        settings(), _date(since), _date(until), say=lambda text: typer.echo(text, err=True)
    )
    if as_json:
        output.print_json(report)
        return
    if report.first is None:
        typer.echo("no predictions were written since the last build")
        return
    months = ", ".join(report.changed) or "none"
    typer.echo(
        f"{report.rows:,} daily records of {report.participants:,} participants, {report.first} to {report.last}; "
        f"months changed: {months}"
    )


@app.command(epilog="Example: activity days show --participant watch-00001 --from 2026-11-01")
def show(
    participant: str | None = typer.Option(None, help="Only this participant."),
    since: datetime | None = _SINCE,
    until: datetime | None = _UNTIL,
    by_source: bool = typer.Option(False, help="A row for each source; without it sources are merged."),
    as_json: bool = options.JSON,
) -> None:
    """Show daily records with what is derived from them; --json has all columns."""
    found = workflow.shown(
        settings(), participant, _date(since), _date(until), by_source=by_source
    ).to_pylist()
    if as_json:
        output.print_json(found)
    elif not found:
        typer.echo("there are no daily records of these days; `activity days build` makes them")
    else:
        output.print_table(
            ("participant", "date", "source", *(name.replace("_", " ") for name in _SHOWN)),
            [
                (row["participant"], row["date"], row["source"], *(_text(row[name]) for name in _SHOWN))
                for row in found
            ],
        )


def _text(value: object) -> object:
    return "-" if value is None else f"{value:,.0f}" if isinstance(value, float) else value


app.command("import", epilog=days_import.EPILOG)(days_import.import_days)
