"""Thresholds: the least confidence that is precise enough, with its figures on held-out people."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from activitymodule.errors import ModelError
from activitymodule.models.bundle import BundleBytes, load_bundle
from activitymodule.models.thresholds import (
    THRESHOLD_FILE,
    Thresholds,
    choose_thresholds,
    read_thresholds,
    write_thresholds,
)
from activitymodule.models.training import ActivityTraining

LABELS = ("resting", "rowing", "climbing")


def held_out(n: int = 3000, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Calibrated probabilities of three labels, the truth drawn from them, and people."""
    dice = np.random.default_rng(seed)
    probabilities = dice.dirichlet(np.full(3, 0.5), n)
    truth = (probabilities.cumsum(1) < dice.random(n)[:, None]).sum(1)
    return probabilities, truth, np.array([f"p{k % 15}" for k in range(n)])


def test_it_is_the_least_that_is_precise_enough() -> None:
    probabilities, truth, person = held_out()
    found = choose_thresholds(probabilities, truth, person, LABELS, target=0.9, folds=5)
    confidence, predicted = probabilities.astype(np.float32).max(1), probabilities.argmax(1)
    for k, label in enumerate(LABELS):
        one = found.activities[label]
        assert one.confidence is not None
        own = (predicted == k) & (confidence >= np.float32(one.confidence))
        assert one.decided == own.sum()
        assert one.precision == pytest.approx((truth[own] == k).mean())
        assert one.precision >= 0.9
        assert one.recall == pytest.approx((own & (truth == k)).sum() / (truth == k).sum())
        assert one.recall_interval is not None
        assert one.recall_interval.low < one.recall < one.recall_interval.high
        # every lower confidence that occurs would be less precise
        for lower in np.unique(confidence[(predicted == k) & (confidence < np.float32(one.confidence))]):
            assert (truth[(predicted == k) & (confidence >= lower)] == k).mean() < 0.9
        # chosen on other people it holds about as well
        assert one.precision_on_others == pytest.approx(0.9, abs=0.05)
    decided = confidence >= found.confidences(LABELS)[predicted]
    assert found.decided == pytest.approx(decided.mean())
    assert found.precision == pytest.approx((predicted == truth)[decided].mean())


def test_a_higher_target_decides_less() -> None:
    data = held_out()
    shares = [choose_thresholds(*data, LABELS, target=t, folds=5).decided for t in (0.5, 0.8, 0.9, 0.97)]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > 0.95


def test_an_activity_that_cannot_reach_it_has_none(tmp_path: Path) -> None:
    probabilities, truth, person = held_out()
    wrong = np.where(probabilities.argmax(1) == 1, 2, truth)  # what is called rowing is climbing
    found = choose_thresholds(probabilities, wrong, person, LABELS, target=0.9, folds=5)
    rowing = found.activities["rowing"]
    assert (rowing.confidence, rowing.decided, rowing.precision, rowing.recall) == (None, 0, None, 0.0)
    assert np.isinf(found.confidences(LABELS)[1])
    write_thresholds(tmp_path, found)
    assert read_thresholds(tmp_path) == found
    # a few windows, or those of one person, prove nothing
    few = choose_thresholds(probabilities[:20], truth[:20], person[:20], LABELS, target=0.5, folds=2)
    assert few.decided == 0
    one = np.where(probabilities.argmax(1) == 0, "p0", person)
    assert (
        choose_thresholds(probabilities, truth, one, LABELS, target=0.5, folds=5)
        .activities["resting"]
        .confidence
        is None
    )


def test_windows_of_one_confidence_are_decided_together() -> None:
    # 30 windows of .9, all right, and 30 of .8, of which the first ten are right
    probabilities = np.repeat([[0.9, 0.1], [0.8, 0.2]], 30, axis=0)
    truth = np.r_[np.zeros(40, int), np.ones(20, int)]
    person = np.tile(["a", "b", "c"], 20)
    found = choose_thresholds(probabilities, truth, person, ("x", "y"), target=0.95, folds=3)
    assert found.activities["x"].confidence == pytest.approx(0.9)


def test_a_version_carries_them(
    trained: ActivityTraining, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    assert trained.thresholds is not None
    assert trained.report.recall_at_precision == trained.thresholds.recall
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("model.skops", "model.json"):
        (folder / name).write_bytes((folders[0] / name).read_bytes())
    assert load_bundle(BundleBytes.read(folder, version="1")).thresholds is None, "one of before"
    write_thresholds(folder, trained.thresholds)
    model = load_bundle(BundleBytes.read(folder, version="1"))
    assert model.thresholds is not None
    np.testing.assert_array_equal(model.thresholds, trained.thresholds.confidences(trained.card.labels))
    # what does not fit is passed over: the model serves without it
    (folder / THRESHOLD_FILE).write_text("{}")
    assert load_bundle(BundleBytes.read(folder, version="1")).thresholds is None
    with pytest.raises(ModelError):
        Thresholds.from_json("{}")
