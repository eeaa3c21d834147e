"""The pair that serves: what it scores, and everything it refuses before it serves."""

from __future__ import annotations

import copy
import json
import pickle
from dataclasses import replace

import numpy as np
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from activitymodule.errors import ModelError, ModelMisfitError, ModelNotTrustedError, ModelTooLargeError
from activitymodule.models import export
from activitymodule.models.bundle import BundleBytes, ModelBytes, PersonColumns, load_bundle
from activitymodule.models.calibration import conformal_sets
from activitymodule.models.energy import energy_matrix
from activitymodule.settings import Models, Windows
from activitymodule.windows.exchange import exchange_of, exchanged
from activitymodule.windows.features import FEATURE_NAMES


@pytest.fixture(scope="module")
def bundle(folders):
    return BundleBytes.read(*folders, version="7", energy_version="3")


@pytest.fixture(scope="module")
def model(bundle):
    return load_bundle(bundle)


def test_it_says_what_the_pipelines_say(model, toy, trained, trained_energy):
    scores = model.score(toy.features, toy.people)
    columns = [FEATURE_NAMES.index(name) for name in trained.card.feature_names]
    own = trained.pipeline.predict_proba(toy.features[:, columns]).astype(np.float32)
    assert np.array_equal(scores.probabilities, own)
    assert np.array_equal(scores.in_set, conformal_sets(own, trained.card.conformal_quantile))
    X = energy_matrix(toy.features, FEATURE_NAMES, toy.people, own.argmax(1).astype(float))
    assert np.array_equal(scores.kcal_per_min, trained_energy.pipeline.predict(X).astype(np.float32))
    assert (model.labels, model.version, model.energy_version) == (trained.card.labels, "7", "3")
    assert scores.probabilities.dtype == scores.kcal_per_min.dtype == np.float32


def test_a_window_of_a_watch_with_a_profile_is_classified_as_it_came(model, toy, trained):
    columns = [FEATURE_NAMES.index(name) for name in trained.card.feature_names]
    features = toy.features.copy()
    features[:, columns] = exchanged(features[:, columns], exchange_of(trained.card.feature_names))
    one_frame = clone_without_exchange(trained.pipeline)
    expected = one_frame.predict_proba(features[:, columns]).astype(np.float32)
    watches = ["apple-watch", "Band 7", None, ""] * (len(features) // 4)
    found, unknown = model.score(features, device_models=watches), model.score(features)
    assert not np.allclose(unknown.probabilities, expected)
    profiled = np.arange(len(features)) % 4 == 0
    np.testing.assert_allclose(found.probabilities[profiled], expected[profiled], atol=1e-6)
    assert np.array_equal(found.probabilities[~profiled], unknown.probabilities[~profiled])
    assert np.array_equal(model.score(features, device_models=[None] * len(features)).in_set, unknown.in_set)


def clone_without_exchange(pipeline):
    model = copy.copy(pipeline["model"])
    model.exchange = None
    return Pipeline([*pipeline.steps[:-1], ("model", model)])


def test_it_works_without_people_without_a_regressor_and_without_windows(model, folders, toy):
    assert np.isfinite(model.score(toy.features).kcal_per_min).all()
    some = toy.people.take(np.arange(len(toy)))
    some.sex[:3] = None
    assert np.isfinite(model.score(toy.features, some).kcal_per_min).all()
    alone = load_bundle(BundleBytes.read(folders[0], version="7"))
    assert np.isnan(alone.score(toy.features).kcal_per_min).all()
    assert alone.energy_version == ""
    nothing = model.score(toy.features[:0], PersonColumns.unknown(0))
    assert nothing.probabilities.shape == nothing.in_set.shape == (0, 3)
    assert nothing.kcal_per_min.shape == (0,)


def test_a_window_without_any_feature_is_not_guessed(model, toy):
    X = toy.features[:4].copy()
    X[2] = np.nan
    scores = model.score(X)
    assert np.isnan(scores.probabilities[2]).all()
    assert not scores.in_set[2].any()
    assert np.isnan(scores.kcal_per_min[2])
    assert np.isfinite(scores.probabilities[[0, 1, 3]]).all()


def test_a_regressor_of_other_labels_still_answers(bundle, trained_energy, toy):
    card = replace(trained_energy.card, labels=("cooking", "rowing", "sleeping"))
    other = replace(bundle.regressor, card=card.to_json())
    scores = load_bundle(replace(bundle, regressor=other)).score(toy.features, toy.people)
    assert np.isfinite(scores.kcal_per_min).all()


def test_it_can_be_sent_to_workers(bundle, model, toy):
    again = load_bundle(pickle.loads(pickle.dumps(bundle)))
    one, two = model.score(toy.features, toy.people), again.score(toy.features, toy.people)
    assert np.array_equal(one.probabilities, two.probabilities)
    assert np.array_equal(one.kcal_per_min, two.kcal_per_min)


def test_features_of_another_shape_are_refused(model, toy):
    with pytest.raises(ModelMisfitError):
        model.score(toy.features[:, :-1])


def refused(bundle, error, *mentioned, windows=None, **card_changes):
    card = json.loads(bundle.classifier.card) | card_changes
    changed = replace(bundle, classifier=replace(bundle.classifier, card=json.dumps(card)))
    with pytest.raises(ModelError) as caught:
        load_bundle(changed, windows)
    assert type(caught.value) is error
    assert "\n" not in str(caught.value)
    assert all(text in str(caught.value) for text in mentioned)


def test_misfits_are_refused(bundle, trained):
    names = list(trained.card.feature_names)
    refused(bundle, ModelMisfitError, "spin", feature_names=[*names[:-1], "spin"])
    refused(bundle, ModelMisfitError, feature_names=[])
    refused(bundle, ModelError, feature_names=names[:-1])
    refused(bundle, ModelMisfitError, "version 0", features_version="0")
    refused(bundle, ModelMisfitError, "3", "4", labels=["a", "b", "c", "d"])
    refused(bundle, ModelMisfitError, labels=["a", "a", "b"])
    refused(bundle, ModelMisfitError, "energy", "activity", kind="energy")
    refused(bundle, ModelMisfitError, conformal_quantile=None)
    refused(bundle, ModelMisfitError, "10 s", "20 s", windows=Windows(length_seconds=20, slide_seconds=20))
    refused(bundle, ModelError, "surprise", surprise=1)


def test_a_regressor_in_the_classifiers_place_is_refused(folders):
    with pytest.raises(ModelMisfitError):
        load_bundle(BundleBytes.read(folders[1], version="1"))


def test_files_that_do_not_load_are_refused(bundle):
    for content in (b"", b"not a model", bundle.classifier.content[:1000]):
        broken = replace(bundle, classifier=replace(bundle.classifier, content=content))
        with pytest.raises(ModelError) as caught:
            load_bundle(broken)
        assert type(caught.value) is ModelError
        assert "\n" not in str(caught.value)


class Intruder(LogisticRegression):
    """A type that is not trusted."""


def test_types_that_are_not_trusted_are_refused(bundle):
    content = skops.io.dumps(Pipeline([("model", Intruder())]))
    with pytest.raises(ModelNotTrustedError, match="Intruder"):
        load_bundle(replace(bundle, classifier=replace(bundle.classifier, content=content)))


def test_what_is_no_pipeline_is_refused(bundle):
    content = skops.io.dumps(LogisticRegression())
    with pytest.raises(ModelError, match="LogisticRegression"):
        load_bundle(replace(bundle, classifier=replace(bundle.classifier, content=content)))


def test_models_that_are_too_large_are_refused(folders, trained, tmp_path):
    with pytest.raises(ModelTooLargeError):
        BundleBytes.read(*folders, version="1", energy_version="1", max_megabytes=0.01)
    with pytest.raises(ModelTooLargeError):
        export.write_folder(tmp_path, trained.pipeline, trained.card, {}, Models(max_megabytes=0.01))
    assert not list(tmp_path.iterdir())


def test_a_folder_without_its_files_is_refused(folders, tmp_path):
    with pytest.raises(ModelError, match=export.MODEL_FILE):
        ModelBytes.read(tmp_path, "4", 50)
    (tmp_path / export.MODEL_FILE).write_bytes((folders[0] / export.MODEL_FILE).read_bytes())
    with pytest.raises(ModelError, match=export.CARD_FILE):
        ModelBytes.read(tmp_path, "4", 50)


def test_the_shipped_models_are_small(folders):
    assert all((folder / export.MODEL_FILE).stat().st_size < 5e6 for folder in folders)
