"""Samples of file formats: what is read equals an independent reading of them."""

from __future__ import annotations

import csv
import gzip
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from format_readings import assert_same, force, made_of, read, total

from activitymodule.telemetry.sources import research


@pytest.fixture(scope="session")
def samples(data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of real watches, in a folder for each archive."""
    folder = tmp_path_factory.mktemp("formats")
    for archive in ("axivity_actigraph_geneactiv", "empatica_garmin", "sensor_logger_export"):
        path = data_folder / "formats" / f"{archive}.tar.gz"
        if not path.is_file():
            pytest.skip(f"there is no {path}")
        with tarfile.open(path) as tar:
            tar.extractall(folder / archive, filter="data")
    return folder


@pytest.mark.parametrize(("name", "rate"), [("TAS1H30182785_2019-09-17", 100), ("neo", 30)])
def test_actigraph_equals_the_makers_export(samples: Path, name: str, rate: int) -> None:
    path = next(samples.rglob(f"{name}.gt3x"))
    export = next(samples.rglob(f"{name}.csv*"))
    with gzip.open(export, "rt") if export.suffix == ".gz" else export.open() as file:
        rows = np.loadtxt(file, delimiter=",", skiprows=11)
    found, ledger = read("actigraph", path)
    stamps = found.column("stamp").cast(pa.int64()).to_numpy()
    start = int(stamps[0])
    wanted = made_of(start + np.round(np.arange(len(rows)) * (1e6 / rate)).astype(np.int64), total(rows))
    # the export repeats the last sample while the device slept; the gap, and what is beside it, is not compared
    slots = (wanted.column("stamp").cast(pa.int64()).to_numpy() - start) // 100_000
    mine = (stamps - start) // 100_000
    near = np.concatenate([mine[np.r_[True, np.diff(mine) > 1]], mine[np.r_[np.diff(mine) > 1, True]]])
    compared = [i for i, slot in enumerate(mine) if np.abs(near - slot).min() > 30]
    assert len(compared) > 0.8 * len(mine)
    assert ledger.noticed.get("idle_sleep", 0) == (5 if rate == 100 else 0)
    other = wanted.take(np.searchsorted(slots, mine[compared]))
    assert np.abs(force(found.take(compared)) - force(other)).max() < 1e-3  # the export has three decimals


def cwa_samples(content: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Seconds of the first sample of each block and all accelerations in g, by the format's description."""
    times, values = [], []
    for at in range(1024, len(content), 512):
        block = content[at : at + 512]
        stamp = int.from_bytes(block[14:18], "little")
        times.append((stamp >> 12 & 31) * 3600 + (stamp >> 6 & 63) * 60 + (stamp & 63))
        scale = 2 ** (8 + (int.from_bytes(block[18:20], "little") >> 13))
        for i in range(int.from_bytes(block[28:30], "little")):
            if block[25] == 0x62:
                numbers = np.frombuffer(block, "<i2", 6, 30 + 12 * i)[3:].tolist()
            else:
                word = int.from_bytes(block[30 + 4 * i : 34 + 4 * i], "little")
                parts = [word >> shift & 1023 for shift in (0, 10, 20)]
                numbers = [(part - 1024 if part > 511 else part) << (word >> 30) for part in parts]
            values.append([number / scale for number in numbers])
    return np.array(times), np.array(values)


@pytest.mark.parametrize(
    ("name", "n", "mean"),
    # rows and means of scikit-digital-health 0.17.18 (skdh.io.ReadCwa)
    [("ax3", 17_400, [0.777613, 0.127439, 0.291899]), ("ax6", 11_320, [0.016189, 0.210856, 0.073704])],
)
def test_axivity_equals_the_formats_description(samples: Path, name: str, n: int, mean: list[float]) -> None:
    path = next(samples.rglob(f"{name}_testfile.cwa"))
    times, values = cwa_samples(path.read_bytes())
    assert len(values) == n
    np.testing.assert_allclose(values.mean(axis=0), mean, atol=1e-6)
    found, ledger = read("axivity", path)
    assert ledger.rows == n
    stamps = found.column("stamp").cast(pa.int64()).to_numpy() / 1e6 % 86_400
    assert abs(stamps[0] - times[0]) < 2
    assert abs(stamps[-1] - times[-1]) < 2
    data = path.read_bytes()
    np.testing.assert_allclose(research.samples_of(data, path).acceleration, values, atol=1e-7)


def test_geneactiv_equals_the_formats_description(samples: Path) -> None:
    path = next(samples.rglob("GENEActiv_testfile.bin"))
    text = path.read_text("latin-1")
    gain = {axis: (int(text.split(f"{axis} gain:")[1].split()[0]), int(text.split(f"{axis} offset:")[1].split()[0]))
            for axis in "xyz"}  # fmt: skip
    values, time_us = [], []
    for number, page in enumerate(text.split("Recorded Data")[1:]):
        digits = page.strip().splitlines()[-1]
        for i in range(len(digits) // 12):
            raw = [int(digits[12 * i + 3 * k : 12 * i + 3 * k + 3], 16) for k in range(3)]
            raw = [one - 4096 if one > 2047 else one for one in raw]
            values.append(
                [(100 * one - gain[axis][1]) / gain[axis][0] for one, axis in zip(raw, "xyz", strict=True)]
            )
            time_us.append(number * 3_500_000 + round(i / 85.7 * 1e6))
    start = np.datetime64("2013-05-30T09:12:54.500", "us").astype(np.int64)  # the header says GMT +01:00
    found, ledger = read("geneactiv", path)
    assert ledger.rows == len(values) == 5031
    assert_same(found, made_of(start + np.array(time_us), total(np.array(values))), within=1e-4)


def test_empatica_and_garmin_equal_their_files(samples: Path) -> None:
    path = next(samples.rglob("empatica/ACC.csv"))
    rows = np.loadtxt(path, delimiter=",")
    wanted = made_of(int(rows[0, 0] * 1e6) + np.round(np.arange(len(rows) - 2) * 1e6 / 32).astype(np.int64),
                     total(rows[2:] / 64))  # fmt: skip
    found, _ = read("e4", path)
    assert_same(found.slice(0, len(wanted)), wanted)
    heart = np.loadtxt(path.with_name("HR.csv"))
    assert found.column("heart_rate")[100].as_py() == pytest.approx(
        heart[2], abs=1e-4
    )  # starts ten seconds later

    path = next(samples.rglob("garmin/acc.csv"))
    with path.open() as file:
        lines = list(csv.reader(file, delimiter=";"))
    time_us = np.array([line[0].removesuffix("+02:00") for line in lines], "datetime64[us]").astype(np.int64)
    wanted = made_of(time_us - 7_200_000_000, total(-np.array([line[1:] for line in lines], float) / 1000))
    found, _ = read("garmin", path)
    moving = found.filter(found.column("pitch").is_valid())
    assert_same(moving, wanted.filter(wanted.column("pitch").is_valid()))


def test_wrist_motion_equals_the_raw_accelerometer(samples: Path, tmp_path: Path) -> None:
    path = next(samples.rglob("WristMotion.csv"))
    found, ledger = read("sensor-logger", path.parent)
    assert ledger.removed.keys() == {"averaged_into_a_reading"}
    for name in ("WatchAccelerometerUncalibrated.csv", "Metadata.csv"):
        (tmp_path / name).write_bytes(path.with_name(name).read_bytes())
    raw, _ = read("sensor-logger", tmp_path)
    stamps = [table.column("stamp").cast(pa.int64()).to_numpy() for table in (found, raw)]
    both = np.intersect1d(*stamps)
    assert len(both) > 390
    mine, other = (force(table)[np.isin(at, both)] for table, at in zip((found, raw), stamps, strict=True))
    assert np.abs(mine - other).mean() < 0.03  # g; Core Motion's total is that of the calibrated sensor
