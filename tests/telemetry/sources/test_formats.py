"""Formats of watches' makers: files of known samples give the readings of these samples, damaged ones an error or
counts, and samples of real watches the values that another reader finds."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import watch_files as made
from damage import damaged, named
from format_readings import TURNED, assert_same, at_rate, made_of, read, total
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from activitymodule.errors import ConfigError, DataError
from activitymodule.telemetry.gravity import STANDARD_GRAVITY
from activitymodule.telemetry.sources import SOURCES, research

RANDOM = np.random.default_rng(7)
COUNTS = np.clip(RANDOM.normal([30, -200, 90], 40, (900, 3)), -500, 500).round()
ANGLES = RANDOM.normal(0, 900, (900, 3)).round()
WRIST = np.c_[
    RANDOM.normal(0, 0.3, (900, 3)), np.tile([0.1, -0.7, -0.7], (900, 1)), RANDOM.normal(0, 1, (900, 3))
]


FILES = {
    "e4": ("P1/ACC.csv", made.e4_csv(COUNTS, 32)),
    "garmin": ("P1/acc.csv", made.garmin_csv(COUNTS)),
    "axivity": ("P1.cwa", made.cwa(COUNTS, ANGLES)),
    "geneactiv": ("P1.bin", made.geneactiv_bin(COUNTS)),
    "actigraph": ("P1.gt3x", made.gt3x(COUNTS)),
    "sensor-logger": ("P1/WristMotion.csv", made.sensor_logger(WRIST)),
}
WANTED = {
    "e4": (at_rate(900, 32), total(COUNTS / 64)),
    "garmin": (at_rate(900, 25), total(-COUNTS / 1000)),
    "axivity": (at_rate(900, 100), total(COUNTS / 256)),
    "geneactiv": (at_rate(900, 100), total((COUNTS * 100 - 100) / 25600)),
    "actigraph": (at_rate(900, 30), total(COUNTS / 256)),
    "sensor-logger": (
        at_rate(900, 50),
        {f"user_acceleration_{axis}": WRIST[:, i] for i, axis in enumerate("xyz")}
        | {f"gravity_{axis}": WRIST[:, 3 + i] for i, axis in enumerate("xyz")},
    ),
}


def placed(folder: Path, source: str, content: bytes | None = None) -> Path:
    name, sample = FILES[source]
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(sample if content is None else content)
    return folder / name


@pytest.mark.parametrize("source", FILES)
def test_a_file_gives_the_readings_of_its_samples(source: str, tmp_path: Path) -> None:
    placed(tmp_path, source)
    found, ledger = read(source, tmp_path)
    # an Axivity's clock counts in 1/32768 s
    assert_same(found, made_of(*WANTED[source]), within=2e-3 if source == "axivity" else 2e-6)
    assert set(found.column("person").to_pylist()) == {"P1"}
    assert (ledger.rows, ledger.noticed) == (900, {})


@pytest.mark.parametrize("source", FILES)
@pytest.mark.parametrize("kind", ["zip", "tar", "zip of zips", "folder of zips"])
def test_archives_give_the_same(source: str, kind: str, tmp_path: Path) -> None:
    name, content = FILES[source]
    (tmp_path / "x").mkdir()
    path = tmp_path / "x" / ("all.tar" if kind == "tar" else "all.zip")
    if kind == "zip of zips":
        inner = io.BytesIO()
        with zipfile.ZipFile(inner, "w") as archive:
            archive.writestr(name, content)
        name, content = "inner.zip", inner.getvalue()
    if kind == "tar":
        with tarfile.open(path, "w") as tar:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(name, content)
    found, _ = read(source, path.parent if kind == "folder of zips" else path)
    placed(tmp_path, source)
    assert found.equals(read(source, (tmp_path / FILES[source][0]))[0])
    assert set(found.column("person").to_pylist()) == {"P1"}


@pytest.mark.parametrize("source", ["axivity", "geneactiv", "actigraph"])
def test_a_compressed_file_gives_the_same(source: str, tmp_path: Path) -> None:
    name, content = FILES[source]
    (tmp_path / f"{name}.gz").write_bytes(gzip.compress(content))
    assert_same(read(source, tmp_path)[0], made_of(*WANTED[source]), within=2e-3)
    (tmp_path / f"{name}.gz").write_bytes(gzip.compress(content)[:-60])
    with pytest.raises(DataError, match=name):
        read(source, tmp_path)


def test_forms_of_one_maker(tmp_path: Path) -> None:
    for form in ("words", "packed", "old"):
        placed(tmp_path, "actigraph", made.gt3x(COUNTS, form))
        assert_same(read("actigraph", tmp_path)[0], made_of(*WANTED["actigraph"]))
    placed(tmp_path, "axivity", made.cwa(COUNTS))
    assert_same(read("axivity", tmp_path)[0], made_of(*WANTED["axivity"]), within=2e-3)
    placed(tmp_path, "sensor-logger", made.sensor_logger(WRIST, -STANDARD_GRAVITY))
    assert_same(read("sensor-logger", tmp_path)[0], made_of(*WANTED["sensor-logger"]))


def test_rotation_and_heart_rate_come_along(tmp_path: Path) -> None:
    placed(tmp_path, "axivity")
    turned = np.deg2rad(ANGLES * 250 / 32768)
    wanted = made_of(at_rate(900, 100), dict(zip(TURNED, turned.T, strict=True)))
    assert_same(read("axivity", tmp_path)[0], wanted, ["stamp", *TURNED], within=2e-3)
    placed(tmp_path, "e4").with_name("HR.csv").write_bytes(made.e4_csv(np.arange(60, 88.0)[:, None], 1))
    (tmp_path / "P1" / "tags.csv").write_text("1767323046.25\n")
    found, ledger = read("e4", tmp_path)
    assert found.column("heart_rate").to_numpy()[::10].tolist() == [*range(60, 88), 87.0]
    assert ledger.noticed == {"event_mark": 1}
    placed(tmp_path, "garmin").with_name("data.csv").write_text(
        "2026-01-02T05:04:05.000+02:00;STEPS;100.0\n2026-01-02T05:04:07.000+02:00;HEART_RATE;71.0\n"
        "2026-01-02T05:04:09.000+02:00;STEPS;107.0\n2026-01-02T05:04:09.500+02:00;STRESS;20.0\n"
    )
    found, ledger = read("garmin", tmp_path)
    assert found.column("steps").drop_null().to_pylist() == [7]
    assert found.column("heart_rate").to_pylist()[19:22] == [None, 71, 71]
    assert ledger.noticed == {"event_of_another_kind": 1}
    assert_same(found, made_of(*WANTED["garmin"]))


def test_people_are_named_by_folders_and_files(tmp_path: Path) -> None:
    acc = FILES["e4"][1]
    for folder in ("1574621345_A01F11", "anna/1574621345_A01F11", "anna/1574622389_A01F11", "bob"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "ACC.csv").write_bytes(acc)
    assert [unit.person for unit in SOURCES["e4"].scan(tmp_path)] == ["A01F11", "anna", "anna", "bob"]
    assert [unit.person for unit in SOURCES["e4"].scan(tmp_path / "bob")] == ["bob"]
    placed(tmp_path, "garmin").rename(tmp_path / "P1" / "acc_carol.csv")
    assert [unit.person for unit in SOURCES["garmin"].scan(tmp_path)] == ["carol"]
    for folder in ("dora/2026-06-06_19-13-47", "emil"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "WristMotion.csv").write_bytes(FILES["sensor-logger"][1])
    assert [unit.person for unit in SOURCES["sensor-logger"].scan(tmp_path)] == ["dora", "emil"]
    (tmp_path / "dora/2026-06-06_19-13-47/Metadata.csv").write_text("version,device id\n4,0123456789-ab\n")
    (person,) = {unit.person for unit in SOURCES["sensor-logger"].scan(tmp_path / "dora/2026-06-06_19-13-47")}
    assert person == "01234567"
    placed(tmp_path, "axivity").rename(tmp_path / "emil" / "CWA-DATA.CWA")
    assert [unit.person for unit in SOURCES["axivity"].scan(tmp_path)] == ["emil"]


def test_damage_costs_what_is_damaged_and_is_counted(tmp_path: Path) -> None:
    content = bytearray(FILES["axivity"][1])
    content[1024 + 512 * 3 + 100] ^= 1
    placed(tmp_path, "axivity", bytes(content) + b"\xff" * 512 + b"AX..")
    _, ledger = read("axivity", tmp_path)
    assert (ledger.rows, ledger.removed["damaged_block"]) == (862, 2)

    pages = FILES["geneactiv"][1].split(b"Recorded Data")
    pages[1], pages[2] = pages[1].replace(b"Temperature:21.5\n", b""), pages[2][:-40]
    placed(tmp_path, "geneactiv", b"Recorded Data".join(pages).replace(b"Note 3:", b"Note 3:\xe9\xff"))
    _, ledger = read("geneactiv", tmp_path)
    assert (ledger.rows, ledger.removed["damaged_page"]) == (1 + 300 + 296, 1)

    worn = made.record(0x0D, made.START_US // 1_000_000, b"\1\2\3\4\0\2")
    asleep = made.record(0x03, made.START_US // 1_000_000, b"\x08")
    broken = bytearray(made.record(0x1A, made.START_US // 1_000_000, COUNTS[:30].astype("<i2").tobytes()))
    broken[50] ^= 1
    placed(tmp_path, "actigraph", made.gt3x(COUNTS, extra=worn + bytes(broken) + asleep))
    _, ledger = read("actigraph", tmp_path)
    assert (ledger.rows, ledger.removed["damaged_record"]) == (901, 1)
    assert ledger.noticed == {"not_worn": 1, "idle_sleep": 1}

    rows = FILES["e4"][1].splitlines()
    rows[100] = b"no, number"
    placed(tmp_path, "e4", b"\r\n".join(rows))
    found, ledger = read("e4", tmp_path)
    assert ledger.removed["malformed_row"] == 1
    stays = np.delete(np.arange(900), 98)
    assert_same(found, made_of(at_rate(900, 32)[stays], total(COUNTS[stays] / 64)))


def test_gaps_stay_gaps(tmp_path: Path) -> None:
    lines = FILES["garmin"][1].splitlines(keepends=True)
    placed(tmp_path, "garmin", b"".join(lines[:200] + lines[500:]))
    stamps = np.diff(read("garmin", tmp_path)[0].column("stamp").cast(pa.int64()).to_numpy())
    assert sorted(set(stamps.tolist())) == [100_000, 12_000_000]


def test_what_is_not_the_format_says_so(tmp_path: Path) -> None:
    cases = {
        "e4": b"2026-01-01,2026-01-01,2026-01-01\n32,32,32\n1,2,3\n",
        "axivity": b"MD" + bytes(40),
        "geneactiv": b"Device Identity\n" * 70,
        "actigraph": b"PK\3\4 nothing",
        "sensor-logger": b"time,x,y,z\n1,2,3,4\n",
    }
    for source, content in cases.items():
        placed(tmp_path, source, content)
        with pytest.raises(DataError, match="P1"):
            read(source, tmp_path)
    for content in (b"0" * (8 << 20), bytes(8 << 20)):
        placed(tmp_path, "e4", content)
        with pytest.raises(DataError, match="more than 65,536 bytes"):
            read("e4", tmp_path)
    with pytest.raises(ConfigError):
        SOURCES["garmin"].scan(placed(tmp_path, "garmin", b"date,x,y,z\n1,2,3,4\n"))


def test_large_numbers_in_a_header_cost_nothing(tmp_path: Path) -> None:
    placed(tmp_path, "geneactiv", made.geneactiv_bin(COUNTS, pages="9" * 18))
    assert read("geneactiv", tmp_path)[1].rows == 900
    placed(tmp_path, "actigraph", made.gt3x(COUNTS, extra=bytes(64 << 20)))
    assert read("actigraph", tmp_path)[1].rows == 901
    placed(tmp_path, "actigraph", made.gt3x(COUNTS, info=f"Sample Rate: {'9' * 400}\n"))
    with pytest.raises(DataError, match="rate"):
        read("actigraph", tmp_path)


def test_without_the_extra_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(research, "reader", None)
    for source in ("axivity", "geneactiv"):
        placed(tmp_path, source)
        with pytest.raises(ConfigError, match=r"pip install 'activitymodule\[research\]'"):
            read(source, tmp_path)


SMALL = {
    "e4": made.e4_csv(COUNTS[:100], 32),
    "garmin": made.garmin_csv(COUNTS[:100]),
    "axivity": made.cwa(COUNTS[:160], ANGLES[:160]),
    "geneactiv": made.geneactiv_bin(COUNTS[:400]),
    "actigraph": made.gt3x(COUNTS[:150]),
    "sensor-logger": made.sensor_logger(WRIST[:100]),
}


@pytest.mark.parametrize("source", FILES)
@given(data=st.data())
@hypothesis_settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_of_a_damaged_file_every_row_is_accounted_for(
    source: str, tmp_path: Path, data: st.DataObject
) -> None:
    content = data.draw(damaged(SMALL[source]))
    if source == "axivity" and data.draw(st.booleans()):  # damage that the checksum does not show
        blocks = (
            np.frombuffer(content[1024 : 1024 + (len(content) - 1024) // 512 * 512], "<u2")
            .reshape(-1, 256)
            .copy()
        )
        blocks[:, 255] = -blocks[:, :255].sum(axis=1, dtype=np.uint32) & 0xFFFF
        content = content[:1024] + blocks.tobytes()
    if source == "actigraph" and data.draw(st.booleans()):
        with zipfile.ZipFile(io.BytesIO(SMALL[source])) as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
        changed = data.draw(st.sampled_from(sorted(files)))
        files[changed] = data.draw(damaged(files[changed]))
        whole = io.BytesIO()
        with zipfile.ZipFile(whole, "w") as archive:
            for name, text in files.items():
                archive.writestr(name, text)
        content = whole.getvalue()
    placed(tmp_path, source, content)
    with named(tmp_path):
        read(source, tmp_path)
