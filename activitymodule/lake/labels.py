"""Labels out and in: as CSV, and as the JSON of Label Studio. Pure functions of text and rows."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from activitymodule.errors import DataError
from activitymodule.store.annotations import EXPORT_COLUMNS, Imported
from activitymodule.telemetry.identifiers import is_device_id
from activitymodule.windows.packing import CHANNELS, RECORD

# the names in Label Studio's labelling configuration (docs/console.md)
FROM_NAME, TO_NAME = "activity", "window"

_NAME = re.compile(r"[A-Za-z0-9@][\w.@+-]{0,79}")
# a cell that begins so is a formula to a spreadsheet
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) and value.startswith(_FORMULA):
        return "'" + value
    return value


def to_csv(rows: Iterable[Sequence[Any]]) -> str:
    """Rows of EXPORT_COLUMNS as CSV with a header; times in UTC."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(EXPORT_COLUMNS)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return out.getvalue()


def to_label_studio(
    rows: Iterable[Sequence[Any]], readings: Mapping[tuple[str, datetime], bytes]
) -> list[dict[str, Any]]:
    """Rows of EXPORT_COLUMNS as Label Studio tasks: one a window, its readings as a time series where they are
    kept, its annotations, and the model's activity as a prediction. Only labels: skips are no annotations there.
    """
    tasks: dict[tuple[str, datetime], dict[str, Any]] = {}
    for row in rows:
        held = dict(zip(EXPORT_COLUMNS, row, strict=True))
        if held["answer"] != "label":
            continue
        key = (held["device_id"], held["window_start"])
        task = tasks.setdefault(
            key,
            {
                "id": len(tasks) + 1,
                "data": {
                    "device_id": held["device_id"],
                    "window_start": held["window_start"].astimezone(UTC).isoformat(),
                    "window_end": held["window_end"].astimezone(UTC).isoformat(),
                    "gold_label": held["gold_label"],
                }
                | ({"series": _series(readings[key])} if key in readings else {}),
                "annotations": [],
                "predictions": [],
            },
        )
        task["annotations"].append(
            {
                "completed_by": {"email": held["annotator"]},
                "created_at": held["created_at"].astimezone(UTC).isoformat(),
                "lead_time": held["seconds"],
                "ground_truth": bool(held["adjudicates"]),
                "result": [_choice(held["label"])],
            }
        )
        if held["suggested"] and not task["predictions"]:
            task["predictions"].append(
                {"model_version": held["model_version"], "result": [_choice(held["suggested"])]}
            )
    return list(tasks.values())


def _choice(label: str) -> dict[str, Any]:
    return {"from_name": FROM_NAME, "to_name": TO_NAME, "type": "choices", "value": {"choices": [label]}}


def _series(packed: bytes) -> dict[str, list[float | None]]:
    """Channels that were measured, by name, and `time` in seconds since the first reading."""
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
    """Labels of a CSV or Label Studio file, told apart by how it begins.

    annotator : whose they are where the file does not say; window_seconds : where it has no window_end. Raises
    DataError naming the row that cannot be used.
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
        raise DataError("the file holds no labels: skips and a reviewer's words are not taken from a file")
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
            continue  # skips teach nothing; a reviewer's word is given again, by a reviewer
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


def _objects(where: str, name: str, given: Any) -> list[dict[str, Any]]:
    """A list of objects, as Label Studio writes it; none where there is none."""
    held = [] if given is None else given
    if not isinstance(held, list) or not all(isinstance(one, dict) for one in held):
        raise DataError(f"{where}: its {name} are not as Label Studio exports them; export tasks as JSON")
    return held


def _moment(where: str, text: Any) -> datetime:
    try:
        at = datetime.fromisoformat(str(text).strip())
    except ValueError:
        raise DataError(f"{where}: {str(text)[:40]!r} is no time; write 2026-11-20T10:00:00+00:00") from None
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
        raise DataError(f"{where}: {str(device)[:40]!r} is no device_id")
    if not isinstance(label, str) or not label.strip():
        raise DataError(f"{where} has no label")
    if not isinstance(annotator, str) or not _NAME.fullmatch(annotator.strip()):
        raise DataError(f"{where}: {str(annotator)[:40]!r} cannot be an annotator's name")
    begin = _moment(where, start)
    if not 2000 <= begin.year < 2200:
        raise DataError(f"{where}: a window of the year {begin.year} cannot be")
    until = _moment(where, end) if end else begin + timedelta(seconds=window_seconds)
    if until <= begin:
        raise DataError(f"{where}: the window ends before it begins")
    return Imported(device.strip(), begin, until, annotator.strip(), label.strip(), note)
