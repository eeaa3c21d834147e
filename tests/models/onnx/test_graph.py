"""The graph of a pipeline answers as the pipeline: for every family, at thresholds, with gaps, in INT8."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from activitymodule.errors import ModelError, ModelNotConvertibleError
from activitymodule.models.activity import TreesAndLinear
from activitymodule.models.bundle import BundleBytes, ScoringModel, load_bundle
from activitymodule.models.contract import (
    Classifier,
    classifier_pipeline,
    probabilities_of,
    weighs_frames,
)
from activitymodule.models.dataset import TrainingWindows
from activitymodule.models.energy import COLUMNS, energy_pipeline
from activitymodule.models.export import Card
from activitymodule.models.network import TreesLinearAndNetwork
from activitymodule.models.onnx.graph import to_onnx
from activitymodule.models.onnx.parity import INT8, ONNX, parity
from activitymodule.models.onnx.quantising import quantised
from activitymodule.models.onnx.session import SOURCE, OnnxModel
from activitymodule.models.training import ActivityTraining, EnergyTraining
from activitymodule.models.trees import read_trees

onnx = pytest.importorskip("onnx", reason="needs the packages of activitymodule[onnx]")

INPUTS = 14
EXCHANGE = [1, 0, 2, INPUTS, *range(4, INPUTS), 0, 2]


def small(labels: int) -> tuple[np.ndarray, np.ndarray]:
    dice = np.random.default_rng(1)
    y = np.arange(400) % labels
    X = dice.normal(size=(400, INPUTS)).astype(np.float32)
    X[:, :4] += 1.5 * dice.normal(size=(labels, 4))[y]
    X[:, 5] = X[:, 5] * 1e-3 + 1000  # a difference that single precision would lose
    X[::9, 2] = np.nan
    X[:, 7] = np.nan  # never measured
    return X, y


def card_of(labels: int) -> Card:
    names = tuple(f"f{k}" for k in range(INPUTS))
    return Card("activity", tuple("abcdef"[:labels]), names, "1", 10, 10, conformal_quantile=0.6)


def at_thresholds(pipeline: Pipeline, X: np.ndarray) -> np.ndarray:
    """Windows whose values are those at which trees split, or the next number beside them.

    Not so at 1e-35: LightGBM takes what is smaller for 0.
    """
    model, dice = pipeline.steps[-1][1], np.random.default_rng(2)
    out = X.copy()
    for tree in read_trees(model.trees_, INPUTS, len(model.classes_)):
        for feature, threshold in zip(tree.feature, tree.threshold, strict=True):
            near = np.float32(threshold if abs(threshold) > 1e-30 else 0)
            beside = [near, *(np.nextafter(near, np.float32(end)) for end in (-np.inf, np.inf))]
            out[dice.integers(len(out), size=3), feature] = beside
    return out


@pytest.mark.parametrize("labels", [2, 3])
@pytest.mark.parametrize(
    "family",
    [
        TreesAndLinear(rounds=12),
        TreesLinearAndNetwork(rounds=12, epochs=3),
        TreesLinearAndNetwork(rounds=12, epochs=3, exchange=EXCHANGE, frame_margin=0.5),
        TreesAndLinear(rounds=12, leaves=20, least_windows_a_leaf=5),  # too many splits for a table
        TreesAndLinear(rounds=3, least_windows_a_leaf=300),  # leaves alone
    ],
)
def test_a_classifier_answers_as_its_pipeline(family: Classifier, labels: int) -> None:
    X, y = small(labels)
    pipeline = classifier_pipeline(family).fit(X, y)
    model = OnnxModel(to_onnx(pipeline, card_of(labels), b"the file"))
    probed = at_thresholds(pipeline, X)
    known = np.arange(len(probed)) % 3 == 0
    expected, found = probabilities_of(pipeline, probed, known), model(probed, known)
    np.testing.assert_allclose(model(probed), pipeline.predict_proba(probed), atol=2e-6)
    assert model.weighs_frames == weighs_frames(pipeline) == (not np.allclose(model(probed), found))
    assert found.dtype == np.float32
    compared = parity(expected, found, ONNX)
    assert compared.failure is None
    assert compared.largest < 2e-6
    assert compared.same_activity == 1
    # a window's answer is its own, whatever it is scored with
    alone = np.concatenate([model(probed[k : k + 1], known[k : k + 1]) for k in range(130)])
    np.testing.assert_allclose(alone, found[:130], atol=1e-6)
    assert model(probed[:0]).shape == (0, labels)
    assert model.metadata["labels"] == json.dumps(card_of(labels).labels)
    assert float(model.metadata["conformal_quantile"]) == 0.6


def test_a_regressor_answers_as_its_pipeline() -> None:
    dice = np.random.default_rng(3)
    X = dice.normal(size=(600, len(COLUMNS))) * 20 + 40
    X[:, COLUMNS.index("sex")] = dice.integers(0, 2, 600)
    X[:, COLUMNS.index("activity")] = dice.integers(0, 3, 600)
    y = X[:, 0] / 10 + X[:, COLUMNS.index("activity")]
    X[dice.random(X.shape) < 0.1] = np.nan
    pipeline = energy_pipeline(("a", "b", "c")).set_params(model__rounds=20).fit(X, y)
    X[:5, COLUMNS.index("activity")] = 7  # a label that it does not know
    model = OnnxModel(to_onnx(pipeline, Card("energy", ("a", "b", "c"), COLUMNS, "1"), b""))
    np.testing.assert_allclose(model(X), pipeline.predict(X), atol=1e-9)
    with pytest.raises(ModelNotConvertibleError):
        quantised(to_onnx(pipeline, Card("energy", ("a", "b", "c"), COLUMNS, "1"), b""))


def test_int8_is_near_and_does_not_depend_on_the_batch() -> None:
    X, y = small(3)
    pipeline = classifier_pipeline(TreesLinearAndNetwork(rounds=12, epochs=3)).fit(X, y)
    whole = to_onnx(pipeline, card_of(3), b"")
    small_form = quantised(whole)
    weights = [
        one
        for one in onnx.load_from_string(small_form).graph.initializer
        if one.data_type == onnx.TensorProto.INT8
    ]
    assert len([one for one in weights if one.name.endswith("_quantized")]) == 2
    model = OnnxModel(small_form)
    assert model.metadata[SOURCE] == OnnxModel(whole).metadata[SOURCE]
    compared = parity(pipeline.predict_proba(X), model(X), INT8)
    assert compared.failure is None
    assert compared.largest > 1e-5  # it is not the other form
    np.testing.assert_allclose(model(X[:1]), model(X)[:1], atol=1e-6)


def test_a_family_without_a_graph_is_refused() -> None:
    X, y = small(3)
    pipeline = classifier_pipeline(LogisticRegression()).fit(np.nan_to_num(X), y)
    with pytest.raises(ModelNotConvertibleError) as caught:
        to_onnx(pipeline, card_of(3), b"")
    assert "LogisticRegression" in str(caught.value)


@pytest.fixture(scope="module")
def exported(
    folders: tuple[Path, Path], trained: ActivityTraining, trained_energy: EnergyTraining
) -> BundleBytes:
    """The pair with its exports."""
    pair = BundleBytes.read(*folders, version="7", energy_version="3")
    first, second = pair.classifier, pair.regressor
    assert trained.pipeline is not None
    assert trained_energy.pipeline is not None
    assert second is not None
    return BundleBytes(
        replace(first, onnx=to_onnx(trained.pipeline, trained.card, first.content)),
        replace(second, onnx=to_onnx(trained_energy.pipeline, trained_energy.card, second.content)),
    )


def test_the_pair_scores_by_its_exports(
    exported: BundleBytes, folders: tuple[Path, Path], toy: TrainingWindows
) -> None:
    plain = load_bundle(BundleBytes.read(*folders, version="7", energy_version="3"))
    assert plain.engines == {"activity": "sklearn", "energy": "sklearn"}
    model = load_bundle(exported)
    assert model.engines == {"activity": "onnx", "energy": "onnx"}
    assert model.notes == ()
    features = toy.features.copy()
    features[3] = np.nan
    features[5, ::3] = np.nan
    watches = ["apple-watch" if k % 2 else None for k in range(len(features))]
    expected, found = (one.score(features, toy.people, watches) for one in (plain, model))
    np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-5)
    np.testing.assert_allclose(found.kcal_per_min, expected.kcal_per_min, atol=1e-5)
    np.testing.assert_array_equal(found.in_set, expected.in_set)
    np.testing.assert_array_equal(found.familiarity, expected.familiarity)
    np.testing.assert_array_equal(model.standardised(features), plain.standardised(features))


def test_an_export_that_does_not_fit_leaves_scikit_learn_serving(
    exported: BundleBytes, trained: ActivityTraining, toy: TrainingWindows
) -> None:
    classifier, regressor = exported.classifier, exported.regressor
    assert trained.pipeline is not None
    assert regressor is not None
    of_another = to_onnx(trained.pipeline, trained.card, b"another file")
    before = onnx.load_from_string(classifier.onnx)  # as before a window's frame could be known
    before.graph.input.pop()
    for content in (of_another, b"no model", regressor.onnx, before.SerializeToString()):
        model = load_bundle(replace(exported, classifier=replace(classifier, onnx=content)))
        assert model.engines == {"activity": "sklearn", "energy": "onnx"}
        assert "scikit-learn" in model.notes[0]
        assert np.isfinite(model.score(toy.features).probabilities).all()


def test_a_file_that_is_no_model_is_an_error() -> None:
    with pytest.raises(ModelError):
        OnnxModel(b"nothing of the kind")


def test_what_is_allowed() -> None:
    truth = np.array([[0.6, 0.4], [0.3, 0.7]])
    assert parity(truth, truth, ONNX).failure is None
    assert "2e-05" in str(parity(truth, truth + 2e-5, ONNX).failure)
    assert parity(truth, truth + 0.009, INT8).failure is None
    assert "mean" in str(parity(truth, truth + 0.02, INT8).failure)
    assert "activity" in str(parity(np.array([[0.501, 0.499]]), np.array([[0.499, 0.501]]), INT8).failure)
    assert parity(truth, np.full_like(truth, np.nan), ONNX).failure is not None
    assert parity(truth, truth[:, :1], ONNX).failure is not None


@pytest.mark.soak
def test_a_hundred_swaps_leave_the_memory_as_it_is(exported: BundleBytes, toy: TrainingWindows) -> None:
    """Models are swapped as a worker swaps them: the last two are kept."""
    process, kept, after = psutil.Process(), list[ScoringModel](), list[float]()
    for _ in range(120):
        kept = [*kept[-1:], load_bundle(exported, checked=True)]
        kept[-1].score(toy.features, toy.people)
        after.append(process.memory_info().rss / 1e6)
    print(f"MB after 20 swaps {after[19]:.1f}, after 70 {after[69]:.1f}, after 120 {after[-1]:.1f}")
    assert after[-1] - after[19] < 20
