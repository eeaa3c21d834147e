"""Cross-spectra: laws that any of them obeys, and processes whose spectrum is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from activitymodule.statistics import spectra
from activitymodule.statistics.profile import BANDS_HZ


def random_bands(seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    factor = random.normal(size=(spectra.BLOCK // 2 + 1, 3, 3)) + 1j * random.normal(
        size=(spectra.BLOCK // 2 + 1, 3, 3)
    )
    return spectra.to_bands(factor @ np.conj(np.swapaxes(factor, 1, 2)))


@given(st.integers(0, 1000))
def test_the_root_of_a_spectrum_squared_is_the_spectrum(seed: int) -> None:
    s = spectra.from_bands(*random_bands(seed))
    root = np.moveaxis(spectra.root(s).astype(complex), -1, 0)
    # pytest.approx compares one number after the other, for seconds
    difference = np.abs(root @ np.conj(np.swapaxes(root, 1, 2)) - s)
    assert (difference <= 1e-3 * np.maximum(np.abs(s), 1)).all()


@given(st.integers(0, 1000), st.floats(0.01, 100))
def test_with_variance_gives_that_variance(seed: int, target: float) -> None:
    log_power, _ = random_bands(seed)
    wanted = target * np.array([1.0, 2.0, 0.5])
    assert spectra.variance(spectra.with_variance(log_power, wanted)) == pytest.approx(wanted)


def test_the_spectrum_of_white_noise_is_flat_and_its_variance_one() -> None:
    z = np.random.default_rng(1).normal(size=(20_000, 3))
    covariance = spectra.lagged_covariance(z, np.ones(len(z)), 60)
    log_power, coherence = spectra.to_bands(spectra.spectrum(covariance))
    assert np.abs(log_power).max() < 0.25
    assert np.abs(coherence).max() < 0.2
    assert spectra.variance(log_power) == pytest.approx(np.ones(3), abs=0.05)


def test_a_sine_stands_in_its_own_band() -> None:
    t = np.arange(6000) / 10
    z = np.stack([np.sin(2 * np.pi * hz * t) for hz in (1.0, 2.5, 4.0)], axis=1)
    log_power, _ = spectra.to_bands(spectra.spectrum(spectra.lagged_covariance(z, np.ones(len(z)), 100)))
    assert BANDS_HZ[log_power.argmax(axis=0)] == pytest.approx([1.0, 2.5, 4.0])


def test_the_hats_sum_to_one() -> None:
    assert spectra.HATS.sum(axis=0) == pytest.approx(np.ones(len(spectra.BLOCK_HZ)))


def test_lags_with_few_pairs_count_as_nothing() -> None:
    z = np.ones((40, 3))
    member = np.r_[np.ones(12), np.zeros(28)]
    covariance = spectra.lagged_covariance(z, member, 20)
    assert (covariance[0] > 0).all()
    assert not covariance[2:].any()
