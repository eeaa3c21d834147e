"""A challenger: the champion's recipe on more, the same each time."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from activitymodule.errors import NotEnoughDataError
from activitymodule.learning.challenger import families_of, headline, train_challenger, write_challenger
from activitymodule.learning.gold import GoldWindows
from activitymodule.learning.training_set import training_set
from activitymodule.models.activity import feature_names
from activitymodule.models.dataset import TrainingWindows
from activitymodule.models.energy import PersonColumns
from activitymodule.models.export import CARD_FILE, MODEL_FILE
from activitymodule.settings import Settings
from activitymodule.windows.catalogue import FEATURE_NAMES, MOTION_FAMILIES


def base_and_gold(seed: int = 0) -> tuple[TrainingWindows, GoldWindows]:
    """Three people of the base; labels of eight whose activities lie elsewhere."""
    dice = np.random.default_rng(seed)

    def rows(code: np.ndarray, shift: float) -> np.ndarray:
        X = dice.normal(size=(len(code), len(FEATURE_NAMES))).astype(np.float32)
        X[:, :40] += (1.2 * code + shift)[:, None]
        return X

    code, gold_code = np.arange(90) % 3, np.arange(80) % 3
    names = np.array(["resting", "rowing", "skiing"])
    base = TrainingWindows(
        features=rows(code, 0),
        activity=names[code],
        person=np.array([f"p{k // 30}" for k in range(90)]),
        run=np.arange(90) // 10,
        kcal_per_min=np.full(90, np.nan, np.float32),
        people=PersonColumns.unknown(90),
    )
    gold = GoldWindows(
        device_id=np.array([f"w{k % 8}" for k in range(80)]),
        person=np.array([f"w{k % 8}" for k in range(80)]),
        window_us=np.arange(80, dtype=np.int64) * 10**9,
        label=names[gold_code],
        stratum=np.full(80, "doubt"),
        propensity=np.full(80, 0.5),
        features=rows(gold_code, 0.8),
    )
    return base, gold


def test_same_labels_same_seed_same_model(tmp_path):
    base, gold = base_and_gold()
    training, config = training_set(base, gold), Settings()
    made = []
    for name in ("one", "two"):
        trained = train_challenger(training, config, folds=2, seed=3)
        folder = tmp_path / name
        folder.mkdir()
        sha256 = write_challenger(folder, trained, training, config)
        assert (folder / "drift.npz").is_file()
        assert json.loads((folder / CARD_FILE).read_text())["labels"] == ["resting", "rowing", "skiing"]
        assert (folder / MODEL_FILE).stat().st_size > 0
        made.append(
            (sha256, trained.pipeline.predict_proba(training.windows.features[:, : len(feature_names())]))
        )
    assert np.array_equal(made[0][1], made[1][1])
    assert set(headline(trained)) >= {"macro_f1", "ece"}


def test_weights_count():
    """Labels that contradict the base win where they weigh more."""
    base, gold = base_and_gold()
    wrong = replace(
        gold, features=base.features[:80], label=np.roll(np.unique(base.activity), 1)[np.arange(80) % 3]
    )
    config, share = Settings(), []
    columns = [FEATURE_NAMES.index(name) for name in feature_names()]
    for weight in (0.01, 50.0):
        training = training_set(base, wrong, label_weight=weight)
        trained = train_challenger(training, config, folds=2, seed=0)
        said = np.array(trained.card.labels)[trained.pipeline.predict(base.features[:80][:, columns])]
        share.append(float((said == wrong.label).mean()))
    assert share[0] < 0.2
    assert share[1] > 0.8


def test_without_labels_there_is_no_challenger():
    base, _ = base_and_gold()
    with pytest.raises(NotEnoughDataError):
        train_challenger(training_set(base, GoldWindows.none()), Settings())


def test_families_from_the_names_on_a_card():
    assert families_of(feature_names()) == MOTION_FAMILIES
    assert families_of(feature_names(("spectrum", "heart"))) == ("spectrum", "heart")
    assert families_of(("no such feature",)) == MOTION_FAMILIES
    assert families_of(feature_names(("spectrum",))[:-1]) == MOTION_FAMILIES
