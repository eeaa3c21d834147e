"""Slices: the same figures of each group as of the whole."""

from __future__ import annotations

import numpy as np
import pytest

from activitymodule.models.evaluation.slices import (
    AGE_BAND,
    DEVICE_MODEL,
    Slicing,
    age_band,
    parts,
    slice_figures,
    slicings_of,
)


@pytest.mark.parametrize(
    ("years", "band"),
    [
        (None, ""),
        (float("nan"), ""),
        (0, "under 18"),
        (17.9, "under 18"),
        (18, "18 to 39"),
        (64.5, "40 to 64"),
        (65, "65 to 79"),
        (80, "80 and over"),
        (101, "80 and over"),
    ],
)
def test_ages_have_bands(years, band):
    assert age_band(years) == band


def test_groups_of_watches_become_parts_of_windows():
    slicings = slicings_of(
        {DEVICE_MODEL: {"a": "e4", "b": "apple-watch"}, AGE_BAND: {}}, ["a", "c", "b", "a"]
    )
    found = {(kind, name): rows.tolist() for kind, name, rows in parts(slicings)}
    assert found == {
        (DEVICE_MODEL, "apple-watch"): [False, False, True, False],
        (DEVICE_MODEL, "e4"): [True, False, False, True],
        (DEVICE_MODEL, "unknown"): [False, True, False, False],
    }


def test_figures_of_a_group_are_those_of_its_windows_alone():
    truth = np.array(["walk", "walk", "sit", "sit"])
    predicted = np.array(["walk", "sit", "sit", "sit"])
    one, other = slice_figures(
        [Slicing(DEVICE_MODEL, np.array(["e4", "e4", "x", "x"]))],
        truth,
        predicted,
        np.array(["p", "p", "p", "q"]),
        confidence=np.array([0.9, 0.9, 0.8, 1.0]),
        covered=np.array([True, False, True, True]),
    )
    assert (one.name, one.windows, one.people, one.accuracy, one.coverage) == ("e4", 2, 1, 0.5, 0.5)
    assert one.macro_f1 == pytest.approx(2 / 3)
    assert one.calibration_error == pytest.approx(0.4)
    assert (other.name, other.people, other.accuracy, other.confidence) == ("x", 2, 1, pytest.approx(0.9))
