"""Sources: recordings in their own format to canonical readings, and a ledger that balances."""

from __future__ import annotations

import math
import tarfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from activitymodule.errors import ConfigError, DataError
from activitymodule.telemetry.cleaning import clean
from activitymodule.telemetry.gravity import split_gravity
from activitymodule.telemetry.sources import SOURCES, Ledger, source_named
from activitymodule.telemetry.sources.base import chunk_schema
from activitymodule.telemetry.sources.casas_labels import label_table
from activitymodule.windows.packing import to_records, total_acceleration

CASAS_NAMES = (
    "stamp,yaw,pitch,roll,rotation_rate_x,rotation_rate_y,rotation_rate_z,user_acceleration_x,"
    "user_acceleration_y,user_acceleration_z,latitude,longitude,altitude,course,speed,"
    "horizontal_accuracy,vertical_accuracy,battery_state,user_activity_label"
)
CASAS_TYPES = "dt," + "f," * 16 + "s,s"
START = datetime(2023, 2, 17, 8, 0, tzinfo=UTC)


def casas_file(path: Path, seconds: int, labels: dict[int, str], extra: list[str] = []) -> Path:  # noqa: B006
    """A recording in the true format: label at some seconds, GPS every five minutes."""
    lines = [CASAS_NAMES, CASAS_TYPES]
    for i in range(seconds * 10):
        at = (START + timedelta(milliseconds=100 * i)).strftime("%Y-%m-%d %H:%M:%S.%f")
        motion = ",".join(f"{math.sin(i / 7 + k):.6f}" for k in range(9))
        place = f"{47 + i / 1e6:.6f},-117.1,720,-1,{i % 3},5,3,unplugged" if i % 3000 == 0 else ",,,,,,,"
        lines.append(f"{at},{motion},{place},{labels.get(i // 10, '') if i % 10 == 0 else ''}")
    path.write_text("\n".join(lines + extra) + "\n", encoding="utf-8")
    return path


def read_all(source: str, path: Path) -> tuple[pa.Table, Ledger]:
    tables, total = [chunk_schema().empty_table()], Ledger()
    for unit in SOURCES[source].scan(path):
        for chunk in SOURCES[source].read(unit):
            assert chunk.ledger.balanced
            assert chunk.ledger.readings == len(chunk.readings)
            assert chunk.readings.schema == chunk_schema()
            chunk.readings.validate(full=True)
            tables.append(chunk.readings)
            total += chunk.ledger
    return pa.concat_tables(tables), total


@pytest.mark.parametrize("block_bytes", [20_000, 8 << 20])
def test_casas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block_bytes: int) -> None:
    monkeypatch.setattr("activitymodule.telemetry.sources.csv_blocks._BLOCK_BYTES", block_bytes)
    labels = {400: "Eat", 500: "Walk", 900: "Dog", 1300: "Juggling"}
    extra = ["not,enough", "nostamp" + "," * 18, "2023-02-17 09:00:00.000," + "abc" + "," * 17]
    casas_file(tmp_path / "alice.csv", 1400, labels, extra)
    table, total = read_all("casas", tmp_path)
    assert total.rows == 14_003
    assert total.removed == {"malformed_row": 1, "bad_stamp": 1}
    assert total.noticed == {
        "answered_prompt": 4,
        "unwanted_label:Dog": 1,
        "unknown_label:Juggling": 1,
        "not_a_number:yaw": 1,
    }
    activity = np.array(table.column("activity").to_pylist(), object)
    # back-filled 300 s, up to the previous prompt; a prompt without an activity gives none
    assert set(activity[1000:4001]) == {"eat"}
    assert set(activity[4001:5001]) == {"exercise"}
    assert set(activity[:1000]) | set(activity[5001:]) == {None}
    assert table.column("user_activity_label").drop_null().to_pylist() == list(labels.values())
    assert table.column("stamp")[0].as_py() == START
    assert pc.count_distinct(table.column("device_id")).as_py() == 1
    # held forward, as a distance from the mean
    latitude = table.column("latitude_distance_from_mean").to_numpy()[:14_000]
    assert not np.isnan(latitude).any()
    assert len(np.unique(latitude)) == 5
    assert abs(np.unique(latitude).mean()) < 1e-5
    assert set(table.column("battery_state").to_pylist()[:14_000]) == {"unplugged"}
    cleaned, removed, noticed = clean(table)
    assert (len(cleaned), removed, noticed) == (14_000, {"no_usable_reading": 1}, {})


def test_casas_holds_ten_minutes_at_the_most(tmp_path: Path) -> None:
    lines = casas_file(tmp_path / "bob.csv", 5, {}).read_text().splitlines()
    later = START + timedelta(minutes=20)
    lines.append(later.strftime("%Y-%m-%d %H:%M:%S") + ",1,1,1,1,1,1,1,1,1,,,,,,,,,")
    (tmp_path / "bob.csv").write_text("\n".join(lines))
    table, _ = read_all("casas", tmp_path / "bob.csv")
    assert table.column("speed").to_pylist()[-2:] == [0, None]
    assert table.column("battery_state").to_pylist()[-2:] == ["unplugged", None]


def test_casas_wants_two_header_rows(tmp_path: Path) -> None:
    lines = casas_file(tmp_path / "carol.csv", 3, {}).read_text().splitlines()
    (tmp_path / "carol.csv").write_text("\n".join([lines[0], *lines[2:]]))
    with pytest.raises(DataError):
        SOURCES["casas"].scan(tmp_path)
    (tmp_path / "carol.csv").write_text("\n".join(lines[:2]))
    assert len(read_all("casas", tmp_path)[0]) == 0


def test_labels_are_of_twelve_classes() -> None:
    table = label_table()
    assert len(table) > 150
    assert len({activity for activity in table.values() if activity}) == 12
    assert (table["Walk_start"], table["chores"], table["Phone_Call"]) == ("exercise", "housework", None)


@pytest.mark.parametrize("name", SOURCES)
def test_what_a_source_cannot_read_is_an_error(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        SOURCES[name].scan(tmp_path / "none")
    with pytest.raises(ConfigError):
        SOURCES[name].scan(tmp_path)
    (tmp_path / "broken.tar.gz").write_bytes(b"no archive")
    with pytest.raises(DataError):
        SOURCES[name].scan(tmp_path / "broken.tar.gz")


def test_nearest_source() -> None:
    with pytest.raises(ConfigError, match="wisdm\\?"):
        source_named("wisdn")


def wisdm_lines(code: str, seconds: int, seed: int) -> list[str]:
    force = np.random.default_rng(seed).normal([0, 3, 9], 1, (seconds * 20, 3))
    return [f"1700,{code},{x:.6f},{y:.6f},{z:.6f};" for x, y, z in force]


def test_wisdm(tmp_path: Path) -> None:
    runs = [wisdm_lines("A", 20, 1), wisdm_lines("D", 20, 2)]
    lines = [*runs[0], "rubbish", *runs[1], *runs[0], "1700,Z,1,2,3;"]
    (tmp_path / "data_1700_accel_watch.txt").write_text("\n".join(lines) + "\n")
    table, total = read_all("wisdm", tmp_path)
    assert total.rows == 1202
    assert total.removed == {
        "averaged_into_the_reading_before": 400,
        "malformed_row": 1,
        "repeated_run": 400,
        "odd_row": 1,
    }
    assert table.column("activity").to_pylist() == ["walking"] * 200 + ["sitting"] * 200
    seconds = pc.divide(table.column("stamp").cast(pa.int64()), 100_000).to_numpy()
    assert seconds[200] - seconds[0] == 3000  # a run starts a block of five minutes
    assert set(np.diff(seconds[:200])) == {1}
    # the total acceleration comes back: -a / 9.80665, the mean of two
    force = np.array([line.rstrip(";").split(",")[2:] for line in runs[0]], float)
    total_g = -force.reshape(-1, 2, 3).mean(axis=1) / 9.80665
    assert np.allclose(to_records(table)["values"][:200, :3], total_g, atol=2e-7)

    with tarfile.open(tmp_path / "w.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "data_1700_accel_watch.txt", "w/data_1700_accel_watch.txt")
    assert read_all("wisdm", tmp_path / "w.tar.gz")[0].equals(table)


def test_rows_that_are_not_csv(tmp_path: Path) -> None:
    lines = casas_file(tmp_path / "dora.csv", 2, {}).read_text().splitlines()
    (tmp_path / "dora.csv").write_text("\n".join([*lines[:2], "a,b", "c"]) + "\n")
    table, total = read_all("casas", tmp_path)
    assert (len(table), total.removed) == (0, {"malformed_row": 2})


def test_a_unit_that_is_gone_is_an_error(tmp_path: Path) -> None:
    (unit,) = SOURCES["casas"].scan(casas_file(tmp_path / "eve.csv", 2, {}))
    Path(unit.path).unlink()
    with pytest.raises(DataError):
        next(iter(SOURCES["casas"].read(unit)))


def test_a_watch_at_rest_face_up() -> None:
    pitch, roll, user = split_gravity(np.tile([0.0, 0.0, -1.0], (50, 1)))
    assert np.abs([pitch, roll]).max() == 0
    assert np.abs(user).max() == 0
    assert [float(a[0]) for a in total_acceleration(pitch, roll, *user.T)] == [0, 0, -1]


def test_wisdm_of_real_people(data_folder: Path) -> None:
    source = SOURCES["wisdm"]
    units = source.scan(data_folder / "wisdm_watch.tar.gz")
    assert len(units) == 40
    for person, rows, repeated in (("1600", 14_400, 0), ("1629", 28_800, 14_400)):
        unit = next(unit for unit in units if unit.person == person)
        total = sum((chunk.ledger for chunk in source.read(unit)), Ledger())
        assert (total.rows, total.readings) == (rows, 7200)
        assert total.removed.get("repeated_run", 0) == repeated


def test_arwise(data_folder: Path) -> None:
    table, total = read_all("arwise", data_folder / "casas_arwise.tar.gz")
    assert (total.rows, total.readings) == (41_100, 29_100)
    assert total.removed == {"copy_of_another_person": 12_000}
    assert set(table.column("person").to_pylist()) == {"p1", "p3"}
    assert pc.sum(pc.is_valid(table.column("pitch"))).as_py() == 0


def test_features_of_arwise_are_not_readings(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("stamp,yaw_mean,activity_label\n")
    with pytest.raises(DataError, match="cnndata"):
        SOURCES["arwise"].scan(tmp_path)


def test_impossible_values_become_missing() -> None:
    table = pa.Table.from_pylist(
        [
            {"device_id": "a", "stamp": START, "heart_rate": 999, "person": "a"},
            {"device_id": "a", "stamp": START, "heart_rate": 60, "pitch": 99, "person": "a"},
            {"device_id": "a", "stamp": datetime(1970, 1, 1, tzinfo=UTC), "heart_rate": 60, "person": "a"},
        ],
        chunk_schema(),
    )
    cleaned, removed, noticed = clean(table)
    assert removed == {"no_usable_reading": 1, "impossible_stamp": 1}
    assert noticed == {"impossible_value:heart_rate": 1, "impossible_value:pitch": 1}
    assert cleaned.select(["heart_rate", "pitch"]).to_pylist() == [{"heart_rate": 60, "pitch": None}]
