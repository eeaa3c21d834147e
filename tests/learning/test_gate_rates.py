"""How often the gate promotes: equal models rarely, however often they try; better ones mostly."""

from __future__ import annotations

import pytest

from activitymodule.learning import gate_simulation as simulation
from activitymodule.learning.gate_simulation import verdicts
from activitymodule.settings import Learning

LIMITS = Learning()


def test_equal_models_are_rarely_promoted():
    found = simulation.rates(verdicts(200, 15, 150, LIMITS))
    assert found["promoted"] <= 0.05
    assert found["better"] <= 0.05
    assert found["higher"] > 0.35, "a higher F1 alone would promote half of them"


def test_retries_promote_no_equal_model():
    """Eight challengers that are no better, judged by the same audit labels one after the other."""
    quick = LIMITS.model_copy(update={"bootstrap": 400})
    trials = {"trials": 60, "people": 15, "labels": 150, "limits": quick, "tries": 8}
    adjusted = simulation.promoted_by_retries(**trials, adjust=True)
    constant = simulation.promoted_by_retries(**trials, adjust=False)
    assert adjusted[0] == constant[0]
    assert adjusted[-1] <= 0.07
    assert constant[-1] > adjusted[-1]


def test_a_better_model_is_mostly_promoted():
    assert simulation.rates(verdicts(40, 40, 400, LIMITS, gain=0.1))["promoted"] > 0.8


@pytest.mark.soak
@pytest.mark.parametrize("people", [5, 6, 8, 12, 20, 40, 80])
def test_equal_models_for_any_number_of_people(people):
    found = simulation.rates(verdicts(1500, people, max(10 * people, 60), LIMITS, seed=1))
    # 1,500 trials: the standard error of a rate of .025 is .004
    assert found["promoted"] <= 0.035
    assert found["better"] <= 0.045


@pytest.mark.soak
def test_a_gain_of_5_points_is_promoted_by_600_labels():
    assert simulation.rates(verdicts(200, 60, 600, LIMITS, gain=0.05))["promoted"] > 0.5
