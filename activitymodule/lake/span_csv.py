"""Spans as CSV: `device, from, to, activity`, as a diary has them; an export has all columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import cast, get_args
from zoneinfo import ZoneInfo

from activitymodule.errors import ConfigError, DataError
from activitymodule.lake.csv_text import Table, written
from activitymodule.lake.label_rows import device_of, label_in, moment, name_in, refusal, shown, written_time
from activitymodule.store.spans import Origin, Span, SpanRow

SPAN_COLUMNS = ("device", "from", "to", "activity", "annotator", "note", "answered_at", "origin")
_REQUIRED = SPAN_COLUMNS[:4]


def spans_to_csv(spans: Iterable[Span]) -> str:
    """Spans as CSV with a header; times in UTC, to the microsecond."""
    lines = [",".join(SPAN_COLUMNS)]
    for span in spans:
        cells = (
            span.device_id, span.span_start, span.span_end, span.label, span.annotator, span.note, span.answered_at,
            span.origin,
        )  # fmt: skip
        lines.append(",".join(map(written, cells)))
    return "\n".join(lines) + "\n"


def spans_from_csv(text: str, *, annotator: str, zone: ZoneInfo | None = None) -> list[SpanRow]:
    """The spans of a file, in its order.

    annotator : for rows that name none; zone : of times without an offset. Raises DataError, which names line and
    column.
    """
    table = Table(text.lstrip("\ufeff"), _REQUIRED, SPAN_COLUMNS, lambda name: name.strip().lower())
    restored = set(SPAN_COLUMNS) <= set(table.header)
    rows = [_row(place, values, annotator, zone, restored) for place, values in table]
    if not rows:
        raise DataError("the file has no spans")
    return rows


def _row(
    place: str, values: Mapping[str, str], annotator: str, zone: ZoneInfo | None, restored: bool
) -> SpanRow:
    answered_at = values.get("answered_at")
    origin = values.get("origin")
    return SpanRow(
        device_id=device_of(place, "device", values.get("device")),
        span_start=zoned_time(place, "from", values.get("from"), zone),
        span_end=zoned_time(place, "to", values.get("to"), zone),
        label=label_in(place, "activity", values.get("activity"), restored),
        annotator=name_in(place, values.get("annotator") or annotator, restored),
        note=values.get("note") or None,
        answered_at=moment(place, "answered_at", answered_at) if answered_at else None,
        origin=cast(Origin, origin) if origin in get_args(Origin) else "import",
        restored=restored,
        place=place,
    )


def zone_of(name: str | None) -> ZoneInfo | None:
    """A time zone by its name, such as Europe/Berlin. Raises ConfigError where there is none of that name."""
    if not name:
        return None
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # a folder of zones, or no name of a file at all
        raise ConfigError(
            f"{name[:60]!r} is no time zone; write one of the IANA database, such as Europe/Berlin or UTC"
        ) from None


def zoned_time(place: str, column: str, value: object, zone: ZoneInfo | None) -> datetime:
    """A time in UTC. Raises DataError where it has neither an offset nor a zone, or where the zone's clock never showed
    it, or showed it twice."""
    at = written_time(place, column, value)
    if at.tzinfo is not None:
        return at.astimezone(UTC)
    if zone is None:
        raise refusal(
            place,
            column,
            f"{shown(value)} has no offset; write 2026-11-20T10:00+01:00, or name the zone of the file",
        )
    early, late = (at.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if early != late:
        there = early.astimezone(zone).replace(tzinfo=None) == at
        what = "is there twice" if there else "does not exist"
        raise refusal(
            place,
            column,
            f"{shown(value)} {what} in {zone.key}: the clock changed then; write it with its offset",
        )
    return early
