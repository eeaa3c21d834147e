"""`activity train`: train, evaluate and register an activity or energy model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import typer

from activitymodule.errors import ConfigError
from activitymodule.jobs import options, output
from activitymodule.jobs.progress import progress_bars
from activitymodule.models.evaluation import held_out
from activitymodule.settings import settings
from activitymodule.windows import catalogue
from activitymodule.workflows import training
from activitymodule.workflows.requests import TrainingRequest, What

SECTION = "Labels and models"

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(
    epilog="Examples: activity train   |   activity train activity --data wisdm:recordings/wisdm_watch.tar.gz "
    "--evaluate-only --json   |   activity train energy --data windows.parquet --promote"
)
def main(
    what: What = typer.Argument("both", help="activity, energy or both."),
    data: str = typer.Option(
        "synthetic",
        help="synthetic (people synthesised from the reference statistics), Parquet at a path (of `activity prepare`, "
        "or a table of features with kcal_per_min), or SOURCE:PATH such as wisdm:recordings.tar.gz.",
    ),
    seed: int = typer.Option(1, min=0, max=2**31 - 1, help="Same data, same seed: same model."),
    folds: int = typer.Option(
        None, min=2, help="Cross-validation folds of whole people.  [default: 10; 5 for synthetic]"
    ),
    devices: int = typer.Option(TrainingRequest.devices, min=2, help="Synthesised people."),
    minutes: int = typer.Option(TrainingRequest.minutes, min=5, help="Minutes of each synthesised person."),
    families: str = typer.Option(
        None, help="Feature families of the classifier, a,b,c.  [default: those of the acceleration]"
    ),
    promote: bool = typer.Option(
        None, "--promote/--no-promote", help="Make it champion.  [default: only where there is no champion]"
    ),
    evaluate_only: bool = typer.Option(False, help="Only evaluate: register nothing."),
    if_missing: bool = typer.Option(False, help="Do nothing for a model that has a champion."),
    mirrored: bool = typer.Option(False, help="Also evaluate on mirrored readings: the other wrist."),
    folder: Path = typer.Option(None, help="Write the model to this folder and do not register it."),
    as_json: bool = options.JSON,
) -> None:
    """Train an activity or energy model, evaluate it on people it has not seen, and register it.

    The first version of a model becomes champion; a later one with --promote (or `activity models promote`).
    """
    request = TrainingRequest(
        what=what,
        data=data,
        seed=seed,
        folds=folds,
        devices=devices,
        minutes=minutes,
        families=_families(families),
        promote=bool(promote),
        never_promote=promote is False,
        evaluate_only=evaluate_only,
        if_missing=if_missing,
        mirrored=mirrored,
        folder=folder,
    )
    with progress_bars(hidden=as_json) as begin:
        outcomes = training.train(request, settings(), begin=begin)
    if as_json:
        output.print_json(outcomes)
        return
    for outcome in outcomes:
        for line in _lines(outcome):
            typer.echo(line)
    if not outcomes:
        typer.echo("every model has a champion already; nothing to train")


def _families(text: str | None) -> tuple[str, ...] | None:
    names = options.names_of(text)
    if names is None:
        return None
    unknown = [name for name in names if name not in catalogue.FAMILIES]
    if unknown or not names:
        raise ConfigError(
            f"{unknown[0] if unknown else 'nothing'} is no feature family; the families are "
            f"{', '.join(catalogue.FAMILIES)}"
        )
    return tuple(names)


def _lines(outcome: training.Outcome) -> Iterator[str]:
    """An outcome for people."""
    m = outcome.metrics
    yield f"{outcome.kind} model on {outcome.data}: {m.people} people, {m.windows} windows, {m.folds} folds of people"
    if isinstance(m, held_out.ActivityReport):
        over = m.macro_f1_over_people
        interval = f"95 % confidence interval over people: {over.low:.3f} to {over.high:.3f}"
        yield f"  accuracy {m.accuracy:.3f}, macro-F1 {m.macro_f1:.3f} ({interval})"
        yield f"  macro-F1 of each person: mean {over.mean:.3f}, standard deviation {over.sd:.3f}"
        yield f"  smoothed: accuracy {m.smoothed_accuracy:.3f}, macro-F1 {m.smoothed_macro_f1:.3f}"
        if m.mirrored_macro_f1 is not None:
            yield f"  watches on the other wrist: macro-F1 {m.mirrored_macro_f1:.3f}"
        yield f"  expected calibration error {m.ece:.3f}"
        yield f"  conformal sets: {m.conformal_set_size:.2f} activities on average, coverage {m.conformal_coverage:.1%}"
        for part in m.slices:
            yield (
                f"  {part.kind} {part.name} ({part.people} people): accuracy {part.accuracy:.3f}, macro-F1 "
                f"{part.macro_f1:.3f}, calibration error {part.calibration_error or 0:.3f}, coverage "
                f"{part.coverage or 0:.1%}"
            )
        yield "  F1: " + ", ".join(f"{label} {one.f1:.3f}" for label, one in m.per_label.items())
    else:
        mae = m.mae_over_people
        interval = f"95 % confidence interval over people: {mae.low:.3f} to {mae.high:.3f}"
        yield f"  mean absolute error {m.mae:.3f} kcal/min ({interval})"
        yield f"  root mean square error {m.rmse:.3f}, R2 {m.r2:.3f}, mean relative error {m.mape:.1%}"
    if outcome.version:
        state = "champion" if outcome.champion else "registered; `activity models promote` makes it champion"
        yield f"  {outcome.name} version {outcome.version}: {state}"
    elif outcome.folder:
        yield f"  written to {outcome.folder}"
