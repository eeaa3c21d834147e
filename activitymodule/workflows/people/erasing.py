"""Erasure: one person is removed from the store and the files, and a search proves that nothing is left.

Every step may be done again, so that an erasure that was killed goes on where it was (its record: `store/erasures.py`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial

from pydantic import BaseModel, ConfigDict, Field

from activitymodule.errors import ErasureUnfinishedError, ModelError
from activitymodule.lake.daily import DAILY
from activitymodule.lake.erasing import Eraser, Folder
from activitymodule.lake.snapshots import mark_changed, snapshots_with
from activitymodule.models.export import LINEAGE_FILE
from activitymodule.registry.versions import fetch, versions
from activitymodule.serving.record import names
from activitymodule.settings import Settings, location
from activitymodule.store import erasures
from activitymodule.store.connection import Connection, session, transact
from activitymodule.store.erasures import Erasure
from activitymodule.store.locks import DAILY as DAILY_LOCK
from activitymodule.store.locks import RETENTION, SessionLock
from activitymodule.store.participants import required
from activitymodule.workflows.people.withdrawing import settle

_WINDOWS = re.compile(r"windows-([0-9a-f]+)\.parquet")

Step = Callable[[str], None]


class ErasureReport(BaseModel):
    """What an erasure removed from where. It names the person nowhere."""

    model_config = ConfigDict(frozen=True)

    erasure_id: int
    resumed: bool
    removed: dict[str, int] = Field(description="Where -> rows, messages, lines or files")
    models: tuple[str, ...] = Field(
        description="Versions that had learnt from the person: they cannot be reproduced; train anew to be rid of them"
    )
    searched: tuple[str, ...] = Field(description="Where nothing of the person was found at the end")
    remarks: tuple[str, ...]


def erase(
    config: Settings,
    participant: str,
    *,
    by_whom: str,
    also: Sequence[str] = (),
    step: Step = lambda _: None,
    patience_seconds: float = 60,
) -> ErasureReport:
    """Remove a person from the store, the archive, the lake and reports; what they wore stays excluded.

    also : further folders to search. Raises NotFoundError, ErasureUnfinishedError where something is left, LockedError
    where daily records are being built or retention is at work after that time, and ServiceUnavailableError; done
    again, it goes on.
    """
    erasure = transact(config, lambda connection: erasures.begin(connection, participant, by_whom))
    step("waiting for batches that are going on")
    with session(config, read_only=True) as connection:
        withdrawn_at = required(connection, participant).withdrawn_at
    assert withdrawn_at is not None
    settle(config, withdrawn_at)
    folders = folders_of(config, also)
    with _nothing_is_copied(config, patience_seconds):
        _remove(config, erasure, folders, step)
    with session(config, read_only=True) as connection:
        removed, models = erasures.removed_by(connection, erasure.erasure_id)
    return ErasureReport(
        erasure_id=erasure.erasure_id,
        resumed=erasure.resumed,
        removed={where: count for where, count in sorted(removed.items()) if count},
        models=models,
        searched=("the store: every table", *(folder.address for folder in folders)),
        remarks=_remarks(config, erasure, models),
    )


@contextmanager
def _nothing_is_copied(config: Settings, patience_seconds: float) -> Iterator[None]:
    """Nobody makes daily records of predictions that are about to go, or moves these to the lake."""
    held = (
        "the person is withdrawn, but not erased: {holder} may write files of them; wait for it, then run the command "
        "again: it goes on where it was"
    )
    with ExitStack() as stack:
        for kind, name in ((DAILY_LOCK, "days"), (RETENTION, "retention")):
            lock = SessionLock(
                config, kind, name, who="people erase", held=held, patience_seconds=patience_seconds
            )
            stack.enter_context(lock)
        yield


def _remove(config: Settings, erasure: Erasure, folders: Sequence[Folder], step: Step) -> None:
    with session(config, read_only=True) as connection:
        tables = erasures.tables(connection)
    for folder in folders:
        step(f"files of {folder.name}")
        _remove_files(config, erasure, folder)
    for table in tables:
        step(f"table {table.name}")
        transact(config, partial(_remove_rows, erasure=erasure, table=table))
    transact(config, lambda connection: _remove_rest(config, connection, erasure))
    step("searching what is left")
    if _files_left(config, erasure, folders):
        # a batch of the archive that began before the withdrawal has written one since
        for folder in folders:
            _remove_files(config, erasure, folder)
        _check_files(_files_left(config, erasure, folders))
    transact(config, lambda connection: _finish(connection, erasure))


def folders_of(config: Settings, also: Sequence[str]) -> list[Folder]:
    """The folders that may hold something of a person, none within another."""
    named = {
        "lake": location(config.lake.folder),
        "archive": location(config.archive.folder),
        "reports": location(config.reports.folder),
        **{f"folder {k}": location(one) for k, one in enumerate(also, 1)},
    }
    places = {name: place.rstrip("/") for name, place in named.items()}
    return [
        Folder(place, name)
        for name, place in places.items()
        if not any(place.startswith(f"{other}/") for other in places.values())
    ]


def _remove_files(config: Settings, erasure: Erasure, folder: Folder) -> None:
    eraser = Eraser(folder, erasure.traces, config.telemetry)
    for path in eraser.training_files():
        # marked before it is changed: an erasure that is killed in between has then marked too much, never too little
        found = _WINDOWS.search(path)
        if found and folder.name == "lake":
            _mark(config, erasure, found[1])
    of_days: list[str] | None = None
    for removed in eraser.remove():
        where = folder.area(removed.path)
        if where.endswith(f"/{DAILY}") and of_days is None:
            of_days = models_of_days(config)
        change = partial(
            erasures.note,
            erasure_id=erasure.erasure_id,
            where=where,
            count=removed.rows,
            models=of_days if where.endswith(f"/{DAILY}") and of_days else (),
        )
        transact(config, change)


def _mark(config: Settings, erasure: Erasure, sha256: str) -> None:
    snapshots = snapshots_with(config, sha256)
    models = models_of(config, sha256, snapshots)
    for snapshot_id in snapshots:
        mark_changed(config, snapshot_id, erasure.erasure_id)

    def record(connection: Connection) -> None:
        marked = erasures.mark_snapshots(connection, erasure.erasure_id, snapshots)
        erasures.note(
            connection, erasure.erasure_id, "snapshots marked as no longer reproducible", marked, models
        )

    transact(config, record)


def models_of(config: Settings, sha256: str, snapshots: Sequence[str]) -> list[str]:
    """`name version` of the models that learnt from windows, by their lineage. Raises ServiceUnavailableError."""
    found = []
    for version, data in _lineages(config, (config.registry.classifier, config.registry.regressor)):
        learnt = {data.get("sha256"), _object(data.get("base")).get("sha256")}
        if not data or sha256 in learnt or data.get("snapshot") in snapshots:
            found.append(version)
    return found


def models_of_days(config: Settings) -> list[str]:
    """The same of those that learnt from the daily records of the lake."""
    of_windows = {config.registry.classifier, config.registry.regressor}
    known = _lineages(config, sorted(set(names(config).values()) - of_windows))
    return [version for version, data in known if not data or data.get("source") == DAILY]


def _lineages(config: Settings, of: Sequence[str]) -> Iterator[tuple[str, dict[str, object]]]:
    """`name version`, and the data it learnt from; {} where that cannot be read."""
    for name in of:
        for version in versions(config, name):
            try:
                text = (fetch(config, version) / LINEAGE_FILE).read_text(encoding="utf-8")
            except ModelError:
                yield f"{name} {version.version} (its lineage cannot be read)", {}
                continue
            yield f"{name} {version.version}", _object(json.loads(text).get("data"))


def _object(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _remove_rows(connection: Connection, erasure: Erasure, table: erasures.Table) -> None:
    count = erasures.remove_from(connection, table, erasure.traces)
    erasures.note(connection, erasure.erasure_id, f"store: {table.name}", count)


def _remove_rest(config: Settings, connection: Connection, erasure: Erasure) -> None:
    letters = erasures.remove_payloads(connection, erasure.traces, config.telemetry)
    erasures.note(connection, erasure.erasure_id, "store: dead_letters", letters)
    tokens = erasures.remove_from_tokens(connection, erasure.traces)
    erasures.note(connection, erasure.erasure_id, "store: ingest_tokens", tokens)


def _files_left(config: Settings, erasure: Erasure, folders: Sequence[Folder]) -> list[str]:
    return [path for folder in folders for path in Eraser(folder, erasure.traces, config.telemetry).left()]


def _check_files(left: Sequence[str]) -> None:
    if left:
        shown = ", ".join(left[:5]) + (f" and {len(left) - 5} more" if len(left) > 5 else "")
        raise ErasureUnfinishedError(
            f"files still name the person, or cannot be read: {shown}; delete them or make them anew "
            "(`activity report`), then run the command again: it goes on where it was"
        )


def _finish(connection: Connection, erasure: Erasure) -> None:
    if left := erasures.finish(connection, erasure):
        shown = ", ".join(f"{where} ({count})" for where, count in sorted(left.items()))
        raise ErasureUnfinishedError(
            f"the store still names the person in {shown}; remove that, then run the command again: it goes on where "
            "it was"
        )


def _remarks(config: Settings, erasure: Erasure, models: Sequence[str]) -> tuple[str, ...]:
    hours = config.kafka.retention_hours
    found = [
        f"Kafka keeps messages for {hours:g} hours (kafka.retention_hours): until then those of the person are in the "
        f"topics {config.kafka.topic} and {config.kafka.truth_topic}; nothing reads them into the system again.",
        f"Spark's state holds readings for up to {config.windows.watermark_minutes:g} minutes "
        "(windows.watermark_minutes), and its checkpoint for some batches more.",
        "Backups, and files copied out of the folders searched, are not reached.",
    ]
    if config.cloud.redshift or config.cloud.bigquery:
        found.append(
            "The warehouse has them until the next `activity warehouse load`, and its own history for some days more."
        )
    shared = sorted(set(erasure.traces.watches) - erasure.traces.whole)
    if shared:
        found.append(
            f"{len(shared)} of their watches have other times than the person's, of others or of nobody known: of "
            "these only the person's times were removed."
        )
    if models:
        found.append("The models listed learnt from the person: retrain, and they stop serving.")
    return tuple(found)
