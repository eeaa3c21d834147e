"""Signals of devices: pure functions, whatever the batch; devices like people, yet each its own."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activitymodule.errors import DataError
from activitymodule.statistics.reference import ReferenceStatistics
from activitymodule.synthesis.signals import MOUNTING_DEGREES, SignalGenerator


@pytest.fixture(scope="module")
def reference() -> ReferenceStatistics:
    return ReferenceStatistics.load("wisdm")


@pytest.fixture(scope="module")
def signals(reference: ReferenceStatistics) -> SignalGenerator:
    return SignalGenerator(reference, 11)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32), st.randoms(use_true_random=False))
def test_a_block_does_not_know_its_batch(
    reference: ReferenceStatistics, seed: int, random: np.random.Generator
) -> None:
    n = 12
    draw = np.random.default_rng(seed)
    profile = draw.integers(0, len(reference.profiles), n)
    device = draw.integers(0, 2**62, n)
    minute = draw.integers(28_000_000, 30_000_000, n)
    batch = SignalGenerator(reference, seed).blocks(profile, device, minute)
    assert batch.shape == (n, 600, 3)
    assert batch.dtype == np.float32
    assert np.isfinite(batch).all()
    order = list(range(n))
    random.shuffle(order)
    other = SignalGenerator(reference, seed)
    for row in order:
        assert np.array_equal(other.block(int(profile[row]), int(device[row]), int(minute[row])), batch[row])
    part = order[:5]
    assert np.array_equal(other.blocks(profile[part], device[part], minute[part]), batch[part])


def test_a_device_takes_after_one_person(signals: SignalGenerator, reference: ReferenceStatistics) -> None:
    for device in range(200):
        people = {
            reference.profiles[signals.profile_for(device, name)].person
            for name in signals.activities
            if name != "jogging"  # 1616 did not jog
        }
        assert len(people) == 1
        assert reference.profiles[signals.profile_for(device, "jogging")].activity == "jogging"


def test_all_people_lend_themselves(signals: SignalGenerator, reference: ReferenceStatistics) -> None:
    lent = np.bincount([signals.person_for(d) for d in range(4000)], minlength=len(reference.people))
    assert lent.min() > 50
    assert lent.max() < 170


def test_device_jitter_is_constant_and_as_wide_as_said(signals: SignalGenerator) -> None:
    found = [signals.device_jitter(d) for d in range(2000)]
    again = SignalGenerator(signals.reference, signals.seed)
    assert np.array_equal(again.device_jitter(77).rotation, found[77].rotation)
    assert np.std([j.cadence for j in found]) == pytest.approx(0.03, rel=0.1)
    assert np.std(np.log([j.intensity for j in found])) == pytest.approx(0.07, rel=0.1)
    angle = np.degrees([np.arccos((np.trace(j.rotation) - 1) / 2) for j in found])
    assert np.sqrt(np.mean(angle**2) / 3) == pytest.approx(MOUNTING_DEGREES, rel=0.1)
    still = SignalGenerator(signals.reference, 11, jitter=False).device_jitter(5)
    assert (still.cadence, still.intensity) == (1, 1)


def test_strides_go_with_the_device(signals: SignalGenerator, reference: ReferenceStatistics) -> None:
    for activity, low, high in (("walking", 0.65, 1.15), ("jogging", 1.0, 1.6), ("sitting", 0, 0)):
        profile = signals.profile_for(3, activity)
        stride = signals.stride_hz(profile, 3)
        assert low <= stride <= high
        assert stride == pytest.approx(
            reference.profiles[profile].stride_hz * signals.device_jitter(3).cadence
        )


def test_readings_are_those_of_a_wrist(signals: SignalGenerator, reference: ReferenceStatistics) -> None:
    for activity in signals.activities:
        profile = signals.profiles_of(activity)
        n = len(profile)
        x = signals.blocks(profile, np.arange(n), np.full(n, 29_000_000))
        reach = np.array([reference.profiles[p].range_g for p in profile])
        assert (np.abs(x).max(axis=(1, 2)) <= reach + 1e-6).all()
        magnitude = np.linalg.norm(x, axis=2)
        if activity in ("sitting", "standing"):
            assert magnitude.mean() == pytest.approx(1, abs=0.06)
            assert np.median(magnitude.std(axis=1)) < 0.05
        else:
            assert np.median(magnitude.std(axis=1)) > 0.1


def test_an_activity_nobody_did_is_an_error(signals: SignalGenerator) -> None:
    with pytest.raises(DataError, match="flying"):
        signals.profile_for(1, "flying")
