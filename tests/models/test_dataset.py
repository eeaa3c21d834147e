"""Training sets: windows of one run and one label, by the code of the stream."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from activitymodule.errors import DataError, NotEnoughDataError
from activitymodule.models.activity import feature_names
from activitymodule.models.dataset import (
    OTHER_WRIST,
    concatenated,
    windows_of_readings,
    windows_of_table,
)
from activitymodule.settings import Windows
from activitymodule.windows.assembling import assemble
from activitymodule.windows.features import FEATURE_NAMES, features
from activitymodule.windows.panes import windows_of

WINDOWS = Windows()
START_US = 1_700_000_000_000_000


def readings(seconds, activity="walking", device="w1", start_us=START_US, seed=0, **columns):
    """Ten readings a second of one run, from a multiple of 10 s on."""
    n = int(seconds * 10)
    dice = np.random.default_rng(seed)
    table = {
        "device_id": pa.array([device] * n),
        "stamp": pa.array(start_us + np.arange(n) * 100_000, pa.timestamp("us", "UTC")),
        "pitch": pa.array(dice.normal(0, 0.1, n).astype(np.float32)),
        "roll": pa.array(dice.normal(0, 0.1, n).astype(np.float32)),
        **{f"user_acceleration_{a}": pa.array(dice.normal(0, 0.3, n).astype(np.float32)) for a in "xyz"},
        "activity": pa.array([activity] * n, pa.string()),
        "person": pa.array([columns.pop("person", device)] * n),
    }
    return pa.table(table | {name: pa.array([value] * n) for name, value in columns.items()})


def test_training_and_stream_see_the_same_features():
    table = readings(60)
    found = windows_of_readings(table, WINDOWS)
    paned = windows_of(table, WINDOWS)
    streamed = features(assemble(paned.window_start_us, paned.panes, WINDOWS), WINDOWS)
    assert len(found) == len(streamed) == 6
    assert np.array_equal(found.features, streamed, equal_nan=True)


def test_recordings_are_turned_by_their_device_model_in_training_as_in_the_stream():
    plain, turned = readings(60), readings(60, device_model="Empatica E4")
    found = windows_of_readings(turned, WINDOWS)
    assert set(found.device_model.tolist()) == {"empatica-e4"}
    assert set(windows_of_readings(plain, WINDOWS).device_model.tolist()) == {""}
    assert not np.array_equal(found.features, windows_of_readings(plain, WINDOWS).features, equal_nan=True)
    paned = windows_of(turned, WINDOWS)
    streamed = features(assemble(paned.window_start_us, paned.panes, WINDOWS), WINDOWS)
    assert np.array_equal(found.features, streamed, equal_nan=True)
    both = concatenated([found, windows_of_readings(plain, WINDOWS)])
    assert both.take(np.arange(5, 7)).device_model.tolist() == ["empatica-e4", ""]


def test_a_label_taken_apart_is_no_class_of_its_own():
    parts = [readings(25, "cafe\u0301"), readings(25, "café", device="w2"), readings(25, "चलना", device="w3")]
    found = windows_of_readings(pa.concat_tables(parts), WINDOWS)
    assert sorted(set(found.activity.tolist())) == ["café", "चलना"]


def test_windows_never_mix_labels_people_or_sides_of_a_gap():
    parts = [
        readings(25, "walking"),
        readings(25, "jogging", start_us=START_US + 25_000_000),
        readings(25, "jogging", start_us=START_US + 60_000_000),  # ten seconds later
        readings(25, "jogging", device="w2", start_us=START_US),
    ]
    found = windows_of_readings(pa.concat_tables(parts), WINDOWS)
    # two whole windows each; the five seconds left over are no window
    assert len(found) == 8
    assert sorted(np.bincount(found.run)[np.bincount(found.run) > 0]) == [2, 2, 2, 2]
    for run in np.unique(found.run):
        assert len(set(found.activity[found.run == run])) == 1
        assert len(set(found.person[found.run == run])) == 1


def test_the_order_of_readings_does_not_matter():
    table = pa.concat_tables([readings(40, seed=1), readings(40, "rowing", device="w2", seed=2)])
    shuffled = table.take(np.random.default_rng(0).permutation(len(table)))
    first, again = windows_of_readings(table, WINDOWS), windows_of_readings(shuffled, WINDOWS)
    assert first.sha256() == again.sha256()


def test_readings_without_a_label_teach_nothing():
    table = pa.concat_tables([readings(20, None), readings(20, "rowing", start_us=START_US + 20_000_000)])
    found = windows_of_readings(table, WINDOWS)
    assert set(found.activity) == {"rowing"}
    with pytest.raises(NotEnoughDataError):
        concatenated([windows_of_readings(readings(20, None), WINDOWS)])


def test_half_a_window_is_left_out():
    table = readings(20)
    holes = table.filter(np.arange(200) % 2 == 0)
    assert len(windows_of_readings(holes, WINDOWS)) == 0
    assert len(windows_of_readings(holes, WINDOWS.model_copy(update={"queue_coverage": 0.4}))) == 2


def test_energy_is_the_mean_of_the_window_and_people_come_along():
    table = readings(10).append_column("kcal_per_min", pa.array(np.linspace(2, 4, 100).astype(np.float32)))
    people = pa.table({"device_id": ["w0", "w1"], "weight_kg": [50.0, 72.5], "sex": ["male", "female"]})
    found = windows_of_readings(table, WINDOWS, people)
    assert found.kcal_per_min[0] == pytest.approx(3, abs=1e-4)
    assert found.people.weight_kg[0] == 72.5
    assert found.people.sex[0] == "female"
    assert np.isnan(found.people.age_years[0])


def test_energy_alone_is_enough():
    table = readings(20, None, kcal_per_min=3.0)
    found = windows_of_readings(table, WINDOWS)
    assert len(found) == 2
    assert set(found.activity) == {""}


def test_the_other_wrist_changes_no_feature_of_the_classifier():
    table = readings(60)
    places = [FEATURE_NAMES.index(name) for name in feature_names()]
    worn, turned = (
        windows_of_readings(table, WINDOWS, mirror=mirror).features[:, places]
        for mirror in ((1, 1, 1), OTHER_WRIST)
    )
    # equal but for the rounding of sums in another order
    assert np.allclose(worn, turned, rtol=1e-3, atol=1e-3)


def test_runs_of_parts_stay_apart():
    one, two = windows_of_readings(readings(20), WINDOWS), windows_of_readings(readings(20), WINDOWS)
    both = concatenated([one, two])
    assert len(np.unique(both.run)) == 2
    assert one.sha256() == two.sha256() != both.sha256()


def test_a_table_of_features():
    table = pa.table({"heart_mean": [70.0, 90.0], "person": ["a", "b"], "kcal_per_min": [1.0, 3.0]})
    found = windows_of_table(table)
    assert found.features[1, FEATURE_NAMES.index("heart_mean")] == 90
    assert np.isnan(found.features[:, 0]).all()
    with pytest.raises(DataError, match="activity features"):
        windows_of_table(table.select(["person"]))
    with pytest.raises(DataError, match="person"):
        windows_of_table(table.select(["heart_mean"]))


def test_readings_that_cannot_teach_are_refused():
    with pytest.raises(DataError, match="kcal_per_min"):
        windows_of_readings(readings(10).drop_columns(["activity"]), WINDOWS)
    with pytest.raises(DataError, match="stamp"):
        windows_of_readings(readings(10).drop_columns(["stamp"]), WINDOWS)
