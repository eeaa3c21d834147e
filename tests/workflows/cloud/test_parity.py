"""The batch pipeline on a folder, S3 and Cloud Storage: only settings differ, and the reports are the same bytes.

The archive stays in a folder: Spark reads it, and its file systems for addresses are EMR's and Dataproc's.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from day_records import day_records
from own_google import OwnGoogle
from own_objects import OwnObjects
from own_settings import replaced
from pyarrow import fs

from activitymodule.lake import archive, daily, predictions
from activitymodule.lake.folder import LakeFolder, entries, files_below, remove_folder
from activitymodule.settings import Settings, resolve
from activitymodule.store.connection import session
from activitymodule.store.prediction_days import make_days
from activitymodule.store.queries import execute
from activitymodule.streaming.session import spark_session
from activitymodule.workflows import days, preparing
from activitymodule.workflows.reports import run
from activitymodule.workflows.retention import run as retention
from activitymodule.workflows.retention.files import checkpoints_set_aside

HEADER = (
    "stamp,pitch,roll,user_acceleration_x,user_acceleration_y,user_acceleration_z,user_activity_label\n"
    "dt,f,f,f,f,f,s\n"
)
_INSERT = """
INSERT INTO predictions (device_id, window_start, window_end, activity, confidence, probabilities, conformal_set,
                         kcal_per_min, coverage, readings_used, model_version, received_at)
SELECT device, t, t + interval '10 s', 'walking', .9, '{.1,.9}', '{x}', 4, 1, 100, '1', t + interval '10 s'
FROM unnest(ARRAY['w1', 'w2']) AS device,
     generate_series(%s::timestamptz, %s::timestamptz - interval '10 s', interval '10 s') AS t
"""
FIRST = datetime(2026, 3, 2, 9, tzinfo=UTC)  # moved to the lake
SECOND = datetime(2026, 3, 20, 9, tzinfo=UTC)  # still in the store


@pytest.fixture
def with_topics() -> bool:
    return False


@pytest.fixture(scope="module")
def objects() -> Iterator[OwnObjects]:
    objects = OwnObjects()
    yield objects
    objects.end()


@pytest.fixture
def addresses(
    aws: str, all_of_google: OwnGoogle, objects: OwnObjects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """A place of each kind, found by pyarrow in this process and in Spark's workers, which start afterwards."""
    monkeypatch.setenv("CLOUD_STORAGE_EMULATOR_ENDPOINT", objects.address)
    return {"file": str(tmp_path / "place"), "s3": "s3://raw/place", "gs": "gs://raw/place"}


@pytest.fixture
def settings(
    addresses: dict[str, str], fresh_settings: Settings, tmp_path: Path
) -> Iterator[dict[str, Settings]]:
    """Settings that differ by the places of lake and report; one store, one Spark."""
    environment = dict(os.environ)
    yield {
        kind: replaced(
            fresh_settings,
            retention={"predictions_days": 30},
            lake={"folder": f"{place}/lake"},
            reports={"folder": str(tmp_path / f"reports-{kind}"), "source": "devices"},
        )
        for kind, place in addresses.items()
    }
    spark_session(fresh_settings, "days").stop()
    os.environ.clear()
    os.environ.update(environment)


def files_at(address: str) -> tuple[fs.FileSystem, str]:
    return fs.FileSystem.from_uri(address)


def recorded(address: str, people: int) -> None:
    """Recordings of people, as they are fetched."""
    files, base = files_at(address)
    files.create_dir(base, recursive=True)
    for k in range(people):
        begin = datetime(2026, 2, 1, 10 + k)
        lines = [
            f"{begin + timedelta(milliseconds=100 * n):%Y-%m-%d %H:%M:%S.%f},0.1,0.2,{n % 7 / 10 + k},0,0,"
            for n in range(300)
        ]
        lines[-1] += "Walk"
        with files.open_output_stream(f"{base}/p{k}.csv") as stream:
            stream.write((HEADER + "\n".join(lines) + "\n").encode())


def windows(settings: Settings, begin: datetime, minutes: int = 30) -> None:
    end = begin + timedelta(minutes=minutes)
    with session(settings) as connection:
        make_days(connection, begin.date(), end.date())
        execute(connection, _INSERT, (begin, end))


def prepared_readings(settings: Settings) -> pa.Table:
    files, base = files_at(f"{settings.lake.folder}/prepared/casas")
    found = ds.dataset(base, filesystem=files, format="parquet", partitioning="hive").to_table()
    return found.sort_by([("device_id", "ascending"), ("stamp", "ascending")]).combine_chunks()


def digests(folder: Path, place: str) -> dict[str, str]:
    """Of all files; an address of this place counts as any other."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(
            path.read_bytes().replace(place.encode(), b"PLACE")
        ).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "inputs.json"  # it has a hash of the settings
    }


def pipeline(settings: Settings, place: str) -> tuple[pa.Table, pa.Table, dict[str, str]]:
    """Prepare, build days, import some of a phone, train and report. The readings, the days and the report's files."""
    for _ in range(2):  # the second run replaces what the first one made
        ingestion = preparing.prepare(settings, "casas", f"{place}/raw")
    assert (ingestion.people, ingestion.readings) == (2, 600)
    assert ingestion.out == f"{place}/lake/prepared/casas"
    built = days.build(settings, now=SECOND + timedelta(days=1))
    assert (built.rows, built.participants, built.changed) == (4, 2, ("2026-03",))
    days.write(settings, day_records(people=24, days=60, source="garmin", stopping=0.02))
    made = run.build(settings)
    assert made.made
    assert "personas" not in made.skipped
    return prepared_readings(settings), daily.read(settings), digests(resolve(settings.reports.folder), place)


@pytest.mark.soak
def test_the_pipeline_gives_the_same_bytes_wherever_it_runs(
    settings: dict[str, Settings], addresses: dict[str, str]
) -> None:
    windows(settings["file"], FIRST)
    with session(settings["file"]) as connection:
        execute(connection, "UPDATE predictions SET processed_at = window_end")
    assert not retention.apply(settings["file"], FIRST + timedelta(days=40)).failed
    windows(settings["file"], SECOND)
    moved = LakeFolder(settings["file"], "predictions")
    found = {}
    for kind in addresses:
        place = addresses[kind]
        recorded(f"{place}/raw", people=2)
        if kind != "file":
            target = LakeFolder(settings[kind], "predictions")
            fs.copy_files(
                moved.base, target.base, source_filesystem=moved.files, destination_filesystem=target.files
            )
        found[kind] = pipeline(settings[kind], place)
    readings, records, report = found["file"]
    assert {one["date"] for one in records.to_pylist() if one["source"] == "devices"} == {
        date(2026, 3, 2),
        date(2026, 3, 20),
    }
    assert {"index.html", "metrics.json", "ingestion_summary.json", "dashboard/people.parquet"} <= set(report)
    for kind in ("s3", "gs"):
        summary = json.loads((resolve(settings[kind].reports.folder) / "ingestion_summary.json").read_text())
        assert summary["casas"]["path"] == f"{kind}://raw/place/raw"
        assert found[kind][0].equals(readings)
        assert found[kind][1].equals(records)
        assert found[kind][2] == report


def put(files: fs.FileSystem, path: str) -> None:
    """A file, and in object storage nothing else."""
    if files.type_name == "local":
        files.create_dir(os.path.dirname(path), recursive=True)
    with files.open_output_stream(path) as stream:
        stream.write(b"12345")


@pytest.mark.parametrize("scheme", ["file", "s3", "gs"])
def test_a_folder_is_there_where_a_file_is_below_it(addresses: dict[str, str], scheme: str) -> None:
    files, base = files_at(f"{addresses[scheme]}/folders")
    assert entries(files, base) == []
    for name in ("a/deep/x", "a/y", "ab/x", "z"):
        put(files, f"{base}/{name}")
    assert {one.path.removeprefix(f"{base}/"): one.is_file for one in entries(files, base)} == {
        "a": False,
        "ab": False,
        "z": True,
    }
    assert {one.base_name for one in files_below(files, f"{base}/a")} == {"x", "y"}
    for _ in range(2):  # what is gone is no error
        remove_folder(files, f"{base}/a")
    assert {one.base_name for one in entries(files, base)} == {"ab", "z"}


@pytest.mark.parametrize("scheme", ["file", "s3", "gs"])
def test_retention_finds_dates_and_checkpoints_wherever_they_lie(
    addresses: dict[str, str], scheme: str
) -> None:
    place = f"{addresses[scheme]}/kept"
    settings = replaced(
        Settings(),
        archive={"folder": f"{place}/archive"},
        spark={"checkpoints": f"{place}/checkpoints"},
        kafka={"topic": "t"},
    )
    files, base = files_at(place)
    for day in ("2026-03-01", "2026-03-02"):
        put(files, f"{base}/archive/t/date={day}/messages-0-0-5-x.parquet")
    old, fleet = "score-t.set-aside-20260301T000000", f"generate-{'0' * 32}"
    for folder in ("score-t", old, fleet):
        put(files, f"{base}/checkpoints/{folder}/deep/1")
    gone = archive.delete_days_before(settings, date(2026, 3, 2))
    assert [(one.day, one.files, one.bytes) for one in gone] == [(date(2026, 3, 1), 1, 5)]
    assert [one.day for one in archive.archived_days(settings)] == [date(2026, 3, 2)]
    for before, names in ((SECOND, [old]), (datetime.now(UTC) + timedelta(days=1), [fleet, old])):
        found = checkpoints_set_aside(settings, before)[1]
        assert [os.path.basename(path) for path in found] == names


@pytest.mark.parametrize("scheme", ["s3", "gs"])
def test_partitions_are_published_in_place_of_their_own(
    addresses: dict[str, str], tmp_path: Path, scheme: str
) -> None:
    address = f"{addresses[scheme]}/published"
    for run_of in ("first", "second"):
        for day in ("2026-03-01", "2026-03-02") if run_of == "first" else ("2026-03-02",):
            folder = tmp_path / run_of / "person=a b" / f"date={day}"
            folder.mkdir(parents=True)
            (folder / f"part-{run_of}.parquet").write_bytes(run_of.encode())
            (folder / f".part-{run_of}.parquet.crc").write_bytes(b"x")
        preparing._publish(tmp_path / run_of, address)
    files, base = files_at(address)
    found = files.get_file_info(fs.FileSelector(base, recursive=True))
    assert sorted(one.path.removeprefix(f"{base}/person=a b/") for one in found if one.is_file) == [
        "date=2026-03-01/part-first.parquet",
        "date=2026-03-02/part-second.parquet",
    ]


@pytest.mark.parametrize("scheme", ["file", "s3", "gs"])
def test_past_predictions_are_found_wherever_they_lie(addresses: dict[str, str], scheme: str) -> None:
    settings = replaced(Settings(), lake={"folder": f"{addresses[scheme]}/found"})
    lake = LakeFolder(settings, predictions.FOLDER)
    for day in ("2026-03-01", "2026-03-02"):
        path = f"{lake.base}/date={day}/predictions.parquet"
        with lake.partial(path) as partial:
            pq.write_table(predictions.SCHEMA.empty_table(), partial, filesystem=lake.files)
            lake.publish(partial, path)
    assert [one.day for one in predictions.days(settings)] == [date(2026, 3, 1), date(2026, 3, 2)]
