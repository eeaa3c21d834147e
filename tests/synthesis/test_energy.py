"""Energy and heart rate: the published relations, continuity, and no dependence on how they are asked for."""

from __future__ import annotations

import numpy as np
import pytest

from activitymodule.models.mets import METS
from activitymodule.synthesis.energy import Bodies, State
from activitymodule.synthesis.people import wearers
from activitymodule.synthesis.plans import HABITS, DayPlans

ACTIVITIES = tuple(sorted(HABITS))
STRIDES = {"walking": 0.95, "jogging": 1.35, "stairs": 0.9}
START = 1_767_254_400


def bodies(seed: int = 1) -> Bodies:
    row = np.array([STRIDES.get(name, 0.0) for name in ACTIVITIES])
    return Bodies(DayPlans(seed, ACTIVITIES), lambda device: np.tile(row, (len(device), 1)))


@pytest.fixture(scope="module")
def fleet() -> tuple[np.ndarray, np.ndarray, State]:
    """200 devices, two hours, every 5 s."""
    seconds = np.arange(START, START + 7200, 5)
    device, second = np.repeat(np.arange(1, 201), len(seconds)), np.tile(seconds, 200)
    return device, second, bodies().state(device, second)


def test_kcal_per_min_is_met_times_weight(fleet: tuple[np.ndarray, np.ndarray, State]) -> None:
    device, _, state = fleet
    weight = wearers(device, 1).weight_kg
    met = state.kcal_per_min * 200 / 3.5 / weight
    for name in ("sitting", "standing", "stairs", "kicking"):
        doing = state.activity == ACTIVITIES.index(name)
        assert np.median(met[doing]) == pytest.approx(METS[name], rel=0.08)
    # one bout, one value: a span of the truth has one number
    bouts = np.stack([device, state.bout_start], 1)
    _, index = np.unique(bouts, axis=0, return_inverse=True)
    order = np.argsort(index.ravel(), kind="stable")
    same = np.diff(index.ravel()[order]) == 0
    assert (np.diff(state.kcal_per_min[order])[same] == 0).all()


def test_who_walks_faster_spends_more() -> None:
    """By the ACSM's equation: 3.5 + 0.1 v ml/kg/min."""
    row = np.zeros(len(ACTIVITIES))
    walking = ACTIVITIES.index("walking")
    seconds = np.arange(START, START + 3600, 5)
    device = np.ones(len(seconds), np.int64)

    def walked(hz: float) -> State:
        own = row.copy()
        own[walking] = hz
        return Bodies(DayPlans(1, ACTIVITIES), lambda d: np.tile(own, (len(d), 1))).state(device, seconds)

    slow, fast = walked(0.8), walked(1.0)
    on = slow.activity == walking
    assert on.any()
    v_slow, v_fast = slow.speed_m_per_s[on] * 60, fast.speed_m_per_s[on] * 60
    np.testing.assert_allclose(v_fast / v_slow, 1.25)
    np.testing.assert_allclose(
        fast.kcal_per_min[on] / slow.kcal_per_min[on], (3.5 + 0.1 * v_fast) / (3.5 + 0.1 * v_slow)
    )


def test_heart_rate_goes_to_where_its_reserve_says() -> None:
    """%HRR = %VO2 reserve, late in long bouts."""
    all_ = bodies()
    seconds = np.arange(START, START + 7200)
    for number in range(1, 6):
        device = np.full(len(seconds), number)
        state = all_.state(device, seconds)
        who = wearers(np.array([number]), 1)
        met = state.kcal_per_min * 200 / 3.5 / who.weight_kg
        reserve = np.clip((met - 1) / (who.fitness_met - 1), 0, 1)
        expected = who.resting_heart_rate_bpm + reserve * (
            who.highest_heart_rate_bpm - who.resting_heart_rate_bpm
        )
        settled = seconds - state.bout_start > 400
        if settled.any():
            assert np.abs(state.heart_rate_bpm - expected)[settled].max() < 6


def test_heart_rate_never_jumps() -> None:
    """Over four hours, hence over edges of the plan's blocks, where the sum starts anew."""
    seconds = np.arange(START, START + 14_400)
    for number in range(1, 9):
        state = bodies().state(np.full(len(seconds), number), seconds)
        assert np.abs(np.diff(state.heart_rate_bpm)).max() < 6


def test_the_state_does_not_depend_on_order_or_company(fleet: tuple[np.ndarray, np.ndarray, State]) -> None:
    device, second, state = fleet
    some = np.random.default_rng(0).permutation(len(device))[:500]
    for part in np.array_split(some, 25):
        again = bodies().state(device[part], second[part])
        np.testing.assert_array_equal(again.activity, state.activity[part])
        np.testing.assert_array_equal(again.kcal_per_min, state.kcal_per_min[part])
        np.testing.assert_allclose(again.heart_rate_bpm, state.heart_rate_bpm[part], rtol=0, atol=1e-9)


def test_people_differ_so_that_there_is_something_to_learn(
    fleet: tuple[np.ndarray, np.ndarray, State],
) -> None:
    device, _, state = fleet
    weight = wearers(device, 1).weight_kg
    met = state.kcal_per_min * 200 / 3.5 / weight
    walking = state.activity == ACTIVITIES.index("walking")
    assert 0.08 < np.log(met[walking]).std() < 0.25
    # and the heart knows about it
    resting = state.activity == ACTIVITIES.index("sitting")
    assert state.heart_rate_bpm[walking].mean() > state.heart_rate_bpm[resting].mean() + 10
