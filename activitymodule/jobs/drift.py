"""`activity drift`: has what the watches send moved away from what the champion was trained on?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from activitymodule.settings import settings

if TYPE_CHECKING:
    from activitymodule.monitoring.drift import DriftReport

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(epilog="Example: activity drift --json | jq .says")
def drift(
    as_json: bool = typer.Option(False, "--json", help="Print the whole comparison as JSON."),
    record: bool = typer.Option(False, help="Open and end alarms in the store, as the watch on drift does."),
    version: str = typer.Option(None, help="A version's number.  [default: the champion]"),
    features: int = typer.Option(10, min=0, help="So many features, those that moved furthest first."),
) -> None:
    """Compare the windows of the last minutes with the champion's baseline, and say whether to retrain.

    Ends with 0 whatever it finds; `retrain` in the JSON is the recommendation.
    """
    from activitymodule.jobs.output import print_json
    from activitymodule.monitoring.drift import drift_report
    from activitymodule.registry.versions import get
    from activitymodule.store.connection import session
    from activitymodule.store.drift import merge_minutes

    config = settings()
    chosen = get(config, config.registry.classifier, version) if version else None
    with session(config) as connection:
        if record:
            merge_minutes(connection)
        report = drift_report(config, connection, record=record, version=chosen)
    if as_json:
        print_json(report.as_dict(features=features))
        return
    _print(report, features)


def _print(report: DriftReport, features: int) -> None:
    from activitymodule.jobs.output import print_table

    typer.echo(report.says)
    found = report.comparison
    if found is None or report.since is None or report.until is None:
        return
    typer.echo(
        f"  {found.windows:,} windows of {found.watches:,} watches from {report.since:%Y-%m-%d %H:%M} to "
        f"{report.until:%H:%M} UTC; {report.model_name} version {report.model_version}"
    )
    typer.echo(
        f"  what people do: moved by {found.class_shift:.2f} (bar {found.class_bar:.2f}); confidence "
        f"{found.confidence_now:.3f}, {found.confidence_expected:.3f} expected (bar {found.confidence_bar:.3f} apart)"
    )
    if features:
        print_table(
            ("feature", "now", "expected", "unit", "z", "stability index", "its bar", "over"),
            [
                (f.name, f.mean_now, f.mean_expected, f.unit, f.z, f.psi, f.psi_bar, ", ".join(f.over))
                for f in found.features[:features]
            ],
        )
