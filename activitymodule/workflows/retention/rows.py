"""Rows of the store that are no longer needed."""

from __future__ import annotations

from activitymodule.lake.snapshots import delete_snapshot, snapshot_bytes
from activitymodule.store import retention as store
from activitymodule.store.connection import session
from activitymodule.store.retention import Amount, OldRows
from activitymodule.workflows.retention.kind import Kind, Run


def _kind(name: str, title: str, rows: OldRows) -> Kind:
    def due(run: Run, limit: int) -> Amount:
        with session(run.config, read_only=True) as connection:
            return store.old_rows(connection, rows, run.before(limit))

    def delete(run: Run, limit: int) -> Amount:
        amount = due(run, limit)
        if not amount.count:
            return amount
        with session(run.config) as connection:
            return Amount(store.delete_old_rows(connection, rows, run.before(limit)), amount.bytes)

    return Kind(name, title, due, delete)


_MEGABYTE = 1_000_000


def _letters_over(run: Run, limit: int) -> Amount:
    with session(run.config, read_only=True) as connection:
        return store.dead_letters_over(connection, limit * _MEGABYTE)


def _delete_letters_over(run: Run, limit: int) -> Amount:
    amount = _letters_over(run, limit)
    if not amount.count:
        return amount
    with session(run.config) as connection:
        return Amount(store.delete_dead_letters_over(connection, limit * _MEGABYTE), amount.bytes)


def _snapshots_due(run: Run, limit: int) -> Amount:
    with session(run.config, read_only=True) as connection:
        unused = store.unused_snapshots(connection, run.before(limit))
    return Amount(len(unused), sum(snapshot_bytes(run.config, one) for one in unused))


def _delete_snapshots(run: Run, limit: int) -> Amount:
    amount = Amount(0, 0)
    with session(run.config) as connection:
        for one in store.unused_snapshots(connection, run.before(limit)):
            # the files first: a record without files is deleted by the next run, files without a record by nobody
            freed = delete_snapshot(run.config, one)
            store.forget_snapshot(connection, one)
            amount = Amount(amount.count + 1, amount.bytes + freed)
    return amount


KINDS = (
    _kind("replayed_dead_letters_days", "dead letters that were replayed", store.REPLAYED),
    _kind("dead_letters_days", "dead letters", store.DEAD_LETTERS),
    Kind(
        "dead_letters_megabytes",
        "dead letters above a size, replayed ones first",
        _letters_over,
        _delete_letters_over,
        unit="MB",
    ),
    _kind("queue_items_days", "queue items that closed without a label", store.QUEUE_ITEMS),
    _kind("drift_alarms_days", "drift alarms that ended", store.DRIFT_ALARMS),
    Kind("snapshots_days", "training sets without a model", _snapshots_due, _delete_snapshots),
    _kind("runs_days", "retrainings without a verdict", store.RUNS),
    _kind("batches_days", "records of batches", store.BATCHES),
    _kind("events_days", "activity events", store.EVENTS),
)
