"""A model family is one class and one entry: it trains, is stored, is loaded and scores like the shipped one."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest

from activitymodule.errors import ConfigError, ModelError
from activitymodule.learning.gate import examine
from activitymodule.models import families
from activitymodule.models.bundle import BundleBytes, load_bundle
from activitymodule.models.dataset import TrainingWindows
from activitymodule.models.export import trusted, write_folder
from activitymodule.models.families import CLASSIFIERS, classifier_family
from activitymodule.models.training import train_activity
from activitymodule.settings import Settings, Windows, load
from activitymodule.windows.catalogue import FEATURE_NAMES

NEAREST_MEAN = '''
import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin


class NearestMean(ClassifierMixin, BaseEstimator):
    """Softmax of the distances to the means of the classes, by standard scores."""

    def __init__(self, *, seed=0):
        self.seed = seed

    def fit(self, X, y, sample_weight=None):
        self.classes_ = np.unique(y)
        self.n_features_in_ = X.shape[1]
        self.centre_, self.scale_ = X.mean(0), X.std(0) + 1e-6
        z = (X - self.centre_) / self.scale_
        self.means_ = np.stack([z[y == code].mean(0) for code in self.classes_])
        return self

    def predict_proba(self, X):
        z = (X - self.centre_) / self.scale_
        score = -((z[:, None] - self.means_) ** 2).mean(2)
        odds = np.exp(score - score.max(1, keepdims=True))
        return odds / odds.sum(1, keepdims=True)
'''


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings whose classifier is a family of a temporary module."""
    (tmp_path / "nearest_mean_family.py").write_text(NEAREST_MEAN)
    monkeypatch.syspath_prepend(tmp_path)
    family = importlib.import_module("nearest_mean_family").NearestMean
    monkeypatch.setitem(CLASSIFIERS, "nearest_mean", family)
    settings = load({})
    return settings.model_copy(
        update={"models": settings.models.model_copy(update={"classifier": "nearest_mean"})}
    )


def test_a_new_family_is_one_class_and_one_entry(
    config: Settings, toy: TrainingWindows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = train_activity(toy, config, folds=3)
    assert trained.pipeline is not None
    assert type(trained.pipeline["model"]).__name__ == "NearestMean"
    assert trained.report.macro_f1 > 0.5
    folder = tmp_path / "model"
    folder.mkdir()
    write_folder(folder, trained.pipeline, trained.card, trained.report.as_json(), config.models)
    bundle = BundleBytes.read(folder, version="1")
    model = load_bundle(bundle)
    columns = [FEATURE_NAMES.index(name) for name in trained.card.feature_names]
    own = trained.pipeline.predict_proba(toy.features[:, columns]).astype(np.float32)
    np.testing.assert_allclose(model.score(toy.features).probabilities, own, rtol=1e-4)
    assert model.standardised(toy.features) is not None
    candidate = examine(bundle.classifier, toy.features, Windows(), max_megabytes=50)
    assert candidate.refusal is None
    # without its entry it is not trusted
    monkeypatch.delitem(CLASSIFIERS, "nearest_mean")
    with pytest.raises(ModelError):
        load_bundle(bundle)


def test_the_shipped_families_are_trusted_under_their_old_paths() -> None:
    assert {
        "activitymodule.models.activity.TreesAndLinear",
        "activitymodule.models.energy.BoostedTrees",
    } <= set(trusted())
    assert classifier_family(load({}).models.classifier) is families.TreesLinearAndNetwork


def test_an_unknown_family_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError) as caught:
        classifier_family("trees_and_liner")
    assert "trees_and_linear" in str(caught.value)
