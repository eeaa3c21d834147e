"""Figures: equal to sklearn's, over whole people, with a spread that resampling people explains."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.metrics import f1_score, mean_absolute_error, r2_score

from activitymodule.models.activity import activity_pipeline
from activitymodule.models.evaluation.held_out import (
    activity_report,
    energy_report,
    held_out_probabilities,
    person_folds,
)


def report_of(p, truth, person, labels=("a", "b", "c"), **more):
    arguments = {"folds": 4, "alpha": 0.1, "smoothing_windows": 6, "smoothing_stay": 0.8} | more
    return activity_report(p, truth, person, np.arange(len(truth)), labels, **arguments)


def drawn(n=600, people=12, labels=3, seed=0):
    dice = np.random.default_rng(seed)
    p = dice.dirichlet(np.full(labels, 0.4), n)
    truth = (dice.random((n, 1)) > p.cumsum(1)).sum(1).clip(max=labels - 1)
    return p, truth, np.arange(n) % people


def test_folds_keep_people_whole():
    person = np.repeat([f"p{k}" for k in range(7)], 5)
    seen = []
    for learn, test in person_folds(person, 10):
        assert not set(person[learn]) & set(person[test])
        seen += list(test)
    assert sorted(seen) == list(range(35))


def test_held_out_means_never_seen():
    class Memory:
        def fit(self, X, y):
            self.classes_ = np.unique(y)
            self.seen = set(X[:, 0])
            return self

        def predict_proba(self, X):
            assert not self.seen & set(X[:, 0])
            return np.full((len(X), len(self.classes_)), 1 / len(self.classes_))

    person = np.repeat(np.arange(6), 4)
    truth = np.tile([0, 1], 12)
    p, other = held_out_probabilities(
        Memory, person[:, None].astype(float), truth, person, 2, 3, [person[:, None].astype(float)]
    )
    assert np.allclose(p.sum(1), 1)
    assert np.array_equal(p, other)


def test_a_label_that_only_one_person_has_is_not_fatal():
    person = np.repeat(np.arange(4), 30)
    truth = np.tile([0, 1, 0], 40)
    truth[person == 3] = 2
    X = (truth + np.random.default_rng(0).normal(0, 0.1, len(truth)))[:, None].astype(np.float32)
    p = held_out_probabilities(activity_pipeline, X, truth, person, 3, 4)[0]
    assert (p[person == 3, 2] == 0).all()
    assert np.allclose(p.sum(1), 1)


def test_figures_are_those_of_sklearn():
    p, truth, person = drawn()
    report = report_of(p, truth, person)
    assert report.macro_f1 == pytest.approx(f1_score(truth, p.argmax(1), average="macro"))
    assert report.accuracy == pytest.approx((p.argmax(1) == truth).mean())
    each = f1_score(truth, p.argmax(1), average=None)
    assert [figures.f1 for figures in report.per_label.values()] == pytest.approx(list(each))
    assert sum(figures.windows for figures in report.per_label.values()) == len(truth)
    json.dumps(report.as_json())


def test_the_interval_is_wider_where_people_differ():
    alike, truth, person = drawn(people=12)
    right = np.eye(3)[truth]
    wrong = np.roll(right, 1, axis=1)
    half = np.where((person < 6)[:, None], right, wrong)  # half of the people are always right, half never
    same, differing = report_of(alike, truth, person), report_of(half, truth, person)
    width = differing.accuracy_over_people.high - differing.accuracy_over_people.low
    assert width > 2 * (same.accuracy_over_people.high - same.accuracy_over_people.low)
    assert differing.accuracy_over_people.low < differing.accuracy < differing.accuracy_over_people.high


def test_energy_figures_are_those_of_sklearn():
    dice = np.random.default_rng(0)
    truth = dice.uniform(1, 10, 500)
    predicted = truth + dice.normal(0, 1, 500)
    report = energy_report(predicted, truth, np.arange(500) % 10, folds=5)
    assert report.mae == pytest.approx(mean_absolute_error(truth, predicted))
    assert report.r2 == pytest.approx(r2_score(truth, predicted))
    assert report.rmse == pytest.approx(np.sqrt(np.square(predicted - truth).mean()))
    assert report.mae_over_people.low < report.mae < report.mae_over_people.high
