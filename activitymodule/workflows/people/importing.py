"""Participants of a CSV, and which watches they wore when."""

from __future__ import annotations

import math
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict

from activitymodule.errors import ActivityError, DataError
from activitymodule.lake.csv_text import Table
from activitymodule.settings import Settings
from activitymodule.store import participants
from activitymodule.store.connection import Connection, transact
from activitymodule.store.participants import DETAILS, Wear
from activitymodule.telemetry.untrusted import readable

_WORN = ("device_id", "worn_from", "worn_to")
COLUMNS = ("participant", *_WORN, *DETAILS)
"""Those that a file may have; `participant` is required."""

_NUMBERS = ("age_years", "height_cm", "weight_kg", "resting_heart_rate_bpm")


class Imported(BaseModel):
    """What an import changed."""

    model_config = ConfigDict(frozen=True)

    added: int
    changed: int
    assigned: int
    as_they_were: int


def import_csv(config: Settings, path: Path, *, handover: bool = False) -> Imported:
    """Add or change the participants of a CSV, and what they wear: all of them, or none.

    One row a participant and watch; an empty cell changes nothing. A time without an offset is in the participant's
    time zone. The same file twice changes nothing. handover : as of participants.assign. Raises DataError and others,
    which name the line.
    """
    with readable(path):
        text = path.read_text(encoding="utf-8-sig")
    return transact(config, lambda connection: _import(connection, path, text, handover=handover))


def _import(connection: Connection, path: Path, text: str, *, handover: bool) -> Imported:
    added, changed, assigned, same = set[str](), set[str](), 0, 0
    place = ""
    try:
        table = Table(text, ("participant",), COLUMNS)
        unknown = [name for name in table.header if name not in COLUMNS]
        if unknown:
            raise DataError(f"line 1: the column {unknown[0]!a} is not known; there are {', '.join(COLUMNS)}")
        for row, cells in table:
            place = row
            who = participants.checked_name(cells["participant"].strip())
            changes = changes_of(cells)
            found = participants.find(connection, who)
            if found is None:
                participants.add(connection, who, participants.details_of(changes))
                added.add(who)
            elif any(getattr(found.details, name) != value for name, value in changes.items()):
                participants.edit(connection, who, changes)
                changed.add(who)
            if not cells.get("device_id", "").strip():
                same += found is not None and who not in changed
                continue
            wear = _wear(who, cells, participants.required(connection, who).zone)
            if wear in participants.worn_by(connection, who):
                same += found is not None and who not in changed
            else:
                participants.assign(connection, wear, handover=handover)
                assigned += 1
    except ActivityError as error:
        raise type(error)(f"{path}{f', {place}' if place else ''}: {error}") from error
    return Imported(added=len(added), changed=len(changed - added), assigned=assigned, as_they_were=same)


def changes_of(cells: dict[str, str]) -> dict[str, object]:
    """The details that a row gives. Raises DataError."""
    changes: dict[str, object] = {}
    for name in DETAILS:
        text = cells.get(name, "").strip()
        if not text:
            continue
        try:
            if name in _NUMBERS:
                changes[name] = number = float(text)
                if not math.isfinite(number):
                    raise ValueError
            else:
                changes[name] = date.fromisoformat(text) if name == "consented_on" else text
        except ValueError:
            raise DataError(f"{name} is {text[:40]!a}, which cannot be read") from None
    return changes


def _wear(who: str, cells: dict[str, str], zone: ZoneInfo) -> Wear:
    times = [moment_in(cells.get(name, "").strip(), zone) for name in ("worn_from", "worn_to")]
    return Wear(who, cells["device_id"].strip(), *times)


def moment_in(text: str, zone: ZoneInfo) -> datetime | None:
    """An ISO-8601 time; one without an offset is in that time zone. None for an empty text. Raises DataError."""
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
        return (at if at.tzinfo else at.replace(tzinfo=zone)).astimezone(ZoneInfo("UTC"))
    except (ValueError, OverflowError):
        raise DataError(
            f"{text[:40]!a} is no time: it must be as 2026-11-20 or 2026-11-20T10:00+01:00"
        ) from None
