"""Copies of runs: what differs in them, what they never do."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from sklearn.neighbors import KNeighborsClassifier

from activitymodule.errors import ConfigError
from activitymodule.models.augmentation import changed
from activitymodule.models.dataset import TrainingWindows, concatenated, thinned, windows_of_readings
from activitymodule.models.evaluation.held_out import held_out_probabilities
from activitymodule.models.training import train_activity
from activitymodule.settings import Augmentation, RunCopy, Settings, Windows, build, load
from activitymodule.windows.packing import CHANNELS, RECORD

WINDOWS = Windows()
START_US = 1_700_000_000_000_000
TWO = Augmentation(copies=(RunCopy(tempo=0.8, size=0.7), RunCopy(swapped=True)))


def a_run(seconds: float = 40, hertz: float = 1.0) -> np.ndarray:
    """A swing of .5 g about x = 1 g, two steps a second, and a heart of 80."""
    n = int(seconds * 10)
    records = np.empty(n, RECORD)
    records["stamp_us"] = START_US + np.arange(n) * 100_000
    records["values"] = np.nan
    swing = 0.5 * np.sin(2 * np.pi * hertz * np.arange(n) / 10)
    records["values"][:, :3] = np.stack([1 + swing, 0 * swing, 0 * swing], 1)
    records["values"][:, CHANNELS.index("heart_rate")] = 80
    records["values"][:, CHANNELS.index("steps")] = 0.2
    return records


def frequency(values: np.ndarray) -> float:
    power = np.abs(np.fft.rfft(values - values.mean())) ** 2
    return float(power.argmax() * 10 / len(values))


@pytest.mark.parametrize("tempo", [0.8, 1.0, 1.25])
def test_tempo_stretches_time(tempo: float) -> None:
    records = a_run()
    copy, origin = changed(records, RunCopy(tempo=tempo), 10)
    assert len(copy) == pytest.approx(len(records) / tempo, abs=2)
    assert frequency(copy["values"][:, 0]) == pytest.approx(tempo, abs=0.06)
    assert (np.diff(copy["stamp_us"]) == 100_000).all()
    assert (np.diff(origin) >= 0).all()
    assert origin[0] == 0
    steps = CHANNELS.index("steps")
    assert copy["values"][:, steps].sum() == pytest.approx(records["values"][:, steps].sum(), rel=0.05)
    assert np.isnan(copy["values"][:, CHANNELS.index("rotation_rate_x")]).all()


def test_size_scales_the_movement_and_leaves_gravity() -> None:
    copy, _ = changed(a_run(), RunCopy(size=0.5), 10)
    assert copy["values"][:, 0].mean() == pytest.approx(1, abs=1e-3)
    assert np.ptp(copy["values"][:, 0]) == pytest.approx(0.5, abs=0.05)


def test_x_and_y_are_exchanged_and_the_rotation_with_them() -> None:
    records = a_run()
    records["values"][:, 3:6] = [1, 2, 3]
    copy, _ = changed(records, RunCopy(swapped=True), 10)
    np.testing.assert_allclose(copy["values"][:, :3], records["values"][:, [1, 0, 2]], rtol=1e-6)
    # axes that change places are a mirror, in which a rotation turns the other way
    np.testing.assert_array_equal(copy["values"][:, 3:6], np.tile([-2.0, -1.0, -3.0], (len(copy), 1)))


def test_a_copy_without_a_change_is_the_run() -> None:
    records = a_run()
    copy, origin = changed(records, RunCopy(), 10)
    np.testing.assert_allclose(copy["values"], records["values"], rtol=1e-6)
    np.testing.assert_array_equal(copy["stamp_us"], records["stamp_us"])
    np.testing.assert_array_equal(origin, np.arange(len(records)))


def test_nothing_is_made_up_for_a_gap() -> None:
    records = a_run(20)
    holed = np.concatenate([records[:50], records[65:]])
    copy, _ = changed(holed, RunCopy(tempo=0.5), 10)
    assert np.diff(copy["stamp_us"]).max() >= 2_500_000


def readings(seconds: int, activity: str, device: str, seed: int = 0) -> pa.Table:
    n = seconds * 10
    dice = np.random.default_rng(seed)
    return pa.table(
        {
            "device_id": pa.array([device] * n),
            "stamp": pa.array(START_US + np.arange(n) * 100_000, pa.timestamp("us", "UTC")),
            "pitch": pa.array(dice.normal(0, 0.1, n).astype(np.float32)),
            "roll": pa.array(dice.normal(0, 0.1, n).astype(np.float32)),
            **{f"user_acceleration_{a}": pa.array(dice.normal(0, 0.3, n).astype(np.float32)) for a in "xyz"},
            "activity": pa.array([activity] * n),
            "kcal_per_min": pa.array(np.full(n, 3, np.float32)),
        }
    )


def test_copies_follow_the_windows_and_say_so() -> None:
    table = pa.concat_tables([readings(60, "walking", "w1"), readings(8, "sitting", "w2")])
    plain, found = windows_of_readings(table, WINDOWS), windows_of_readings(table, WINDOWS, augmentation=TWO)
    assert found.copied.any()
    assert found.originals().sha256() == plain.sha256()
    assert found.sha256() != plain.sha256()
    copies = found.take(np.flatnonzero(found.copied))
    # a run without a window of its own has no copies either
    assert set(copies.activity.tolist()) == {"walking"}
    assert np.isnan(copies.kcal_per_min).all()
    assert not set(copies.run.tolist()) & set(plain.run.tolist())


def test_a_copy_does_not_depend_on_what_else_is_read() -> None:
    one, two = readings(60, "walking", "w1"), readings(60, "walking", "w2", seed=1)
    together = windows_of_readings(pa.concat_tables([two, one]), WINDOWS, augmentation=TWO)
    apart = concatenated(windows_of_readings(part, WINDOWS, augmentation=TWO) for part in (one, two))

    def rows(windows: TrainingWindows) -> list[bytes]:
        return sorted(row.tobytes() for row in windows.features[windows.copied])

    assert rows(together) == rows(apart)


def test_thinning_takes_copies_alone() -> None:
    found = windows_of_readings(readings(60, "walking", "w1"), WINDOWS, augmentation=TWO)
    fewer = thinned(found, 9)
    assert len(fewer) == 9
    assert fewer.originals().sha256() == found.originals().sha256()
    assert fewer.sha256() == thinned(found, 9).sha256()
    assert thinned(found, 0).sha256() == found.originals().sha256()
    assert thinned(found, 1000) is found


def test_copies_of_a_person_never_judge_nor_teach_about_that_person() -> None:
    dice = np.random.default_rng(0)
    X, truth, person = dice.normal(size=(200, 5)), dice.integers(0, 2, 200), np.arange(200) // 20
    copied = np.arange(400) >= 200
    # each copy equals its original: whoever saw it knows the answer
    (found,) = held_out_probabilities(
        lambda: KNeighborsClassifier(1),
        np.tile(X, (2, 1)),
        np.tile(truth, 2),
        np.tile(person, 2),
        2,
        5,
        copied=copied,
    )
    assert found.shape == (200, 2)
    assert (found.argmax(1) == truth).mean() < 0.7


def test_figures_are_of_originals(toy: TrainingWindows, config: Settings) -> None:
    few = toy.take(np.flatnonzero(np.isin(toy.person, ["p0", "p1"])))
    copies = few.take(np.arange(0, len(few), 2))
    augmented = concatenated([few, TrainingWindows(**{**vars(copies), "copied": np.ones(len(copies), bool)})])
    trained = train_activity(augmented, config, folds=2)
    assert trained.report.windows == len(few) == len(trained.probabilities) == len(trained.truth)
    assert trained.pipeline is not None


def test_a_tempo_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError):
        build({"models": {"augmentation": {"copies": [{"tempo": 0}]}}})


def test_settings_of_random_copies_say_what_replaces_them() -> None:
    assert build({"models": {"augmentation": {"copies": 0}}}).models.augmentation.copies == ()
    for old in ({"copies": 4}, {"tempo": [0.75, 1.15]}, {"turn_degrees": 5}):
        with pytest.raises(ConfigError, match=r"models\.augmentation\.copies"):
            build({"models": {"augmentation": old}})


def test_shipped_copies_reach_other_tempos_and_sizes() -> None:
    copies = load({}).models.augmentation.copies
    assert copies == Augmentation().copies
    assert min(copy.tempo for copy in copies) < 1 < max(copy.tempo for copy in copies)
    assert min(copy.size for copy in copies) < 1 < max(copy.size for copy in copies)
