"""The baseline and the counting of windows: sums are sums, and nothing depends on how a batch is cut."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from drift_judges import Judge
from hypothesis import given, settings
from hypothesis import strategies as st

from activitymodule.errors import ModelError
from activitymodule.models.baseline import BINS, Baseline, Counter, Totals
from activitymodule.models.dataset import TrainingWindows
from activitymodule.windows.catalogue import FEATURE_NAMES

MINUTE = 60_000_000


def same(a: Totals, b: Totals) -> None:
    for f in fields(Totals):
        np.testing.assert_allclose(
            getattr(a, f.name), getattr(b, f.name), rtol=1e-4, atol=1e-2, err_msg=f.name
        )


def probabilities(data: TrainingWindows, judge: Judge) -> np.ndarray:
    return judge.fitted.predict_proba(data.features).astype(np.float32)


def test_sums_are_those_of_the_standardised_features(judge: Judge, people: TrainingWindows):
    base = judge.baseline
    totals = judge.look(people)
    z = np.clip((people.features - base.mean) / base.sd, -7.875, 8)
    np.testing.assert_array_equal(totals.counts, np.isfinite(people.features).sum(0))
    np.testing.assert_allclose(totals.sums, np.nansum(z, 0), atol=0.5)
    np.testing.assert_allclose(totals.squares, np.nansum(z**2, 0), rtol=1e-3, atol=1)
    np.testing.assert_array_equal(totals.histogram.sum(1), totals.counts)
    assert totals.activities.sum() == totals.windows == totals.confidences.sum()


def test_bins_hold_about_a_tenth_each_of_what_they_were_made_of(judge: Judge, people: TrainingWindows):
    shares = judge.look(people).histogram / len(people)
    smooth = FEATURE_NAMES.index("statistics_magnitude_log_sd")
    assert shares[smooth].max() < 0.25  # where two tenths fall into one cell, their bin has both
    assert (shares[smooth] > 0.05).sum() >= BINS - 2
    # bins rise
    lows = [judge.baseline.describe(smooth, b)[0] for b in range(BINS)]
    assert lows == sorted(lows)


@settings(max_examples=20, deadline=None)
@given(cuts=st.lists(st.integers(1, 1500), max_size=4), seed=st.integers(0, 3))
def test_counting_does_not_depend_on_how_the_windows_are_cut_or_ordered(
    judge: Judge, people: TrainingWindows, cuts: list[int], seed: int
):
    data = people.take(np.random.default_rng(seed).permutation(len(people))[:1500])
    chances = probabilities(data, judge)
    counter = Counter(judge.baseline)
    whole = counter.totals(data.features, chances, np.arange(len(data)))
    parts = [p for p in np.split(np.arange(len(data)), sorted(set(cuts))) if len(p)]
    added = counter.totals(data.features, chances, parts[0])
    for part in parts[1:]:
        added = added + counter.totals(data.features, chances, part)
    same(whole, added)
    np.testing.assert_array_equal(whole.histogram, added.histogram)


def test_minutes_are_those_of_the_windows_and_longer_where_there_are_many(
    judge: Judge, people: TrainingWindows
):
    data = people.take(np.arange(600))
    chances = probabilities(data, judge)
    counter = Counter(judge.baseline)
    start = 1_700_000_040_000_000  # a full minute
    three = start + np.arange(600) % 18 * 10_000_000
    rows = counter.by_minute(three, data.features, chances)
    assert list(rows) == [start, start + MINUTE, start + 2 * MINUTE]
    assert sum(r.windows for r in rows.values()) == 600
    days = start + np.arange(600) * 10 * MINUTE
    assert len(counter.by_minute(days, data.features, chances)) <= 8
    # of a window without an activity nothing is counted
    chances[:] = np.nan
    assert counter.by_minute(three, data.features, chances) == {}


def test_values_beyond_all_measure_do_not_spoil_the_sums(judge: Judge, people: TrainingWindows):
    data = people.take(np.arange(50))
    wild = data.features.copy()
    wild[0, :100], wild[1, :100], wild[2, :100] = np.inf, -np.inf, 3e38
    totals = Counter(judge.baseline).totals(wild, probabilities(data, judge), np.arange(50))
    assert np.isfinite(totals.sums).all()
    assert np.isfinite(totals.squares).all()
    assert totals.histogram.sum(1).max() <= 50


def test_a_baseline_survives_its_file_and_a_broken_one_is_refused(judge: Judge):
    content = judge.baseline.to_bytes()
    assert len(content) < 200_000
    again = Baseline.from_bytes(content)
    for f in fields(Baseline):
        np.testing.assert_array_equal(getattr(again, f.name), getattr(judge.baseline, f.name))
    with pytest.raises(ModelError, match="train the model again"):
        Baseline.from_bytes(content[: len(content) // 2])
    with pytest.raises(ModelError):
        Baseline.from_bytes(b"")
