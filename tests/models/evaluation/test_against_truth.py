"""Predictions against the truth, on cases whose answer is known."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from activitymodule.models.evaluation.against_truth import SPAN_SCHEMA, WINDOW_SCHEMA, compare, score

S = 1_000_000
T0 = 1_790_000_000 * S  # a multiple of ten seconds


def spans(*rows):
    columns = list(zip(*rows, strict=True)) or [[]] * 5
    device, start, end, activity, kcal = columns
    return pa.table(
        [
            list(device),
            [T0 + int(s * S) for s in start],
            [T0 + int(e * S) for e in end],
            list(activity),
            list(kcal),
        ],
        schema=SPAN_SCHEMA,
    )


def windows(*rows):
    device, start, activity, smoothed, kcal = zip(*rows, strict=True)
    starts = [T0 + int(s * S) for s in start]
    return pa.table(
        [
            list(device),
            starts,
            [s + 10 * S for s in starts],
            list(activity),
            list(smoothed),
            list(kcal),
            [0.8 if one else None for one in activity],
            [[one] if one else None for one in activity],
        ],
        schema=WINDOW_SCHEMA,
    )


def test_a_small_case_by_hand():
    truth = spans(
        ("a", 0, 10, "walk", 4.0),
        ("a", 10, 19.5, "walk", 4.0),
        ("a", 19.5, 30, "sit", 1.0),
        ("a", 30, 35, "sit", 1.0),
        ("a", 35, 40, "jog", 8.0),
        ("b", 0, 10, "jog", None),
    )
    found = compare(
        windows(
            ("a", 0, "walk", "walk", 5.0),
            ("a", 10, "sit", "walk", 4.0),  # 95 % walking
            ("a", 20, "sit", None, 1.5),  # not smoothed: the raw one counts
            ("a", 30, "sit", "sit", 3.0),  # half and half
            ("b", 0, None, None, None),  # not scored
            ("c", 0, "jog", "jog", 2.0),  # nobody knows
            ("a", 500, "jog", "jog", 2.0),  # nor when
        ),
        truth,
    )
    assert (found.windows, found.mixed, found.not_scored) == (5, 1, 1)
    assert found.raw.compared == 3
    assert found.raw.accuracy == pytest.approx(2 / 3)
    assert found.smoothed.accuracy == 1
    assert found.raw.labels == ("sit", "walk")
    assert found.raw.confusion == ((1, 0), (1, 1))
    # the energy of mixed windows counts too: truth 4, .95*4+.05*1, 1, 4.5
    assert found.kcal_compared == 4
    assert found.kcal_mean_absolute_error == pytest.approx((1 + 0.15 + 0.5 + 1.5) / 4)
    assert found.expected == 4
    assert found.coverage == pytest.approx(3 / 4)


def test_spans_sent_twice_or_cut_otherwise_are_the_same_truth():
    truth = spans(("a", 0, 20, "walk", 4.0), ("a", 20, 40, "sit", 1.0))
    cut = spans(
        ("a", 20, 33, "sit", 1.0),
        ("a", 0, 7, "walk", 4.0),
        ("a", 0, 20, "walk", 4.0),
        ("a", 20, 40, "sit", 1.0),
        ("a", 20, 33, "sit", 1.0),
    )
    seen = windows(*[("a", 10 * i, "walk", "sit", 2.0) for i in range(4)])
    assert compare(seen, truth) == compare(seen, cut)


def test_groups_of_watches_are_compared_beside_the_whole():
    truth = spans(("a", 0, 20, "walk", 4.0), ("b", 0, 20, "sit", 1.0))
    seen = windows(*[(one, 10 * i, "walk", "walk", 2.0) for one in "ab" for i in range(2)])
    whole, a, b = compare(seen, truth, groups={"device model": {"a": "e4"}, "age band": {}}).slices
    assert (whole.name, whole.windows, whole.people, whole.accuracy, whole.coverage) == (
        "all",
        4,
        2,
        0.5,
        0.5,
    )
    assert whole.calibration_error == pytest.approx(0.3)
    assert (a.kind, a.name, a.accuracy, a.coverage) == ("device model", "e4", 1.0, 1.0)
    assert (b.name, b.windows, b.accuracy) == ("unknown", 2, 0.0)


def test_nothing_to_compare():
    assert compare(WINDOW_SCHEMA.empty_table(), spans(("a", 0, 20, "walk", 4.0))).raw.accuracy is None
    assert compare(windows(("a", 0, "walk", "walk", 1.0)), SPAN_SCHEMA.empty_table()).windows == 0


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abcd")), min_size=1, max_size=40))
def test_scores_are_those_of_scikit_learn(pairs):
    truth, predicted = (np.array(side, object) for side in zip(*pairs, strict=True))
    found = score(truth, predicted)
    assert found.accuracy == pytest.approx(np.mean(truth == predicted))
    wanted = f1_score(truth, predicted, labels=sorted(set(truth)), average="macro", zero_division=0)
    assert found.macro_f1 == pytest.approx(wanted)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_the_fast_way_is_the_slow_way(data):
    """Second by second: the share of each activity in each window, counted one by one."""
    truth, true = [], {}
    for device in "ab":
        at = data.draw(st.integers(0, 15))
        for _ in range(data.draw(st.integers(0, 6))):
            stop = at + data.draw(st.integers(1, 25))
            activity, kcal = data.draw(st.sampled_from("xyz")), data.draw(st.integers(1, 9))
            truth.append((device, at, stop, activity, float(kcal)))
            true.update({(device, second): (activity, kcal) for second in range(at, stop)})
            at = stop + data.draw(st.sampled_from([0, 0, 3]))
    seen = [(device, 10 * i, "x", "y", 2.0) for device in "ab" for i in range(12)]
    found = compare(windows(*seen), spans(*truth))
    pure, known, errors = [], 0, []
    for device, start, *_ in seen:
        inside = [true.get((device, start + second)) for second in range(10)]
        there = [one for one in inside if one]
        if len(there) < 9:
            continue
        known += 1
        errors.append(abs(2.0 - np.mean([kcal for _, kcal in there])))
        for activity in "xyz":
            # one run of it: seconds of the same activity without a gap between
            run = max(
                map(len, "".join("1" if o and o[0] == activity else " " for o in inside).split()), default=0
            )
            if run >= 9:
                pure.append(activity)
    assert found.windows == known
    assert found.raw.compared == len(pure)
    if pure:
        assert found.raw.accuracy == pytest.approx(np.mean([one == "x" for one in pure]))
        assert found.coverage is not None
        assert found.expected >= len(pure)
    if errors:
        assert found.kcal_mean_absolute_error == pytest.approx(np.mean(errors))
