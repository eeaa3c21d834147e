"""The task of a backfill: scores the windows of which the store has fewer readings than the archive.

Late windows, which the scorer itself scores, are counted for drift monitoring and offered to the annotation queue, as
the stream does with its own. A window is counted by whoever makes its stored row complete, in that transaction. It is
offered by the round that then forgets it (backfill.py): one that follows on a killed round offers again what that one
had stored.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from activitymodule.errors import ActivityError
from activitymodule.store.connection import Connection
from activitymodule.store.drift import write_late_minutes
from activitymodule.store.participants import excluded
from activitymodule.store.predictions import stored_windows, write_predictions
from activitymodule.streaming import worker
from activitymodule.streaming.causes import error_text
from activitymodule.streaming.minutes import Minutes
from activitymodule.streaming.queue.marks import Marks
from activitymodule.windows.assembling import complete

SCHEMA = f"seen long, {worker.COUNT_SCHEMA}"


class _Done(NamedTuple):
    """Counts of one piece, and what it marked."""

    windows: int
    written: int
    marks: list[Marks]


class _Part(NamedTuple):
    """Windows of a piece that are treated alike: which, bool (n_windows,); whether they replace rows of as many
    readings; what counts and marks them, if anything."""

    rows: np.ndarray
    again: bool
    minutes: Minutes | None = None
    marks: list[Marks] | None = None


def score_missing(
    batches: Iterator[pa.RecordBatch], scorer: worker.Scorer, again: bool = False, late: bool = False
) -> Iterator[pa.RecordBatch]:
    """Windows (grouping.WINDOWS_SCHEMA) to rows of the store, where it has fewer readings; one row of SCHEMA.

    again : those of which it has as many, too; late : the windows are late ones
    """
    worker.make_tasks_quick()
    seen, done, error = 0, list[_Done](), None
    # piece by piece: the stream's smoothing waits for who writes
    for batch in worker.gathered(batches):
        try:
            done.append(worker.in_store(scorer.config, partial(_piece, batch, scorer, again, late)))
        except ActivityError as failure:
            error = error_text(failure)
            break
        seen += batch.num_rows
    marks = [marks for one in done for marks in one.marks]
    yield worker.result_of(
        marks,
        error,
        seen=seen,
        windows=sum(one.windows for one in done),
        written=sum(one.written for one in done),
    )


def _piece(
    batch: pa.RecordBatch, scorer: worker.Scorer, again: bool, late: bool, connection: Connection
) -> _Done:
    """Score a piece in one transaction."""
    batch = scorer.taken(batch, excluded(connection))
    minutes, marks = Minutes(scorer.config), list[Marks]()
    windows = written = 0
    for part in _parts(batch, scorer, again, connection, (minutes, marks) if late else None):
        chosen = batch.filter(pa.array(part.rows))
        if chosen.num_rows:
            rows = worker.score_windows(chosen, scorer, connection, part.minutes, part.marks)
            windows += chosen.num_rows
            written += write_predictions(connection, rows, again=part.again)
    write_late_minutes(connection, minutes.totals, model_version=scorer.model_version)
    return _Done(windows, written, marks)


def _parts(
    batch: pa.RecordBatch,
    scorer: worker.Scorer,
    again: bool,
    connection: Connection,
    late: tuple[Minutes, list[Marks]] | None,
) -> list[_Part]:
    """What is scored of a piece. late : what counts and marks late windows; None: others"""
    window_us = batch.column("window_us").to_numpy()
    stored = stored_windows(connection, batch.column("device_id").to_pylist(), window_us)
    more = batch.column("n").to_numpy() + again > stored.readings
    if late is None:
        return [_Part(more, again)]
    minutes, marks = late
    known = complete(window_us, stored.newest_us, stored.coverage, scorer.config.windows)
    new, of_stream = more & ~known, stored.batch_id >= 0
    return [
        _Part(new, False, minutes, marks),
        # of an earlier round, which may have been broken off before it smoothed and offered them
        _Part(~new & ~of_stream, True, None, marks),
        _Part(more & known & of_stream, False),
    ]
