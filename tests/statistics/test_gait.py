"""The stride of signals whose stride is known."""

from __future__ import annotations

import numpy as np
import pytest

from activitymodule.statistics import gait


@pytest.mark.parametrize("hz", [0.72, 0.9, 1.03, 1.4])
def test_a_pure_swing_gives_its_frequency_and_phase(hz: float) -> None:
    t = np.arange(1200) / 10
    x = np.stack([np.sin(2 * np.pi * hz * t), 0 * t - 1, 0.3 * np.cos(2 * np.pi * hz * t)], axis=1)
    found = gait.stride(x)
    assert found.hz == pytest.approx(hz, abs=0.002)
    assert found.periodicity > 0.95
    # the phase runs with the signal's own: their difference is constant
    drift = found.phase - 2 * np.pi * hz * t
    assert drift[50:-50].std() < 0.05


def test_a_strong_second_harmonic_is_not_taken_for_the_stride() -> None:
    t = np.arange(1200) / 10
    phase = 2 * np.pi * 0.85 * t
    x = np.stack([0.3 * np.sin(phase), np.sin(2 * phase) - 1, 0.2 * np.cos(phase)], axis=1)
    assert gait.stride(x).hz == pytest.approx(0.85, abs=0.005)


def test_noise_is_not_periodic() -> None:
    x = np.random.default_rng(0).normal(size=(1200, 3))
    assert gait.stride(x).periodicity < 0.3


def test_waves_are_cosines_then_sines() -> None:
    phase = np.array([0.0, np.pi / 2])
    assert gait.waves(phase, 2) == pytest.approx(np.array([[1, 1, 0, 0], [0, -1, 1, 0]]), abs=1e-12)
