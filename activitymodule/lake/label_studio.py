"""Labels as tasks of Label Studio: its JSON export, one task a window.

https://labelstud.io/guide/export#Label-Studio-JSON-format-of-annotated-tasks
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np

from activitymodule.errors import DataError
from activitymodule.lake.label_rows import imported, moment
from activitymodule.settings import Labels
from activitymodule.store.import_export import Exported, Imported, ImportRows, PassedOver
from activitymodule.windows.packing import CHANNELS, RECORD

Json = dict[str, Any]  # an object of Label Studio
People = Mapping[str, str]
"""Number of a user of Label Studio -> email, where the file has both somewhere."""


# ---- out


def to_label_studio(
    rows: Iterable[Exported], readings: Mapping[tuple[str, datetime], bytes], question: Labels | None = None
) -> list[Json]:
    """Answers as tasks of Label Studio, one a window.

    A task has the window's readings as a time series where `readings` has them, its labels as annotations (other
    answers are none there), and the model's activity as a prediction.
    """
    question = question or Labels()
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
                "result": [_choice(question, row.label)],
            }
        )
        if row.suggested and not tasks[key]["predictions"]:
            prediction = {"model_version": row.model_version, "result": [_choice(question, row.suggested)]}
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


def _choice(question: Labels, label: str | None) -> Json:
    return {
        "from_name": question.from_name,
        "to_name": question.to_name,
        "type": "choices",
        "value": {"choices": [label]},
    }


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


# ---- in


def from_label_studio(
    text: str, *, annotator: str, window_seconds: float, question: Labels | None = None
) -> ImportRows:
    """The answers of a file to the configured question; others are counted. Raises DataError, which names the task."""
    try:
        tasks = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"the file is not JSON: {error}") from None
    found = [
        _object(f"task {place}", "task", task)
        for place, task in enumerate([tasks] if isinstance(tasks, dict) else tasks, 1)
    ]
    passed_over: Counter[PassedOver] = Counter()
    people = _people(found)
    rows = [
        row
        for place, task in enumerate(found, 1)
        for row in _answers(
            f"task {place}", task, annotator, window_seconds, question or Labels(), people, passed_over
        )
    ]
    return ImportRows(rows, +passed_over)


def _answers(
    place: str,
    task: Json,
    annotator: str,
    window_seconds: float,
    question: Labels,
    people: People,
    passed_over: Counter[PassedOver],
) -> Iterator[Imported]:
    data = task.get("data")
    if not isinstance(data, dict):
        raise DataError(f"{place} has no data; export tasks as JSON, not as JSON-MIN or CSV")
    version, suggested = _prediction(place, task, question)
    for number, annotation in enumerate(_objects(place, "annotations", task.get("annotations")), 1):
        where = f"{place}, annotation {number}"
        if annotation.get("was_cancelled"):
            passed_over[PassedOver.CANCELLED] += 1
            continue
        results = _objects(where, "results", annotation.get("result"))
        others = {str(one.get("from_name")) for one in results if not _answers_to(one, question)}
        passed_over[PassedOver.OTHER_QUESTION] += len(others)
        label = _label(results, question)
        if isinstance(label, PassedOver):
            passed_over[label] += label is not PassedOver.OTHER_QUESTION
            continue
        values = {
            **{name: data.get(name) for name in ("device_id", "window_start", "window_end")},
            "annotator": _who(where, annotation.get("completed_by"), people),
            "label": label,
            "adjudicates": bool(annotation.get("ground_truth")),
            "created_at": _answered_at(where, annotation),
            "seconds": annotation.get("lead_time"),
            "model_version": version,
            "suggested": suggested,
        }
        yield imported(
            where, values, annotator=annotator, window_seconds=window_seconds, restored="gold_label" in data
        )


def _answers_to(result: Json, question: Labels) -> bool:
    """Whether a result answers the configured question; one written by hand may name none."""
    named = result.get("from_name", question.from_name), result.get("to_name", question.to_name)
    return named == (question.from_name, question.to_name)


def _label(results: list[Json], question: Labels) -> object | PassedOver:
    """The one choice that answers the question, or why there is none."""
    asked = [one for one in results if _answers_to(one, question)]
    if not asked:
        return PassedOver.OTHER_QUESTION if results else PassedOver.NO_CHOICE
    chosen: list[object] = []
    for one in asked:
        value = one.get("value")
        choices = value.get("choices") if isinstance(value, dict) and one.get("type") == "choices" else None
        chosen += choices if isinstance(choices, list) else [choices] if choices else []
    if not chosen:
        return PassedOver.NO_CHOICE
    return chosen[0] if all(one == chosen[0] for one in chosen) else PassedOver.SEVERAL


def _prediction(place: str, task: Json, question: Labels) -> tuple[object, object]:
    """The model's version and its activity, where the task has one."""
    for prediction in _objects(place, "predictions", task.get("predictions")):
        label = _label(_objects(place, "results", prediction.get("result")), question)
        if not isinstance(label, PassedOver):
            return prediction.get("model_version"), label
    return None, None


def _answered_at(where: str, annotation: Json) -> str | None:
    """When the answer was given, or changed last."""
    times = [
        moment(where, name, annotation[name]) for name in ("created_at", "updated_at") if annotation.get(name)
    ]
    return max(times).isoformat() if times else None


def _people(tasks: list[Json]) -> People:
    """Emails by number: an export may have some annotators as objects, and others by their number alone."""
    found: dict[str, str] = {}
    for task in tasks:
        annotations = task.get("annotations")
        for annotation in annotations if isinstance(annotations, list) else []:
            who = annotation.get("completed_by") if isinstance(annotation, dict) else None
            if isinstance(who, dict) and isinstance(who.get("email"), str) and who["email"].strip():
                found[str(who.get("id"))[:40]] = who["email"]
    found.pop("None", None)
    return found


def _who(where: str, who: object, people: People) -> object:
    """The annotator: an email, else the number that Label Studio gave them; None where there is neither."""
    number = who
    if isinstance(who, dict):
        if who.get("email"):
            return who["email"]
        number = who.get("id")
    if number is None:
        return None
    if isinstance(number, str) and not number.isascii():
        return number
    if isinstance(number, bool) or not isinstance(number, int | str) or len(str(number)) > 40:
        raise DataError(
            f"{where}, column completed_by: {str(number)[:40]!r} is neither a number nor an email"
        )
    text = str(number)
    return people.get(text) or (f"label-studio-{text}" if text.isdecimal() else text)


def _object(place: str, name: str, value: Any) -> Json:
    if not isinstance(value, dict):
        raise DataError(
            f"{place} has no data: the {name} is no object; export tasks as JSON, not as JSON-MIN or CSV"
        )
    return value


def _objects(where: str, name: str, value: Any) -> list[Json]:
    """A list of objects, as Label Studio exports it; None is an empty list."""
    objects = [] if value is None else value
    if not isinstance(objects, list) or not all(isinstance(one, dict) for one in objects):
        raise DataError(f"{where}: its {name} are not as Label Studio exports them; export tasks as JSON")
    return objects
