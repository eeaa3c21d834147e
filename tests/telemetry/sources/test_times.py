"""Times of a source: kept where they are recorded, and moved on where a clock was set back."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest

from activitymodule.telemetry.sources import SOURCES, Ledger

NAMES = "stamp,pitch,roll,user_acceleration_x,user_acceleration_y,user_acceleration_z,user_activity_label"
BEGIN = datetime(2023, 11, 5, 8, 0, tzinfo=UTC)  # an hour before the clocks of Los Angeles go back


def seconds_of(source: str, folder: Path) -> tuple[np.ndarray, Ledger]:
    """Stamps in seconds after the first, in the order of the file, and the ledger."""
    stamps, total = [], Ledger()
    for unit in SOURCES[source].scan(folder):
        for chunk in SOURCES[source].read(unit):
            assert chunk.ledger.balanced
            stamps.append(chunk.readings.column("stamp").cast(pa.int64()).to_numpy())
            total += chunk.ledger
    found = np.concatenate(stamps)
    return (found - found[0]) / 1e6, total


def casas(folder: Path, times: list[datetime], values: list[float] | None = None) -> None:
    values = values or [math.sin(i / 3) for i in range(len(times))]
    rows = (
        f"{at:%Y-%m-%d %H:%M:%S.%f},0.1,0.2,{x:.6f},0.1,0.0," for at, x in zip(times, values, strict=True)
    )
    (folder / "alice.csv").write_text("\n".join([NAMES, "dt,f,f,f,f,f,s", *rows]) + "\n")


def every(seconds: float, count: int) -> list[datetime]:
    return [BEGIN + timedelta(seconds=seconds * i) for i in range(count)]


@pytest.fixture(params=[20_000, 8 << 20])
def _block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("activitymodule.telemetry.sources.csv_blocks._BLOCK_BYTES", request.param)


@pytest.mark.usefixtures("_block")
@pytest.mark.parametrize("phase", [0, 0.037])
def test_the_hour_that_comes_twice_counts_once_each(tmp_path: Path, phase: float) -> None:
    zone = ZoneInfo("America/Los_Angeles")
    times = [at.astimezone(zone) for at in every(1, 7200)]
    casas(tmp_path, times[:3600] + [at + timedelta(seconds=phase) for at in times[3600:]])
    seconds, ledger = seconds_of("casas", tmp_path)
    np.testing.assert_allclose(seconds, np.arange(7200) + phase * (np.arange(7200) >= 3600), atol=1e-6)
    assert ledger.noticed == {"clock_set_back": 1, "moved_on_after_the_clock": 3600}


@pytest.mark.usefixtures("_block")
@pytest.mark.parametrize("back", [90, 600, 3 * 3600])
def test_a_clock_set_back_goes_on(tmp_path: Path, back: int) -> None:
    times = every(0.1, 4000)
    casas(tmp_path, times[:2000] + [at - timedelta(seconds=back) for at in times[2000:]])
    seconds, ledger = seconds_of("casas", tmp_path)
    np.testing.assert_allclose(seconds, np.arange(4000) / 10, atol=1e-6)
    assert ledger.noticed["clock_set_back"] == 1


def test_after_a_gap_as_long_the_wearers_clock_is_right_again(tmp_path: Path) -> None:
    times = every(1, 200)
    later = [at + timedelta(hours=9) for at in times[:50]]
    casas(tmp_path, times[:100] + [at - timedelta(hours=1) for at in times[100:]] + later)
    seconds, ledger = seconds_of("casas", tmp_path)
    np.testing.assert_allclose(seconds, [*range(200), *range(9 * 3600, 9 * 3600 + 50)])
    assert ledger.noticed == {"clock_set_back": 1, "moved_on_after_the_clock": 100}


def test_rows_that_are_late_or_there_already_are_no_clock_set_back(tmp_path: Path) -> None:
    times = every(0.1, 400)
    values = [math.sin(i) for i in range(400)]
    late = [*range(100), *range(130, 150), *range(100, 130), *range(150, 400)]
    casas(tmp_path, [times[i] for i in late], [values[i] for i in late])
    seconds, ledger = seconds_of("casas", tmp_path)
    np.testing.assert_allclose(seconds, np.array(late) / 10, atol=1e-6)
    assert ledger.noticed == {}
    casas(
        tmp_path, times + times[:300], values + values[:300]
    )  # `activity prepare` removes what is there twice
    seconds, ledger = seconds_of("casas", tmp_path)
    np.testing.assert_allclose(seconds, [*np.arange(400) / 10, *np.arange(300) / 10], atol=1e-6)
    assert ledger.noticed == {}
    casas(tmp_path, times + [at - timedelta(days=300) for at in times])  # another recording
    assert seconds_of("casas", tmp_path)[1].noticed == {"time_goes_back": 1}


def arwise(folder: Path, times: list[datetime]) -> None:
    """Rows of ten seconds, each with values of its own."""
    names = [f"{kind}_{axis}_{step + 1}" for step in range(100)
             for kind in ("user_acceleration", "rotation_rate") for axis in "xyz"]  # fmt: skip
    rows = (
        f"{at:%Y-%m-%d %H:%M:%S.%f},sit," + ",".join([f"{math.sin(k):.6f}"] * len(names))
        for k, at in enumerate(times)
    )
    (folder / "p1_train.csv").write_text(
        "\n".join([",".join(["stamp", "activity_label", *names]), *rows]) + "\n"
    )


@pytest.mark.parametrize("back_seconds", [3600, 1234.5])
def test_a_clock_set_back_between_rows_of_ten_seconds(tmp_path: Path, back_seconds: float) -> None:
    times = every(9.99, 120)
    arwise(tmp_path, times[:60] + [at - timedelta(seconds=back_seconds) for at in times[60:]])
    seconds, ledger = seconds_of("arwise", tmp_path)
    np.testing.assert_allclose(seconds, np.arange(12_000) * 0.0999, atol=1e-6)
    assert ledger.noticed["clock_set_back"] == 1
    assert ledger.noticed["moved_on_after_the_clock"] == 6000
    arwise(tmp_path, times)
    assert "clock_set_back" not in seconds_of("arwise", tmp_path)[1].noticed


def wisdm(folder: Path, times: list[int], code: str = "A") -> tuple[np.ndarray, Ledger]:
    lines = (f"1600,{code},{at},{i % 7 / 10:.3f},{i % 5 / 10:.3f},9.8;\n" for i, at in enumerate(times))
    (folder / "data_1600_accel_watch.txt").write_text("".join(lines))
    return seconds_of("wisdm", folder)


def at_rate(hz: int, count: int, start_s: float = 90_000) -> list[int]:
    return [int((start_s + i / hz) * 1e9) for i in range(count)]


@pytest.mark.parametrize("hz", [10, 20, 50, 100])
def test_recorded_times_set_the_rate(tmp_path: Path, hz: int) -> None:
    seconds, ledger = wisdm(tmp_path, at_rate(hz, 20 * hz))
    np.testing.assert_allclose(seconds, np.arange(200) / 10, atol=1e-6)
    assert ledger.rows == 20 * hz


def test_gaps_and_clocks_of_recorded_times(tmp_path: Path) -> None:
    seconds, _ = wisdm(tmp_path, at_rate(20, 200) + at_rate(20, 200, 93_610))
    assert (seconds[99], seconds[100], seconds[-1]) == pytest.approx((9.9, 3610, 3619.9))
    seconds, ledger = wisdm(tmp_path, at_rate(20, 200) + at_rate(20, 100, 80_000))
    assert (seconds[99], seconds[100]) == pytest.approx((9.9, 300))  # a block of its own
    assert ledger.noticed == {"clock_set_back": 1}
    seconds, ledger = wisdm(tmp_path, at_rate(20, 200) + [10**18 + at for at in at_rate(20, 100)])
    assert seconds[-1] < 310
    assert ledger.noticed == {"clock_set_forward": 1}


def test_a_line_that_is_there_twice_counts_once(tmp_path: Path) -> None:
    (tmp_path / "data_1600_accel_watch.txt").write_text(
        "".join(f"1600,A,{at},{i % 7}.0,0.5,9.8;\n" * 2 for i, at in enumerate(at_rate(20, 400)))
    )
    seconds, ledger = seconds_of("wisdm", tmp_path)
    np.testing.assert_allclose(seconds, np.arange(200) / 10, atol=1e-6)
    assert ledger.removed == {"averaged_into_the_reading_before": 200, "repeated_row": 400}
