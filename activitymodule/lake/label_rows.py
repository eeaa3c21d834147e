"""A row of a file of labels: checked, with errors that name the row and the column."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, cast, get_args

from activitymodule.errors import DataError
from activitymodule.store.answers import Answer, Origin
from activitymodule.store.import_export import Imported
from activitymodule.telemetry.identifiers import DEVICE_ID_TEXT, is_device_id
from activitymodule.text import NAME_TEXT, name_of, storable

_FIRST_YEAR, _LAST_YEAR = 2000, 2199
_SECONDS = re.compile(r"[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_LONGEST = 200  # characters of a text of an export, which is kept as it is


def refusal(place: str, column: str, what: str) -> DataError:
    """The error of a value: where it stands, and what is wrong with it."""
    return DataError(f"{place}, column {column}: {what}")


def shown(value: object) -> str:
    """The beginning of a value, as a message shows it."""
    return repr(str(value)[:40])


def imported(
    place: str, values: Mapping[str, Any], *, annotator: str, window_seconds: float, restored: bool
) -> Imported:
    """The row of an answer; absent columns are None or empty.

    annotator : where the row names none; restored : from an export of this project, whose texts are kept as they are.
    Raises DataError.
    """
    start = moment(place, "window_start", values.get("window_start"))
    end = values.get("window_end")
    until = moment(place, "window_end", end) if end else start + timedelta(seconds=window_seconds)
    if until <= start:
        raise refusal(place, "window_end", "the window ends before it begins")
    answer = values.get("answer") or "label"
    if answer not in get_args(Answer):
        raise refusal(place, "answer", f"{shown(answer)} is none of {', '.join(get_args(Answer))}")
    at = values.get("created_at")
    origin = values.get("origin")
    return Imported(
        device_id=device_of(place, "device_id", values.get("device_id")),
        window_start=start,
        window_end=until,
        annotator=name_in(place, values.get("annotator") or annotator, restored),
        label=label_in(place, "label", values.get("label"), restored) if answer == "label" else None,
        note=values.get("note") or None,
        answer=cast(Answer, answer),
        adjudicates=truth(place, "adjudicates", values.get("adjudicates")) or False,
        origin=str(origin) if origin in get_args(Origin) else "import",
        seconds=_seconds(place, values.get("seconds")),
        model_version=_kept(values.get("model_version")),
        suggested=_kept(values.get("suggested")),
        model_hidden=truth(place, "model_hidden", values.get("model_hidden")),
        stratum=_kept(values.get("stratum")),
        at=moment(place, "created_at", at) if at else None,
        restored=restored,
        place=place,
    )


def moment(place: str, column: str, value: object) -> datetime:
    """A time of a file, to the microsecond; UTC where it names no zone."""
    at = written_time(place, column, value)
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)


def written_time(place: str, column: str, value: object) -> datetime:
    """A time of a file as it is written, to the microsecond; without a zone where it names none."""
    try:
        at = datetime.fromisoformat(str(value).strip()[:60])
    except ValueError:
        raise refusal(
            place, column, f"{shown(value)} is not a time; write 2026-11-20T10:00:00+00:00"
        ) from None
    # the years before their neighbours, so that a zone does not lead out of what Python can hold
    if not _FIRST_YEAR <= at.year <= _LAST_YEAR:
        raise refusal(place, column, f"the year {at.year} is out of range ({_FIRST_YEAR} to {_LAST_YEAR})")
    return at


def truth(place: str, column: str, value: object) -> bool | None:
    """`true`, `false`, or nothing."""
    match value:
        case None | "":
            return None
        case bool():
            return value
        case str() if value.lower() in ("true", "false"):
            return value.lower() == "true"
    raise refusal(place, column, f"{shown(value)} is neither true nor false")


def device_of(place: str, column: str, value: object) -> str:
    """The name of a watch."""
    device = value.strip() if isinstance(value, str) else value
    if not is_device_id(device):
        raise refusal(place, column, f"{shown(value)} is no valid device_id ({DEVICE_ID_TEXT})")
    return device


def name_in(place: str, value: object, restored: bool) -> str:
    """The name of an annotator; restored : as it is, where the store can hold it."""
    if isinstance(value, str):
        if restored and value == _kept(value):
            return value
        if name := name_of(value):
            return name
    raise refusal(place, "annotator", f"{shown(value)} is no valid annotator name ({NAME_TEXT})")


def label_in(place: str, column: str, value: object, restored: bool) -> str:
    """A label, not yet spelled as the store spells it; restored : as it is, where the store can hold it."""
    if not isinstance(value, str) or not value.strip():
        raise refusal(place, column, "the row has no label")
    if restored and value != _kept(value):
        raise refusal(place, column, f"{shown(value)} is no valid label")
    return value


def _kept(value: object) -> str | None:
    """A text of an export as the store had it; None where there is none."""
    return storable(value)[:_LONGEST] if isinstance(value, str) and value else None


def _seconds(place: str, value: object) -> float | None:
    """A duration; out of [0, 1 day) a clock was changed, and it is unknown, as in the console."""
    if value is None or value == "":
        return None
    if isinstance(value, str) and _SECONDS.fullmatch(value):
        value = float(value)
    if not isinstance(value, int | float) or isinstance(value, bool) or math.isnan(value):
        raise refusal(place, "seconds", f"{shown(value)} is no number of seconds")
    return float(value) if 0 <= value < 86_400 else None
