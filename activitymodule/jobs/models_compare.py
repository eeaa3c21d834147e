"""The command `compare` of `activity models`: model families on the same held-out people."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import typer

from activitymodule.jobs import options, output
from activitymodule.jobs.progress import progress_bars
from activitymodule.settings import settings
from activitymodule.workflows.model_operations import comparing
from activitymodule.workflows.model_operations.requests import ComparisonRequest

EPILOG = (
    "Examples: activity models compare   |   activity models compare --data wisdm:wisdm_watch.tar.gz --register   |   "
    "activity models compare --families random_forest,trees_and_linear --no-record --json"
)
_COLUMNS = (
    "family",
    "macro-F1",
    "95 %",
    "of a person (sd)",
    "behind",
    "p",
    "accuracy",
    "ROC-AUC",
    "precision",
    "recall",
    "calibration error",
    "calibrated",
    "fit s",
    "windows/s",
    "MB",
)


def compare(
    data: str = typer.Option("synthetic", help="As `activity train --data` takes it."),
    families: str = typer.Option(
        None, help="Families a,b,c.  [default: the textbook classifiers and models.classifier]"
    ),
    folds: int = typer.Option(ComparisonRequest.folds, min=2, help="Folds of whole people."),
    seed: int = typer.Option(
        ComparisonRequest.seed, min=0, max=2**31 - 1, help="Same data, same seed: same figures."
    ),
    devices: int = typer.Option(ComparisonRequest.devices, min=2, help="Synthesised people."),
    minutes: int = typer.Option(ComparisonRequest.minutes, min=5, help="Minutes of each synthesised person."),
    jobs: int = typer.Option(ComparisonRequest.jobs, min=1, max=64, help="Processes."),
    record: bool = typer.Option(True, "--record/--no-record", help="Keep it in MLflow, one run a family."),
    register: bool = typer.Option(
        False, help="Register the best family, trained on all people, as challenger; the gate judges it."
    ),
    folder: Path = typer.Option(None, help="Also write comparison.json and comparison.png here."),
    as_json: bool = options.JSON,
) -> None:
    """Compare model families on people they have not seen, by cross-validation on the same folds.

    Every family learns from the same windows. p is that of a Wilcoxon signed-rank test of people's macro-F1 against
    the best family, by Holm.
    """
    names = options.names_of(families)
    request = ComparisonRequest(
        data=data,
        families=tuple(names) if names else None,
        seed=seed,
        folds=folds,
        devices=devices,
        minutes=minutes,
        jobs=jobs,
        record=record,
        register=register,
        folder=folder,
    )
    with progress_bars(hidden=as_json) as begin:
        outcome = comparing.compare(request, settings(), begin=begin)
    if as_json:
        output.print_json(outcome)
        return
    _print(outcome)


def _print(outcome: comparing.Outcome) -> None:
    found = outcome.comparison
    output.print_table(
        _COLUMNS,
        [
            (
                one.family + (" *" if one.family == outcome.shipped else ""),
                one.macro_f1,
                f"{one.macro_f1_over_people.low:.3f} to {one.macro_f1_over_people.high:.3f}",
                f"{one.macro_f1_over_people.mean:.3f} ({one.macro_f1_over_people.sd:.3f})",
                one.behind,
                None if one.p_value is None else f"{one.p_value:.2g}",
                one.accuracy,
                one.roc_auc,
                one.precision,
                one.recall,
                one.ece,
                one.ece_calibrated,
                one.fit_seconds,
                round(one.windows_per_second),
                one.megabytes,
            )
            for one in found.families
        ],
        title=f"{outcome.data}: {found.windows:,} windows of {found.people} people, {found.folds} folds of people",
    )
    for line in _lines(outcome):
        typer.echo(line)


def _lines(outcome: comparing.Outcome) -> Iterator[str]:
    found = outcome.comparison
    alike = [one.family for one in found.families[1:] if not one.worse]
    yield f"best: {found.best}; not significantly worse: {', '.join(alike) or 'none'}  (*: models.classifier)"
    if outcome.mlflow_run is not None:
        yield f"recorded in MLflow as run {outcome.mlflow_run}"
    if outcome.version is not None:
        yield f"registered as version {outcome.version}, the challenger"
    if outcome.judged is not None:
        yield f"gate: {outcome.judged.state}: {outcome.judged.summary}"
