"""Training sets of a challenger: the audit never teaches, weights are bounded, content makes the id."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from activitymodule.errors import DataError
from activitymodule.learning.gold import (
    AUDIT_SHARE,
    EMBARGO_SECONDS,
    LEAST_NEW_LABELS,
    NEAR_AUDIT,
    WEIGHT_RATIO,
    GoldWindows,
    for_training,
    propensity_weights,
)
from activitymodule.learning.spans import MOST_WEIGHT
from activitymodule.learning.spreading import Neighbours, change_bar, feature_scale, reached
from activitymodule.learning.strata import SPAN
from activitymodule.learning.training_set import training_set
from activitymodule.models.dataset import TrainingWindows
from activitymodule.models.energy import PersonColumns
from activitymodule.windows.catalogue import FEATURE_NAMES

WINDOW_US = 10_000_000


def a_base(n: int = 40, seed: int = 0) -> TrainingWindows:
    dice = np.random.default_rng(seed)
    return TrainingWindows(
        features=dice.normal(size=(n, len(FEATURE_NAMES))).astype(np.float32),
        activity=np.array(["sitting", "walking"])[2 * np.arange(n) // n],
        person=np.array([f"p{k % 4}" for k in range(n)]),
        run=2 * np.arange(n) // n,
        kcal_per_min=np.full(n, np.nan, np.float32),
        people=PersonColumns.unknown(n),
    )


def some_gold(n: int, *, stratum: str = "doubt", label: str = "walking", seed: int = 1) -> GoldWindows:
    dice = np.random.default_rng(seed)
    return GoldWindows(
        device_id=np.array([f"watch-{k % 5}" for k in range(n)]),
        person=np.array([f"watch-{k % 5}" for k in range(n)]),
        window_us=np.arange(n, dtype=np.int64) * 100 * WINDOW_US,
        label=np.full(n, label),
        stratum=np.full(n, stratum),
        propensity=dice.uniform(0.01, 1, n),
        features=dice.normal(size=(n, len(FEATURE_NAMES))).astype(np.float32),
    )


def test_the_audit_share_never_teaches():
    gold = some_gold(10) + replace(some_gold(6, stratum="audit", seed=2), device_id=np.full(6, "other"))
    made = training_set(a_base(), gold)
    assert made.labels == 10
    taught = {row.tobytes() for row in made.labelled.features}
    assert not taught & {row.tobytes() for row in gold.features[gold.stratum == "audit"]}
    assert made.left_out == {AUDIT_SHARE: 6}


def test_nor_do_windows_beside_one_of_it():
    near, far = EMBARGO_SECONDS // 10, EMBARGO_SECONDS // 10 + 1
    times = np.array([0, near, far, -near, -far]) * WINDOW_US + 10**15
    gold = replace(
        some_gold(5), device_id=np.full(5, "w"), window_us=times, stratum=np.array(["audit"] + ["doubt"] * 4)
    )
    assert for_training(gold).tolist() == [False, False, True, False, True]
    others = replace(gold, device_id=np.array(["w", "x", "x", "x", "x"]))
    assert for_training(others).tolist() == [False, True, True, True, True]


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(0, 60), st.sampled_from(["audit", "cold", "doubt"])),
        max_size=40,
    )
)
@hypothesis_settings(max_examples=100, deadline=None)
def test_embargo_is_what_it_says(rows):
    n = len(rows)
    gold = replace(
        some_gold(n),
        device_id=np.array([row[0] for row in rows], str),
        person=np.array([row[0] for row in rows], str),
        window_us=np.array([row[1] * WINDOW_US for row in rows], np.int64),
        stratum=np.array([row[2] for row in rows], str),
    )
    judged = [(device, at) for device, at, stratum in rows if stratum == "audit"]
    expected = [
        stratum != "audit"
        and all(other != device or abs(at - when) * 10 > EMBARGO_SECONDS for other, when in judged)
        for device, at, stratum in rows
    ]
    assert for_training(gold).tolist() == expected


@given(st.lists(st.floats(1e-6, 1), min_size=1, max_size=50))
@hypothesis_settings(max_examples=50, deadline=None)
def test_weights_are_capped(propensity):
    weight = propensity_weights(np.array(propensity))
    assert (weight >= 1 / WEIGHT_RATIO - 1e-12).all()
    assert (weight <= WEIGHT_RATIO + 1e-12).all()
    order = np.argsort(propensity)
    assert (np.diff(weight[order]) <= 1e-12).all(), "the likelier, the lighter"


def test_a_new_label_needs_enough_windows_of_enough_people():
    base = a_base()
    few = training_set(base, some_gold(LEAST_NEW_LABELS - 1, label="dancing"))
    assert few.labels == 0
    assert few.labels_added == ()
    assert next(iter(few.left_out)).startswith("too few labels of dancing")
    enough = training_set(base, some_gold(LEAST_NEW_LABELS, label="dancing"))
    assert enough.labels_added == ("dancing",)
    one = np.full(50, "anna")
    one_person = replace(some_gold(50, label="dancing"), person=one)
    assert training_set(base, one_person).labels == 0


def test_same_content_same_id_in_any_order():
    gold, base = some_gold(30), a_base()
    made = training_set(base, gold)
    shuffled = training_set(base, gold.take(np.random.default_rng(0).permutation(30)))
    assert made.sha256() == shuffled.sha256()
    other = replace(gold, label=np.where(np.arange(30) == 3, "sitting", gold.label))
    assert training_set(base, other).sha256() != made.sha256()
    assert training_set(base, gold, label_weight=2).sha256() != made.sha256()
    assert len(made.windows) == len(made.weights) == len(base) + 30
    assert (made.weights[: len(base)] == 1).all()


def test_an_empty_base_is_refused():
    with pytest.raises(DataError):
        training_set(a_base().take(np.empty(0, int)), some_gold(3))


def a_day(jump_at: int, n: int = 15, seed: int = 0) -> np.ndarray:
    """Features of windows in a row that drift a little, and jump once."""
    dice = np.random.default_rng(seed)
    rows = np.repeat(dice.normal(size=(1, len(FEATURE_NAMES))), n, 0) + dice.normal(scale=0.05, size=(n, 1))
    rows[jump_at:] += 3
    return rows.astype(np.float32)


def test_a_label_is_spread_up_to_a_change_point():
    day = a_day(jump_at=9)
    base = replace(
        a_base(30), features=np.concatenate([a_day(15), a_day(0, seed=1)]), run=np.repeat([0, 1], 15)
    )
    bar, scale = change_bar(base), feature_scale(base)
    centre = 7
    rest = np.delete(np.arange(15), centre)
    around = Neighbours(rest * WINDOW_US, day[rest], np.ones(14, bool))

    def near(around: Neighbours, most: int) -> list[int]:
        found = reached(around, day[centre], centre * WINDOW_US, most, WINDOW_US, scale, bar)
        return sorted((around.window_us[found] // WINDOW_US).tolist())

    loose = max(bar, 0.5)
    found = reached(around, day[centre], centre * WINDOW_US, 3, WINDOW_US, scale, loose)
    assert sorted((around.window_us[found] // WINDOW_US).tolist()) == [4, 5, 6, 8]
    gap = Neighbours(around.window_us, around.features, around.window_us // WINDOW_US != 6)
    assert 5 not in near(gap, 3), "not across a window with too few readings"


def test_spread_neighbours_weigh_less_and_never_touch_the_audit():
    base = replace(
        a_base(30),
        features=np.repeat(a_base(2).features[:1], 30, 0) + np.linspace(0, 1, 30, dtype=np.float32)[:, None],
    )
    features = base.features[:1]
    gold = GoldWindows(
        np.array(["w", "w"]),
        np.array([10, 10 + EMBARGO_SECONDS // 10 + 2]) * WINDOW_US,
        np.array(["walking", "sitting"]),
        np.array(["doubt", "audit"]),
        np.array([0.5, 0.1]),
        np.repeat(features, 2, 0),
    )
    near = np.array([7, 8, 9, 11, 12, 13])
    around = {
        ("w", 10 * WINDOW_US): Neighbours(near * WINDOW_US, np.repeat(features, 6, 0), np.ones(6, bool))
    }
    made = training_set(base, gold, neighbours=around, spread_windows=3, spread_weight=0.5)
    # windows 12 and 13 are within the embargo of the audit window at 18
    assert made.labels == 1
    assert made.spread == 4
    assert made.weight.tolist() == [1.0, 0.5, 0.5, 0.5, 0.5]
    assert set(made.labelled.activity) == {"walking"}
    assert training_set(base, gold, neighbours=around, spread_windows=0).spread == 0


def a_span(device: str, first: int, count: int, label: str) -> GoldWindows:
    """Windows under a span, one after another."""
    at = (first + np.arange(count, dtype=np.int64)) * WINDOW_US
    return replace(
        some_gold(count, stratum=SPAN, label=label, seed=first + 7),
        device_id=np.full(count, device), person=np.full(count, device), window_us=at, propensity=np.ones(count),
    )  # fmt: skip


def test_windows_under_spans_teach_and_never_judge():
    audit = replace(
        some_gold(1, stratum="audit"), device_id=np.array(["w"]), window_us=np.array([5000 * WINDOW_US])
    )
    labels = some_gold(4)
    night, stairs = a_span("w", 4700, 360, "sitting"), a_span("v", 0, 10, "walking")
    made = training_set(a_base(), labels + night + audit + stairs, label_weight=2)
    embargoed = 2 * EMBARGO_SECONDS // 10 + 1
    assert (made.labels, made.span_windows) == (4, 370 - embargoed)
    assert made.left_out == {AUDIT_SHARE: 1, NEAR_AUDIT: embargoed}
    assert made.windows.copied.sum() == made.span_windows
    assert set(made.windows.person[made.windows.copied]) == {"watch:w", "watch:v"}
    weight, what = made.weights[made.windows.copied], made.windows.activity[made.windows.copied]
    heavy, light = (weight[what == one].sum() / 2 for one in ("sitting", "walking"))
    assert 1 < heavy / light < 2.5
    # in gold labels; the audit window cut the night into two
    assert heavy + light < 2 * MOST_WEIGHT + 4
    without = training_set(a_base(), labels + audit)
    assert made.sha256() != without.sha256()
    assert not without.windows.copied.any()


def test_an_hour_of_a_new_activity_is_no_twenty_labels():
    spans = a_span("a", 0, 360, "sleeping") + a_span("b", 0, 4, "sleeping")
    few = training_set(a_base(), spans + a_span("c", 0, 4, "sleeping"))
    assert few.span_windows == 0
    enough = training_set(a_base(), spans + a_span("c", 0, 360, "sleeping"))
    assert enough.labels_added == ("sleeping",)


def test_a_label_is_not_spread_to_a_window_under_a_span():
    base = replace(a_base(30), features=np.repeat(a_base(2).features[:1], 30, 0))
    features = base.features[:1]
    gold = replace(
        some_gold(1), device_id=np.array(["w"]), window_us=np.array([10 * WINDOW_US]), features=features
    )
    near = np.array([9, 11, 12])
    around = {
        ("w", 10 * WINDOW_US): Neighbours(near * WINDOW_US, np.repeat(features, 3, 0), np.ones(3, bool))
    }
    spread = training_set(base, gold, neighbours=around, spread_windows=3)
    beside = training_set(base, gold + a_span("w", 11, 1, "sitting"), neighbours=around, spread_windows=3)
    assert (spread.spread, beside.spread, beside.span_windows) == (3, 2, 1)


def test_labels_of_a_device_model_that_the_base_lacks_weigh_more():
    base, gold = a_base(), some_gold(9)
    models = np.array(["new", "old", ""])[np.arange(9) % 3]
    base = replace(base, device_model=np.full(len(base), "old"))
    gold = replace(gold, propensity=np.full(9, 0.1), device_model=models)
    found = training_set(base, gold, label_weight=2.0, device_weight=4.0)
    by_model = {m: set(found.weight[found.labelled.device_model == m].tolist()) for m in ("new", "old", "")}
    assert by_model == {"new": {8.0}, "old": {2.0}, "": {2.0}}
    everything = training_set(replace(base, device_model=np.full(len(base), "new")), gold, device_weight=4.0)
    assert set(everything.weight[everything.labelled.device_model == "new"].tolist()) == {1.0}


def test_the_device_model_is_part_of_the_content():
    base, gold = a_base(), some_gold(9)
    named = replace(gold, device_model=np.full(9, "fitbit-sense"))
    assert training_set(base, gold).sha256() != training_set(base, named).sha256()
    assert training_set(base, gold).sha256() == training_set(base, replace(gold)).sha256()
