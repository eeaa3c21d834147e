"""Personas: those that people were made by are found again, named by the rule, and stable."""

from __future__ import annotations

import numpy as np
import pytest
from day_records import persona_of

from activitymodule.behaviour.grid import DayGrid
from activitymodule.behaviour.person import NAMES, People, behaviour
from activitymodule.behaviour.persona_names import names_of
from activitymodule.behaviour.personas import ClusterCount, Spread, by_elbow, by_silhouette, fit_personas
from activitymodule.errors import NotEnoughDataError


def test_made_up_personas_are_found_again(grid: DayGrid) -> None:
    people = behaviour(grid)
    planted = [persona_of(person) for person in people.people]
    fit = fit_personas(people, clusters=4, seeds=2, resamples=4, planted=planted)
    report = fit.report
    assert report.planted is not None
    assert report.planted > 0.8
    assert report.synthetic
    assert len(set(fit.names)) == 4
    assert sum(one.people for one in report.personas) == len(people)
    # numbered from the most active on, whatever the seed
    energy = [one.scores["energy"] for one in report.personas]
    assert energy[0] == max(energy)
    again = fit_personas(people, clusters=4, seeds=2, resamples=2, seed=9)
    assert np.mean(again.assigned == fit.assigned) > 0.85
    assert 0 < report.stability.low <= report.stability.mean <= 1


def test_missing_behaviour_is_the_mean_persons(grid: DayGrid) -> None:
    people = behaviour(grid)
    X = people.X.copy()
    X[:, 5] = np.nan
    fit = fit_personas(People(people.people, X, False), clusters=3, seeds=2, resamples=2)
    assert {one.scores["steadiness"] for one in fit.report.personas} == {0.0}


def test_too_few_people(grid: DayGrid) -> None:
    with pytest.raises(NotEnoughDataError):
        fit_personas(behaviour(grid.take(np.arange(10))))


def test_the_rule_of_names() -> None:
    def centroid(**scores: float) -> list[float]:
        return [scores.get(name, 0.0) for name in NAMES]

    names = names_of(
        np.array(
            [
                centroid(frequency=1.5, energy=1.0, variety=1.2),
                centroid(rhythm=1.8, variety=0.6),
                centroid(rhythm=1.8, variety=-0.6),
                centroid(recency=1.1, frequency=-1.6, energy=-1.4),
                centroid(recency=-1.1, frequency=-1.6, energy=-1.4, steadiness=-0.7),
                centroid(frequency=0.1),
                centroid(frequency=0.1),
            ]
        )
    )
    assert names == (
        "very active, all-round",
        "moderately active, at weekends, all-round",
        "moderately active, at weekends, single-sport",
        "inactive, lapsed",
        "inactive, fluctuating",
        "moderately active",
        "moderately active 2",
    )


def test_the_number_by_silhouette_and_elbow() -> None:
    def count(clusters: int, silhouette: float, inertia: float) -> ClusterCount:
        return ClusterCount(clusters, Spread.of([silhouette] * 2), Spread.of([inertia] * 2))

    counts = [count(2, 0.3, 100), count(3, 0.4, 60), count(4, 0.5, 25), count(5, 0.45, 22), count(6, 0.4, 20)]
    assert by_silhouette(counts) == 4
    assert by_elbow(counts) == 4
