"""Confidence and conformal sets on the watches of a device model, by their labels."""

from __future__ import annotations

import numpy as np
import pytest

from activitymodule.models.calibration import conformal_sets
from activitymodule.models.recalibration import (
    Recalibration,
    by_age,
    by_device_model,
    by_held_out,
    powered,
    recalibrate,
)

ALPHA = 0.1


def overconfident(n: int, seed: int = 0, power: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities that are those of the truth to a power: too sure of themselves. (n, 4), (n,)"""
    dice = np.random.default_rng(seed)
    honest = dice.dirichlet(np.full(4, 0.6), n)
    truth = (honest.cumsum(1) > dice.random((n, 1))).argmax(1)
    return powered(honest, power), truth


def fitted(p: np.ndarray, truth: np.ndarray, days: float | np.ndarray = 0.0) -> Recalibration:
    age = np.broadcast_to(np.asarray(days, float), (len(p),))
    return recalibrate(p, truth, by_age(age, 30), alpha=ALPHA)


def test_confidence_becomes_the_accuracy_and_sets_hold_the_truth():
    coverage, off = [], []
    others, truth = overconfident(4000, seed=99)
    accuracy = (others.argmax(1) == truth).mean()
    assert others.max(1).mean() > accuracy + 0.1
    for seed in range(30):
        found = fitted(*overconfident(100, seed))
        raised = powered(others, found.power)
        assert np.array_equal(raised.argmax(1), others.argmax(1))
        off.append(raised.max(1).mean() - accuracy)
        coverage.append(conformal_sets(raised, found.quantile)[np.arange(len(truth)), truth].mean())
    assert abs(np.mean(off)) < 0.02
    assert np.mean(coverage) >= 1 - ALPHA - 0.01


def test_few_labels_change_the_confidence_little():
    p, truth = overconfident(2000)
    one, many = (fitted(p[:n], truth[:n]).power for n in (1, 2000))
    assert many < 0.5
    assert abs(np.log(one)) < abs(np.log(many))


def test_sets_hold_every_label_where_labels_are_too_few_or_too_old():
    p, truth = overconfident(40)
    assert fitted(p[:5], truth[:5]).quantile == 1
    assert fitted(p, truth).quantile < 1
    assert fitted(p, truth, days=365).quantile == 1


def test_newer_labels_count_more():
    p, right = overconfident(400)
    wrong = np.where(np.arange(400) < 200, (p.argmax(1) + 1) % 4, p.argmax(1))
    old_wrong = fitted(p, wrong, days=np.where(np.arange(400) < 200, 120, 0))
    new_wrong = fitted(p, wrong, days=np.where(np.arange(400) < 200, 0, 120))
    assert old_wrong.power > new_wrong.power
    assert powered(p, old_wrong.power).max(1).mean() > powered(p, new_wrong.power).max(1).mean()
    assert right.shape == wrong.shape


def test_a_label_that_the_model_does_not_know_is_in_no_set():
    p, truth = overconfident(60)
    truth[:12] = -1
    assert fitted(p, truth).quantile == 1


@pytest.mark.parametrize("power", [0.02, 1.0, 20.0])
def test_probabilities_stay_probabilities(power: float):
    p = np.array([[1, 0, 0], [0.5, 0.3, 0.2], [1 / 3, 1 / 3, 1 / 3]], np.float32)
    raised = powered(p, power)
    assert raised.dtype == np.float32
    assert raised.sum(1) == pytest.approx(1)
    assert np.isfinite(raised).all()
    assert np.isnan(powered(np.full((1, 3), np.nan, np.float32), power)).all()


def test_windows_are_calibrated_by_the_model_of_their_watch():
    p = np.tile(np.array([0.7, 0.2, 0.08, 0.02], np.float32), (4, 1))
    known = {"fitbit-sense": Recalibration(0.85, 0.5)}
    models = ["fitbit-sense", "new-watch", None, "new-watch"]
    found, quantiles = by_device_model(p, np.array([0.5, 0.5, 0.5, 0.99]), 0.95, models, known)
    assert found[0].max() < 0.7
    np.testing.assert_array_equal(found[1:], p[1:])
    assert quantiles.tolist() == [0.85, 0.95, 0.5, 0.99]
    assert p[0, 0] == np.float32(0.7)


def test_a_device_model_of_the_training_is_calibrated_on_people_held_out():
    p, truth = overconfident(400)
    person = np.array([f"p{k % 8}" for k in range(400)])
    model = np.array(["fitbit-sense"] * 200 + ["of-one"] * 100 + ["few"] * 19 + [""] * 81)
    person[200:300] = "alone"
    found = by_held_out(p, truth, person, model, np.ones(400), alpha=ALPHA)
    assert list(found) == ["fitbit-sense"], "neither of one person, nor of few windows, nor of no name"
    own, right = powered(p[:200], found["fitbit-sense"].power).max(1).mean(), p[:200].argmax(1) == truth[:200]
    assert right.mean() < own < p[:200].max(1).mean() - 0.5 * (p[:200].max(1).mean() - right.mean())


def test_weights_of_held_out_windows_are_relative_and_unequal_ones_count_for_fewer_labels():
    p, truth = overconfident(100)
    person, model = np.arange(100) % 4, np.full(100, "x")
    one, seven = (by_held_out(p, truth, person, model, np.full(100, w), alpha=ALPHA)["x"] for w in (1.0, 7.0))
    assert one.power == pytest.approx(seven.power)
    assert one.quantile == pytest.approx(seven.quantile)
    # most of the weight on five windows: it is those five labels, and the model's word
    heavy = np.where(np.arange(100) < 5, 100.0, 1e-6)
    five = by_held_out(p, truth, person, model, heavy, alpha=ALPHA)["x"]
    assert abs(np.log(five.power)) < abs(np.log(one.power)) / 3


def test_a_model_that_learnt_the_watch_is_believed_more_than_one_that_did_not():
    """Selected windows are harder than windows are; what models say that saw fewer people is worse."""
    p, truth = overconfident(60)
    learnt = by_held_out(p, truth, np.arange(60) % 4, np.full(60, "x"), np.ones(60), alpha=ALPHA)["x"]
    told = recalibrate(p, truth, np.ones(60), alpha=ALPHA)
    assert told.power < learnt.power < 1
    assert learnt.quantile > recalibrate(p, truth, np.ones(60), alpha=0.5).quantile


def test_sets_of_a_well_calibrated_model_are_steadier_with_its_own_probabilities():
    spread = []
    for own in (0.0, 20.0, 120.0):
        found = [
            recalibrate(
                *overconfident(40, seed, power=1.0), np.ones(40), alpha=ALPHA, own_labels=own
            ).quantile
            for seed in range(40)
        ]
        spread.append(np.std(found))
    assert spread[0] > spread[1] > spread[2]


def test_a_device_model_of_the_training_is_not_widened():
    p = np.tile(np.array([0.7, 0.2, 0.08, 0.02], np.float32), (2, 1))
    _, quantiles = by_device_model(p, np.array([0.5, 0.5]), 0.95, ["learnt", "new"], {}, {"learnt"})
    assert quantiles.tolist() == [0.5, 0.95]
