"""How much there is of everything that grows, and what limits it: for `activity doctor` and the console."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from activitymodule.errors import ActivityError
from activitymodule.lake import archive, predictions
from activitymodule.registry.versions import cache_folder
from activitymodule.settings import Settings, location, resolve
from activitymodule.store.connection import place, session
from activitymodule.store.inspect import TableSize, table_sizes
from activitymodule.workflows.retention import files
from activitymodule.workflows.retention.results import Size

# table -> the setting that limits it
_TABLES = {
    "predictions": "retention.predictions_days",
    "dead_letters": "retention.dead_letters_days",
    "queue_items": "retention.queue_items_days",
    "batches": "retention.batches_days",
    "activity_events": "retention.events_days",
    "feature_minutes": "monitoring.keep_days",
    "drift_alarms": "retention.drift_alarms_days",
    "retrain_runs": "retention.runs_days",
    "snapshots": "retention.snapshots_days",
}
_FOR_EVER = {"annotations": "labels are kept for ever"}


def kept(config: Settings, size: Size) -> str:
    """What limits something, as people read it."""
    if size.setting is None:
        return size.note
    section, _, key = size.setting.partition(".")
    value = getattr(getattr(config, section), key)
    return "for ever" if value is None else f"{value:g} {'hours' if key.endswith('hours') else 'days'}"


def sizes(config: Settings) -> list[Size]:
    """Every table, and every folder that is on this machine or can be listed by its dates; failures have a reason."""
    parts: list[tuple[str, Callable[[Settings], Iterator[Size]]]] = [
        (f"PostgreSQL at {place(config)}", _tables),
        (location(config.lake.folder), _lake),
        (config.local.folder, _folders),
    ]
    found: list[Size] = []
    for where, part in parts:
        try:
            found += part(config)
        except (ActivityError, OSError) as error:
            found.append(Size(name="not known", where=where, bytes=None, note=str(error)))
    return found


def _tables(config: Settings) -> Iterator[Size]:
    where = f"PostgreSQL at {place(config)}"
    with session(config, read_only=True, statement_seconds=10) as connection:
        tables = {table.name: table for table in table_sizes(connection)}
    for name in (*_TABLES, *_FOR_EVER):
        if table := tables.pop(name, None):
            yield _table(table, where, _TABLES.get(name), _FOR_EVER.get(name, ""))
    rest = sum(table.megabytes for table in tables.values())
    note = "people, users, model versions, promotions: few rows"
    yield Size(name="other tables", where=where, bytes=round(rest * 1e6), note=note)


def _table(table: TableSize, where: str, setting: str | None, note: str) -> Size:
    return Size(
        name=table.name,
        where=where,
        bytes=round(table.megabytes * 1e6),
        count=table.rows,
        setting=setting,
        note=note,
    )


def _lake(config: Settings) -> Iterator[Size]:
    days = archive.archived_days(config)
    yield Size(
        name="archive of raw messages",
        where=archive.archive_path(config),
        bytes=sum(day.bytes for day in days),
        count=sum(day.files for day in days),
        setting="retention.archive_days",
    )
    past = predictions.days(config)
    yield Size(
        name="predictions of past days",
        where=f"{location(config.lake.folder)}/{predictions.FOLDER}",
        bytes=sum(day.bytes for day in past),
        count=sum(day.rows for day in past),
        setting="retention.lake_predictions_days",
    )


def _folders(config: Settings) -> Iterator[Size]:
    """Folders of this machine; in object storage only the provider counts."""
    own = resolve(config.local.folder)
    yield from _folder("training sets", f"{config.lake.folder}/training", "retention.snapshots_days")
    yield from _folder(
        "checkpoints", config.spark.checkpoints, None, "those set aside: retention.checkpoints_days"
    )
    yield from _folder("model files", config.local.artifacts, None, "every registered version")
    yield from _folder("downloaded models", str(cache_folder(config)), "retention.models_days")
    yield from _folder("Kafka's messages", str(own / "kafka" / "data"), "kafka.retention_hours")
    for folder in files.log_folders(config):
        yield from _folder("logs", str(folder), "retention.logs_days")


def _folder(name: str, where: str, setting: str | None, note: str = "") -> Iterator[Size]:
    if "://" in where:
        return
    path: Path = resolve(where)
    if path.is_dir():
        amount = files.folder_size(path)
        yield Size(
            name=name, where=str(path), bytes=amount.bytes, count=amount.count, setting=setting, note=note
        )
