"""`activity evaluate` on a real store and broker."""

from __future__ import annotations

import json

import pytest

from activitymodule.errors import DataError
from activitymodule.jobs import evaluate


@pytest.mark.integration
def test_evaluate(run, scored):
    found = json.loads(run(evaluate, "--json"))
    assert found["raw"]["compared"] == 10
    assert found["raw"]["accuracy"] == 0.9
    assert found["coverage"] == 1
    assert found["kcal_mean_absolute_error"] == pytest.approx(1)
    printed = run(evaluate, "--since", "10m")
    assert "accuracy 90.0%" in printed
    assert json.loads(run(evaluate, "--json", "--device", "watch-1"))["raw"]["accuracy"] == 1
    with pytest.raises(DataError):
        run(evaluate, "--device", "nobody")


@pytest.mark.integration
def test_evaluate_without_truth_is_refused(run):
    with pytest.raises(DataError):
        run(evaluate)
