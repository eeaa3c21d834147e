"""Fitting: regimes, refusals, activities without a recipe, calibration."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from known_recordings import sitter, walker

from activitymodule.errors import NotEnoughDataError
from activitymodule.statistics.calibration import typical_spectrum
from activitymodule.statistics.measure import measure, measure_profile
from activitymodule.statistics.process import Process
from activitymodule.statistics.profile import LEAST_FRAMES, Profile
from activitymodule.statistics.recipes import DEFAULT_RECIPE


@pytest.mark.parametrize("kind", ["walking_profile", "sitting_profile"])
def test_what_a_profile_must_be(kind: str, request: pytest.FixtureRequest) -> None:
    profile: Profile = request.getfixturevalue(kind)
    regimes = profile.regimes
    assert sum(r.occupancy for r in regimes) == pytest.approx(1)
    for r in regimes:
        assert r.frames >= LEAST_FRAMES
        assert r.transitions.sum() == pytest.approx(1)
        assert (r.transitions >= 0).all()
        assert np.linalg.norm(r.direction) == pytest.approx(1)
        assert (np.diff(r.quantiles, axis=1) >= 0).all()
        assert (np.abs(r.coherence) <= 1 + 1e-6).all()


def test_two_postures_are_two_kinds_of_regimes(sitting_profile: Profile) -> None:
    postures = np.array([[0.1, -0.3, -0.95], [-0.6, -0.7, -0.35]])
    postures /= np.linalg.norm(postures, axis=1, keepdims=True)
    near = [int((postures @ r.direction).argmax()) for r in sitting_profile.regimes]
    assert {0, 1} == set(near)
    occupied = [
        sum(r.occupancy for r, n in zip(sitting_profile.regimes, near, strict=True) if n == k) for k in (0, 1)
    ]
    assert occupied == pytest.approx([0.5, 0.5], abs=0.05)


def test_a_short_recording_gives_no_profile() -> None:
    with pytest.raises(NotEnoughDataError):
        measure_profile(sitter("a", seconds=30))
    with pytest.raises(NotEnoughDataError):
        measure([sitter("a", seconds=30)])
    assert len(measure([sitter("a", seconds=30), sitter("b", seconds=60)])) == 1


def test_an_unknown_activity_has_a_gait_if_it_is_periodic() -> None:
    marching = replace(walker("a", 0.9), activity="marching")
    reading = replace(sitter("a"), activity="reading")
    assert DEFAULT_RECIPE.gait is None
    assert measure_profile(marching).stride_hz == pytest.approx(0.9, abs=0.005)
    assert not measure_profile(reading).gait


def test_calibration_brings_the_spectrum_nearer() -> None:
    recording = sitter("a")
    wanted = np.log(typical_spectrum(np.asarray(recording.acceleration, float)))[:, 1:]

    def error(rounds: int) -> float:
        process = Process(measure_profile(recording, rounds=rounds))
        made = np.concatenate([process.minute(5, 5, m) for m in range(4)]).astype(float)
        return float(np.abs(np.log(typical_spectrum(made))[:, 1:] - wanted).mean())

    assert error(4) < error(0)


def test_fitting_again_gives_the_same(walking_profile: Profile) -> None:
    again = measure_profile(walker("a", 0.9))
    assert again.stride_hz == walking_profile.stride_hz
    assert np.array_equal(again.regimes[0].log_power, walking_profile.regimes[0].log_power)


def test_a_constant_recording_stays_finite() -> None:
    still = replace(sitter("a"), acceleration=np.tile(np.array([0, 0, -1], np.float32), (1200, 1)))
    made = Process(measure_profile(still)).minute(1, 1, 1)
    assert np.isfinite(made).all()
    assert np.abs(made - [0, 0, -1]).max() < 1e-3
