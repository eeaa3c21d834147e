"""Personas: training, and the persona of each participant in the store."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from activitymodule.behaviour.figures import centroids_figure, cluster_counts_figure
from activitymodule.behaviour.grid import grid_of
from activitymodule.behaviour.person import NAMES, People, behaviour
from activitymodule.behaviour.personas import PersonaFit, PersonaReport, fit_personas
from activitymodule.days.merging import merged
from activitymodule.errors import ConfigError, ModelError, NotEnoughDataError
from activitymodule.lake import daily
from activitymodule.models.bundle import load_model
from activitymodule.models.kinds import PERSONAS
from activitymodule.serving.checking import checked_promoted
from activitymodule.serving.record import names, serving
from activitymodule.settings import Settings
from activitymodule.store import personas as store
from activitymodule.store.connection import session
from activitymodule.workflows.behaviour.keeping import Kept, Made, keep, reachable
from activitymodule.workflows.behaviour.records import load
from activitymodule.workflows.behaviour.requests import DayTrainingRequest


@dataclass(frozen=True)
class PersonaOutcome:
    """A training: the people, the fit with its report, and where the model went."""

    people: People
    fit: PersonaFit
    kept: Kept

    @property
    def report(self) -> PersonaReport:
        """The figures of the fit."""
        return self.fit.report


@dataclass(frozen=True)
class Assignment:
    """What an assignment did. people : with enough days; new : of them without a persona of this version before;
    counts : persona -> people"""

    model_version: str
    people: int
    new: int
    counts: dict[str, int]


def train(config: Settings, request: DayTrainingRequest) -> PersonaOutcome:
    """Train personas, and register them unless they are only evaluated. Raises ConfigError, DataError,
    NotEnoughDataError, ServiceUnavailableError."""
    clusters = _clusters(request.clusters)
    reachable(config, request, (PERSONAS,))
    learned = load(config, request)
    people = behaviour(learned.grid)
    planted = None
    if learned.planted is not None:
        of = dict(zip(learned.grid.people, learned.planted, strict=True))
        planted = [of[person] for person in people.people]
    fit = fit_personas(people, clusters=clusters, seed=request.seed, planted=planted)
    return PersonaOutcome(people, fit, keep(config, request, _made(people, fit, learned.source)))


def _made(people: People, fit: PersonaFit, source: str) -> Made:
    report = fit.report

    def draw(folder: Path) -> None:
        cluster_counts_figure(report, folder / "clusters.png")
        centroids_figure(report, folder / "centroids.png")

    headline = {
        "silhouette": report.silhouette,
        "stability": report.stability.mean,
        "personas": report.clusters,
    }
    if report.planted is not None:
        headline["planted"] = report.planted
    return Made(
        PERSONAS,
        fit.pipeline,
        fit.names,
        NAMES,
        people.X,
        np.empty(0),
        len(people),
        source,
        people.synthetic,
        headline,
        report,
        draw,
    )


def _clusters(text: str) -> int | str:
    if text in ("silhouette", "elbow"):
        return text
    if text.isdigit() and 2 <= int(text) <= 20:
        return int(text)
    raise ConfigError(f"--clusters must be a number from 2 to 20, silhouette or elbow; given: {text[:40]}")


def assign(config: Settings) -> Assignment:
    """Give every participant with two weeks of daily records or more their persona by the champion, in the store.

    Raises ModelError where there is no champion, NotEnoughDataError where nobody has enough days.
    """
    found = serving(config, names(config)[PERSONAS])
    if found is None:
        raise ModelError("there are no personas yet; `activity behaviour train personas` makes them")
    version = checked_promoted(config, found)
    pipeline, card = load_model(version.stored, PERSONAS, checked=True)
    grid = grid_of(merged(daily.read(config)))
    people = behaviour(grid)
    if not len(people):
        raise NotEnoughDataError(
            "nobody has two weeks of daily records yet; personas are assigned when somebody has"
        )
    distance = np.asarray(pipeline.transform(people.X))
    number = distance.argmin(1)
    rows = [
        store.Assigned(
            person,
            card.labels[int(k)],
            int(k),
            float(distance[i, k]),
            store.Values(*(None if math.isnan(value) else float(value) for value in people.X[i])),
            grid.last,
            found.version,
        )
        for i, (person, k) in enumerate(zip(people.people, number, strict=True))
    ]
    with session(config) as connection:
        before = set(store.participants_with_persona(connection, found.version))
        store.put_personas(connection, rows)
    counts = {name: int((number == k).sum()) for k, name in enumerate(card.labels)}
    return Assignment(found.version, len(rows), len({*people.people} - before), counts)


def assign_if_any(config: Settings) -> Assignment | None:
    """The same; None where there are no personas, or nobody has enough days yet."""
    if serving(config, names(config)[PERSONAS]) is None:
        return None
    try:
        return assign(config)
    except NotEnoughDataError:
        return None


def listed(config: Settings, persona: str | None = None) -> list[store.Assigned]:
    """The personas in the store."""
    with session(config, read_only=True) as connection:
        return store.personas(connection, persona)
