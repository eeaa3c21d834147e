"""FIT files: activities, the counters of monitoring, and damaged ones."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from health_exports import FIT_EPOCH, fit_file

from activitymodule.days.imports.importing import import_export
from activitymodule.errors import DataError

pytest.importorskip("fitdecode", reason="FIT files need the package fitdecode (extra research)")

Message = tuple[int, Mapping[int, tuple[str, int]]]
MONITORING, INFO, SESSION, RECORD, ACTIVITY = 55, 103, 18, 20, 34
WALKING = 6


def raw(text: str) -> int:
    """A time as FIT files have it."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) - FIT_EPOCH


def info(text: str, hours: int, resting: int = 1440) -> Message:
    return INFO, {253: ("u32", raw(text)), 0: ("u32", raw(text) + 3600 * hours), 5: ("u16", resting)}


def walked(text: str, steps: int, kcal: int) -> Message:
    return MONITORING, {253: ("u32", raw(text)), 5: ("enum", WALKING), 3: ("u32", steps), 19: ("u16", kcal)}


def beat(text: str, rate: int) -> Message:
    return MONITORING, {26: ("u16", raw(text) & 0xFFFF), 27: ("u8", rate)}


def session(start: str, minutes: int, strides: int, kcal: int, sport: int = 1) -> Message:
    milliseconds = minutes * 60_000
    return SESSION, {
        253: ("u32", raw(start) + 60 * minutes), 2: ("u32", raw(start)), 5: ("enum", sport), 7: ("u32", milliseconds),
        8: ("u32", milliseconds), 10: ("u32", strides), 11: ("u16", kcal),
    }  # fmt: skip


def days(folder: Path, *files: list[Message], zone: str | None = "Europe/Berlin") -> list[dict[str, object]]:
    for place, messages in enumerate(files):
        (folder / f"{place}.fit").write_bytes(fit_file(messages))
    return import_export("garmin", folder, "p1", zone=zone).rows


# two days of Berlin; its midnight is 23:00 UTC
FIRST = [
    info("2024-03-04T23:00:00", 1),
    walked("2024-03-05T08:00:00", 1000, 50),
    beat("2024-03-05T08:01:00", 62),
    beat("2024-03-05T08:03:00", 66),
    walked("2024-03-05T22:30:00", 5000, 250),
]
SECOND = [
    walked("2024-03-05T23:00:00", 5200, 260),  # of the day that ends with it
    info("2024-03-05T23:00:00", 1),
    walked("2024-03-06T09:00:00", 6000, 300),
]


def test_counters_of_monitoring_begin_anew_at_local_midnight(tmp_path: Path) -> None:
    first, second = days(tmp_path, FIRST, SECOND)
    assert (first["date"], first["steps"]) == (date(2024, 3, 5), 5200)
    assert (second["date"], second["steps"]) == (date(2024, 3, 6), 6000)
    assert (first["heart_mean"], first["wear_minutes"]) == (64, 3)


def test_resting_energy_is_added_where_monitoring_is_dense(tmp_path: Path) -> None:
    every_hour = [walked(f"2024-03-05T{hour:02}:00:00", 100 * hour, 10 * hour) for hour in range(1, 23)]
    [row] = days(tmp_path, [info("2024-03-05T00:00:00", 1), *every_hour])
    assert row["kcal"] == pytest.approx(220 + 22 * 60)
    assert row["steps"] == 2200


def test_the_order_of_files_and_copies_of_them_change_nothing(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert days(tmp_path / "a", FIRST, SECOND) == days(tmp_path / "b", SECOND, FIRST, SECOND)


def test_an_activity_within_monitoring_counts_once(tmp_path: Path) -> None:
    every = [walked(f"2024-03-05T10:{minute:02}:00", 100 * minute, 0) for minute in range(1, 41)]
    run = session("2024-03-05T10:05:00", 20, 1000, 150)
    [row] = days(tmp_path, [info("2024-03-05T10:00:00", 1), *every], [run])
    assert row["steps"] == 4000
    assert (row["workout"], row["workout_minutes"], row["workout_kcal"]) == ("jogging", 20, 150)
    (tmp_path / "0.fit").unlink()
    [alone] = import_export("garmin", tmp_path, "p1", zone="Europe/Berlin").rows
    assert alone["steps"] == 2000


def test_a_long_ride_keeps_its_energy_and_has_no_steps(tmp_path: Path) -> None:
    [row] = days(tmp_path, [session("2024-03-05T10:00:00", 200, 7000, 1500, sport=2)])
    assert (row["workout"], row["workout_minutes"], row["kcal"]) == ("cycling", 200, pytest.approx(1500))
    assert row["steps"] is None
    assert row["active_minutes"] == 200


@pytest.mark.parametrize("harm", ["cut", "bit", "text", "empty"])
def test_damaged_files_are_refused(tmp_path: Path, harm: str) -> None:
    whole = fit_file(FIRST)
    middle = len(whole) // 2
    content = {
        "cut": whole[:middle],
        "bit": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
        "text": b"no FIT file at all",
        "empty": b"",
    }[harm]
    (tmp_path / "a.fit").write_bytes(content)
    with pytest.raises(DataError):
        import_export("garmin", tmp_path, "p1", zone="UTC")


def test_a_damaged_file_among_whole_ones_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "cut.fit").write_bytes(fit_file([session("2024-03-06T10:00:00", 20, 1000, 150)] * 9)[:-9])
    [row] = days(tmp_path, [session("2024-03-05T10:00:00", 20, 1000, 150)])
    assert row["date"] == date(2024, 3, 5)


def test_no_file_of_that_kind_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        import_export("garmin", tmp_path, "p1")


def test_the_samples(data_folder: Path) -> None:
    found = import_export("garmin", data_folder / "formats" / "garmin_fit.tar.gz", "p1")
    [row] = found.rows
    assert (row["date"], row["zone"]) == (date(2017, 6, 11), "Etc/GMT+7")
    assert row["steps"] == 2 * (41 + 78)
    assert row["workout"] == "jogging"
    assert row["workout_minutes"] == pytest.approx(56.887 / 60)
    assert found.ledger.read["workout"] == 2
    assert found.ledger.left_out["message hrv"] == 120
