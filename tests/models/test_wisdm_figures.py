"""What the classifier reaches on real people it has never seen; docs/models.md has the figures of ten folds."""

from __future__ import annotations

import pytest

from activitymodule.settings import load
from activitymodule.workflows.training import Request, train


@pytest.fixture(scope="module")
def report(data_folder):
    recordings = data_folder / "wisdm_watch.tar.gz"
    if not recordings.exists():
        pytest.skip(f"there are no WISDM recordings at {recordings}")
    request = Request(what="activity", data=f"wisdm:{recordings}", folds=5, mirrored=True, evaluate_only=True)
    return train(request, load({}))[0].metrics


def test_macro_f1_of_people_held_out(report):
    assert (report.people, report.folds) == (40, 5)
    assert report.macro_f1 >= 0.905
    assert report.accuracy >= 0.905
    assert min(figures.f1 for figures in report.per_label.values()) >= 0.85


def test_the_other_wrist_costs_nothing(report):
    assert report.mirrored_macro_f1 == pytest.approx(report.macro_f1, abs=0.001)


def test_confidence_is_earned(report):
    assert report.ece <= 0.05


def test_conformal_sets_hold_the_truth_as_promised(report):
    assert report.conformal_coverage == pytest.approx(0.9, abs=0.02)


def test_smoothing_gains(report):
    assert report.smoothed_macro_f1 >= report.macro_f1 + 0.02
    assert report.smoothed_macro_f1 >= 0.93


def test_the_spread_over_people_is_reported(report):
    spread = report.macro_f1_over_people
    assert spread.low < report.macro_f1 < spread.high
    assert spread.sd > 0
