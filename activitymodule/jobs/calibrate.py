"""`activity calibrate`: the champion's confidence and conformal sets on each device model."""

from __future__ import annotations

import typer

from activitymodule.jobs import options, output
from activitymodule.settings import settings
from activitymodule.store import retraining
from activitymodule.workflows import calibration

SECTION = "Labels and models"

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(epilog="Example: activity calibrate --dry-run   |   activity calibrate --undo fitbit-sense")
def calibrate(
    device_model: str = typer.Argument(None, help="Only this device model, also where it was undone."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Show the figures; record nothing."),
    undo: str = typer.Option(None, help="Undo the calibration on this device model."),
    listed: bool = typer.Option(False, "--list", help="Show the record of calibrations, newest first."),
    as_json: bool = options.JSON,
) -> None:
    """Calibrate the champion on each device model with enough audit labels (`learning.calibration_labels`).

    Confidence becomes the accuracy on its watches, and the conformal sets hold the true activity at the configured
    rate. The DAG drift_report does the same. The scorer takes it up between two batches; no model changes, and the gate
    compares models without it.
    """
    config = settings()
    if undo is not None:
        version = calibration.undo(config, undo, by_whom=retraining.who())
        typer.echo(f"the calibration of version {version} on {output.safe(undo)} is undone")
    elif listed:
        entries = calibration.record(config)
        if as_json:
            output.print_json(entries)
            return
        output.print_table(
            ("at", "version", "device model", "act", "labels", "quantile", "power", "by"),
            [
                (
                    f"{one.at:%Y-%m-%d %H:%M}",
                    one.model_version,
                    one.device_model,
                    one.act,
                    one.labels,
                    *(
                        (None, None)
                        if one.found is None
                        else (f"{one.found.quantile:.3f}", f"{one.found.power:.2f}")
                    ),
                    one.by_whom,
                )
                for one in entries
            ],
        )
    else:
        result = calibration.calibrate(config, by_whom=retraining.who(), only=device_model, dry_run=dry_run)
        if as_json:
            output.print_json(result)
            return
        typer.echo(result.summary)
        if result.device_models:
            output.print_table(_COLUMNS, map(_row, result.device_models))


_COLUMNS = ("device model", "labels", "state", "accuracy", "confidence", "coverage", "set size")


def _row(one: calibration.DeviceModelResult) -> tuple[object, ...]:
    def change(name: str) -> str | None:
        before, after = one.figures.get(f"{name}_before"), one.figures.get(f"{name}_after")
        return None if before is None or after is None else f"{before:.2f} -> {after:.2f}"

    accuracy = one.figures.get("accuracy")
    return (
        one.device_model,
        one.labels,
        one.state,
        None if accuracy is None else f"{accuracy:.2f}",
        *(change(name) for name in ("confidence", "coverage", "set_size")),
    )
