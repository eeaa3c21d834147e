"""`activity evaluate`: compare predictions with the truth topic: accuracy, macro-F1, confusion, energy."""

from __future__ import annotations

from collections.abc import Iterator

import typer

from activitymodule.errors import DataError
from activitymodule.jobs import options, output
from activitymodule.models.evaluation import against_truth
from activitymodule.settings import settings
from activitymodule.workflows import evaluation

SECTION = "Stream"

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(epilog="Example: activity evaluate --since 10m --json")
def evaluate(
    since: str = options.SINCE,
    device: str = options.DEVICE,
    least_coverage: float = typer.Option(
        0.0, min=0, max=1, help="Leave out windows with a smaller share of their readings, such as open ones."
    ),
    as_json: bool = options.JSON,
) -> None:
    """Compare predictions with the truth topic: accuracy, macro-F1, each activity, confusion, energy.

    A window is compared where at least 90 % of it is one activity in truth.
    """
    result = evaluation.evaluate(settings(), options.since_of(since), least_coverage, device)
    if as_json:
        output.print_json(result)
    else:
        _print(result)
    if not result.raw.compared:
        raise DataError("no window could be compared; is the scoring job running?")


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _print(result: against_truth.Evaluation) -> None:
    typer.echo(
        f"{result.raw.compared:,} of {result.expected:,} windows with a known truth compared "
        f"({_share(result.coverage)}); not compared: {result.mixed:,} with a change of activity, "
        f"{result.not_scored:,} not scored"
    )
    for reason, count in sorted(result.unusable_truth.items()):
        typer.echo(f"left out: {count:,} messages of the truth topic ({reason.replace('_', ' ')})", err=True)
    if not result.raw.compared:
        return
    smoothed = {one.activity: one for one in result.smoothed.classes}
    output.print_table(
        ("activity", "windows", "precision", "recall", "F1", "F1 smoothed"),
        [
            (
                one.activity,
                one.windows,
                *map(_share, (one.precision, one.recall, one.f1, smoothed[one.activity].f1)),
            )
            for one in result.raw.classes
        ],
    )
    for line in _lines(result):
        typer.echo(line)
    if result.slices:
        output.print_slices(result.slices)
    matrix = [
        (label, *counts)
        for label, counts in zip(result.raw.labels, result.raw.confusion, strict=True)
        if sum(counts)
    ]
    output.print_table(
        ("truth \\ predicted", *result.raw.labels), matrix, title="confusion matrix (not smoothed)"
    )


def _lines(result: against_truth.Evaluation) -> Iterator[str]:
    for name, one in (("raw", result.raw), ("smoothed", result.smoothed)):
        yield f"{name:<9} accuracy {_share(one.accuracy)}, macro-F1 {_share(one.macro_f1)}"
    if result.kcal_mean_absolute_error is not None:
        yield (
            f"energy    mean absolute error {result.kcal_mean_absolute_error:.2f} kcal/min over "
            f"{result.kcal_compared:,} windows (mean: true {result.kcal_mean_truth:.2f}, predicted "
            f"{result.kcal_mean_predicted:.2f})"
        )
