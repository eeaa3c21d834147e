"""What MLflow loads of a model's folder: the flavour's files, and predictions of frames of readings and features."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from activitymodule.errors import DataError
from activitymodule.models.bundle import BundleBytes, load_bundle
from activitymodule.models.flavour import flavour_files
from activitymodule.models.pyfunc import _load_pyfunc
from activitymodule.settings import Settings
from activitymodule.synthesis.history import training_readings
from activitymodule.windows.assembling import assemble
from activitymodule.windows.features import FEATURE_NAMES, features
from activitymodule.windows.panes import windows_of


@pytest.fixture(scope="module")
def readings():
    return training_readings(2, 1, 5).readings


@pytest.fixture(scope="module")
def model(folders):
    return _load_pyfunc(str(folders[0]))


def test_a_frame_of_readings_has_the_probabilities_that_the_stream_gives(model, readings, folders, config):
    windows = windows_of(readings, config.windows)
    batch = assemble(windows.window_start_us, windows.panes, config.windows)
    expected = load_bundle(BundleBytes.read(folders[0], version="1")).score(features(batch, config.windows))
    found = model.predict(readings.to_pandas())
    whole = batch.coverage >= config.windows.least_coverage
    own = found[[name for name in found if name.startswith("probability_")]].to_numpy()
    assert found["device_id"].tolist() == windows.device_id.to_pylist()
    assert np.array_equal(found["window_start"].astype("datetime64[us]").astype(int), windows.window_start_us)
    assert whole.sum() > 5
    assert np.array_equal(own[whole], expected.probabilities[whole])
    assert found["reason"].tolist() == [None if one else "low coverage" for one in whole]
    assert found["activity"][~whole].isna().all()


@pytest.mark.parametrize(
    "given",
    [
        lambda stamp: stamp.dt.tz_localize(None),  # taken as UTC
        lambda stamp: stamp.map(lambda at: at.isoformat()),
        lambda stamp: stamp.astype("int64") // (1000 if "us" in str(stamp.dtype) else 1_000_000),
        lambda stamp: stamp.astype(object),
    ],
)
def test_stamps_may_be_times_text_or_epoch_milliseconds(model, readings, given):
    frame = readings.to_pandas()
    again = frame.assign(stamp=given(frame["stamp"]), heart_rate=frame["heart_rate"].round())
    expected = model.predict(frame.assign(heart_rate=frame["heart_rate"].round()))
    pd.testing.assert_frame_equal(model.predict(again), expected)


def test_a_frame_of_features_in_any_order_is_scored(model, toy, folders):
    expected = load_bundle(BundleBytes.read(folders[0], version="1")).score(toy.features[:5])
    frame = pd.DataFrame(toy.features[:5], columns=list(FEATURE_NAMES))
    found = model.predict(frame[frame.columns[::-1]])
    assert np.array_equal(found["confidence"], expected.probabilities.max(1))
    assert [len(one) for one in found["conformal_set"]] == expected.in_set.sum(1).tolist()


def test_readings_that_cannot_be_used_are_counted_and_nothing_is_guessed(model, readings):
    frame = readings.to_pandas()
    frame.loc[3, "pitch"] = 99.0
    with pytest.warns(UserWarning, match="1 of .* out_of_range"):
        model.predict(frame)
    with pytest.raises(DataError, match="neither readings"):
        model.predict(frame[["pitch", "roll"]])
    with pytest.raises(DataError, match="none of the"):
        model.predict(frame.assign(device_id="a b"))


def test_the_regressor_takes_its_columns(folders, trained_energy):
    model, names = _load_pyfunc(str(folders[1])), trained_energy.card.feature_names
    frame = pd.DataFrame(np.ones((3, len(names)), np.float32), columns=list(names))
    expected = trained_energy.pipeline.predict(np.ones((3, len(names)), np.float32))
    assert np.array_equal(model.predict(frame)["kcal_per_min"], expected)
    with pytest.raises(DataError):
        model.predict(frame[frame.columns[1:]])


def test_the_files_name_every_column_and_are_the_same_each_time(
    folders: tuple[Path, Path], trained, config: Settings
):
    described = yaml.safe_load((folders[0] / "MLmodel").read_text())
    inputs = [one["name"] for one in json.loads(described["signature"]["inputs"])]
    outputs = [one["name"] for one in json.loads(described["signature"]["outputs"])]
    assert set(trained.card.feature_names) | {"device_id", "stamp", "user_acceleration_x"} <= set(inputs)
    assert {f"probability_{label}" for label in trained.card.labels} <= set(outputs)
    assert flavour_files(trained.card) == flavour_files(trained.card)
    assert "skops==" in (folders[0] / "requirements.txt").read_text()
