"""Wear retention: LightGBM and the MLlib baseline beside it, from samples to registered versions."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.pipeline import Pipeline

from activitymodule.behaviour.boosted import BoostedClassifier
from activitymodule.behaviour.figures import curves_figure
from activitymodule.behaviour.wearing.evaluation import Family, WearReport, report_of
from activitymodule.behaviour.wearing.leakage import Kept as Columns
from activitymodule.behaviour.wearing.leakage import changed_by_the_future, without_leaks
from activitymodule.behaviour.wearing.samples import Samples, cuts_of, samples_of
from activitymodule.behaviour.wearing.splits import Split, split_of
from activitymodule.lake import wear_baseline
from activitymodule.models.kinds import WEAR_BASELINE, WEAR_RETENTION
from activitymodule.settings import Settings, location
from activitymodule.streaming.hadoop_files import HadoopFiles
from activitymodule.streaming.session import spark_session
from activitymodule.workflows.behaviour.keeping import Kept, Made, keep, reachable
from activitymodule.workflows.behaviour.records import load
from activitymodule.workflows.behaviour.requests import DayTrainingRequest

LABELS = ("stays", "stops")
Say = Callable[[str], None]


@dataclass(frozen=True)
class WearOutcome:
    """The report of one model, and where it went."""

    report: WearReport
    kept: Kept


@dataclass(frozen=True)
class _Trained:
    """One family: fitted to the training part for the figures, and to all samples for what ships."""

    kind: str
    family: Family
    judged: Pipeline
    ships: Pipeline
    beside: Callable[[Path], None]


def train(
    config: Settings, request: DayTrainingRequest, *, say: Say = lambda text: None
) -> list[WearOutcome]:
    """Train, evaluate and register both; the LightGBM alone where the request has no baseline.

    Raises NotEnoughDataError where there are too few days, people or stops.
    """
    kinds = (WEAR_BASELINE, WEAR_RETENTION) if request.baseline else (WEAR_RETENTION,)
    reachable(config, request, kinds)
    learned = load(config, request)
    say("cutting the past from the future")
    samples = samples_of(learned.grid)
    split = split_of(samples, request.seed)
    cuts = cuts_of(learned.grid)
    changed = changed_by_the_future(learned.grid, cuts[len(cuts) // 2])
    columns = without_leaks(samples, split.train, changed=changed, seed=request.seed)
    X = columns.matrix()
    trained: list[_Trained] = []
    if request.baseline:
        say("MLlib's logistic regression")
        trained.append(_baseline(config, X, samples, split, tuple(columns.columns)))
    say("LightGBM")
    trained.append(_lightgbm(X, samples, split, request.seed))
    scores: dict[str, np.ndarray] = {
        one.family: np.asarray(one.judged.predict_proba(X))[:, 1] for one in trained
    }

    def draw(folder: Path) -> None:
        chosen = {name: score[split.test] for name, score in scores.items()}
        curves_figure(samples.stops[split.test], chosen, samples.synthetic, folder / "curves.png")

    outcomes = []
    for one in trained:
        say(f"{one.family}: intervals over people")
        report = report_of(
            one.family,
            samples,
            split,
            scores[one.family],
            tuple(columns.columns),
            columns.dropped,
            request.target_precision,
        )
        made = _made(one, columns, samples, report, learned.source, draw)
        outcomes.append(WearOutcome(report, keep(config, request, made)))
    return outcomes


def _lightgbm(X: np.ndarray, samples: Samples, split: Split, seed: int) -> _Trained:
    def fitted(rows: np.ndarray) -> Pipeline:
        # small trees and large leaves: of four settings the best on the validation part of 700 synthesised people
        model = BoostedClassifier(
            rounds=100,
            learning_rate=0.03,
            leaves=4,
            least_rows_a_leaf=int(np.clip(len(rows) // 40, 10, 150)),
            column_share=0.2,
            leaf_penalty=20.0,
            seed=seed,
        )
        return Pipeline([("model", model)]).fit(X[rows], samples.stops[rows].astype(int))

    every = np.arange(len(samples))
    return _Trained(WEAR_RETENTION, "lightgbm", fitted(split.train), fitted(every), lambda folder: None)


def _baseline(
    config: Settings, X: np.ndarray, samples: Samples, split: Split, columns: tuple[str, ...]
) -> _Trained:
    spark = spark_session(config, "activity-wear-retention")
    try:
        judged = wear_baseline.fit_baseline(spark, X[split.train], samples.stops[split.train], columns)
        ships = wear_baseline.fit_baseline(spark, X, samples.stops, columns)
        with tempfile.TemporaryDirectory(prefix="activity-mllib-") as here:
            # a Spark without the lake's file system runs on this machine alone
            lake = location(config.lake.folder)
            packed = wear_baseline.saved(lake if HadoopFiles(spark).knows(lake) else here, ships.mllib)
    finally:
        spark.stop()
    return _Trained(
        WEAR_BASELINE,
        "mllib-logistic",
        judged.pipeline,
        ships.pipeline,
        lambda folder: wear_baseline.write(folder, packed),
    )


def _made(
    one: _Trained,
    columns: Columns,
    samples: Samples,
    report: WearReport,
    source: str,
    draw: Callable[[Path], None],
) -> Made:
    def files(folder: Path) -> None:
        draw(folder)
        one.beside(folder)

    return Made(
        one.kind,
        one.ships,
        LABELS,
        tuple(columns.columns),
        columns.matrix(),
        samples.stops.astype(int),
        report.people,
        source,
        samples.synthetic,
        {name: figure.value for name, figure in report.figures.items()},
        report,
        files,
    )
