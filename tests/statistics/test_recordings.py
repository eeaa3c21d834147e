"""Recordings from canonical readings: order, gaps, rates, and where they come from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from activitymodule.errors import ConfigError, DataError, NotEnoughDataError
from activitymodule.statistics.recordings import from_readings, range_of, read, select

START_US = 1_700_000_000_000_000


def table(stamp_us: np.ndarray, person: str = "007", activity: str | None = "walking") -> pa.Table:
    """A watch lying face up whose user acceleration along x is the time in hours."""
    n = len(stamp_us)
    hours = ((stamp_us - START_US) / 3.6e9).astype(np.float32)
    zero = np.zeros(n, np.float32)
    return pa.table(
        {
            "device_id": pa.array(["w"] * n),
            "stamp": pa.array(stamp_us, pa.timestamp("us", tz="UTC")),
            "pitch": zero,
            "roll": zero,
            "user_acceleration_x": hours,
            "user_acceleration_y": zero,
            "user_acceleration_z": zero,
            "activity": pa.array([activity] * n, pa.string()),
            "person": pa.array([person] * n),
        }
    )


def test_readings_in_any_order_give_the_recording() -> None:
    stamps = START_US + np.arange(600) * 100_000
    shuffled = np.random.default_rng(0).permutation(stamps)
    (one,) = from_readings(table(shuffled))
    assert (one.person, one.activity) == ("007", "walking")
    assert one.acceleration.shape == (600, 3)
    assert one.acceleration[:, 0] == pytest.approx(np.arange(600) / 36000, abs=1e-6)
    assert one.acceleration[:, 1:] == pytest.approx(np.tile([0, -1], (600, 1)), abs=1e-6)


@pytest.mark.parametrize("period_us", [20_000, 50_000, 125_000])
def test_other_rates_come_out_at_ten_a_second(period_us: int) -> None:
    stamps = START_US + np.arange(60_000_000 // period_us) * period_us
    (one,) = from_readings(table(stamps))
    assert abs(len(one.acceleration) - 600) <= 1
    assert np.diff(one.acceleration[:, 0]) == pytest.approx(
        np.full(len(one.acceleration) - 1, 1 / 36000), rel=0.6
    )


def test_a_gap_ends_a_stretch_and_short_stretches_are_left_out() -> None:
    first = START_US + np.arange(150) * 100_000
    second = first[-1] + 5_000_000 + np.arange(99) * 100_000
    third = second[-1] + 5_000_000 + np.arange(120) * 100_000
    (one,) = from_readings(table(np.r_[first, second, third]))
    assert len(one.acceleration) == 150 + 120


def test_what_is_not_known_is_passed_over() -> None:
    stamps = START_US + np.arange(200) * 100_000
    assert from_readings(table(stamps, activity=None)) == []
    holed = table(stamps)
    values = holed.column("pitch").to_numpy().copy()
    values[50] = np.nan
    holed = holed.set_column(2, "pitch", pa.array(values))
    (one,) = from_readings(holed)
    assert len(one.acceleration) == 200  # one missing reading is bridged
    with pytest.raises(DataError, match="roll"):
        from_readings(holed.drop_columns(["roll"]))


def test_prepared_parquet_keeps_the_names_of_people(tmp_path: Path) -> None:
    stamps = START_US + np.arange(300) * 100_000
    both = pa.concat_tables([table(stamps), table(stamps, person="8")])
    ds.write_dataset(
        both,
        tmp_path / "mine",
        format="parquet",
        partitioning=ds.partitioning(pa.schema([("person", pa.string())]), flavor="hive"),
    )
    found = read("mine", tmp_path)
    assert [r.person for r in found] == ["007", "8"]
    assert [r.person for r in read(str(tmp_path / "mine"), Path("/nowhere"), {"8"})] == ["8"]
    with pytest.raises(NotEnoughDataError, match="9"):
        read("mine", tmp_path, {"9"})
    with pytest.raises(ConfigError, match="activity prepare wisdm"):
        read("wisdm", tmp_path)
    with pytest.raises(ConfigError, match="SOURCE:PATH"):
        read("nothing", tmp_path)
    with pytest.raises(NotEnoughDataError, match="9"):
        select(found, {"9"})


def test_the_range_is_rounded_up() -> None:
    (one,) = from_readings(table(START_US + np.arange(300) * 100_000))
    assert range_of([one]) == 1.0


def test_wisdm_straight_from_its_archive(data_folder: Path) -> None:
    found = read(f"wisdm:{data_folder / 'wisdm_watch.tar.gz'}", Path("/nowhere"), {"1629", "1616"})
    # 1616 did not jog; the file of 1629 holds everything twice
    assert len(found) == 11
    assert all(len(r.acceleration) == 1200 for r in found)
