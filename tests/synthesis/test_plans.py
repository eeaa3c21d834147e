"""Day plans: sensible bouts, asked for in any order, the same answer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activitymodule.errors import ConfigError
from activitymodule.synthesis.plans import BLOCK_SECONDS, HABITS, LEAST_SECONDS, DayPlans

ACTIVITIES = tuple(sorted(HABITS))
DAY = 1_767_225_600  # 2026-01-01 00:00 UTC


def plans(seed: int = 1) -> DayPlans:
    return DayPlans(seed, ACTIVITIES)


def test_a_plan_is_the_same_in_any_order_and_company() -> None:
    seconds = np.arange(DAY, DAY + 7200, 7)
    device = np.repeat(np.arange(1, 6), len(seconds))
    second = np.tile(seconds, 5)
    together = plans().activity(device, second)
    order = np.random.default_rng(0).permutation(len(device))[:300]
    for part in np.array_split(order, 40):
        np.testing.assert_array_equal(plans().activity(device[part], second[part]), together[part])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**40), st.integers(1, 10**6), st.integers(0, 2_000_000))
def test_bouts_fill_every_block_without_gap_or_overlap(seed: int, device: int, block: int) -> None:
    day_plans = plans(seed)
    one = np.array([device]), np.array([block])
    plan = day_plans.plan(*one)
    lengths = np.diff(plan.start[0])
    lengths = lengths[lengths > 0]
    assert plan.start[0, 0] == day_plans.edge(*one)[0]
    assert plan.start[0, -1] == day_plans.edge(one[0], one[1] + 1)[0]
    assert lengths.min() >= LEAST_SECONDS
    inside = np.arange(plan.start[0, 0], plan.start[0, -1], 61)
    assert (day_plans.block(np.full(len(inside), device), inside) == block).all()


def test_an_activity_follows_another_not_itself_inside_a_block() -> None:
    plan = plans().plan(np.arange(1, 200), np.full(199, DAY // BLOCK_SECONDS))
    real = np.diff(plan.start, axis=1) > 0
    for row, there in zip(plan.activity, real, strict=True):
        own = row[there]
        assert (own[1:] != own[:-1]).all()


def test_a_day_is_mostly_quiet_and_holds_everything() -> None:
    seconds = np.arange(DAY, DAY + 86_400, 30)
    n = 100
    activity = plans().activity(np.repeat(np.arange(1, n + 1), len(seconds)), np.tile(seconds, n))
    share = dict(zip(ACTIVITIES, np.bincount(activity, minlength=6) / len(activity), strict=True))
    assert 0.3 < share["sitting"] < 0.65
    assert 0.1 < share["walking"] < 0.35
    assert min(share.values()) > 0.01


def test_minutes_are_enough_to_see_several_activities() -> None:
    seconds = np.arange(DAY + 36_000, DAY + 36_300)
    device = np.repeat(np.arange(1, 51), 300)
    activity = plans().activity(device, np.tile(seconds, 50)).reshape(50, 300)
    assert len(np.unique(activity)) >= 5
    assert np.mean([len(np.unique(row)) > 1 for row in activity]) > 0.5


def test_evenings_are_for_sport_and_nights_are_not() -> None:
    day_plans = plans()
    seconds = np.arange(DAY, DAY + 86_400, 60)
    device, second = np.repeat(np.arange(1, 101), len(seconds)), np.tile(seconds, 100)
    sport = np.isin(day_plans.activity(device, second), [ACTIVITIES.index(a) for a in ("jogging", "kicking")])
    hour = day_plans.hour(device, second)
    assert sport[(hour >= 18) & (hour < 22)].mean() > 2 * sport[(hour >= 0) & (hour < 5)].mean()


def test_labels_of_other_reference_statistics_have_plans_too() -> None:
    day_plans = DayPlans(1, ("errands", "sleep"))
    activity = day_plans.activity(np.ones(5000, np.int64), np.arange(DAY, DAY + 5000))
    assert set(activity) == {0, 1}
    assert not DayPlans(1, ("sleep",)).activity(np.ones(50, np.int64), np.arange(DAY, DAY + 50)).any()
    with pytest.raises(ConfigError):
        DayPlans(1, ())
