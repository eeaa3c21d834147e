"""Imports of days into a real store and lake: by the command, again, in another zone, of someone who has withdrawn."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from health_exports import PHONE, WATCH, apple_xml, apple_zip, record
from verbs import Verbs

from activitymodule.errors import WithdrawnError
from activitymodule.lake import daily
from activitymodule.settings import Settings, resolve
from activitymodule.store import participants
from activitymodule.store.connection import transact
from activitymodule.workflows import days_import

TABLE = "id,day,steps\np1,2024-03-05,7000\np2,2024-03-05,0\np2,2024-03-06,900\n"
MAPPING = "name: diary\nfiles: '*.csv'\nparticipant: id\ndate: day\ncolumns: {steps: steps}\nnot_worn: [{steps: 0}]\n"


def steps(day: str, clock: str, value: int, device: str = WATCH, source: str = "Watch") -> str:
    return record("StepCount", f"{day} {clock}:00 +0100", f"{day} {clock}:59 +0100", value, device, source)


def month(config: Settings) -> bytes:
    return Path(resolve(config.lake.folder), "daily/year=2024/month=03/days.parquet").read_bytes()


def by_date(config: Settings, participant: str, source: str) -> dict[date, float | None]:
    found = daily.read(config, participants=[participant], sources=[source]).to_pylist()
    return {row["date"]: row["steps"] for row in found}


def test_an_import_by_the_command_again_and_in_another_zone(
    fresh_settings: Settings,
    environment_of: Callable[[Settings], dict[str, str]],
    verbs: Verbs,
    tmp_path: Path,
) -> None:
    environment = environment_of(fresh_settings)
    records = [
        steps("2024-03-05", "12:00", 100),
        steps("2024-03-05", "12:00", 90, PHONE, "Phone"),
        steps("2024-03-06", "23:30", 70),
    ]
    path = apple_zip(tmp_path, apple_xml(records))
    call = ("days", "import", "apple-health", str(path), "--participant", "p1", "--json")
    report = json.loads(verbs.run(environment, *call, "--zone", "Europe/Berlin").stdout)
    assert (report["rows"], report["changed"]) == (2, ["2024-03"])
    assert report["merged"] == {"steps: amount told by another source too": 90}
    assert by_date(fresh_settings, "p1", "apple-health") == {date(2024, 3, 5): 100, date(2024, 3, 6): 70}
    before = month(fresh_settings)
    again = json.loads(verbs.run(environment, *call, "--zone", "Europe/Berlin").stdout)
    assert again["changed"] == []
    assert month(fresh_settings) == before
    # in Auckland the same instants are on other dates, of which none of before is left
    days_import.import_export(fresh_settings, "apple-health", path, "p1", zone="Pacific/Auckland")
    assert by_date(fresh_settings, "p1", "apple-health") == {date(2024, 3, 6): 100, date(2024, 3, 7): 70}


def test_a_table_beside_an_export_and_the_zone_of_a_participant(
    fresh_settings: Settings, tmp_path: Path
) -> None:
    transact(
        fresh_settings,
        lambda connection: participants.add(connection, "p1", participants.Details(zone="America/New_York")),
    )
    path = apple_zip(tmp_path, apple_xml([steps("2024-03-06", "02:00", 50)]))
    report = days_import.import_export(fresh_settings, "apple-health", path, "p1")
    assert report.zones == ("America/New_York",)
    assert by_date(fresh_settings, "p1", "apple-health") == {date(2024, 3, 5): 50}
    (tmp_path / "days.csv").write_text(TABLE)
    (tmp_path / "diary.yaml").write_text(MAPPING)
    table = days_import.import_table(fresh_settings, str(tmp_path / "diary.yaml"), tmp_path / "days.csv")
    assert (table.rows, table.unworn, table.participants) == (3, 1, 2)
    assert by_date(fresh_settings, "p1", "table:diary") == {date(2024, 3, 5): 7000}
    assert by_date(fresh_settings, "p2", "table:diary") == {date(2024, 3, 5): None, date(2024, 3, 6): 900}
    assert by_date(fresh_settings, "p1", "apple-health") == {date(2024, 3, 5): 50}


def test_nothing_is_imported_of_who_has_withdrawn(fresh_settings: Settings, tmp_path: Path) -> None:
    transact(fresh_settings, lambda connection: participants.add(connection, "p2", participants.Details()))
    transact(fresh_settings, lambda connection: participants.withdraw(connection, "p2"))
    path = apple_zip(tmp_path, apple_xml([steps("2024-03-06", "02:00", 50)]))
    with pytest.raises(WithdrawnError):
        days_import.import_export(fresh_settings, "apple-health", path, "p2")
    (tmp_path / "days.csv").write_text(TABLE)
    (tmp_path / "diary.yaml").write_text(MAPPING)
    report = days_import.import_table(fresh_settings, str(tmp_path / "diary.yaml"), tmp_path / "days.csv")
    assert report.left_out["row of a participant who has withdrawn"] == 2
    assert by_date(fresh_settings, "p2", "table:diary") == {}
