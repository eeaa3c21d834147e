"""Device models of watches: read from a file, and shown with their profiles."""

from __future__ import annotations

import csv
from pathlib import Path

from activitymodule.errors import DataError
from activitymodule.settings import Settings
from activitymodule.store.connection import session, transact
from activitymodule.store.devices import Setting, Wrist, set_devices, watches_without_profile
from activitymodule.telemetry.profiles import profile_of, profiles
from activitymodule.telemetry.untrusted import readable

_COLUMNS = ("device_id", "device_model", "wrist")
_WRISTS: dict[str, Wrist | None] = {"": None, "left": "left", "right": "right"}


def remark_on(model: str | None) -> str:
    """What it means for a watch's readings that it has this model: empty where a profile has it."""
    if model is None:
        return "no device model: readings are taken as sent"
    if profile_of(model) is None:
        return f"no device profile {model}: readings are taken as sent; there are {', '.join(profiles())}"
    return ""


def recent_without_profile(config: Settings) -> int:
    """How many watches with a window in the last hour have no device profile."""
    with session(config, read_only=True) as connection:
        return watches_without_profile(connection)


def import_csv(config: Settings, path: Path) -> list[Setting]:
    """Set the models of a CSV with a header: device_id, device_model and perhaps wrist. All of them, or none.

    Raises DataError, which names the line.
    """
    read = settings_in(path)
    transact(config, lambda connection: set_devices(connection, read, "file"))
    return read


def settings_in(path: Path) -> list[Setting]:
    """The lines of such a file. Raises DataError, which names the line."""
    found: list[Setting] = []
    with readable(path), open(path, encoding="utf-8-sig", newline="") as file:
        lines = csv.DictReader(file, strict=True)
        missing = {"device_id", "device_model"} - set(lines.fieldnames or ())
        unknown = [name for name in lines.fieldnames or () if name not in _COLUMNS]
        if missing or unknown:
            raise DataError(
                f"{path} must begin with the line device_id,device_model or device_id,device_model,wrist;"
                f" {f'{min(missing)} is missing' if missing else f'{unknown[0]!a} is not known'}"
            )
        try:
            for row in lines:
                wrist = (row.get("wrist") or "").strip().lower()
                if None in row or row["device_model"] is None:
                    raise DataError("it has too many or too few cells")
                if wrist not in _WRISTS:
                    raise DataError(f"the wrist is {wrist!a}; it must be left, right or empty")
                found.append(Setting(row["device_id"].strip(), row["device_model"], _WRISTS[wrist]))
        except (DataError, csv.Error) as error:
            raise DataError(f"{path}, line {lines.line_num}: {error}") from error
    if not found:
        raise DataError(f"{path} has no line with a watch")
    return found
