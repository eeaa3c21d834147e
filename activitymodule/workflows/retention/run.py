"""Retention over all kinds: what is due, and its deletion.

Kinds do not depend on each other: one that fails is reported, and the others are done. Every deletion consists of steps
that are complete each, so an interrupted run is continued by the next.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import psycopg2

from activitymodule.errors import ActivityError
from activitymodule.settings import Settings
from activitymodule.store.connection import session
from activitymodule.store.locks import RETENTION, SessionLock
from activitymodule.workflows.retention import files, predictions, rows
from activitymodule.workflows.retention.kind import Kind, Run
from activitymodule.workflows.retention.results import KindResult, RetentionReport

# predictions leave for the lake before the lake's own limit is looked at
KINDS: tuple[Kind, ...] = (*predictions.KINDS, *rows.KINDS, *files.KINDS)


def plan(config: Settings, now: datetime | None = None) -> RetentionReport:
    """What is due; nothing is deleted. Raises ServiceUnavailableError where the store does not answer."""
    run = Run(config, now or datetime.now(UTC))
    with session(config, read_only=True):
        pass  # one error in place of one a kind
    return _report(run, dry_run=True)


def apply(
    config: Settings, now: datetime | None = None, say: Callable[[str], None] = lambda _: None
) -> RetentionReport:
    """Delete, or move to the lake, what is due. Raises LockedError where another run is at it."""
    run = Run(config, now or datetime.now(UTC), say)
    held = "another `activity retention` is at work ({holder}); wait for it"
    with SessionLock(config, RETENTION, "retention", who="retention", held=held, patience_seconds=3):
        return _report(run, dry_run=False)


def _report(run: Run, *, dry_run: bool) -> RetentionReport:
    return RetentionReport(
        dry_run=dry_run, at=run.now, kinds=tuple(_result(kind, run, dry_run) for kind in KINDS)
    )


def _result(kind: Kind, run: Run, dry_run: bool) -> KindResult:
    limit = kind.limit(run.config)
    result = KindResult(
        kind=kind.name.removesuffix("_days"),
        title=kind.title,
        setting=f"retention.{kind.name}",
        limit=limit,
        unit=kind.unit,
        moved=kind.moved,
    )
    if limit is None:
        return result
    result = result.model_copy(update={"before": kind.before(run, limit)})
    try:
        amount = (kind.due if dry_run else kind.delete)(run, limit)
    except (ActivityError, OSError, psycopg2.Error) as error:
        return result.model_copy(update={"error": str(error).strip() or type(error).__name__})
    return result.model_copy(update={"count": amount.count, "bytes": amount.bytes})
