"""A guessed mapping is valid, right about what values can tell, and marks what a person must decide."""

from __future__ import annotations

import zipfile
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from activitymodule.errors import ConfigError, DataError
from activitymodule.telemetry import mapping, sources
from activitymodule.telemetry.mapping import Mapping
from activitymodule.telemetry.sources.tables.guess import guess
from activitymodule.telemetry.sources.tables.source import TableSource

BEGIN = datetime(2024, 6, 1, 8, 0)


def worn(hz: float, seconds: float = 60, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Seconds (n,), and an acceleration (n, 3) of about 1 g times `scale`."""
    at = np.arange(0, seconds, 1 / hz)
    noise = 0.05 * np.random.default_rng(0).normal(size=len(at))
    motion = np.stack([0.3 * np.sin(11 * at), 0.5 + 0.2 * np.cos(6 * at), 0.86 + noise], axis=1)
    return at, motion * scale


def table(rows: list[list[str]], delimiter: str = ",") -> str:
    return "\n".join(delimiter.join(row) for row in rows) + "\n"


def guessed(path: Path) -> Mapping:
    """The guess, which must prepare what it was made from."""
    made = guess(path)
    one = mapping.parse(made.yaml)
    assert any("length of the acceleration: 1.0" in note for note in made.notes)
    readings = [chunk.ledger.readings for u in TableSource(one).scan(path) for chunk in sources.read(u)]
    assert sum(readings) > 100
    return one


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1"])
def test_semicolons_decimal_commas_and_local_times(tmp_path: Path, encoding: str) -> None:
    at, motion = worn(50, scale=9.81)
    rows = [["Zeit", "Beschl. X [m/s²]", "Beschl. Y [m/s²]", "Beschl. Z [m/s²]", "Aktivität"]]
    for second, values in zip(at, motion, strict=True):
        stamp = (BEGIN + timedelta(seconds=float(second))).strftime("%d.%m.%Y %H:%M:%S.%f")
        numbers = [f"{value:.3f}".replace(".", ",") for value in values]
        rows.append([stamp, *numbers, "gehen" if second < 30 else "sitzen"])
    (tmp_path / "a.csv").write_bytes(table(rows, ";").encode(encoding))
    one = guessed(tmp_path / "a.csv")
    assert (one.format.delimiter, one.format.decimal) == (";", ",")
    assert (one.time.is_, one.time.format, one.time.zone) == ("local", "%d.%m.%Y %H:%M:%S.%f", "UTC")
    assert one.acceleration is not None
    assert (one.acceleration.x, one.acceleration.unit) == ("Beschl. X [m/s²]", "m/s2")
    assert one.labels == {"gehen": "gehen", "sitzen": "sitzen"}


@pytest.mark.parametrize(
    ("scale", "unit", "times", "kind"),
    [
        (1000, "mg", 1e3, "epoch_ms"),
        (16384, "counts", 1e6, "epoch_us"),
        (1, "g", 1e9, "epoch_ns"),
        (64, "counts", 1, "epoch_s"),
    ],
)
def test_without_a_header(tmp_path: Path, scale: float, unit: str, times: float, kind: str) -> None:
    at, motion = worn(25, scale=scale)
    rows = [
        [f"{1_700_000_000 * times + second * times:.3f}", *(f"{value:.4f}" for value in values)]
        for second, values in zip(at, motion, strict=True)
    ]
    (tmp_path / "a.txt").write_text(table(rows, "\t"))
    one = guessed(tmp_path / "a.txt")
    assert (one.format.header_rows, one.time.is_) == (0, kind)
    assert one.acceleration is not None
    assert (one.acceleration.x, one.acceleration.unit) == ("2", unit)
    assert one.acceleration.scale == (1 / scale if unit == "counts" else 1)


def test_trials_in_folders_with_bursts(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "trials.zip", "w") as archive:
        for person in (1, 2, 3):
            for activity in ("walking", "sitting"):
                at, motion = worn(100, 20, 9.81)
                arrival = np.ceil(at / 0.25) * 0.25
                rows = [["time", "acc_x", "acc_y", "acc_z"]]
                rows += [
                    [f"{t:.3f}", *map(repr, map(float, v))] for t, v in zip(arrival, motion, strict=True)
                ]
                archive.writestr(f"d/subject{person}/{activity}/rec_{person}.csv", table(rows))
    one = guessed(tmp_path / "trials.zip")
    assert (one.time.is_, one.time.spread) == ("elapsed_s", True)
    assert one.labels == {"walking": "walking", "sitting": "sitting"}
    units = TableSource(one).scan(tmp_path / "trials.zip")
    assert [unit.person for unit in units] == ["subject1", "subject2", "subject3"]


def test_parquet_persons_and_other_channels(tmp_path: Path) -> None:
    at, motion = worn(50)
    stamp = np.datetime64("2024-01-01T00:00:00") + (at * 1e6).astype("timedelta64[us]")
    columns: dict[str, object] = {"time": pa.array(stamp).cast(pa.timestamp("ns", "UTC"))}
    columns |= {f"accel_{axis}": motion[:, i] for i, axis in enumerate("xyz")}
    columns |= {f"gyro_{axis}": 90 * np.sin(at) for axis in "xyz"}
    columns |= {"subject": ["s1"] * len(at), "bpm": 70 + at // 10, "note": ["-"] * len(at)}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    one = guessed(tmp_path / "a.parquet")
    assert one.time.is_ == "iso"
    assert one.person is not None
    assert one.person.column == "subject"
    assert one.rotation is not None
    assert one.rotation.unit == "deg/s"
    assert one.channels["heart_rate"].column == "bpm"
    assert "# left out: note" in guess(tmp_path / "a.parquet").yaml


def test_date_and_time_apart_and_blanks(tmp_path: Path) -> None:
    at, motion = worn(50)
    rows = [["Date", "Time", "ax", "ay", "az"]]
    for second, values in zip(at, motion, strict=True):
        stamp = BEGIN + timedelta(seconds=float(second))
        rows.append([f"{stamp:%Y-%m-%d}", f"{stamp:%H:%M:%S.%f}", *(f"{value:.4f}" for value in values)])
    (tmp_path / "a.dat").write_text(table(rows, "  "))
    one = guessed(tmp_path / "a.dat")
    assert one.time.columns == ("Date", "Time")
    assert one.format.delimiter == " "


def test_what_holds_no_acceleration_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        guess(tmp_path / "none")
    (tmp_path / "a.csv").write_text("day,steps\n2024-01-01,100\n2024-01-02,200\n")
    with pytest.raises(DataError):
        guess(tmp_path)
    days = np.random.default_rng(0).exponential(0.6, (200, 3))
    rows = [["day", "km", "climbed", "rode"], *([str(i), *map(str, v)] for i, v in enumerate(days.tolist()))]
    (tmp_path / "a.csv").write_text(table(rows))
    with pytest.raises(DataError):
        guess(tmp_path)
    (tmp_path / "a.csv").write_text("only words\nand more of them\n")
    with pytest.raises(DataError):
        guess(tmp_path)
