"""Imports of daily records: an export or table to the lake and the store, with a report of what became of it."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict

from activitymodule.days.columns import SCHEMA
from activitymodule.days.imports import importing, table
from activitymodule.days.imports.building import Row
from activitymodule.days.imports.importing import Imported
from activitymodule.days.imports.table_mapping import load
from activitymodule.errors import WithdrawnError
from activitymodule.lake.daily import Month, month_of
from activitymodule.settings import Settings
from activitymodule.store import participants as store
from activitymodule.store.connection import session
from activitymodule.store.participants import Participant
from activitymodule.telemetry.sources.base import must_exist
from activitymodule.workflows import days

_DEFAULT_ZONE = "UTC"  # of a participant whose zone nobody has set


class ImportReport(BaseModel):
    """What an import made.

    rows : daily records, `unworn` of them of days on which nothing was worn; changed : months whose file is another
    one; read, merged, left_out, noticed : see days.imports.ledger
    """

    model_config = ConfigDict(frozen=True)

    source: str
    participants: int
    rows: int
    unworn: int
    first: date
    last: date
    zones: tuple[str, ...]
    changed: tuple[str, ...]
    read: dict[str, int]
    merged: dict[str, int]
    left_out: dict[str, int]
    noticed: dict[str, int]


def import_export(
    config: Settings,
    kind: str,
    path: Path,
    participant: str,
    *,
    zone: str | None = None,
    times: str | None = None,
) -> ImportReport:
    """Import the export of a phone or watch (days.imports.importing.KINDS) as daily records of a participant.

    zone : of their days; without it that of the participant, unless it is UTC, and then the export's own. The days
    that the export has replace those of the same source; a full export also those between them that it lacks.
    Raises WithdrawnError, and as days.imports.importing.import_export.
    """
    must_exist(path)
    name = store.checked_name(participant)
    known = _known(config, [name]).get(name)
    if known is not None and known.withdrawn_at is not None:
        raise WithdrawnError(
            f"{name} has withdrawn on {known.withdrawn_at:%Y-%m-%d}; nothing of them is imported"
        )
    if zone is None and known is not None and known.details.zone != _DEFAULT_ZONE:
        zone = known.details.zone
    found = importing.import_export(kind, path, name, zone=zone, default_zone=config.days.zone, times=times)
    return _written(config, found, whole=kind != "garmin")


def import_table(
    config: Settings, mapping: str, path: Path, participant: str | None = None, *, zone: str | None = None
) -> ImportReport:
    """Import tables of days by a mapping: a YAML file, or the name of one that is shipped.

    Rows of participants who have withdrawn are left out and counted. Raises as days.imports.table.import_table, and
    WithdrawnError where nothing is left.
    """
    if participant is not None:
        store.checked_name(participant)
    found = table.import_table(load(mapping), path, participant, zone=zone, default_zone=config.days.zone)
    known = _known(config, sorted({str(row["participant"]) for row in found.rows}))
    withdrawn = {name for name, one in known.items() if one.withdrawn_at is not None}
    kept = [row for row in found.rows if row["participant"] not in withdrawn]
    if len(kept) < len(found.rows):
        found.ledger.leave_out("row of a participant who has withdrawn", len(found.rows) - len(kept))
    if not kept:
        raise WithdrawnError(f"every participant of {path} has withdrawn; nothing of them is imported")
    return _written(config, Imported(found.source, kept, found.ledger), whole=False)


def _known(config: Settings, names: list[str]) -> dict[str, Participant]:
    with session(config, read_only=True) as connection:
        found = (store.find(connection, name) for name in names)
        return {one.participant: one for one in found if one is not None}


def _written(config: Settings, found: Imported, *, whole: bool) -> ImportReport:
    """Write the records. whole : days between the first and the last that are not among them are gone."""
    rows = found.rows
    new = pa.Table.from_pylist(rows, SCHEMA)
    first, last = min(map(_day, rows)), max(map(_day, rows))
    stale, among = None, list[Month]()
    if whole:
        # with another zone than the last time its first and last day may have been others
        low, high = first - timedelta(days=1), last + timedelta(days=1)
        own = (pc.field("source") == found.source) & (pc.field("participant") == str(rows[0]["participant"]))
        between = (pc.field("date") >= first) & (pc.field("date") <= last)
        around = (
            (pc.field("date") >= low)
            & (pc.field("date") <= high)
            & (pc.field("zone") != str(rows[0]["zone"]))
        )
        stale = own & (between | around)
        among = sorted({month_of(low + timedelta(days=k)) for k in range((high - low).days + 1)})
    changes = days.write(config, new, stale, among)
    ledger = found.ledger
    return ImportReport(
        source=found.source,
        participants=len({row["participant"] for row in rows}),
        rows=len(rows),
        unworn=sum(row.get("wear_minutes") == 0 for row in rows),
        first=first,
        last=last,
        zones=tuple(sorted({str(row["zone"]) for row in rows})),
        changed=tuple(sorted({str(one.month) for one in changes})),
        read=_sorted(ledger.read),
        merged=_sorted(ledger.merged),
        left_out=_sorted(ledger.left_out),
        noticed=_sorted(ledger.noticed),
    )


def _day(row: Row) -> date:
    day = row["date"]
    assert isinstance(day, date)
    return day


def _sorted(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda one: (-one[1], one[0])))
