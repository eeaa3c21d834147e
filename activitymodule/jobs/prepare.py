"""`activity prepare`: clean the recordings of a data source into Parquet."""

from __future__ import annotations

from pathlib import Path

import typer

from activitymodule.errors import ConfigError
from activitymodule.jobs import options, output
from activitymodule.settings import settings
from activitymodule.workflows import preparing

SECTION = "Recordings"

app = typer.Typer(add_completion=False, rich_markup_mode=None)

TABLE = "table"


@app.command(epilog="Example: activity prepare table recordings.zip --map mapping.yaml")
def prepare(
    source: str = typer.Argument(
        help="Name of a source, of a shipped mapping, or `table`; docs/recordings.md lists them."
    ),
    path: str = typer.Argument(
        help="A folder, a file, or an archive where the source supports it; casas: also s3:// and gs://."
    ),
    mapping: str | None = typer.Option(
        None,
        "--map",
        help="With `table`: what the columns are; a YAML file, or the name of a shipped mapping.",
    ),
    guess: bool = typer.Option(
        False, help="With `table`: look at the files and print a mapping with ten readings; prepare nothing."
    ),
    out: str | None = typer.Option(
        None, help="Folder to write to, or the mapping's file with --guess.  [default: lake/prepared/SOURCE]"
    ),
    as_json: bool = options.JSON,
) -> None:
    """Clean recordings of a data source into Parquet by person and date; running it again changes nothing.

    Duplicates, impossible values and rows without a usable reading are counted in
    reports/ingestion_summary.json.
    """
    if source != TABLE and (mapping is not None or guess):
        raise ConfigError(
            f"--map and --guess are for tables: activity prepare {TABLE} {path} --map mapping.yaml"
        )
    if guess:
        guessed = preparing.guess(Path(path), out)
        if out is None:
            typer.echo(guessed.yaml, nl=False)
        typer.echo("\n".join(guessed.notes), err=True)
        return
    if source == TABLE and mapping is None:
        raise ConfigError(
            f"tables need a mapping: add --map mapping.yaml. `activity prepare {TABLE} {path} --guess` writes one"
        )
    name = preparing.mapping_file(mapping) if mapping is not None else source
    done = preparing.prepare(settings(), name, path, out, say=lambda text: typer.echo(text, err=True))
    if as_json:
        output.print_json(done)
        return
    typer.echo(f"{done.readings:,} readings of {done.people} people from {done.rows:,} rows -> {done.out}")
    for title, counts in (("added", done.added), ("removed", done.removed), ("noticed", done.noticed)):
        for reason, count in counts.items():
            typer.echo(f"  {title}: {count:,} {reason.replace('_', ' ')}")
