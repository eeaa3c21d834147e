"""Labels to files and from files: CSV, and the JSON of Label Studio."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from activitymodule.errors import ConfigError, DataError
from activitymodule.store.connection import Connection
from activitymodule.store.import_export import EXPORT_COLUMNS, Exported, Imported, exported
from activitymodule.store.items import readings_of
from activitymodule.telemetry.identifiers import is_device_id
from activitymodule.windows.packing import CHANNELS, RECORD

# the names in Label Studio's labelling configuration (docs/console.md)
FROM_NAME, TO_NAME = "activity", "window"
KINDS = ("csv", "label-studio")

Json = dict[str, Any]  # an object of Label Studio

_NAME = re.compile(r"[A-Za-z0-9@][\w.@+-]{0,79}")
# a cell that begins so is a formula to a spreadsheet
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def exported_text(connection: Connection, kind: str) -> tuple[str, int]:
    """The text of an export file, and how many answers it has.

    kind : csv or label-studio. Raises ConfigError for another.
    """
    if kind not in KINDS:
        raise ConfigError(f"{kind} is no export format; choose {' or '.join(KINDS)}")
    rows = exported(connection)
    if kind == "csv":
        return to_csv(rows), len(rows)
    readings = readings_of(connection, sorted({(row.device_id, row.window_start) for row in rows}))
    return json.dumps(to_label_studio(rows, readings), ensure_ascii=False, indent=1) + "\n", len(rows)


def _cell(value: object) -> object:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) and value.startswith(_FORMULA):
        return "'" + value
    return value


def to_csv(rows: Iterable[Exported]) -> str:
    """Answers as CSV with a header; times in UTC."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(EXPORT_COLUMNS)
    writer.writerows([_cell(getattr(row, name)) for name in EXPORT_COLUMNS] for row in rows)
    return out.getvalue()


def to_label_studio(rows: Iterable[Exported], readings: Mapping[tuple[str, datetime], bytes]) -> list[Json]:
    """Answers as tasks of Label Studio, one a window.

    A task has the window's readings as a time series where `readings` has them, its labels as annotations (other
    answers are none there), and the model's activity as a prediction.
    """
    tasks: dict[tuple[str, datetime], Json] = {}
    for row in rows:
        if row.answer != "label":
            continue
        key = (row.device_id, row.window_start)
        if key not in tasks:
            tasks[key] = _task(len(tasks) + 1, row, readings.get(key))
        tasks[key]["annotations"].append(
            {
                "completed_by": {"email": row.annotator},
                "created_at": row.created_at.astimezone(UTC).isoformat(),
                "lead_time": row.seconds,
                "ground_truth": row.adjudicates,
                "result": [_choice(row.label)],
            }
        )
        if row.suggested and not tasks[key]["predictions"]:
            prediction = {"model_version": row.model_version, "result": [_choice(row.suggested)]}
            tasks[key]["predictions"].append(prediction)
    return list(tasks.values())


def _task(number: int, row: Exported, packed: bytes | None) -> Json:
    data: Json = {
        "device_id": row.device_id,
        "window_start": row.window_start.astimezone(UTC).isoformat(),
        "window_end": row.window_end.astimezone(UTC).isoformat(),
        "gold_label": row.gold_label,
    }
    if packed is not None:
        data["series"] = _series(packed)
    return {"id": number, "data": data, "annotations": [], "predictions": []}


def _choice(label: str | None) -> dict[str, object]:
    return {"from_name": FROM_NAME, "to_name": TO_NAME, "type": "choices", "value": {"choices": [label]}}


def _series(packed: bytes) -> dict[str, list[float | None]]:
    """Measured channels by name, and `time` in seconds since the first reading."""
    records = np.frombuffer(packed, RECORD)
    if not len(records):
        return {"time": []}
    series: dict[str, list[float | None]] = {
        "time": ((records["stamp_us"] - records["stamp_us"][0]) / 1e6).tolist()
    }
    for k, name in enumerate(CHANNELS):
        values = records["values"][:, k].astype(float)
        if np.isfinite(values).any():
            series[name] = [round(v, 5) if np.isfinite(v) else None for v in values.tolist()]
    return series


# ---- in -----------------------------------------------------------------------------------------------------


def read_labels(text: str, *, annotator: str, window_seconds: float) -> list[Imported]:
    """Labels of a CSV or Label Studio file; the first character tells which it is.

    annotator : for rows that name none; window_seconds : length of windows without a window_end. Raises DataError,
    which names the row that cannot be used.
    """
    try:
        rows = list(
            _from_label_studio(text, annotator, window_seconds)
            if text.lstrip("\ufeff \r\n\t")[:1] in ("[", "{")
            else _from_csv(text, annotator, window_seconds)
        )
    except csv.Error as error:
        raise DataError(f"the file is no CSV: {error}") from None
    if not rows:
        raise DataError("the file has no labels: skips and adjudications are not imported")
    return rows


def _from_csv(text: str, annotator: str, window_seconds: float) -> Iterator[Imported]:
    reader = csv.DictReader(io.StringIO(text.lstrip("\ufeff"), newline=""))
    missing = {"device_id", "window_start", "label"} - set(reader.fieldnames or ())
    if missing:
        raise DataError(
            f"the file lacks the column {sorted(missing)[0]}; it needs device_id, window_start, label"
        )
    for row in reader:
        where = f"line {reader.line_num}"
        if (row.get("answer") or "label") != "label" or (row.get("adjudicates") or "").lower() == "true":
            continue  # a skip is no label; an adjudication is made again, by a reviewer
        yield _imported(
            where,
            row.get("device_id"),
            row.get("window_start"),
            row.get("window_end"),
            row.get("annotator") or annotator,
            row.get("label"),
            row.get("note") or None,
            window_seconds,
        )


def _from_label_studio(text: str, annotator: str, window_seconds: float) -> Iterator[Imported]:
    try:
        tasks = json.loads(text.lstrip("\ufeff"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"the file is not JSON: {error}") from None
    if isinstance(tasks, dict):
        tasks = [tasks]
    for place, task in enumerate(tasks, 1):
        where = f"task {place}"
        data = task.get("data") if isinstance(task, dict) else None
        if not isinstance(data, dict):
            raise DataError(f"{where} has no data; export tasks with their data as JSON")
        for annotation in _objects(where, "annotations", task.get("annotations")):
            if annotation.get("was_cancelled") or annotation.get("ground_truth"):
                continue
            who = annotation.get("completed_by")
            who = who.get("email") if isinstance(who, dict) else None
            for result in _objects(where, "results", annotation.get("result")):
                value = result.get("value")
                choices = value.get("choices") if isinstance(value, dict) else None
                if result.get("type") == "choices" and choices:
                    yield _imported(
                        where,
                        data.get("device_id"),
                        data.get("window_start"),
                        data.get("window_end"),
                        who or annotator,
                        choices[0] if isinstance(choices, list) else choices,
                        None,
                        window_seconds,
                    )
                    break


def _objects(where: str, name: str, value: Any) -> list[Json]:
    """A list of objects, as Label Studio exports it; None is an empty list."""
    objects = [] if value is None else value
    if not isinstance(objects, list) or not all(isinstance(one, dict) for one in objects):
        raise DataError(f"{where}: its {name} are not as Label Studio exports them; export tasks as JSON")
    return objects


def _moment(where: str, text: Any) -> datetime:
    try:
        at = datetime.fromisoformat(str(text).strip())
    except ValueError:
        raise DataError(
            f"{where}: {str(text)[:40]!r} is not a time; write 2026-11-20T10:00:00+00:00"
        ) from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _imported(
    where: str,
    device: Any,
    start: Any,
    end: Any,
    annotator: Any,
    label: Any,
    note: str | None,
    window_seconds: float,
) -> Imported:
    if not isinstance(device, str) or not is_device_id(device.strip()):
        raise DataError(f"{where}: {str(device)[:40]!r} is no valid device_id")
    if not isinstance(label, str) or not label.strip():
        raise DataError(f"{where} has no label")
    if not isinstance(annotator, str) or not _NAME.fullmatch(annotator.strip()):
        raise DataError(f"{where}: {str(annotator)[:40]!r} is no valid annotator name")
    begin = _moment(where, start)
    if not 2000 <= begin.year < 2200:
        raise DataError(f"{where}: a window in the year {begin.year} is out of range")
    until = _moment(where, end) if end else begin + timedelta(seconds=window_seconds)
    if until <= begin:
        raise DataError(f"{where}: the window ends before it begins")
    return Imported(device.strip(), begin, until, annotator.strip(), label.strip(), note)
