"""Personas: clusters of people by behaviour, how many there are, and how stable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import adjusted_rand_score, silhouette_score
from sklearn.pipeline import Pipeline

from activitymodule.behaviour.clusters import BehaviourScaler, CentroidClusters
from activitymodule.behaviour.person import LOGS, NAMES, ORDER, People
from activitymodule.behaviour.persona_names import names_of
from activitymodule.errors import NotEnoughDataError

DEFAULT_CLUSTERS = 5
MOST_CLUSTERS = 9
SEEDS = 10
RESAMPLES = 50
_MOST_COMPARED = 2000  # people of one silhouette, which takes the distance of each pair


@dataclass(frozen=True)
class Spread:
    """A figure over seeds or resamples: mean, standard deviation, and the central 95 %."""

    mean: float
    sd: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float] | np.ndarray) -> Spread:
        """Of (n,) values."""
        values = np.asarray(values, float)
        low, high = np.quantile(values, (0.025, 0.975))
        return cls(float(values.mean()), float(values.std()), float(low), float(high))

    def text(self) -> str:
        """Mean and interval."""
        return f"{self.mean:.3f} (95 % {self.low:.3f} to {self.high:.3f})"


@dataclass(frozen=True)
class ClusterCount:
    """The figures of one number of clusters over seeds, each fit from one start."""

    clusters: int
    silhouette: Spread
    inertia: Spread


@dataclass(frozen=True)
class Persona:
    """One persona. share : of people; centroid : of the six, in their units (median of its people); scores : the
    centroid as standard scores"""

    name: str
    people: int
    share: float
    centroid: dict[str, float]
    scores: dict[str, float]


@dataclass(frozen=True)
class PersonaReport:
    """What a fit of personas found.

    by_silhouette, by_elbow : the number of clusters that each would choose; stability : adjusted Rand index of fits
    to resamples of people against this one, over all people; planted : adjusted Rand index against the personas that
    synthesised people were made by, None where they are not known
    """

    people: int
    synthetic: bool
    clusters: int
    counts: tuple[ClusterCount, ...]
    by_silhouette: int
    by_elbow: int
    silhouette: float
    stability: Spread
    personas: tuple[Persona, ...]
    planted: float | None = None

    def chosen(self) -> str:
        """What each rule would choose."""
        return f"the silhouette would choose {self.by_silhouette} personas, the elbow {self.by_elbow}"


def persona_pipeline(clusters: int = DEFAULT_CLUSTERS, seed: int = 0, starts: int = 20) -> Pipeline:
    """The whole pipeline over the six: scaling, then K-Means."""
    return Pipeline(
        [
            ("scale", BehaviourScaler(logs=LOGS)),
            ("model", CentroidClusters(clusters, starts=starts, order=ORDER, seed=seed)),
        ]
    )


@dataclass(frozen=True)
class PersonaFit:
    """A fitted pipeline with its names, the persona of each person (n,), and its report."""

    pipeline: Pipeline
    names: tuple[str, ...]
    assigned: np.ndarray
    report: PersonaReport


def fit_personas(
    people: People,
    *,
    clusters: int | str = DEFAULT_CLUSTERS,
    seed: int = 0,
    seeds: int = SEEDS,
    resamples: int = RESAMPLES,
    planted: Sequence[str | None] | None = None,
) -> PersonaFit:
    """Personas of people with their figures.

    clusters : how many, or `silhouette` or `elbow`; planted : the true persona of each person, where it is known
    Raises NotEnoughDataError for fewer than 4 people a persona.
    """
    least = 4 * (clusters if isinstance(clusters, int) else 2)
    if len(people) < least:
        raise NotEnoughDataError(
            f"personas need {least} people with two weeks of daily records or more; there are {len(people)}; wait for "
            "more days, or ask for fewer personas"
        )
    most = min(MOST_CLUSTERS, len(people) // 4)
    counts = cluster_counts(people.X, range(2, most + 1), seeds=seeds, seed=seed)
    best = {"silhouette": by_silhouette(counts), "elbow": by_elbow(counts)}
    chosen = clusters if isinstance(clusters, int) else best[clusters]
    pipeline = persona_pipeline(chosen, seed).fit(people.X)
    assigned = pipeline.predict(people.X)
    model = pipeline["model"]
    names = names_of(model.centroids_)
    scaled = pipeline["scale"].transform(people.X)
    report = PersonaReport(
        people=len(people),
        synthetic=people.synthetic,
        clusters=chosen,
        counts=counts,
        by_silhouette=best["silhouette"],
        by_elbow=best["elbow"],
        silhouette=_silhouette(scaled, assigned, seed),
        stability=stability(people.X, assigned, chosen, resamples=resamples, seed=seed),
        personas=_personas(people.X, assigned, names, model.centroids_),
        planted=_recovery(assigned, planted),
    )
    return PersonaFit(pipeline, names, assigned, report)


def cluster_counts(
    X: np.ndarray, numbers: Sequence[int], *, seeds: int = SEEDS, seed: int = 0
) -> tuple[ClusterCount, ...]:
    """Silhouette and inertia of each number of clusters, with their spread over seeds (one start each)."""
    scaled = BehaviourScaler(logs=LOGS).fit(X).transform(X)
    found = []
    for number in numbers:
        silhouettes, inertias = [], []
        for k in range(seeds):
            model = CentroidClusters(number, starts=1, order=ORDER, seed=seed + k).fit(scaled)
            silhouettes.append(_silhouette(scaled, model.predict(scaled), seed))
            inertias.append(model.inertia_)
        found.append(ClusterCount(number, Spread.of(silhouettes), Spread.of(inertias)))
    return tuple(found)


def by_silhouette(counts: Sequence[ClusterCount]) -> int:
    """The number of the greatest mean silhouette (Rousseeuw 1987)."""
    return max(counts, key=lambda one: one.silhouette.mean).clusters


def by_elbow(counts: Sequence[ClusterCount]) -> int:
    """The number furthest below the line from the first to the last inertia, both scaled to 0..1 (Satopaa et al. 2011).

    Of the lowest inertia over seeds: a start that went wrong says nothing about the number.
    """
    if len(counts) < 3:
        return counts[0].clusters
    x = np.linspace(0, 1, len(counts))
    y = np.array([one.inertia.low for one in counts])
    reach = y[0] - y[-1]
    if reach <= 0:
        return counts[0].clusters
    return counts[int(np.argmax((1 - x) - (y - y[-1]) / reach))].clusters


def stability(
    X: np.ndarray, assigned: np.ndarray, clusters: int, *, resamples: int = RESAMPLES, seed: int = 0
) -> Spread:
    """Adjusted Rand index (Hubert and Arabie 1985) of the whole pipeline fitted to people drawn with replacement,
    compared with `assigned` on all people."""
    dice = np.random.default_rng(seed)
    scores = []
    for k in range(resamples):
        drawn = dice.integers(0, len(X), len(X))
        model = persona_pipeline(clusters, seed + 1 + k, starts=5).fit(X[drawn])
        scores.append(adjusted_rand_score(assigned, model.predict(X)))
    return Spread.of(scores)


def _silhouette(scaled: np.ndarray, assigned: np.ndarray, seed: int) -> float:
    if len(np.unique(assigned)) < 2:
        return 0.0
    size = _MOST_COMPARED if len(scaled) > _MOST_COMPARED else None
    return float(silhouette_score(scaled, assigned, sample_size=size, random_state=seed))


def _personas(
    X: np.ndarray, assigned: np.ndarray, names: tuple[str, ...], centroids: np.ndarray
) -> tuple[Persona, ...]:
    found = []
    for k, name in enumerate(names):
        own = X[assigned == k]
        middle = [
            float(np.nanmedian(column)) if (~np.isnan(column)).any() else float("nan") for column in own.T
        ]
        found.append(
            Persona(
                name,
                len(own),
                len(own) / max(len(X), 1),
                dict(zip(NAMES, middle, strict=True)),
                dict(zip(NAMES, map(float, centroids[k]), strict=True)),
            )
        )
    return tuple(found)


def _recovery(assigned: np.ndarray, planted: Sequence[str | None] | None) -> float | None:
    if planted is None:
        return None
    known = np.array([one is not None for one in planted])
    if not known.any():
        return None
    truth = np.array([str(one) for one in planted], object)[known]
    return float(adjusted_rand_score(truth.astype(str), assigned[known]))
