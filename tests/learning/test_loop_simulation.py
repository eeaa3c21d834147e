"""The closed loop in memory: which windows are asked, in which order, and what is told of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from activitymodule.learning.gold import EMBARGO_SECONDS, GoldWindows
from activitymodule.learning.loop_simulation import POLICY, RANDOM, labelled_in_turn, streamed
from activitymodule.learning.policy import Rules
from activitymodule.learning.strata import AUDIT
from activitymodule.settings import load
from activitymodule.synthesis.history import training_readings
from activitymodule.windows.catalogue import FEATURE_NAMES

LABELS = ("sitting", "stairs", "walking")
RULES = Rules.of(load({}), "salt")


class Champion:
    """Answers by the first feature, as a fitted classifier does."""

    labels = LABELS

    def probabilities(self, features: np.ndarray, device_models: np.ndarray) -> np.ndarray:
        assert len(device_models) == len(features)
        share = 1 / (1 + np.exp(-features[:, :1].astype(float)))
        return np.hstack([share, (1 - share) / 2, (1 - share) / 2])

    def standardised(self, features: np.ndarray) -> np.ndarray:
        return features[:, :8]


@pytest.fixture(scope="module")
def people() -> GoldWindows:
    """Four watches, ten minutes each."""
    dice = np.random.default_rng(5)
    n = 240
    return GoldWindows(
        device_id=np.array([f"watch-{k % 4}" for k in range(n)]),
        window_us=np.arange(n, dtype=np.int64) // 4 * 10_000_000,
        label=dice.choice(LABELS, n),
        stratum=np.full(n, "", "<U8"),
        propensity=np.ones(n),
        features=dice.normal(size=(n, len(FEATURE_NAMES))).astype(np.float32),
    )


def asked(people: GoldWindows, strategy: str, *, errors: float = 0.0, seed: int = 1) -> GoldWindows:
    rules = replace(RULES, cooldown_us=10_000_000, cold_labels=20)
    return labelled_in_turn(strategy, people, Champion(), rules, 60, error_rate=errors, seed=seed)


@pytest.mark.parametrize("strategy", [POLICY, RANDOM])
def test_a_fifth_of_every_round_is_of_the_audit_share_and_nothing_is_asked_twice(
    people: GoldWindows, strategy: str
) -> None:
    found = asked(people, strategy)
    assert [(found.stratum[k : k + 20] == AUDIT).sum() for k in (0, 20, 40)] == [4, 4, 4]
    assert len(set(zip(found.device_id.tolist(), found.window_us.tolist(), strict=True))) == 60
    again = asked(people, strategy)
    assert (found.window_us == again.window_us).all()
    judged = found.stratum == AUDIT
    assert (found.window_us[judged] == asked(people, POLICY).window_us[judged]).all(), "the same for both"


def test_the_policy_asks_nothing_beside_the_audit_items_there_are(people: GoldWindows) -> None:
    found = asked(people, POLICY)
    for k in range(60):
        before = [
            abs(int(found.window_us[k] - found.window_us[j])) / 1e6
            for j in range(k)
            if found.stratum[j] == AUDIT and found.device_id[j] == found.device_id[k]
        ]
        if found.stratum[k] != AUDIT and before:
            assert min(before) > EMBARGO_SECONDS


def test_a_share_of_the_labels_is_wrong(people: GoldWindows) -> None:
    right, wrong = asked(people, RANDOM), asked(people, RANDOM, errors=0.3)
    assert 0.1 < (right.label != wrong.label).mean() < 0.5
    assert set(wrong.label.tolist()) <= set(LABELS)


def test_windows_of_recordings_are_those_of_the_stream_with_one_activity() -> None:
    windows = load({}).windows
    readings = training_readings(2, 3, 7).readings
    found = streamed(readings, windows)
    overlapping = streamed(readings, windows.model_copy(update={"slide_seconds": 2}))
    assert 4 <= len(found) <= 36
    assert len(overlapping) > 3 * len(found)
    assert (found.window_us % 10_000_000 == 0).all()
    assert "" not in found.label
    same = np.isin(overlapping.window_us, found.window_us) & (overlapping.device_id == found.device_id[0])
    own = found.device_id == found.device_id[0]
    np.testing.assert_array_equal(overlapping.features[same], found.features[own])
