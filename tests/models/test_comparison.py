"""The comparison of families: the same folds for all, figures of held-out people, and a test over people."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import wilcoxon

from activitymodule.errors import ConfigError, NotEnoughDataError
from activitymodule.models.comparison import compare_families, holm, paired_p_value
from activitymodule.models.dataset import TrainingWindows
from activitymodule.models.figures import comparison_figure
from activitymodule.models.training import train_activity
from activitymodule.settings import Settings


def test_families_are_compared_on_people_held_out(
    toy: TrainingWindows, config: Settings, tmp_path: Path
) -> None:
    calls = []
    names = ("decision_tree", "logistic_regression", "nearest_neighbours")
    found = compare_families(
        toy, config, names, folds=3, seed=1, jobs=1, progress=lambda done, of: calls.append((done, of))
    )
    assert calls[-1] == (9, 9)
    assert {one.family for one in found.families} == set(names)
    assert [one.macro_f1 for one in found.families] == sorted(
        (one.macro_f1 for one in found.families), reverse=True
    )
    best = found.families[0]
    assert found.best == best.family
    assert best.p_value is None
    assert best.roc_auc > 0.9
    for one in found.families[1:]:
        own, top = (np.array(found.person_macro_f1[name]) for name in (one.family, best.family))
        assert one.behind == pytest.approx((top - own).mean())
        assert one.p_value is not None
        assert one.p_value >= paired_p_value(top - own)
    assert all(
        one.fit_seconds > 0 and one.windows_per_second > 0 and one.megabytes > 0 for one in found.families
    )
    json.dumps(found.as_json())
    comparison_figure(found, tmp_path / "comparison.png")
    assert (tmp_path / "comparison.png").stat().st_size > 10_000


def test_its_figures_are_those_of_a_training(toy: TrainingWindows, config: Settings) -> None:
    own = config.model_copy(
        update={"models": config.models.model_copy(update={"classifier": "logistic_regression"})}
    )
    report = train_activity(toy, own, folds=3, seed=1).report
    found = compare_families(toy, own, ("logistic_regression",), folds=3, seed=1, jobs=1).families[0]
    assert found.macro_f1 == pytest.approx(report.macro_f1)
    assert found.macro_f1_over_people == report.macro_f1_over_people
    # a training chooses the power by held-out people
    assert found.ece_calibrated == pytest.approx(report.ece)


def test_copies_are_learnt_and_never_tested(toy: TrainingWindows, config: Settings) -> None:
    copied = np.arange(len(toy)) % 2 == 1
    data = TrainingWindows(
        toy.features, toy.activity, toy.person, toy.run, toy.kcal_per_min, toy.people, copied
    )
    found = compare_families(data, config, ("decision_tree",), folds=2, jobs=1)
    assert (found.windows, found.copies) == ((~copied).sum(), copied.sum())


def test_what_cannot_be_compared_is_refused(toy: TrainingWindows, config: Settings) -> None:
    with pytest.raises(ConfigError):
        compare_families(toy, config, ("random_wood",))
    with pytest.raises(NotEnoughDataError):
        compare_families(toy.take(toy.activity == "rowing"), config, ("decision_tree",))


def test_p_values_over_people() -> None:
    difference = np.random.default_rng(0).normal(0.05, 0.05, 20)
    assert paired_p_value(difference) == pytest.approx(wilcoxon(difference).pvalue)
    assert paired_p_value(np.zeros(9)) == 1.0
    # Holm (1979): the smallest times 4, the next times 3, never falling
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []
