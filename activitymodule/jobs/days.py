"""`activity days`: import daily records."""

from __future__ import annotations

import typer

from activitymodule.jobs import days_import

SECTION = "People and days"

app = typer.Typer(
    add_completion=False, rich_markup_mode=None, no_args_is_help=True, epilog=days_import.EPILOG
)


@app.callback()
def days() -> None:
    """Daily records: one row a participant, local day and source."""


app.command("import", epilog=days_import.EPILOG)(days_import.import_days)
