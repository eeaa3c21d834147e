"""Wear retention: samples, splits, thresholds, and columns that know the future."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pytest

from activitymodule.behaviour.grid import DayGrid
from activitymodule.behaviour.wearing import evaluation, leakage, past, samples, splits
from activitymodule.errors import NotEnoughDataError


@pytest.fixture(scope="module")
def taken(stopping: DayGrid) -> samples.Samples:
    return samples.samples_of(stopping)


def test_a_stop_is_two_weeks_without_wear_that_begin_within_two_weeks() -> None:
    worn = np.ones((4, 60), bool)
    worn[0, 24:] = False  # begins on the 14th day after the cut
    worn[1, 25:] = False  # a day too late
    worn[2, 12:25] = False  # 13 days only
    worn[3, 8:] = False  # began before the cut and goes on
    assert samples.stops_after(worn, 10).tolist() == [True, False, False, True]


def test_what_is_known_at_a_cut_does_not_change_with_what_follows(stopping: DayGrid) -> None:
    assert leakage.changed_by_the_future(stopping, 60) == ()


def test_a_builder_that_looks_ahead_is_caught(stopping: DayGrid) -> None:
    def seeing(grid: DayGrid, cut: int) -> dict[str, np.ndarray]:
        own = dict(past.known_at(grid, cut))
        own["days_worn_in_all"] = grid.worn().sum(1).astype(float)
        own["steps_next_week"] = np.nan_to_num(grid["steps"][:, cut + 1 : cut + 8]).sum(1)
        return own

    assert leakage.changed_by_the_future(stopping, 60, seeing) == ("days_worn_in_all", "steps_next_week")


def test_the_value_at_the_cut_is_the_last_one_known_then() -> None:
    values = np.array([[1.0, np.nan, 3.0], [np.nan, np.nan, 9.0]])
    np.testing.assert_array_equal(samples.as_of(values, 1), [1.0, np.nan])
    texts = np.array([["a", None, "c"]], object)
    assert samples.as_of(texts, 1).tolist() == ["a"]


def planted(taken: samples.Samples) -> dict[str, np.ndarray]:
    """Extra columns: leaks of several forms, and harmless ones."""
    dice = np.random.default_rng(1)
    stops, n = taken.stops, len(taken)
    end = [
        datetime.combine(taken.dates[int(cut)], datetime.min.time()) + timedelta(days=5 if stop else -3)
        for cut, stop in zip(taken.cut, stops, strict=True)
    ]
    noise = dice.normal(size=n)
    return {
        "outcome": stops.astype(float),
        "nearly_outcome": np.where(dice.random(n) < 0.03, ~stops, stops).astype(float),
        "noisy_score": stops * 3.0 + noise,
        "missing_for_those_who_stay": np.where(stops, noise, np.nan),
        "not_in_order": np.where(stops, 5.0, np.where(noise > 0, 1.0, 9.0)),
        "status": np.where(stops, "ended", "running").astype(object),
        "last_seen": np.array(end, object),
        "favourite_colour": np.array(["red", "blue"], object)[(noise > 0).astype(int)],
        "age_years": 40 + 10 * noise,
        "consented_on": np.array([datetime(2025, 1, 1)] * n, object),
    }


def test_planted_leaks_are_dropped_and_listed(taken: samples.Samples) -> None:
    with_leaks = replace(taken, extras=planted(taken))
    kept = leakage.without_leaks(with_leaks, np.arange(len(taken)), changed=("worn_7",))
    rules = {one.column: one.rule for one in kept.dropped}
    alone = dict.fromkeys(
        ("outcome", "nearly_outcome", "noisy_score", "missing_for_those_who_stay", "not_in_order", "status"),
        leakage.ALONE_TOO_GOOD,
    )
    assert rules == {
        **alone,
        "worn_7": leakage.AFTER_THE_CUT,
        "last_seen": leakage.AFTER_THE_CUT,
        "favourite_colour": leakage.NOT_A_NUMBER,
        "consented_on": leakage.NOT_A_NUMBER,
    }
    assert all(one.reason for one in kept.dropped)
    assert "age_years" in kept.columns
    assert kept.matrix().shape == (len(taken), len(taken.past) - 1 + 1)


def test_the_parts_by_time_do_not_see_one_another(taken: samples.Samples) -> None:
    split = splits.split_of(taken)
    assert split.by == "time"
    train, validation, test = (taken.cut[part] for part in (split.train, split.validation, split.test))
    assert train.max() + samples.OUTCOME_DAYS < validation.min()
    assert validation.max() + samples.OUTCOME_DAYS < test.min()


def test_a_short_history_is_split_by_person_and_says_so(stopping: DayGrid) -> None:
    short = samples.samples_of(stopping.until(80))
    split = splits.split_of(short)
    assert split.by == "person"
    assert "too short" in split.text
    parts = [set(short.person[part].tolist()) for part in (split.train, split.validation, split.test)]
    assert sum(map(len, parts)) == len(set.union(*parts))


def test_too_short_a_history_is_refused(stopping: DayGrid) -> None:
    with pytest.raises(NotEnoughDataError):
        samples.samples_of(stopping.until(50))


def test_the_threshold_is_the_lowest_that_reaches_the_target() -> None:
    stops = np.array([0, 0, 1, 0, 1, 1], bool)
    score = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    assert evaluation.chosen_threshold(stops, score, 0.7).value == 0.3  # 3 of 4
    assert evaluation.chosen_threshold(stops, score, 0.8).value == 0.5  # 2 of 2
    missed = evaluation.chosen_threshold(~stops, score, 0.9)
    assert missed.reached < 0.9


def test_the_report_is_of_the_test_part_at_the_threshold_of_the_validation_part(
    taken: samples.Samples,
) -> None:
    split = splits.split_of(taken)
    dice = np.random.default_rng(3)
    score = np.clip(0.3 * taken.stops + 0.7 * dice.random(len(taken)), 0, 1)
    report = evaluation.report_of("lightgbm", taken, split, score, ("a",), (), 0.4, resamples=20)
    assert report.data == "synthetic"
    own, stops = score[split.test], taken.stops[split.test]
    warned = own >= report.threshold.value
    assert report.figures["precision"].value == pytest.approx(stops[warned].mean())
    assert report.figures["recall"].value == pytest.approx(warned[stops].mean())
    assert report.figures["roc_auc"].low <= report.figures["roc_auc"].value <= report.figures["roc_auc"].high
