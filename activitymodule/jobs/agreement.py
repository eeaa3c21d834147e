"""`activity agreement`: how right the predictions were, by the truth topic."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import typer

from activitymodule.errors import DataError
from activitymodule.settings import Settings, settings
from activitymodule.store.connection import Connection

if TYPE_CHECKING:
    import pyarrow as pa

    from activitymodule.models.evaluation.against_truth import Agreement, Score

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_WINDOWS = """
SELECT device_id, (extract(epoch FROM window_start) * 1000000)::bigint,
       (extract(epoch FROM window_end) * 1000000)::bigint, activity, smoothed_activity, kcal_per_min
FROM predictions
WHERE window_start >= %(first)s AND window_start <= %(last)s AND coverage >= %(coverage)s
  AND (%(device)s IS NULL OR device_id = %(device)s)
"""


def read_windows(
    connection: Connection,
    first: datetime,
    last: datetime,
    *,
    coverage: float = 0.0,
    device: str | None = None,
) -> pa.Table:
    """Predicted windows that start in [first, last], as lake.agreement's WINDOW_SCHEMA."""
    import pyarrow as pa

    from activitymodule.models.evaluation.against_truth import WINDOW_SCHEMA

    with connection.cursor() as cursor:
        cursor.execute(_WINDOWS, {"first": first, "last": last, "coverage": coverage, "device": device})
        rows = cursor.fetchall()
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(WINDOW_SCHEMA)
    return pa.table(
        [pa.array(column, field.type) for column, field in zip(columns, WINDOW_SCHEMA, strict=True)],
        schema=WINDOW_SCHEMA,
    )


def measure(config: Settings, since: datetime | None, coverage: float, device: str | None) -> Agreement:
    """Compare what the truth topic holds with the store."""
    import pyarrow.compute as pc

    from activitymodule.kafka.truth import read_truth
    from activitymodule.models.evaluation.against_truth import compare
    from activitymodule.store.connection import session

    truth = read_truth(config)
    if truth is None or not truth.num_rows:
        raise DataError(
            f"the truth topic {config.kafka.truth_topic} is empty: `activity generate` and `activity replay` fill it"
        )
    if device is not None:
        truth = truth.filter(pc.equal(truth.column("device_id"), device))
    if since is not None:
        truth = truth.filter(pc.greater(truth.column("end_us"), int(since.timestamp() * 1e6)))
    if not truth.num_rows:
        raise DataError(
            "the truth topic knows nothing of that watch or time; ask for more, or without a filter"
        )
    first = datetime.fromtimestamp(pc.min(truth.column("start_us")).as_py() / 1e6, UTC)
    last = datetime.fromtimestamp(pc.max(truth.column("end_us")).as_py() / 1e6, UTC)
    with session(config, read_only=True) as connection:
        windows = read_windows(connection, max(first, since or first), last, coverage=coverage, device=device)
    return compare(windows, truth, slide_seconds=config.windows.slide_seconds)


@app.command(epilog="Example: activity agreement --since 10m --json")
def agreement(
    since: str = typer.Option(
        None, help="Only windows since then: 2026-11-20T10:00 (UTC), or 30m, 12h, 7d ago."
    ),
    device: str = typer.Option(None, help="Only this watch."),
    least_coverage: float = typer.Option(
        0.0, min=0, max=1, help="Leave out windows with a smaller share of their readings, such as open ones."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print JSON for scripts."),
) -> None:
    """Compare predictions with the truth topic: accuracy, macro-F1, each activity, confusion, energy.

    A window is compared where at least 90 % of it is one activity in truth.
    """
    from activitymodule.jobs.dead_letters import moment
    from activitymodule.jobs.output import print_json

    found = measure(settings(), moment(since), least_coverage, device)
    if as_json:
        print_json(found.as_dict())
    else:
        _print(found)
    if not found.raw.compared:
        raise DataError("no window could be compared; is the scoring job running?")


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _print(found: Agreement) -> None:
    from activitymodule.jobs.output import print_table

    typer.echo(
        f"{found.raw.compared:,} windows compared of {found.expected:,} that the truth knows "
        f"({_share(found.coverage)}); {found.mixed:,} more hold a change of activity, "
        f"{found.not_scored:,} were not scored"
    )
    if not found.raw.compared:
        return
    smoothed = {one.activity: one for one in found.smoothed.classes}
    rows: list[tuple[Any, ...]] = [
        (
            one.activity,
            one.windows,
            _share(one.precision),
            _share(one.recall),
            _share(one.f1),
            _share(smoothed[one.activity].f1),
        )
        for one in found.raw.classes
    ]
    print_table(("activity", "windows", "precision", "recall", "F1", "F1 smoothed"), rows)
    for name, one in (("raw", found.raw), ("smoothed", found.smoothed)):
        typer.echo(f"{name:<9} accuracy {_share(one.accuracy)}, macro-F1 {_share(one.macro_f1)}")
    if found.kcal_mean_absolute_error is not None:
        typer.echo(
            f"energy    mean absolute error {found.kcal_mean_absolute_error:.2f} kcal/min over "
            f"{found.kcal_compared:,} windows "
            f"(truth {found.kcal_mean_truth:.2f}, predicted {found.kcal_mean_predicted:.2f} on average)"
        )
    _print_confusion(found.raw)


def _print_confusion(one: Score) -> None:
    from activitymodule.jobs.output import print_table

    rows = [(label, *counts) for label, counts in zip(one.labels, one.confusion, strict=True) if sum(counts)]
    print_table(("truth \\ predicted", *one.labels), rows, title="confusion (raw)")
