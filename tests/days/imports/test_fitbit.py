"""Exports of Fitbit: files of minutes, exercises and daily figures, and the clock that they are written in."""

from __future__ import annotations

import json
import zipfile
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from activitymodule.days.imports.importing import import_export
from activitymodule.errors import ConfigError, DataError

MIDNIGHT = datetime(2024, 3, 5)


def minute(moment: datetime, value: object) -> dict[str, object]:
    return {"dateTime": moment.strftime("%m/%d/%y %H:%M:%S"), "value": value}


def write(folder: Path, name: str, items: object) -> None:
    (folder / f"{name}.json").write_text(json.dumps(items))


def day_of_steps(shift: timedelta = timedelta()) -> list[dict[str, object]]:
    """A day with 100 steps a minute from 10:00 to 11:00 and from 23:00 to 24:00, and none in all other minutes."""
    return [
        minute(MIDNIGHT + timedelta(minutes=m) + shift, str(100 * (m // 60 in (10, 23)))) for m in range(1440)
    ]


def sleep(begin: datetime, end: datetime) -> dict[str, object]:
    return {
        "startTime": begin.isoformat() + ".000",
        "endTime": end.isoformat() + ".000",
        "dateOfSleep": "2024-03-05",
    }


def test_minutes_become_a_day(tmp_path: Path) -> None:
    write(tmp_path, "steps-2024-03-05", day_of_steps())
    beats = [
        minute(MIDNIGHT + timedelta(hours=9, seconds=10 * k), {"bpm": 60 + k % 10, "confidence": 2})
        for k in range(360)
    ]
    doubtful = minute(MIDNIGHT + timedelta(hours=20), {"bpm": 70, "confidence": 0})
    write(tmp_path, "heart_rate-2024-03-05", [*beats, doubtful])
    write(
        tmp_path, "calories-2024-03-05", [minute(MIDNIGHT + timedelta(minutes=m), "1.5") for m in range(1440)]
    )
    write(
        tmp_path,
        "resting_heart_rate-2024-03-05",
        [minute(MIDNIGHT, {"date": "03/05/24", "value": 58.5, "error": 1})],
    )
    write(tmp_path, "very_active_minutes-2024-03-05", [minute(MIDNIGHT, "40")])
    write(tmp_path, "sedentary_minutes-2024-03-05", [minute(MIDNIGHT, "900")])
    ride = {
        "activityName": "Outdoor Bike",
        "startTime": "03/05/24 10:00:00",
        "duration": 3600000,
        "calories": 300,
    }
    write(tmp_path, "exercise-0", [ride | {"activeDuration": 3000000}])
    write(tmp_path, "weight-2024-03-05", [{"weight": 70}])
    found = import_export("fitbit", tmp_path, "p1", zone="Europe/Berlin")
    [row] = found.rows
    assert (row["date"], row["steps"], row["kcal"]) == (date(2024, 3, 5), 12000, pytest.approx(2160))
    assert (row["wear_minutes"], row["heart_resting"]) == (60, 58.5)
    assert (row["workout"], row["workout_minutes"], row["workout_kcal"]) == ("cycling", 50, 300)
    assert row["minutes"] == {"sedentary": 900, "very active": 40}
    assert row["active_minutes"] == 40
    assert row["completeness"] == 1
    assert found.ledger.left_out == {"heart_rate: without confidence": 1, "file of weight": 1}


@pytest.mark.parametrize("in_utc", [True, False])
def test_sleep_says_whether_minutes_are_utc(tmp_path: Path, in_utc: bool) -> None:
    # New York: 5 hours behind UTC, so that 23:00 there is 04:00 of the next day in UTC
    write(tmp_path, "steps-2024-03-05", day_of_steps(timedelta(hours=5 if in_utc else 0)))
    nights = [MIDNIGHT + timedelta(days=day, hours=2) for day in range(2)]
    write(tmp_path, "sleep-2024-03-05", [sleep(night, night + timedelta(hours=7)) for night in nights])
    found = import_export("fitbit", tmp_path, "p1", zone="America/New_York")
    [row] = found.rows
    assert (row["date"], row["steps"]) == (date(2024, 3, 5), 12000)
    assert row["hours_active"][23] == 60  # type: ignore[index]
    assert found.ledger.left_out["sleep"] == 2
    other = import_export(
        "fitbit", tmp_path, "p1", zone="America/New_York", times="local" if in_utc else "utc"
    )
    assert len(other.rows) == 2


def test_the_same_again_changes_nothing_and_the_larger_of_two_exports_counts(tmp_path: Path) -> None:
    write(tmp_path, "steps-2024-03-05", day_of_steps())
    first = import_export("fitbit", tmp_path, "p1", zone="UTC")
    (tmp_path / "again").mkdir()
    write(tmp_path / "again", "steps-2024-03-05", day_of_steps()[:700])
    # an export of before the watch was synchronised
    write(tmp_path / "again", "steps-2024-03-04", [minute(MIDNIGHT + timedelta(hours=23), "0")])
    assert import_export("fitbit", tmp_path, "p1", zone="UTC").rows == first.rows
    with zipfile.ZipFile(tmp_path.parent / "fitbit.zip", "w") as archive:
        for file in tmp_path.glob("*.json"):
            archive.write(file, f"Takeout/Fitbit/Global Export Data/{file.name}")
        archive.writestr("Takeout/Fitbit/Your Profile/Profile.csv", "id,timezone\nX,Europe/Rome\n")
    zipped = import_export("fitbit", tmp_path.parent / "fitbit.zip", "p1")
    assert [row | {"zone": "UTC"} for row in zipped.rows] == first.rows
    assert zipped.rows[0]["zone"] == "Europe/Rome"


def test_days_without_a_step_are_not_worn_and_days_to_come_are_left_out(tmp_path: Path) -> None:
    steps = [
        minute(MIDNIGHT + timedelta(days=d, hours=h), str(50 * (d in (0, 2))))
        for d in range(5)
        for h in range(24)
    ]
    write(tmp_path, "steps-2024-03-05", steps)
    found = import_export("fitbit", tmp_path, "p1", zone="UTC")
    assert [row.get("steps") for row in found.rows] == [1200, None, 1200]
    assert [row.get("wear_minutes") for row in found.rows] == [None, 0, None]
    assert found.ledger.left_out == {"day after the last one with data": 2}


def test_the_hour_that_the_clock_shows_twice_loses_nothing(tmp_path: Path) -> None:
    night = datetime(2024, 10, 27)
    write(tmp_path, "steps-2024-10-27", [minute(night + timedelta(minutes=m), 10) for m in range(1440)])
    [row] = import_export("fitbit", tmp_path, "p1", zone="Europe/Berlin").rows
    assert (row["hours"], row["steps"]) == (25, 14400)
    assert len(row["hours_active"]) == 25  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ['[{"dateTime": "03/05/24 10:00:00", "va', "{}", "\0", "[" * 100_000, ""])
def test_damaged_files_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "steps-2024-03-05.json").write_text(text)
    with pytest.raises(DataError):
        import_export("fitbit", tmp_path, "p1", zone="UTC")


def test_records_that_cannot_be_read_are_counted(tmp_path: Path) -> None:
    odd = [{}, 3, None, minute(MIDNIGHT, None), {"dateTime": "soon", "value": "1"}, minute(MIDNIGHT, "1e999")]
    write(tmp_path, "steps-2024-03-05", [*day_of_steps(), *odd])
    found = import_export("fitbit", tmp_path, "p1", zone="UTC")
    assert found.rows[0]["steps"] == 12000
    assert found.ledger.left_out == {"steps: unreadable record": 5, "steps: impossible value": 1}


def test_what_is_no_export_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        import_export("fitbit", tmp_path / "nowhere", "p1")
    with pytest.raises(DataError):
        import_export("fitbit", tmp_path, "p1")
    with pytest.raises(DataError):
        import_export("fitbit", tmp_path, "p1", zone="Mars/Base")
    with pytest.raises(ConfigError):
        import_export("garmin", tmp_path, "p1", times="utc")


def test_the_sample(data_folder: Path) -> None:
    found = import_export(
        "fitbit", data_folder / "formats" / "fitbit_json.tar.gz", "p1", zone="Europe/Amsterdam"
    )
    [row] = found.rows
    assert (row["date"], row["steps"]) == (date(1995, 6, 24), 607)
    assert row["kcal"] == pytest.approx(69.56)
    assert found.ledger.left_out["sleep"] == 2
