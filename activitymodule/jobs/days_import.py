"""The command `import` of `activity days`: exports of phones and watches, and tables of days, as daily records."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

import typer

from activitymodule.errors import ConfigError
from activitymodule.jobs import options, output
from activitymodule.settings import settings
from activitymodule.workflows import days_import as workflow

EPILOG = "Example: activity days import apple-health export.zip --participant p1"
_MOST_LINES = 15


class Kind(StrEnum):
    """What is imported."""

    apple_health = "apple-health"
    fitbit = "fitbit"
    garmin = "garmin"
    table = "table"


class Times(StrEnum):
    """How Fitbit's files of minutes write times."""

    local = "local"
    utc = "utc"


def import_days(
    kind: Kind = typer.Argument(help="The maker of the export, or `table` for any table of days."),
    path: Path = typer.Argument(help="The export: a file, a folder, a zip or a tar."),
    participant: str | None = typer.Option(None, help="Whose days they are; a table's mapping may say it."),
    mapping: str | None = typer.Option(
        None, "--map", help="With `table`: what the columns are; a YAML file, or `fitbit-daily`."
    ),
    zone: str | None = typer.Option(
        None,
        help="The zone of the days, such as Europe/Berlin.  [default: the participant's, or the export's]",
    ),
    times: Times | None = typer.Option(
        None,
        help="With `fitbit`: the clock of its files of minutes.  [default: by the logs of sleep, else local]",
    ),
    as_json: bool = options.JSON,
) -> None:
    """Import days from a phone, a watch or a table as daily records; importing them again changes nothing.

    The days of the export replace those of the same source. Sleep and what else daily records have no place for is
    left out and counted.
    """
    if kind is Kind.table:
        if mapping is None:
            raise ConfigError(
                f"a table needs a mapping: activity days import table {path} --map mapping.yaml"
            )
        if times is not None:
            raise ConfigError("--times is for fitbit; a table has days, not minutes")
        report = workflow.import_table(settings(), mapping, path, participant, zone=zone)
    else:
        if mapping is not None:
            raise ConfigError("--map is for tables: activity days import table PATH --map mapping.yaml")
        if participant is None:
            raise ConfigError(
                f"an export does not say whose it is; add --participant: {EPILOG.removeprefix('Example: ')}"
            )
        report = workflow.import_export(
            settings(), kind.value, path, participant, zone=zone, times=times.value if times else None
        )
    if as_json:
        output.print_json(report)
        return
    typer.echo(
        f"{report.rows:,} daily records of {report.participants:,} participants, {report.first} to {report.last} "
        f"({', '.join(report.zones)}), {report.unworn:,} of them not worn; "
        f"months changed: {', '.join(report.changed) or 'none'}"
    )
    for title in ("read", "merged", "left out", "noticed"):
        counts = getattr(report, title.replace(" ", "_"))
        for what, count in list(counts.items())[:_MOST_LINES]:
            typer.echo(f"  {title}: {count:,} {output.safe(what)}")
        if len(counts) > _MOST_LINES:
            typer.echo(f"  {title}: {len(counts) - _MOST_LINES:,} more kinds (--json has all)")
