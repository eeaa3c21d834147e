"""Spans: a moment has the last label, windows lie wholly within one, and an hour does not outweigh a minute by far."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from activitymodule.learning.spans import (
    BOUT_GAP_US,
    MOST_WEIGHT,
    MOST_WINDOWS,
    Stretch,
    bout_weights,
    span_weights,
    stretches,
    windows_within,
)

S = 1_000_000
SPANS = st.lists(
    st.tuples(st.integers(0, 30), st.integers(1, 15), st.sampled_from("abc"), st.integers(0, 9)).map(
        lambda one: (one[0], one[0] + one[1], one[2], one[3])
    ),
    max_size=9,
)


@given(SPANS)
@hypothesis_settings(max_examples=60, deadline=None)
def test_a_moment_has_the_label_of_the_last_span_that_covers_it(spans):
    found = stretches(spans)
    for moment in range(46):
        expected = [label for start, end, label, _ in spans if start <= moment < end]
        assert [one.label for one in found if one.start_us <= moment < one.end_us] == expected[-1:]
    for one, following in pairwise(found):
        assert one.end_us < following.start_us or (
            one.end_us == following.start_us and one.label != following.label
        ), "what touches and has one label is one stretch"


@given(SPANS.filter(bool))
@hypothesis_settings(max_examples=25, deadline=None)
def test_without_the_last_span_all_is_as_before(spans):
    before, after = stretches(spans[:-1]), stretches(spans)
    start, end, *_ = spans[-1]
    elsewhere = [moment for moment in range(46) if not start <= moment < end]

    def at(found, moment):
        return [one.label for one in found if one.start_us <= moment < one.end_us]

    assert [at(before, one) for one in elsewhere] == [at(after, one) for one in elsewhere]


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (20, 50, [20, 30, 40]),
        (21, 50, [30, 40]),
        (20, 49, [20, 30]),
        (21, 39, []),
        (20, 29, []),
    ],
)
def test_windows_lie_wholly_within(start, end, expected):
    found = windows_within(Stretch(start * S, end * S, "a", 0), 10 * S, 10 * S)
    assert (found // S).tolist() == expected
    halves = windows_within(Stretch(20 * S, 40 * S, "a", 0), 10 * S, 5 * S)
    assert (halves // S).tolist() == [20, 25, 30], "windows may overlap"


def test_of_a_long_span_so_many_evenly():
    night = Stretch(0, 8 * 3600 * S, "sleeping", 0)
    found = windows_within(night, 10 * S, 10 * S)
    assert len(found) == MOST_WINDOWS == len(set(found.tolist()))
    assert (found[0], found[-1]) == (0, 8 * 3600 * S - 10 * S)
    assert np.diff(found).max() < BOUT_GAP_US, "it stays one bout"
    assert np.ptp(np.diff(found)) <= 10 * S


def weights(*bouts):
    """(device, label, first second, windows) each -> the total weight of each."""
    device, label, at, place = [], [], [], []
    for k, (watch, activity, first, count) in enumerate(bouts):
        device += [watch] * count
        label += [activity] * count
        at += [(first + 10 * number) * S for number in range(count)]
        place += [k] * count
    weight = span_weights(np.array(device), np.array(label), np.array(at, np.int64))
    return np.bincount(place, weights=weight)


def test_an_hour_of_sleep_does_not_drown_ten_windows_of_stairs():
    sleep, stairs = weights(("w", "sleeping", 0, 360), ("w", "stairs", 5000, 10))
    assert sleep <= MOST_WEIGHT
    assert 1 < sleep / stairs < 2.5, "36 times as many windows"
    assert stairs > 3
    people = [(f"w{k}", "sleeping", 0, 360) for k in range(20)]
    *all_sleep, stairs = weights(*people, ("w", "stairs", 5000, 10))
    assert sum(all_sleep) / stairs < 20, "720 times as many windows"


def test_a_bout_weighs_the_same_in_however_many_spans():
    # a diary of minutes: the last window before each full minute is lost, another activity balances
    whole = weights(("w", "a", 0, 60), ("w", "b", 9000, 60))
    pieces = weights(*[("w", "a", 60 * k, 6) for k in range(10)], ("w", "b", 9000, 60))
    assert sum(pieces[:-1]) == pytest.approx(whole[0])
    apart = weights(("w", "a", 0, 30), ("w", "a", 3000, 30), ("w", "b", 9000, 60))
    assert sum(apart[:-1]) > whole[0], "two bouts say more than one"


def test_one_window_weighs_as_a_gold_label():
    assert weights(("w", "a", 0, 1), ("v", "b", 0, 1)).tolist() == [1.0, 1.0]
    assert span_weights(np.empty(0, str), np.empty(0, str), np.empty(0, np.int64)).tolist() == []


def test_spans_count_as_labels_by_the_weight_of_their_bouts():
    at = np.concatenate([np.arange(360), [900, 901, 902, 903]]) * 10 * S
    worth = bout_weights(np.full(364, "w"), np.full(364, "a"), at)
    assert worth.sum() == pytest.approx(MOST_WEIGHT + 2)
