"""Features: known answers, a plain float64 reference, and the laws (mirror, batch, missing sensors)."""

from __future__ import annotations

import importlib.util
import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from activitymodule.settings import Windows
from activitymodule.telemetry.gravity import STANDARD_GRAVITY
from activitymodule.windows import assembling, catalogue, document
from activitymodule.windows import features as fast
from activitymodule.windows.families.covariance import eigenvalues
from activitymodule.windows.packing import CHANNELS

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("ACTIVITYDATA", ROOT.parent / "shared" / "data"))
START_US = 1_700_000_000_000_000
WINDOWS = Windows()
MOTION = slice(0, catalogue.COLUMNS["autocorrelation"].stop)
GAIT_HZ = 2.0


def plain_features(acceleration: np.ndarray, rate: int = 10) -> np.ndarray:
    path = ROOT / "benchmarks" / "plain_features.py"
    spec = importlib.util.spec_from_file_location("plain_features", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.plain_features(acceleration, rate)


def batch_of(grid: np.ndarray) -> assembling.WindowBatch:
    n = len(grid)
    zeros = np.zeros(n, np.int32)
    return assembling.WindowBatch(grid, np.ones(n, np.float32), zeros, zeros, np.zeros(n, np.int64))


def grid_of_acceleration(acceleration: np.ndarray) -> np.ndarray:
    """Acceleration in m/s2, (windows, slots, 3) -> grid with nothing else in it."""
    grid = np.full((*acceleration.shape[:2], len(CHANNELS)), np.nan, np.float32)
    grid[:, :, :3] = acceleration / STANDARD_GRAVITY
    return grid


def named(matrix: np.ndarray, name: str) -> np.ndarray:
    return matrix[:, catalogue.FEATURE_NAMES.index(name)]


def random_grid(seed: int, n: int, windows: Windows, missing: float = 0.0) -> np.ndarray:
    """Windows of gravity, a gait and noise, with everything a watch may send."""
    draw = np.random.default_rng(seed)
    slots = windows.length_seconds * windows.rate_hz
    t = np.arange(slots) / windows.rate_hz
    grid = draw.normal(size=(n, slots, len(CHANNELS))) * draw.choice([0.001, 0.05, 0.5], (n, 1, 1))
    grid[:, :, :3] += draw.normal(size=(n, 1, 3))
    grid[:, :, :6] += 0.3 * np.sin(2 * np.pi * draw.uniform(0.5, 3, (n, 1, 1)) * t[:, None])
    grid[:, :, 6] = 80 + 10 * grid[:, :, 6]
    grid[:, :, 7] = draw.poisson(0.2, (n, slots))
    grid[draw.random((n, slots)) < missing] = np.nan
    grid[draw.random(grid.shape) < missing / 4] = np.nan
    return grid.astype(np.float32)


@pytest.fixture(scope="module")
def wisdm() -> np.ndarray:
    """Windows of real people: total acceleration in m/s2, (windows, 100, 3), 10 Hz by the mean of pairs."""
    path = DATA / "wisdm_watch.tar.gz"
    if not path.is_file():
        pytest.skip(f"no WISDM recordings at {path}; set ACTIVITYDATA to the folder that has them")
    parts = []
    with tarfile.open(path) as archive:
        members = sorted((m for m in archive.getmembers() if m.name.endswith(".txt")), key=lambda m: m.name)
        for member in members[:12]:
            file = archive.extractfile(member)
            assert file is not None
            text = io.StringIO(file.read().decode().replace(";", ""))
            values = np.loadtxt(text, delimiter=",", usecols=(2, 3, 4))
            values = values[: len(values) // 200 * 200]
            parts.append(values.reshape(-1, 100, 2, 3).mean(2))
    return np.concatenate(parts)


def test_names_are_unique_and_fit_the_families():
    assert len(set(catalogue.FEATURE_NAMES)) == len(catalogue.FEATURE_NAMES)
    assert MOTION.stop == 303
    families = [*catalogue.MOTION_FAMILIES, "rotation", "heart", "steps", "speed"]
    assert list(catalogue.COLUMNS) == list(catalogue.FAMILIES) == families
    assert all(name.replace("_", "").isalnum() for name in catalogue.FEATURE_NAMES)


def test_the_document_agrees_with_the_code():
    assert (ROOT / "docs" / "features.md").read_text() == document.markdown()


# Known answers


@pytest.fixture(scope="module")
def walk() -> np.ndarray:
    """Features of an ideal gait: a sine of 3 m/s2 along gravity, which is along -z; face up."""
    t = np.arange(100) / 10
    acceleration = np.zeros((1, 100, 3))
    acceleration[0, :, 2] = -9.80665 - 3 * np.sin(2 * np.pi * GAIT_HZ * t + 0.3)
    grid = grid_of_acceleration(acceleration)
    grid[0, :, 3:6] = np.sin(2 * np.pi * 1.0 * t)[:, None] * (0, 2, 0)
    grid[0, ::10, 6] = 90 + np.arange(10)  # a bpm a second
    grid[0, 9::10, 7] = 2  # steps, every second
    grid[0, :, 8] = np.where(np.arange(100) < 50, -1, 1.5)
    return fast.features(batch_of(grid), WINDOWS)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("spectrum_z_dominant", GAIT_HZ),
        ("spectrum_vertical_dominant", GAIT_HZ),
        ("spectrum_sum_dominant", GAIT_HZ),
        ("spectrum_z_share_band5", 1.0),
        ("spectrum_x_log_power_band5", np.log(1e-6)),
        ("autocorrelation_z_peak_lag", 0.5),
        ("autocorrelation_z_first_lag", 0.5),
        ("autocorrelation_z_peak", 0.95),  # 95 of 100 slots overlap
        ("autocorrelation_x_peak", -1.0),
        ("statistics_z_log_sd", np.log(3 / np.sqrt(2))),
        ("statistics_z_kurtosis", 1.5),
        ("statistics_x_log_sd", np.log(1e-6)),
        ("statistics_magnitude_mean", 9.80665),
        ("direction_z_absolute_mean", 9.80665),
        ("direction_z_absolute_cosine", 1.0),
        ("direction_x_absolute_cosine", 0.0),
        ("vertical_log_sd", np.log(3 / np.sqrt(2))),
        ("vertical_horizontal_max", 0.0),
        ("covariance_log_largest", np.log(4.5)),
        ("covariance_share_largest", 1.0),
        ("covariance_xz_absolute_correlation", 0.0),
        ("gravity_angle_log_max", np.log(0.01)),
        ("stillness_share_below_050", 0.0),
        ("rotation_dominant", 1.0),
        ("rotation_y_log_sd", np.log(2 / np.sqrt(2))),
        ("rotation_x_log_sd", np.log(1e-6)),
        ("heart_mean", 94.5),
        ("heart_min", 90.0),
        ("heart_max", 99.0),
        ("heart_slope", 60.0),
        ("steps_total", 20.0),
        ("steps_per_minute", 120.0),
        ("speed_mean", 1.5),
        ("speed_max", 1.5),
    ],
)
def test_an_ideal_gait_gives_the_known_answer(walk, name, expected):
    assert named(walk, name)[0] == pytest.approx(expected, abs=2e-3)


def test_a_watch_at_rest_gives_finite_features():
    flat = np.zeros((2, 100, 3))
    flat[0, :, 2] = -9.80665
    flat[1] = (1.2, -3.4, 8.9)  # not exact in binary
    matrix = fast.features(batch_of(grid_of_acceleration(flat)), WINDOWS)
    assert np.isfinite(matrix[:, MOTION]).all()
    assert named(matrix, "statistics_y_log_sd") == pytest.approx(np.log(1e-6))
    assert named(matrix, "statistics_y_crossing_rate").tolist() == [0, 0]
    assert named(matrix, "stillness_share_below_005").tolist() == [1, 1]
    assert named(matrix, "spectrum_sum_log_power_band3") == pytest.approx(np.log(1e-6))


def test_a_turn_of_the_watch_is_an_angle_to_gravity():
    angle = np.radians(np.where(np.arange(100) < 50, -30, 30))
    acceleration = 9.80665 * np.stack([np.sin(angle), np.zeros(100), -np.cos(angle)], 1)[None]
    matrix = fast.features(batch_of(grid_of_acceleration(acceleration)), WINDOWS)
    assert np.exp(named(matrix, "gravity_angle_log_max"))[0] == pytest.approx(30.01, abs=0.01)
    assert np.exp(named(matrix, "gravity_log_drift"))[0] == pytest.approx(9.80665, abs=0.01)


def test_eigenvalues_are_those_of_linear_algebra():
    draw = np.random.default_rng(0)
    roots = draw.normal(size=(500, 3, 3)) * draw.choice([1e-3, 1.0, 10.0], (500, 3, 1))
    matrices = roots @ roots.transpose(0, 2, 1)
    matrices[0], matrices[1], matrices[2] = 0, np.eye(3), np.diag([1, 2, 2])
    diagonal = np.einsum("njj->jn", matrices)
    pairs = np.stack([matrices[:, 0, 1], matrices[:, 0, 2], matrices[:, 1, 2]])
    expected = np.linalg.eigvalsh(matrices).T
    np.testing.assert_allclose(
        eigenvalues(diagonal, pairs), expected, atol=1e-7 * np.max(expected, initial=1)
    )


# The plain reference


def compare(acceleration: np.ndarray, windows: Windows) -> None:
    # the float32 grid is what both see, so that only the arithmetic differs
    grid = grid_of_acceleration(acceleration)
    seen = (grid[:, :, :3] * np.float32(STANDARD_GRAVITY)).astype(np.float64)
    expected = plain_features(seen, windows.rate_hz)
    found = fast.features(batch_of(grid), windows)[:, MOTION]
    scale = np.maximum(expected.std(0), 0.01)
    error = np.abs(found - expected) / scale
    assert np.median(error) < 1e-6
    # a tie (two equal peaks, a value on the mean) may fall either way in float32
    wrong = error > 1e-3
    worst = catalogue.FEATURE_NAMES[wrong.mean(0).argmax()]
    assert wrong.mean() < 1e-4, f"{wrong.sum()} values differ, most of them {worst}"
    assert wrong.mean(0).max() < 0.02, worst


def test_real_windows_give_what_the_plain_reference_gives(wisdm):
    assert len(wisdm) > 500
    compare(wisdm, WINDOWS)


@pytest.mark.parametrize(
    ("length", "rate"), [(5, 10), (5, 20), (10, 20), (10, 50), (30, 10), (60, 25), (7, 13)]
)
def test_other_lengths_and_rates_agree_with_the_plain_reference(length, rate):
    windows = Windows(length_seconds=length, slide_seconds=length, rate_hz=rate)
    acceleration = random_grid(length, 200, windows)[:, :, :3].astype(np.float64) * STANDARD_GRAVITY
    compare(acceleration, windows)


@pytest.mark.parametrize(("length", "rate"), [(5, 10), (10, 20), (20, 10), (60, 50), (10, 10)])
def test_bands_and_lags_are_in_hz_and_seconds(length, rate):
    windows = Windows(length_seconds=length, slide_seconds=length, rate_hz=rate)
    t = np.arange(length * rate) / rate
    acceleration = np.zeros((1, len(t), 3))
    acceleration[0, :, 2] = -9.80665 - 3 * np.sin(2 * np.pi * GAIT_HZ * t)
    matrix = fast.features(batch_of(grid_of_acceleration(acceleration)), windows)
    assert named(matrix, "spectrum_z_dominant")[0] == pytest.approx(GAIT_HZ)
    assert named(matrix, "autocorrelation_z_first_lag")[0] == pytest.approx(0.5)
    assert named(matrix, "spectrum_z_share_band5")[0] > 0.99
    assert named(matrix, "spectrum_z_harmonic1")[0] > 0.99


@pytest.mark.parametrize("length", [2, 3])
def test_the_shortest_windows_and_slowest_rates_work(length):
    windows = Windows(length_seconds=length, slide_seconds=length, rate_hz=5)
    matrix = fast.features(batch_of(random_grid(0, 20, windows)), windows)
    assert np.isfinite(matrix[:, MOTION]).all()


# Laws


@given(st.integers(0, 2**32 - 1), st.sampled_from([10, 20, 13]), st.sampled_from([0.0, 0.1]))
@hypothesis_settings(max_examples=15, deadline=None)
def test_no_feature_changes_when_an_axis_is_mirrored(seed, rate, missing):
    windows = Windows(rate_hz=rate)
    grid = random_grid(seed, 30, windows, missing)
    expected = fast.features(batch_of(grid), windows)
    for axis in range(6):
        mirrored = grid.copy()
        mirrored[:, :, axis] *= -1
        np.testing.assert_array_equal(fast.features(batch_of(mirrored), windows), expected)


@given(
    st.integers(0, 2**32 - 1), st.integers(1, 300), st.sampled_from([(10, 10), (5, 20), (7, 13), (10, 50)])
)
@hypothesis_settings(max_examples=25, deadline=None)
def test_a_window_is_the_same_to_the_bit_in_any_batch(seed, n, shape):
    windows = Windows(length_seconds=shape[0], slide_seconds=shape[0], rate_hz=shape[1])
    grid = random_grid(seed, n, windows, 0.05)
    expected = fast.features(batch_of(grid), windows)
    draw = np.random.default_rng(seed)
    some = draw.permutation(n)[: draw.integers(1, n + 1)]
    assert fast.features(batch_of(grid[some]), windows).tobytes() == expected[some].tobytes()


@pytest.mark.parametrize("processor", ["Nehalem", "Haswell"])
def test_nor_does_it_depend_on_the_processor(processor):
    """OpenBLAS adds up in an order of its own for each; which one it takes is read when a program starts."""
    name = f"{__file__}::{test_a_window_is_the_same_to_the_bit_in_any_batch.__name__}"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", name]
    environment = {**os.environ, "OPENBLAS_CORETYPE": processor}
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_a_missing_sensor_spoils_nothing_but_its_own_features():
    grid = random_grid(3, 40, WINDOWS)
    whole = fast.features(batch_of(grid), WINDOWS)
    assert np.isfinite(whole[:, : catalogue.COLUMNS["speed"].start]).all()
    channels = {
        "rotation": slice(3, 6),
        "heart": slice(6, 7),
        "steps": slice(7, 8),
        "speed": slice(8, 9),
    }
    for family, where in channels.items():
        without = grid.copy()
        without[::2, :, where] = np.nan
        found = fast.features(batch_of(without), WINDOWS)
        expected = whole.copy()
        expected[::2, catalogue.COLUMNS[family]] = np.nan
        np.testing.assert_array_equal(found, expected)
    without = grid.copy()
    without[:, :, 1] = np.nan  # one axis of the acceleration is all of it
    found = fast.features(batch_of(without), WINDOWS)
    assert np.isnan(found[:, MOTION]).all()
    np.testing.assert_array_equal(found[:, MOTION.stop :], whole[:, MOTION.stop :])


def test_two_seconds_of_acceleration_are_needed():
    grid = random_grid(4, 2, WINDOWS)
    grid[0, 19:, :3] = np.nan
    grid[1, 20:, :3] = np.nan
    matrix = fast.features(batch_of(grid), WINDOWS)
    assert np.isnan(matrix[0, MOTION]).all()
    assert np.isfinite(matrix[1, MOTION]).all()


def test_gaps_are_bridged_by_straight_lines_and_ends_are_held():
    grid = random_grid(5, 1, WINDOWS)
    grid[0, :10, :3], grid[0, 40:45, :3], grid[0, 90:, :3] = np.nan, np.nan, np.nan
    bridged = grid.copy()
    slots = np.arange(100)
    there = ~np.isnan(grid[0, :, 0])
    for axis in range(3):
        bridged[0, :, axis] = np.interp(slots, slots[there], grid[0, there, axis])
    found, expected = (fast.features(batch_of(g), WINDOWS) for g in (grid, bridged))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_one_heart_rate_has_no_slope():
    grid = np.full((1, 100, len(CHANNELS)), np.nan, np.float32)
    grid[0, 50, 6] = 71
    matrix = fast.features(batch_of(grid), WINDOWS)
    assert matrix[0, catalogue.COLUMNS["heart"]].tolist()[:4] == [71, 0, 71, 71]
    assert np.isnan(named(matrix, "heart_slope"))
    assert np.isnan(matrix[0, MOTION]).all()


def test_sparse_readings_do_not_raise_the_step_rate():
    grid = np.full((2, 100, len(CHANNELS)), np.nan, np.float32)
    grid[0, ::2, 7] = 0.4  # a watch of 5 Hz on a grid of 10 Hz: 20 steps in 10 s
    grid[1, 30, 7] = 18  # one report alone covers the window
    matrix = fast.features(batch_of(grid), WINDOWS)
    assert named(matrix, "steps_per_minute") == pytest.approx([120, 108], rel=1e-5)


def test_no_windows_give_an_empty_matrix():
    matrix = fast.features(batch_of(np.empty((0, 100, len(CHANNELS)), np.float32)), WINDOWS)
    assert matrix.shape == (0, len(catalogue.FEATURE_NAMES))
