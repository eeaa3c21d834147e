"""An import: the export of a phone or watch to daily records of a participant, with the ledger of what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

from activitymodule.days.imports import apple_health, fitbit, garmin, zones
from activitymodule.days.imports.building import Export, Row, rows_of
from activitymodule.days.imports.ledger import Ledger
from activitymodule.days.imports.samples import collected
from activitymodule.days.local import zone_info
from activitymodule.errors import ConfigError, DataError

KINDS = ("apple-health", "fitbit", "garmin")
_GAPS = {
    "apple-health": apple_health.GAP_MINUTES,
    "fitbit": fitbit.GAP_MINUTES,
    "garmin": garmin.GAP_MINUTES,
}


@dataclass(frozen=True)
class Imported:
    """Result of an import. rows : daily records, sorted by participant and date"""

    source: str
    rows: list[Row]
    ledger: Ledger


def import_export(
    kind: str,
    path: Path,
    participant: str,
    *,
    zone: str | None = None,
    default_zone: str = "UTC",
    times: str | None = None,
) -> Imported:
    """The daily records of an export; the same export gives the same records.

    kind : one of KINDS
    zone : the participant's, as an IANA name. Without it, the zone that the export names, the one that its offsets
        from UTC fit, or `default_zone`; which of them is noticed in the ledger.
    times : of Fitbit's files of minutes, `local` or `utc`; see imports/fitbit.py
    Raises ConfigError for a path that cannot be right, DataError for an unknown zone and where the export is damaged,
    another one, or holds no day.
    """
    if kind not in KINDS:
        raise ConfigError(f"there is no import {kind}; there are {', '.join(KINDS)} and table")
    if times is not None and kind != "fitbit":
        raise ConfigError("--times is for exports of Fitbit, whose files of minutes do not say it")
    given = zone_info(zone) if zone is not None else None
    ledger = Ledger()
    with collected(ledger) as samples:
        export = Export(samples, _GAPS[kind])
        if kind == "apple-health":
            apple_health.read(path, export)
        elif kind == "garmin":
            garmin.read(path, export)
        else:
            reader = fitbit.read(path, export)
        local = given or _zone(export, default_zone)
        if kind == "fitbit":
            fitbit.settle(reader, export, local, times)
        rows = rows_of(export, participant, kind, local)
    if not rows:
        raise DataError(
            f"{path} holds no day with steps, energy, heart rate or a workout; left out: "
            f"{', '.join(sorted(ledger.left_out)[:8]) or 'nothing'}"
        )
    return Imported(kind, rows, ledger)


def _zone(export: Export, default_zone: str) -> ZoneInfo:
    noticed = export.ledger.noticed
    if export.zone is not None:
        try:
            found = zone_info(export.zone)
        except DataError:
            noticed["zone of the export that nobody knows"] += 1
        else:
            noticed[f"zone {found.key}: as the export names it"] += 1
            return found
    guess = zones.inferred(export.offsets)
    if guess is not None:
        noticed[f"zone {guess}: by the export's offsets from UTC; --zone says it exactly"] += 1
        return zone_info(guess)
    noticed[f"zone {default_zone}: not known from the export; --zone says it"] += 1
    return zone_info(default_zone)
