"""Exports of Apple Health: what becomes days, what counts once, and what is refused."""

from __future__ import annotations

import random
import zipfile
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest
from health_exports import PHONE, apple_xml, apple_zip, record

from activitymodule.days.columns import SCHEMA
from activitymodule.days.imports import files
from activitymodule.days.imports.building import Row
from activitymodule.days.imports.importing import Imported, import_export
from activitymodule.errors import DataError

DAY = "2024-03-05"
WORKOUT = """<Workout workoutActivityType="HKWorkoutActivityTypeTraditionalStrengthTraining" duration="{minutes}"
 durationUnit="min" {more} sourceName="{source}" startDate="2024-03-05 18:00:00 +0100"
 endDate="2024-03-05 18:50:00 +0100">{inner}</Workout>"""
STATISTICS = (
    '<WorkoutStatistics type="HKQuantityTypeIdentifierActiveEnergyBurned" sum="836.8" unit="kJ"/>'
    '<MetadataEntry key="HKTimeZone" value="Europe/Berlin"/>'
)


def at(clock: str, offset: str = "+0100", day: str = DAY) -> str:
    return f"{day} {clock} {offset}"


def steps(start: str, end: str, value: float, **more: str) -> str:
    return record("StepCount", at(start), at(end), value, **more)


def imported(folder: Path, elements: list[str], zone: str | None = "Europe/Berlin", **more: str) -> Imported:
    path = apple_zip(folder, apple_xml(elements, **more))
    return import_export("apple-health", path, "p1", zone=zone)


def only(found: Imported) -> Row:
    assert len(found.rows) == 1
    pa.Table.from_pylist(found.rows, SCHEMA).validate(full=True)
    return found.rows[0]


def test_a_watch_and_a_phone_that_count_the_same_steps_count_once(tmp_path: Path) -> None:
    found = imported(
        tmp_path,
        [
            steps("10:00:00", "10:10:00", 1000),
            steps("10:00:00", "10:10:00", 900, device=PHONE, source="Phone"),
            steps("12:00:00", "12:05:00", 300, device=PHONE, source="Phone"),  # the watch was charging
        ],
    )
    assert only(found)["steps"] == 1300
    assert found.ledger.merged["steps: amount told by another source too"] == 900
    assert only(found)["active_minutes"] == 15


def test_overlap_in_part_counts_what_only_one_of_them_saw(tmp_path: Path) -> None:
    found = imported(
        tmp_path,
        [
            steps("10:00:00", "10:10:00", 1000, device=PHONE, source="Phone"),
            steps("10:05:00", "10:15:00", 500),
        ],
    )
    assert only(found)["steps"] == 500 + 500


def test_a_total_of_an_app_does_not_fill_the_gaps_between_finer_records(tmp_path: Path) -> None:
    total = record("StepCount", at("00:00:00"), at("23:59:00"), 9000, PHONE, "Diary")
    found = imported(tmp_path, [steps("10:00:00", "10:10:00", 1000), total])
    assert only(found)["steps"] == 1000
    alone = imported(tmp_path, [total])
    assert only(alone)["steps"] == 9000
    assert "active_minutes" not in only(alone)


def test_records_that_are_there_twice_count_once_in_any_order(tmp_path: Path) -> None:
    elements = [steps(f"{h:02}:{m:02}:00", f"{h:02}:{m:02}:50", 60) for h in range(8, 20) for m in range(60)]
    first = imported(tmp_path, elements)
    elements = elements * 2
    random.Random(1).shuffle(elements)
    again = imported(tmp_path, elements)
    assert again.rows == first.rows
    assert only(again)["steps"] == 12 * 60 * 60
    assert again.ledger.merged["steps: duplicate"] == 720


def test_a_day_is_the_persons_own_and_has_23_hours_in_spring(tmp_path: Path) -> None:
    found = imported(
        tmp_path,
        [
            record("StepCount", "2024-03-30 23:50:00 +0100", "2024-03-31 00:10:00 +0100", 100),
            record("StepCount", "2024-03-31 23:30:00 +0200", "2024-03-31 23:31:00 +0200", 80),
            record("StepCount", "2024-03-31 22:30:00 +0000", "2024-03-31 22:31:00 +0000", 7),
        ],
    )
    by_day = {row["date"]: (row["hours"], row["steps"]) for row in found.rows}
    assert by_day == {
        date(2024, 3, 30): (24.0, 50.0),
        date(2024, 3, 31): (23.0, 130.0),
        date(2024, 4, 1): (24.0, 7.0),
    }
    assert len(found.rows[1]["hours_active"]) == 23  # type: ignore[arg-type]


def test_heart_rate_says_what_was_worn(tmp_path: Path) -> None:
    clocks = [(m, at(f"{9 + m // 60:02}:{m % 60:02}:30")) for m in range(0, 360, 5)]
    beats = [record("HeartRate", clock, clock, 60 + m % 7) for m, clock in clocks]
    row = only(imported(tmp_path, [*beats, record("RestingHeartRate", at("00:00:00"), at("23:59:00"), 51)]))
    assert row["wear_minutes"] == 356
    assert row["heart_resting"] == 51
    assert str(row["first_wear"]) == "2024-03-05 08:00:00+00:00"
    assert row["heart_max"] == 66


def test_energy_is_active_and_resting(tmp_path: Path) -> None:
    elements = [
        record("ActiveEnergyBurned", at("10:00:00"), at("10:30:00"), 200),
        record("ActiveEnergyBurned", at("10:00:00"), at("10:30:00"), 150, PHONE, "Phone"),
        record("BasalEnergyBurned", at("10:00:00"), at("11:00:00"), 70),
    ]
    assert only(imported(tmp_path, elements))["kcal"] == pytest.approx(270)
    kilojoules = [element.replace('unit="kcal"', 'unit="kJ"') for element in elements]
    assert only(imported(tmp_path, kilojoules))["kcal"] == pytest.approx(270 / 4.184)


def test_workouts_keep_kind_minutes_and_energy_of_old_and_new_exports(tmp_path: Path) -> None:
    new = WORKOUT.format(minutes=45, more="", source="Watch", inner=STATISTICS)
    row = only(imported(tmp_path, [new]))
    assert (row["workout"], row["workout_minutes"]) == ("strength", 45.0)
    assert row["workout_kcal"] == pytest.approx(200)
    assert row["minutes"] == {"strength": 45.0}
    old = WORKOUT.format(
        minutes=45, more='totalEnergyBurned="210" totalEnergyBurnedUnit="kcal"', source="Watch", inner=""
    )
    assert only(imported(tmp_path, [old]))["workout_kcal"] == 210
    app = WORKOUT.format(minutes=50, more="", source="Strava", inner="")
    found = imported(tmp_path, [new, app])
    assert only(found)["workout_minutes"] == 45.0
    assert found.ledger.merged["workout: told by another source too"] == 1


def test_what_has_no_place_in_days_is_left_out_and_said(tmp_path: Path) -> None:
    sleep = (
        '<Record type="HKCategoryTypeIdentifierSleepAnalysis" sourceName="Watch" startDate="2024-03-05 00:00:00 +0100" '
        'endDate="2024-03-05 07:00:00 +0100" value="HKCategoryValueSleepAnalysisAsleepCore"/>'
    )
    minute = steps("10:00:00", "10:01:00", 60)
    in_correlation = f'<Correlation type="HKCorrelationTypeIdentifierFood">{minute}</Correlation>'
    odd = [
        steps("10:00:00", "10:01:00", -5),
        steps("10:10:00", "10:01:00", 5),
        record("StepCount", "yesterday", at("10:01:00"), 5),
        record("StepCount", at("10:00:00"), at("10:01:00"), "many"),
        record("HeartRate", at("10:00:00"), at("10:00:00"), 0),
    ]
    found = imported(tmp_path, [minute, in_correlation, sleep, sleep, *odd])
    assert only(found)["steps"] == 60
    assert found.ledger.left_out == {
        "SleepAnalysis": 2,
        "CorrelationTypeIdentifierFood": 1,
        "steps: impossible value": 1,
        "steps: impossible time": 1,
        "steps: unreadable record": 2,
        "heart_rate: impossible value": 1,
    }


@pytest.mark.parametrize(
    ("elements", "zone"),
    [
        ([WORKOUT.format(minutes=4, more="", source="W", inner=STATISTICS)], "Europe/Berlin"),
        ([record("StepCount", "2024-01-05 10:00:00 +0530", "2024-01-05 10:01:00 +0530", 9)], "Asia/Calcutta"),
        ([record("StepCount", "2024-01-05 10:00:00 +0200", "2024-01-05 10:01:00 +0200", 9)], "Etc/GMT-2"),
        (
            [
                record("StepCount", f"2024-{month:02}-05 10:00:00 {offset}", f"2024-{month:02}-05 10:01:00 {offset}", 9)
                for month, offset in ((1, "-0500"), (7, "-0400"))
            ],
            "America/Detroit",
        ),
    ],
)  # fmt: skip
def test_without_a_zone_the_exports_own_is_taken(tmp_path: Path, elements: list[str], zone: str) -> None:
    found = imported(tmp_path, elements, zone=None)
    assert {row["zone"] for row in found.rows} == {zone}
    assert any(zone in text for text in found.ledger.noticed)


def test_the_quirks_of_phones_do_no_harm(tmp_path: Path) -> None:
    # iOS 16 wrote a document type that is not well-formed; some apps write characters that XML does not have
    broken = "<!DOCTYPE HealthData [\n<!ATTLIST VisionPrescription\n  type CDATA #REQUIRED\n<!ELEMENT x EMPTY>>\n]>\n"
    elements = [steps("10:00:00", "10:01:00", 60, source="My\x0bphone")]
    assert only(imported(tmp_path, elements, document_type=broken))["steps"] == 60
    localised = apple_zip(tmp_path, apple_xml(elements), "apple_health_export/Exportación.xml")
    assert only(import_export("apple-health", localised, "p1", zone="UTC"))["steps"] == 60
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "export.xml").write_bytes(apple_xml(elements))
    for path in (tmp_path / "folder", tmp_path / "folder" / "export.xml"):
        assert only(import_export("apple-health", path, "p1", zone="UTC"))["steps"] == 60


BOMB = "<!DOCTYPE HealthData [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;&a;&a;'>]>\n"
GOOD = apple_xml([steps("10:00:00", "10:01:00", 60)])


@pytest.mark.parametrize(
    "xml",
    [
        apple_xml([], BOMB),
        apple_xml([], "<!DOCTYPE HealthData [<!ENTITY x SYSTEM 'file:///etc/passwd'>]>"),
        apple_xml([], "<!DOCTYPE HealthData SYSTEM 'http://127.0.0.1/evil.dtd'>"),
        apple_xml([], "<!DOCTYPE HealthData [<!ENTITY % p SYSTEM 'http://127.0.0.1/'> %p;]>"),
        apple_xml([], "<!DOCTYPE HealthData [ <!-- no end"),
        apple_xml([], "<!-- x --><!DOCTYPE a><!DOCTYPE HealthData [<!ENTITY a 'x'>]>"),
        GOOD.decode().encode("utf-16"),
        GOOD[:-30],
        GOOD.replace(b'value="60"', b'value="60'),
        GOOD.replace(b"<ExportDate", b"<a>" * 100 + b"<ExportDate"),
        GOOD.replace(b"10:00:00", b"x" * (12 << 20)),
        b"<html>HealthData</html>",
        b"<Data><HealthData/></Data>",
        b"",
    ],
    ids=["bomb", "file", "address", "parameter", "endless", "second", "utf16", "cut", "broken", "deep", "long", "html",
         "root", "empty"],
)  # fmt: skip
def test_harmful_and_damaged_xml_is_refused(tmp_path: Path, xml: bytes) -> None:
    path = apple_zip(tmp_path, xml)
    with pytest.raises(DataError):
        import_export("apple-health", path, "p1", zone="UTC")
    (tmp_path / "export.xml").write_bytes(xml)
    with pytest.raises(DataError):
        import_export("apple-health", tmp_path / "export.xml", "p1", zone="UTC")


def test_a_cut_zip_and_one_that_unpacks_to_far_too_much_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_FREE_BYTES", 4 << 20)
    whole = apple_zip(tmp_path, apple_xml([steps("10:00:00", "10:01:00", 60)])).read_bytes()
    for content in (whole[: len(whole) // 2], whole[:-200] + whole[-100:], b"PK\3\4", b""):
        (tmp_path / "export.zip").write_bytes(content)
        with pytest.raises(DataError):
            import_export("apple-health", tmp_path / "export.zip", "p1", zone="UTC")
    with (
        zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("export.xml", "w") as member,
    ):
        member.write(b"<HealthData>")
        for _ in range(12):
            member.write(b" " * (1 << 20))
    with pytest.raises(DataError, match="times its size"):
        import_export("apple-health", tmp_path / "bomb.zip", "p1", zone="UTC")


def test_an_export_without_a_day_says_what_it_has(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="BodyMass"):
        imported(tmp_path, [record("BodyMass", at("10:00:00"), at("10:00:00"), 70)])
