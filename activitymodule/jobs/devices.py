"""`activity devices`: set and list the device models of watches, show device profiles."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

import typer

from activitymodule.errors import NotFoundError
from activitymodule.jobs import options, output
from activitymodule.settings import settings
from activitymodule.store import connection as store
from activitymodule.store import devices
from activitymodule.telemetry import profiles
from activitymodule.workflows import devices as workflow

SECTION = "Stream"

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    epilog="Example: activity devices set strap-1 empatica-e4",
)

_DEVICE = typer.Argument(..., help="The watch's device_id.")


class Wrist(StrEnum):
    """Where a watch is worn."""

    left = "left"
    right = "right"


@app.command("list", epilog="Example: activity devices list --json")
def list_(as_json: bool = options.JSON) -> None:
    """List the watches whose device model is known, and say how many recent ones have none."""
    with store.session(settings(), read_only=True) as connection:
        found = list(devices.all_devices(connection))
        without = devices.watches_without_model(connection)
    if as_json:
        output.print_json({"devices": found, "recent_watches_without_model": without})
        return
    if found:
        output.print_table(
            ("watch", "device model", "profile", "wrist", "set by", "updated (UTC)"),
            [
                (
                    one.device_id,
                    one.device_model or "",
                    profile.name
                    if (profile := profiles.profile_of(one.device_model))
                    else "none: taken as sent",
                    one.wrist or "",
                    one.source,
                    one.updated_at,
                )
                for one in found
            ],
        )
    if without or not found:
        typer.echo(
            f"{without:,} watches with a window in the last hour have no device model: readings are taken as sent"
        )


@app.command("set", epilog="Example: activity devices set strap-1 'Empatica E4' --wrist left")
def set_(
    device: str = _DEVICE,
    model: str = typer.Argument(..., help="A device profile, or the name of a model that has none."),
    wrist: Wrist = typer.Option(
        None, help="Where it is worn; for people who read, no feature depends on it."
    ),
    as_json: bool = options.JSON,
) -> None:
    """Set the device model of a watch. The stream follows within seconds; what is scored already stays as it is
    (`activity backfill --again --device NAME` scores it anew)."""
    setting = devices.Setting(device, model, wrist.value if wrist else None)
    store.transact(settings(), lambda connection: devices.set_devices(connection, [setting], "command"))
    with store.session(settings(), read_only=True) as connection:
        now = devices.device_of(connection, device)
    assert now is not None
    if as_json:
        output.print_json(now)
    else:
        typer.echo(f"the watch {device} is {now.device_model}")
    if remark := workflow.remark_on(now.device_model):
        typer.echo(remark, err=True)


@app.command(epilog="Example: activity devices unset strap-1")
def unset(device: str = _DEVICE) -> None:
    """Forget the device model of a watch. From then on its messages decide."""
    store.transact(settings(), lambda connection: devices.unset_device(connection, device))
    typer.echo(f"the watch {device} has no device model")


@app.command("import", epilog="Example: activity devices import watches.csv")
def import_(
    path: Path = typer.Argument(..., help="A CSV with the header device_id,device_model and perhaps wrist."),
    as_json: bool = options.JSON,
) -> None:
    """Set the device models of many watches by a file: all of them, or none."""
    read = workflow.import_csv(settings(), path)
    models = sorted({one.device_model for one in read})
    if as_json:
        output.print_json({"devices": len(read), "models": models})
    else:
        typer.echo(f"set {len(read):,} watches: {', '.join(models)}")
    for remark in sorted({workflow.remark_on(model) for model in models} - {""}):
        typer.echo(remark, err=True)


@app.command("profiles", epilog="Example: activity devices profiles empatica-e4")
def profiles_(
    model: str = typer.Argument(None, help="Only the profile of this model."), as_json: bool = options.JSON
) -> None:
    """Show device profiles: axes, sign, rate, range and where they are published."""
    shown = list(profiles.profiles().values())
    if model is not None:
        one = profiles.profile_of(model)
        if one is None:
            raise NotFoundError(
                f"there is no device profile {model!a}; there are {', '.join(profiles.profiles())}"
            )
        shown = [one]
    if as_json:
        output.print_json(shown)
        return
    output.print_table(
        ("profile", "name", "x, y, z are the sensor's", "sign", "Hz", "g", "source"),
        [
            (
                one.id,
                one.name,
                f"{one.axes.x}, {one.axes.y}, {one.axes.z}",
                one.sign,
                one.rate_hz or "",
                one.range_g or "",
                one.source,
            )
            for one in shown
        ],
    )
