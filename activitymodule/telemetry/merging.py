"""Files of one recording as one stream of rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from activitymodule.telemetry.chunks import Ledger
from activitymodule.telemetry.resampling import Rows


def merged(streams: list[Iterator[Rows]]) -> Iterator[Rows]:
    """Rows of several files of one recording, each in the order of time, as rows in the order of time.

    No more than a block of each is held.
    """
    if len(streams) == 1:
        yield from streams[0]
        return
    held: list[Ledger] = []
    waiting = [_next(stream, held) for stream in streams]
    begins = waiting[0] is not None and waiting[0].begins
    while any(rows is not None for rows in waiting):
        until = min(int(rows.time_us.max()) for rows in waiting if rows is not None)
        parts = []
        for i, rows in enumerate(waiting):
            if rows is None:
                continue
            now = rows.time_us <= until
            parts.append(_some(rows, now, rows.ledger))
            waiting[i] = _next(streams[i], held) if now.all() else _some(rows, ~now, Ledger())
        yield replace(_joined(parts), begins=begins)
        begins = False
    yield Rows(np.empty(0, np.int64), {}, sum(held, Ledger()))


def _next(stream: Iterator[Rows], held: list[Ledger]) -> Rows | None:
    """The next rows of a stream that has some; held : takes the ledgers of calls without rows."""
    for rows in stream:
        if len(rows.time_us):
            return rows
        held.append(rows.ledger)
    return None


def _some(rows: Rows, which: np.ndarray, ledger: Ledger) -> Rows:
    return Rows(rows.time_us[which], {name: v[which] for name, v in rows.columns.items()}, ledger)


def _joined(parts: list[Rows]) -> Rows:
    names = dict.fromkeys(name for part in parts for name in part.columns)
    columns = {}
    for name in names:
        kind = next(part.columns[name].dtype for part in parts if name in part.columns)
        missing = None if kind.kind == "O" else np.nan
        columns[name] = np.concatenate(
            [part.columns.get(name, np.full(len(part.time_us), missing, kind)) for part in parts]
        )
    columns["labelled"] = np.concatenate(
        [np.full(len(part.time_us), float("activity" in part.columns)) for part in parts]
    )
    time_us = np.concatenate([part.time_us for part in parts])
    order = np.argsort(time_us, kind="stable")
    ledger = sum((part.ledger for part in parts), Ledger())
    return Rows(time_us[order], {name: values[order] for name, values in columns.items()}, ledger)
