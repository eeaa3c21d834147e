"""Reasons to doubt: what each says of windows whose answer is known."""

from __future__ import annotations

import doctest
import importlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from activitymodule.errors import ConfigError
from activitymodule.learning import doubt
from activitymodule.learning.doubt import REASONS, Evidence, Need, all_doubts, required
from activitymodule.learning.doubt.energy import energy, expected_kcal
from activitymodule.learning.doubt.reason import needing
from activitymodule.learning.draws import draw, draws

SURE_TO_TORN = np.array([[1, 0, 0], [0.8, 0.1, 0.1], [0.5, 0.3, 0.2], [1 / 3, 1 / 3, 1 / 3]])


def test_the_examples_hold() -> None:
    modules = [importlib.import_module(f"{doubt.__name__}.{name}") for name in REASONS]
    for module in (*modules, importlib.import_module(draw.__module__)):
        failed, tried = doctest.testmod(module)
        assert tried >= 1, module
        assert not failed


def test_a_reason_has_a_summary_and_needs_evidence() -> None:
    assert set(REASONS) == {
        "least_confidence", "margin", "entropy", "set_size", "novelty", "disagreement", "energy", "random",
    }  # fmt: skip
    for reason in REASONS.values():
        assert reason.summary
        assert reason.needs
    assert [one.name for one in needing(Need.PAST)] == ["disagreement"]


@pytest.mark.parametrize(("name", "hint"), [("margn", "margin"), ("no such thing", "least_confidence")])
def test_an_unknown_reason_is_refused_with_the_nearest(name: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        required(name)
    assert hint in str(caught.value)


@pytest.mark.parametrize("name", ["least_confidence", "margin", "entropy"])
def test_doubt_rises_from_sure_to_torn(name: str) -> None:
    values = REASONS[name](Evidence(SURE_TO_TORN, SURE_TO_TORN > 0.2, np.zeros(4)))
    assert values[0] == pytest.approx(0, abs=1e-9)
    assert np.all(np.diff(values) > 0)


@given(
    arrays(np.float32, st.tuples(st.integers(1, 20), st.integers(2, 8)), elements=st.floats(0, 1, width=32)),
)
def test_every_doubt_of_probabilities_lies_between_0_and_1(raw: np.ndarray) -> None:
    raw = raw + np.float32(1e-3)
    probabilities = raw / raw.sum(1, keepdims=True)
    evidence = Evidence(
        probabilities, probabilities > 0.3, np.zeros(len(raw)), past=np.roll(probabilities, 1, axis=1)
    )
    for name in ("least_confidence", "margin", "entropy", "set_size", "disagreement"):
        values = REASONS[name](evidence)
        assert values.shape == (len(raw),)
        assert np.all((values >= -1e-6) & (values <= 1 + 1e-6)), name


def test_what_is_not_known_is_not_doubted() -> None:
    values = all_doubts(Evidence(SURE_TO_TORN, SURE_TO_TORN > 0.2, np.arange(4) / 4))
    assert set(values) == set(REASONS)
    for name in ("novelty", "disagreement", "energy"):
        assert np.isnan(values[name]).all()
    past = np.full((4, 3), np.nan)
    past[0] = [0, 1, 0]
    familiarity = np.array([np.nan, 0.5, 1, 0], np.float32)
    evidence = Evidence(SURE_TO_TORN, SURE_TO_TORN > 0.2, np.zeros(4), past=past, familiarity=familiarity)
    partly = all_doubts(evidence)
    assert partly["disagreement"][0] == 1
    assert np.isnan(partly["disagreement"][1:]).all()
    np.testing.assert_array_equal(partly["novelty"], [np.nan, 0.5, 0, 1])


def test_the_energy_of_an_activity_is_known_for_whom_it_is_known() -> None:
    expected = expected_kcal(
        ("sitting", "jogging", "juggling"),
        np.array([70, 70, np.nan, 70]),
        np.array([0, 1, 1, 2]),
    )
    jogging_of_70_kg = 7.0 * 3.5 * 70 / 200
    assert expected[1, 0] < jogging_of_70_kg < expected[1, 1]
    assert expected[2, 0] < expected[1, 0] < expected[1, 1] < expected[2, 1]  # of anybody: a wider range
    assert np.isnan(expected[3]).all()
    kcal = np.array([jogging_of_70_kg, jogging_of_70_kg, np.nan, 1.0])
    values = energy(kcal, expected)
    assert values[0] > 1  # somebody who sits does not use what a jogger does
    assert values[1] == 0
    assert np.isnan(values[2:]).all()


def test_draws_belong_to_windows() -> None:
    assert draws(["a", "b"], [1, 2]).tolist() == [draw("a", 1, "cold"), draw("b", 2, "cold")]


def test_draws_are_even_and_of_different_purposes_independent() -> None:
    audit = np.array([draw(f"watch-{k % 50}", 10_000_000 * k, "audit", "salt") for k in range(20_000)])
    choose = np.array([draw(f"watch-{k % 50}", 10_000_000 * k, "choose", "salt") for k in range(20_000)])
    other = np.array([draw(f"watch-{k % 50}", 10_000_000 * k, "audit", "pepper") for k in range(20_000)])
    # Kolmogorov-Smirnov's distance from the even distribution, at a chance of one in a million
    for values in (audit, choose, other):
        distance = np.abs(np.sort(values) - (np.arange(20_000) + 0.5) / 20_000).max()
        assert distance < 2.7 / np.sqrt(20_000)
    assert abs(np.corrcoef(audit, choose)[0, 1]) < 0.035
    assert abs(np.corrcoef(audit, other)[0, 1]) < 0.035
    assert audit.min() >= 0
    assert audit.max() < 1
    assert draw("\udcff odd \0 name", 0, "audit") == draw("\udcff odd \0 name", 0, "audit")
