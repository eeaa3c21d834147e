"""`activity schema`: the JSON Schema of a telemetry message, and the documents made from the code."""

from __future__ import annotations

import json
from pathlib import Path

import typer

from activitymodule.errors import DataError
from activitymodule.settings import project_root

app = typer.Typer(add_completion=False, rich_markup_mode=None)

SCHEMA_FILE = "docs/telemetry.schema.json"
DOCUMENT = "docs/telemetry.md"


def schema_text() -> str:
    """The JSON Schema as the committed file holds it."""
    from activitymodule.telemetry.schema import json_schema

    return json.dumps(json_schema(), indent=2) + "\n"


def document_text(text: str) -> str:
    """docs/telemetry.md with its generated tables made anew."""
    from activitymodule.telemetry.decode import reasons_table
    from activitymodule.telemetry.schema import fields_table

    for name, table in (("fields", fields_table()), ("reasons", reasons_table())):
        begin, end = f"<!-- {name}: made by activity schema -->\n", f"<!-- {name} end -->"
        before, found, rest = text.partition(begin)
        _, closed, after = rest.partition(end)
        if not (found and closed):
            raise DataError(
                f"{DOCUMENT} lacks the marks around its table of {name}; put back {begin.strip()}"
            )
        text = before + begin + table + end + after
    return text


@app.command(epilog="Example: activity schema --check")
def schema(
    write: bool = typer.Option(False, help=f"Write {SCHEMA_FILE} and the tables of {DOCUMENT}."),
    check: bool = typer.Option(
        False, help="Only compare those files with the code; exit code 4 if they differ."
    ),
) -> None:
    """Print the JSON Schema of a telemetry message."""
    if not (write or check):
        typer.echo(schema_text(), nl=False)
        return
    root = project_root()
    document = root / DOCUMENT
    wanted = {root / SCHEMA_FILE: schema_text(), document: document_text(_read(document))}
    for path, text in wanted.items():
        if write:
            path.write_text(text)
        elif _read(path) != text:
            raise DataError(
                f"{path.relative_to(root)} is not what the code says; run `activity schema --write`"
            )


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError as error:
        raise DataError(f"cannot read {path} ({error.strerror})") from error
