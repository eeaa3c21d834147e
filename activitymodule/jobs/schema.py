"""`activity schema`: print the JSON Schema of a telemetry message."""

from __future__ import annotations

import json
from pathlib import Path

import typer

from activitymodule import files
from activitymodule.days import columns as days
from activitymodule.errors import DataError
from activitymodule.settings import project_root
from activitymodule.store import events, prediction_columns
from activitymodule.telemetry import mapping, profiles, reasons, sources
from activitymodule.telemetry import schema as telemetry

SECTION = "Recordings"

app = typer.Typer(add_completion=False, rich_markup_mode=None)

SCHEMA_FILE = "docs/telemetry.schema.json"
MAPPING_SCHEMA_FILE = "docs/mapping.schema.json"
EVENT_SCHEMA_FILE = "docs/activity-event.schema.json"
DOCUMENT = "docs/telemetry.md"
SQL_DOCUMENT = "docs/sql.md"
DAYS_DOCUMENT = "docs/days.md"


def schema_text() -> str:
    """The JSON Schema as the committed file holds it."""
    return json.dumps(telemetry.json_schema(), indent=2) + "\n"


def mapping_schema_text() -> str:
    """The JSON Schema of a mapping as the committed file holds it."""
    return json.dumps(mapping.json_schema(), indent=2) + "\n"


def _parts(document: str) -> dict[str, str]:
    if document == SQL_DOCUMENT:
        return {"predictions": prediction_columns.markdown()}
    if document == DAYS_DOCUMENT:
        return {"columns": days.markdown(), "derived": days.markdown(days.DERIVED)}
    return {
        "fields": telemetry.fields_table(),
        "reasons": reasons.reasons_table(),
        "profiles": profiles.profiles_table(),
        "sources": sources.sources_text(),
    }


def document_text(text: str, document: str = DOCUMENT) -> str:
    """A document with its generated parts made anew.

    Raises DataError where the marks around a part are missing.
    """
    for name, made in _parts(document).items():
        begin, end = f"<!-- {name}: made by activity schema -->\n", f"<!-- {name} end -->"
        before, opened, rest = text.partition(begin)
        _, closed, after = rest.partition(end)
        if not (opened and closed):
            raise DataError(f"{document} lacks the marks around its {name}; put back {begin.strip()}")
        text = before + begin + made + end + after
    return text


@app.command(epilog="Example: activity schema --check")
def schema(
    write: bool = typer.Option(
        False,
        help=f"Write {SCHEMA_FILE}, {MAPPING_SCHEMA_FILE}, {EVENT_SCHEMA_FILE} and the generated parts of "
        f"{DOCUMENT}, {SQL_DOCUMENT} and {DAYS_DOCUMENT}.",
    ),
    check: bool = typer.Option(
        False, help="Only compare those files with the code; exit code 4 if they differ."
    ),
) -> None:
    """Print the JSON Schema of a telemetry message."""
    if not (write or check):
        typer.echo(schema_text(), nl=False)
        return
    root = project_root()
    required = {
        root / SCHEMA_FILE: schema_text(),
        root / MAPPING_SCHEMA_FILE: mapping_schema_text(),
        root / EVENT_SCHEMA_FILE: events.schema_text(),
    }
    for document in (DOCUMENT, SQL_DOCUMENT, DAYS_DOCUMENT):
        required[root / document] = document_text(_read(root / document), document)
    for path, text in required.items():
        if write:
            files.write_text(path, text)
        elif _read(path) != text:
            raise DataError(f"{path.relative_to(root)} differs from the code; run `activity schema --write`")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise DataError(f"cannot read {path} ({error.strerror})") from error
