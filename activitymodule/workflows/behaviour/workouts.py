"""Workout type and calories: training of both families, and the size study."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from activitymodule.behaviour import sizes, workouts
from activitymodule.behaviour.figures import calories_figure, sizes_figure
from activitymodule.behaviour.workouts import Rows, Target, WorkoutReport
from activitymodule.errors import NotEnoughDataError
from activitymodule.models.figures import confusion_figure
from activitymodule.models.kinds import WORKOUT_CALORIES, WORKOUT_TYPE
from activitymodule.settings import Settings
from activitymodule.workflows.behaviour.keeping import Kept, Made, keep, reachable
from activitymodule.workflows.behaviour.records import Learned, load
from activitymodule.workflows.behaviour.requests import UNBOUNDED_TREES, DayTrainingRequest

KINDS: dict[Target, str] = {"type": WORKOUT_TYPE, "calories": WORKOUT_CALORIES}
Say = Callable[[str], None]


@dataclass(frozen=True)
class WorkoutOutcome:
    """One family of one target; skipped : why there is none."""

    target: Target
    report: WorkoutReport | None = None
    kept: Kept | None = None
    skipped: str | None = None


def train(
    config: Settings, request: DayTrainingRequest, *, say: Say = lambda text: None
) -> list[WorkoutOutcome]:
    """Train, evaluate and register both targets by both families; the better family may become champion.

    Recorded days without workouts have calories only. say : called with what begins
    """
    reachable(config, request, tuple(KINDS.values()))
    learned = load(config, request)
    outcomes: list[WorkoutOutcome] = []
    failed: NotEnoughDataError | None = None
    targets: tuple[Target, ...] = ("type", "calories")
    for target in targets:
        try:
            rows = workouts.rows_of(learned.grid, target, learned.body)
        except NotEnoughDataError as error:
            outcomes.append(WorkoutOutcome(target, skipped=str(error)))
            failed = error
            continue
        outcomes += _both(config, request, rows, learned, say)
    if failed is not None and all(one.report is None for one in outcomes):
        raise failed
    return outcomes


def _both(
    config: Settings, request: DayTrainingRequest, rows: Rows, learned: Learned, say: Say
) -> list[WorkoutOutcome]:
    found: list[tuple[WorkoutReport, np.ndarray]] = []
    for family in workouts.FAMILIES:
        say(f"workout {rows.target}: {family}, people held out")
        found.append(workouts.evaluate(rows, family, folds=request.folds, seed=request.seed))
    best = workouts.best([report for report, _ in found])
    # the champion last: it is the newest version then
    found.sort(key=lambda one: one[0] is best)
    outcomes = []
    for report, predicted in found:
        kept = Kept(KINDS[rows.target])
        if not request.evaluate_only:
            made = _made(request, rows, report, predicted, learned.source)
            kept = keep(config, request, made, best=report is best)
        outcomes.append(WorkoutOutcome(rows.target, report, kept))
    return outcomes


def _made(
    request: DayTrainingRequest, rows: Rows, report: WorkoutReport, predicted: np.ndarray, source: str
) -> Made:
    pipeline = workouts.pipeline_of(rows, report.family, request.seed).fit(rows.X, rows.y)

    def draw(folder: Path) -> None:
        if rows.target == "type":
            n = len(rows.labels)
            counts = np.bincount(rows.y * n + predicted, minlength=n * n).reshape(n, n)
            confusion_figure(counts, rows.labels, folder / "confusion_matrix.png")
        else:
            calories_figure(rows.y, predicted, rows.synthetic, folder / "calories.png")

    return Made(
        KINDS[rows.target],
        pipeline,
        rows.labels,
        rows.columns,
        rows.X,
        rows.y,
        report.people,
        source,
        rows.synthetic,
        {name: figure.value for name, figure in report.figures.items()},
        report,
        draw,
    )


def size_study(
    config: Settings,
    request: DayTrainingRequest,
    *,
    unbounded_trees: int = UNBOUNDED_TREES,
    most_people: int | None = None,
    figure: Path | None = None,
    say: Say = lambda text: None,
) -> sizes.SizeStudy:
    """The size study on the days that the request names; most_people : of so many at the most, drawn at random;
    figure : a picture to write."""
    learned = load(config, request)
    rows = workouts.rows_of(learned.grid, "calories", learned.body)
    people = np.unique(rows.person)
    if most_people is not None and most_people < len(people):
        some = np.random.default_rng(request.seed).choice(people, most_people, replace=False)
        rows = rows.take(np.isin(rows.person, some))
    with tempfile.TemporaryDirectory(prefix="activity-sizes-") as folder:
        found = sizes.study(rows, Path(folder), sizes.recipes(unbounded_trees), seed=request.seed, say=say)
    if figure is not None:
        sizes_figure(found.forests, rows.synthetic, figure)
    return found
