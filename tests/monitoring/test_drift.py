"""The measures of drift: quiet for people like those in training, loud for what has really changed."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from drift_judges import Judge, judge_of

from activitymodule import settings
from activitymodule.models.dataset import TrainingWindows, windows_of_readings
from activitymodule.monitoring.report import Comparison, compare, recommendation

CONFIG = settings.Monitoring()
USER = tuple(f"user_acceleration_{axis}" for axis in "xyz")


def seen(judge: Judge, data: TrainingWindows) -> Comparison:
    return compare(judge.baseline, judge.look(data), len(np.unique(data.person)), CONFIG)


def featurised(readings: pa.Table) -> TrainingWindows:
    return windows_of_readings(readings, settings.Windows())


def with_columns(readings: pa.Table, **columns: pa.ChunkedArray) -> pa.Table:
    for name, column in columns.items():
        readings = readings.set_column(readings.column_names.index(name), name, column)
    return readings


@pytest.mark.parametrize("watches", [2, 4, 8, 16])
def test_people_like_those_in_training_trip_nothing(judge: Judge, fleet: TrainingWindows, watches: int):
    names = np.unique(fleet.person)
    for first in range(0, len(names), watches):
        few = fleet.take(np.isin(fleet.person, names[first : first + watches]))
        found = seen(judge, few)
        assert found.tripped == ()
        assert recommendation(found)[0] is False


def test_the_other_wrist_is_no_drift(judge: Judge, fleet_readings: pa.Table):
    """No feature changes when an axis is mirrored, so nothing may trip."""
    mirrored = windows_of_readings(fleet_readings, settings.Windows(), mirror=(-1, 1, -1))
    assert seen(judge, mirrored).tripped == ()


def test_an_acceleration_in_m_s2_where_g_is_due_asks_for_a_retraining(judge: Judge, fleet_readings: pa.Table):
    wrong = with_columns(
        fleet_readings,
        **{n: pc.multiply(fleet_readings.column(n), pa.scalar(9.80665, pa.float32())) for n in USER},
    )
    found = seen(judge, featurised(wrong))
    retrain, summary = recommendation(found)
    assert retrain
    assert found.features_share > 0.3
    assert summary.startswith("Retrain: ")
    assert summary.count(". ") == 0  # one sentence


def test_sensors_that_repeat_one_value_ask_for_a_retraining(judge: Judge, fleet_readings: pa.Table):
    n = len(fleet_readings)
    names = np.unique(fleet_readings.column("device_id").to_numpy(zero_copy_only=False))
    stuck = np.isin(fleet_readings.column("device_id").to_numpy(zero_copy_only=False), names[::2])

    def held(name: str) -> pa.ChunkedArray:
        values = fleet_readings.column(name).to_numpy().copy()
        values[stuck] = values[0]
        return pa.chunked_array([pa.array(values, pa.float32())])

    flat = with_columns(fleet_readings, **{name: held(name) for name in (*USER, "pitch", "roll")})
    assert len(flat) == n
    found = seen(judge, featurised(flat))
    assert recommendation(found)[0]
    still = next(f for f in found.features if f.name == "stillness_log_sd_max")
    assert still.over
    assert still.mean_now < still.mean_expected


def test_another_cadence_trips_the_features_of_rhythm(judge: Judge, fleet_readings: pa.Table):
    """Everybody moves at 1.6 times the speed: the same readings in less time."""
    stamps = pc.cast(fleet_readings.column("stamp"), pa.int64()).to_numpy()
    start = stamps.min()
    faster = pa.array((start + (stamps - start) / 1.6).astype(np.int64)).cast(pa.timestamp("us", "UTC"))
    quick = with_columns(fleet_readings, stamp=pa.chunked_array([faster]))
    found = seen(judge, featurised(quick))
    over = {f.name.split("_")[0] for f in found.features if f.over}
    assert over & {"jerk", "spectrum", "autocorrelation"}


def test_an_activity_the_model_never_saw_asks_for_a_retraining(
    people: TrainingWindows, fleet: TrainingWindows
):
    """Trained on people who only sit, stand and walk; now some of the fleet jogs and kicks a ball."""
    calm = judge_of(people.take(np.isin(people.activity, ["sitting", "standing", "walking"])))
    usual = np.flatnonzero(np.isin(fleet.activity, ["sitting", "standing", "walking"]))
    new = np.flatnonzero(np.isin(fleet.activity, ["jogging", "kicking", "stairs"]))
    assert recommendation(seen(calm, fleet.take(usual)))[0] is False
    some = np.random.default_rng(0).permutation(usual)
    # a fifth of the windows: an alarm; half of them: a retraining
    fifth = calm.look(fleet.take(np.append(new, some[: 4 * len(new)])))
    assert compare(calm.baseline, fifth, 100, CONFIG).tripped
    half = calm.look(fleet.take(np.append(new, some[: len(new)])))
    retrain, _ = recommendation(compare(calm.baseline, half, 100, CONFIG))
    assert retrain


def test_other_activities_than_usual_are_a_shift_of_rates_and_no_reason_to_retrain(
    judge: Judge, people: TrainingWindows
):
    """A fleet that only sits: the model knows sitting."""
    sitting = people.take(people.activity == "sitting")
    totals = judge.look(sitting)
    found = compare(judge.baseline, totals, 1000, CONFIG)
    assert "class_shift" in {t.measure for t in found.tripped}
    retrain, summary = recommendation(found)
    assert not retrain
    assert "sitting" in summary


def test_a_sensor_that_is_gone_is_said_to_be_missing(judge: Judge, fleet_readings: pa.Table):
    gone = with_columns(
        fleet_readings, heart_rate=pa.chunked_array([pa.nulls(len(fleet_readings), pa.float32())])
    )
    found = seen(judge, featurised(gone))
    assert {t.subject for t in found.tripped if t.measure == "missing"} == {
        f"heart_{name}" for name in ("mean", "sd", "min", "max", "slope")
    }


def test_more_watches_make_the_same_shift_more_certain(judge: Judge, fleet: TrainingWindows):
    totals = judge.look(fleet)
    few = {f.name: abs(f.z) for f in compare(judge.baseline, totals, 4, CONFIG).features}
    many = {f.name: abs(f.z) for f in compare(judge.baseline, totals, 400, CONFIG).features}
    assert all(many[name] >= few[name] for name in few)
    assert any(many[name] > few[name] for name in few)
