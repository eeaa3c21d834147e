"""prepare, through real Spark: a ledger from file to Parquet, idempotent, partition by partition."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import watch_files as made

from activitymodule import settings as config
from activitymodule.errors import DataError
from activitymodule.lake import preprocess
from activitymodule.streaming.session import spark_session
from activitymodule.telemetry import prepared, recordings
from activitymodule.telemetry.sources.base import Chunk, Ledger, chunk_schema

HEADER = "stamp,pitch,roll,user_acceleration_x,user_acceleration_y,user_acceleration_z,heart_rate,user_activity_label"


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    if not any(config.resolve(config.Spark().jars).glob("spark-sql-kafka*.jar")):
        pytest.skip("Spark's jars are not there; run ./init.sh")
    folder = tmp_path_factory.mktemp("spark")
    environment = dict(os.environ)
    settings = config.build({"local": {"folder": str(folder)}})
    session = spark_session(settings, "test-prepare")
    yield session
    session.stop()
    os.environ.clear()
    os.environ.update(environment)


def casas(path: Path, lines: list[str]) -> Path:
    path.write_text("\n".join([HEADER, "dt,f,f,f,f,f,f,s", *lines]) + "\n")
    return path


def line(at: str, x: float | str = 0.5, heart_rate: float | str = "", label: str = "") -> str:
    return f"{at},0.1,0.2,{x},0,0,{heart_rate},{label}"


def stamps_of(folder: Path) -> list[tuple[Any, Any]]:
    table = prepared.dataset(folder).to_table(columns=["person", "stamp", "user_acceleration_x", "activity"])
    return sorted(map(tuple, (row.values() for row in table.to_pylist())))


MAPPING = """
name: mine
files: "*.csv"
path: '(?P<person>p[0-9])'
device_model: Wear OS
time: {is: epoch_ms, column: t}
acceleration: {x: x, y: y, z: z, unit: m/s2, gravity: included, sign: android}
label: {column: what}
labels: {W: walking}
"""


@pytest.mark.integration
def test_prepare_tables_by_a_mapping(spark: Any, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(MAPPING)
    with zipfile.ZipFile(tmp_path / "raw.zip", "w") as archive:
        for person in ("p1", "p2"):
            # 25 Hz for 20 s from 10 s before midnight, with a gap of 2 s
            rows = [f"{1_709_251_190_000 + 40 * i},0,0,9.80665,W" for i in range(500) if not 100 <= i < 150]
            archive.writestr(f"{person}.csv", "\n".join(["t,x,y,z,what", *rows, "broken"]))
    done = preprocess.prepare(spark, str(tmp_path / "mine.yaml"), tmp_path / "raw.zip", str(tmp_path / "out"))
    assert (done.source, done.people, done.rows, done.readings) == ("mine", 2, 902, 364)
    assert done.removed == {"averaged_into_a_reading": 536, "malformed_row": 2}
    found = prepared.dataset(tmp_path / "out").to_table()
    assert set(found.column("device_model").to_pylist()) == {"Wear OS"}
    assert set(found.column("device_id").to_pylist()) == {"mine-p1", "mine-p2"}
    assert set(found.column("date").to_pylist()) == {date(2024, 2, 29), date(2024, 3, 1)}
    assert set(found.column("activity").to_pylist()) == {"walking"}
    np.testing.assert_allclose(found.column("roll").to_numpy(), 0, atol=1e-6)
    events = recordings.find(str(tmp_path / "out"), tmp_path).schedule(None, 10_000_000, 10)
    assert sum(event.readings for event in events) == 364


@pytest.mark.integration
def test_prepare(spark: Any, tmp_path: Path) -> None:
    raw, out = tmp_path / "raw", tmp_path / "out"
    raw.mkdir()
    casas(
        raw / "alice.csv",
        [
            line("2023-02-17 23:59:59.800"),
            line("2023-02-17 23:59:59.900", heart_rate=999),
            line("2023-02-18 00:00:00.000", label="Eat"),
            line("2023-02-18 00:00:00.000", label="Eat"),
            line("2023-02-18 00:00:00.100", x=""),
            "2023-02-18 00:00:00.200,,,,,,,",
            "rubbish,,,,,,,",
            "too,short",
        ],
    )
    casas(raw / "bob.csv", [line("2023-02-17 10:00:00.000")])
    done = preprocess.prepare(spark, "casas", raw, str(out))
    assert (done.rows, done.readings, done.people, done.units) == (9, 5, 2, 2)
    assert done.removed == {"bad_stamp": 1, "malformed_row": 1, "no_usable_reading": 1, "repeated_stamp": 1}
    assert done.noticed == {"answered_prompt": 2, "impossible_value:heart_rate": 1}
    assert prepared.people_in(out) == ["alice", "bob"]
    assert sorted(path.name for path in (out / "person=alice").iterdir()) == [
        "date=2023-02-17",
        "date=2023-02-18",
    ]
    kept = stamps_of(out)
    assert len(kept) == done.readings
    table = prepared.dataset(out).to_table()
    assert table.schema.equals(prepared.prepared_schema())
    assert pc.count_distinct(table.column("date")).as_py() == 2
    assert date(2023, 2, 18) in table.column("date").to_pylist()

    # a replay finds them in the order of time
    found = recordings.find(str(out), tmp_path)
    assert (found.people, found.source) == (["alice", "bob"], "out")
    events = [event for event in found.schedule(None, 10_000_000, 10) if not event.truth]
    assert [event.device_id for event in events] == ["casas-bob", "casas-alice", "casas-alice"]
    assert sum(event.readings for event in events) == 5
    assert found.span("alice") == (1676678399800000, 1676678400100000)

    # a second run, by an address, changes nothing; a run of one person leaves the other's partitions as they are
    again = preprocess.prepare(spark, "casas", f"file://{raw}", str(out))
    assert replace(again, path=done.path) == done
    assert stamps_of(out) == kept
    before = {path: path.stat().st_mtime_ns for path in (out / "person=bob").rglob("*.parquet")}
    casas(raw / "alice.csv", [line("2023-02-18 00:00:00.000", x=0.25)])
    preprocess.prepare(spark, "casas", raw / "alice.csv", str(out))
    assert {path: path.stat().st_mtime_ns for path in (out / "person=bob").rglob("*.parquet")} == before
    days = [row for row in stamps_of(out) if row[0] == "alice"]
    assert [row[2] for row in days] == [0.5, 0.5, 0.25]

    # a file from which nothing comes is an error, which counts why
    casas(
        raw / "alice.csv",
        ["2023-02-18 00:00:00.000,,,,,,0,", line("1970-01-01 00:00:00.000")],
    )
    with pytest.raises(DataError, match=r"1 impossible stamp, 1 no usable reading"):
        preprocess.prepare(spark, "casas", raw / "alice.csv", str(out))
    assert [row[2] for row in stamps_of(out) if row[0] == "alice"] == [0.5, 0.5, 0.25]


@pytest.mark.integration
def test_an_error_in_a_task_is_one_sentence(
    spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = casas(tmp_path / "alice.csv", [line("2023-02-17 10:00:00.000")])
    units = preprocess.source_named("casas").scan(file)
    file.write_text("no,casas\n1,2\n")
    monkeypatch.setattr("activitymodule.telemetry.sources.casas.Casas.scan", lambda self, path: units)
    with pytest.raises(DataError, match=r"^.*alice\.csv is not a CASAS recording: its second row") as caught:
        preprocess.prepare(spark, "casas", file, str(tmp_path / "out"))
    assert "\n" not in str(caught.value)


def batch(rows: list[tuple[str, int]]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict(
        {
            "device_id": [device for device, _ in rows],
            "stamp": pa.array([us for _, us in rows], pa.timestamp("us", tz="UTC")),
        }
    )


def test_repeats_are_found_across_batches() -> None:
    counts: list[tuple[int, int]] = []
    batches = [
        batch([("a", 1), ("a", 1), ("a", 2)]),
        batch([]),
        batch([("a", 2), ("b", 2)]),
        batch([("b", 2)]),
    ]
    kept = list(preprocess.without_repeats(batches, lambda k, r: counts.append((k, r))))
    assert [row["stamp"].microsecond for b in kept for row in b.to_pylist()] == [1, 2, 2]
    assert counts == [(2, 1), (1, 1), (0, 1)]


def test_contract_refuses_what_is_not_clean() -> None:
    table = pa.Table.from_pylist(
        [{"device_id": "a", "stamp": 1_700_000_000_000_000, "heart_rate": 60.0, "person": "a"}],
        chunk_schema(),
    )
    good = preprocess.cleaned(Chunk(table, Ledger(1, 1)))
    preprocess.check(good.readings, preprocess.contract(), "test")
    index = good.readings.schema.get_field_index("heart_rate")
    bad = good.readings.set_column(index, "heart_rate", pa.array(np.array([999], np.float32)))
    with pytest.raises(DataError, match="test violates the contract"):
        preprocess.check(bad, preprocess.contract(), "test")


def test_report_keeps_other_sources(tmp_path: Path) -> None:
    done = preprocess.Ingestion("casas", "in", "out", 1, 1, 3, 2, {"bad_stamp": 1}, {})
    path = tmp_path / "reports" / "summary.json"
    preprocess.report(done, path)
    preprocess.report(replace(done, source="wisdm"), path)
    preprocess.report(replace(done, rows=4), path)
    assert json.loads(path.read_text()) == {
        "casas": asdict(replace(done, rows=4)),
        "wisdm": asdict(replace(done, source="wisdm")),
    }


@pytest.mark.integration
def test_prepare_of_what_a_watch_exports(spark: Any, tmp_path: Path) -> None:
    counts = np.random.default_rng(1).normal(30, 10, (640, 3)).round()
    with zipfile.ZipFile(tmp_path / "sessions.zip", "w") as archive:
        for session in ("anna/1767323045_A01F11", "bob/1767323045_A01F12"):
            archive.writestr(f"{session}/ACC.csv", made.e4_csv(counts, 32))
            archive.writestr(f"{session}/HR.csv", made.e4_csv(np.full((20, 1), 61.0), 1))
    done = preprocess.prepare(spark, "e4", tmp_path / "sessions.zip", str(tmp_path / "out"))
    assert (done.rows, done.people, done.units) == (2 * 660, 2, 2)
    table = prepared.dataset(tmp_path / "out").to_table()
    assert len(table) == done.readings == 2 * 201
    assert set(table.column("device_model").to_pylist()) == {"empatica-e4"}
    assert set(table.column("heart_rate").to_pylist()) == {61.0}
    assert set(table.column("device_id").to_pylist()) == {"e4-anna", "e4-bob"}
