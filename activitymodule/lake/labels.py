"""Labels to files and from files: CSV, and the JSON of Label Studio."""

from __future__ import annotations

import json

from activitymodule.errors import ConfigError, DataError
from activitymodule.lake.label_csv import from_csv, to_csv
from activitymodule.lake.label_studio import from_label_studio, to_label_studio
from activitymodule.settings import Labels
from activitymodule.store.connection import Connection
from activitymodule.store.import_export import ImportRows, exported
from activitymodule.store.items import readings_of

__all__ = ["KINDS", "exported_text", "read_labels", "text_of", "to_csv", "to_label_studio"]

KINDS = ("csv", "label-studio")


def exported_text(
    connection: Connection, kind: str, question: Labels | None = None, *, open_audit: bool = True
) -> tuple[str, int]:
    """The text of an export file, and how many answers it has.

    kind : csv or label-studio. Raises ConfigError for another.
    open_audit : also answers about audit windows that wait for another label; they show what the model said
    """
    if kind not in KINDS:
        raise ConfigError(f"{kind} is no export format; choose {' or '.join(KINDS)}")
    rows = exported(connection, open_audit=open_audit)
    if kind == "csv":
        return to_csv(rows), len(rows)
    readings = readings_of(connection, sorted({(row.device_id, row.window_start) for row in rows}))
    tasks = to_label_studio(rows, readings, question)
    return json.dumps(tasks, ensure_ascii=False, indent=1) + "\n", len(rows)


def text_of(content: bytes) -> str:
    """The text of a file of labels, its line ends as they are. Raises DataError where it is not UTF-8."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise DataError(f"line {line} is not UTF-8 text; save the file as UTF-8") from None


def read_labels(
    text: str, *, annotator: str, window_seconds: float, question: Labels | None = None
) -> ImportRows:
    """The answers of a CSV or Label Studio file; the first character decides which it is.

    annotator : for rows that name none; window_seconds : length of windows without a window_end; question : of Label
    Studio, whose answers are the activity. Raises DataError, which names the row that cannot be used.
    """
    text = text.lstrip("\ufeff")
    if text.lstrip()[:1] in ("[", "{"):
        rows = from_label_studio(text, annotator=annotator, window_seconds=window_seconds, question=question)
    else:
        rows = from_csv(text, annotator=annotator, window_seconds=window_seconds)
    if not rows:
        left = "; ".join(f"{count} {reason}" for reason, count in rows.passed_over.items())
        raise DataError(f"the file has no labels{f': answers passed over: {left}' if left else ''}")
    return rows
