"""What a profile realises: the same whenever it is asked, seamless, and with the statistics it was given."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from known_recordings import sitter, walker

from activitymodule.statistics import gait
from activitymodule.statistics.fidelity.distributions import autocorrelation
from activitymodule.statistics.process import MINUTE, Process, Stream, random_stream
from activitymodule.statistics.profile import Profile, tangent_basis, to_spherical


def realised(profile: Profile, minutes: int = 4, device: int = 7) -> np.ndarray:
    process = Process(profile)
    return np.concatenate([process.minute(1, device, 500 + m) for m in range(minutes)])


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**40), st.integers(-(2**30), 2**30), st.integers(0, 2**31))
def test_a_minute_is_a_pure_function(walking_profile: Profile, device: int, minute: int, seed: int) -> None:
    warm = Process(walking_profile)
    warm.minute(seed, device, minute + 1)
    warm.minute(seed, device + 1, minute)
    x = warm.minute(seed, device, minute)
    assert x.shape == (MINUTE, 3)
    assert x.dtype == np.float32
    assert np.isfinite(x).all()
    assert np.array_equal(x, Process(walking_profile).minute(seed, device, minute))


def test_devices_minutes_and_seeds_differ(walking_profile: Profile) -> None:
    process = Process(walking_profile)
    made = [process.minute(*key) for key in ((1, 1, 1), (2, 1, 1), (1, 2, 1), (1, 1, 2))]
    assert all(not np.allclose(a, b, atol=0.05) for i, a in enumerate(made) for b in made[:i])


def test_random_streams_share_nothing() -> None:
    keys = [(s, d, m, k) for s in (0, 1) for d in (0, 1) for m in (-1, 0, 1) for k in Stream]
    draws = {random_stream(*key).integers(2**62) for key in keys}
    assert len(draws) == len(keys)


@pytest.mark.parametrize("kind", ["walking_profile", "sitting_profile"])
def test_minutes_join_without_a_seam(kind: str, request: pytest.FixtureRequest) -> None:
    profile = request.getfixturevalue(kind)
    x = realised(profile, 20)
    steps = np.abs(np.diff(x, axis=0)).max(axis=1)
    seams = steps[MINUTE - 1 :: MINUTE][:19]
    # where minutes meet, steps are no larger than anywhere else
    assert np.median(seams) < np.quantile(steps, 0.9)


def test_the_stride_survives(walking_profile: Profile) -> None:
    assert walking_profile.stride_hz == pytest.approx(0.9, abs=0.005)
    assert gait.stride(realised(walking_profile, 2)).hz == pytest.approx(0.9, abs=0.01)
    process = Process(walking_profile)
    quicker = np.concatenate([process.minute(1, 7, m, cadence=1.03) for m in (500, 501)])
    assert gait.stride(quicker).hz == pytest.approx(0.9 * 1.03, abs=0.01)


def test_the_marginals_survive(walking_profile: Profile) -> None:
    real, made = walker("a", 0.9).acceleration, realised(walking_profile)
    levels = np.linspace(0.02, 0.98, 25)
    error = np.abs(np.quantile(real, levels, axis=0) - np.quantile(made, levels, axis=0))
    assert error.mean() < 0.03
    assert made.std(axis=0) == pytest.approx(real.std(axis=0), rel=0.12)


def test_the_autocorrelation_survives(walking_profile: Profile) -> None:
    real, made = walker("a", 0.9).acceleration, realised(walking_profile)
    assert np.abs(autocorrelation(real) - autocorrelation(made)).mean() < 0.08


def test_postures_survive(sitting_profile: Profile) -> None:
    real, made = sitter("a").acceleration, realised(sitting_profile, 10)
    assert not sitting_profile.gait
    # each synthetic reading lies near one of the two postures, or fades between them
    centres = np.array([[0.1, -0.3, -0.95], [-0.6, -0.7, -0.35]])
    near = np.linalg.norm(made[:, None] - centres, axis=2).min(axis=1) < 0.1
    assert near.mean() > 0.9
    assert np.linalg.norm(made, axis=1).mean() == pytest.approx(np.linalg.norm(real, axis=1).mean(), abs=0.01)


def test_intensity_scales_the_motion(walking_profile: Profile) -> None:
    process = Process(walking_profile)
    calm = process.minute(1, 7, 500, intensity=0.8).std(axis=0)
    lively = process.minute(1, 7, 500, intensity=1.2).std(axis=0)
    assert (lively > calm * 1.02).all()


@given(st.lists(st.floats(-1, 1), min_size=3, max_size=3).filter(lambda v: np.linalg.norm(v) > 0.1))
def test_the_tangent_basis_is_orthonormal(direction: list[float]) -> None:
    basis = tangent_basis(np.array(direction))
    assert basis @ basis.T == pytest.approx(np.eye(3), abs=1e-9)
    # the direction itself is the origin of the two angles
    at = to_spherical(np.array([direction]), basis)[0]
    assert at == pytest.approx([0, 0, np.linalg.norm(direction)], abs=1e-6)
