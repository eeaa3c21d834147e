"""Gold labels for tests: windows of synthesised people, queued and answered in the store's own tables."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from activitymodule.settings import Settings
from activitymodule.store.connection import session
from activitymodule.synthesis.history import training_readings
from activitymodule.windows.assembling import assemble
from activitymodule.windows.catalogue import FEATURES_VERSION
from activitymodule.windows.features import features
from activitymodule.windows.panes import windows_of

_ITEM = """
INSERT INTO queue_items (device_id, window_start, window_end, stratum, reason, doubt, propensity, readings, features,
                         features_version, activity, probabilities, conformal_set, model_version, expires_at,
                         closed_at, closed_because)
VALUES (%s, %s, %s, %s, 'random', 0.5, %s, %s, %s, %s, %s, %s, %s, '1', now() + interval '3 days', now(), 'answered')
RETURNING item_id
"""
_ANSWER = """
INSERT INTO annotations (item_id, device_id, window_start, window_end, annotator, answer, label, origin, seconds,
                         model_version, suggested)
VALUES (%s, %s, %s, %s, 'oracle', 'label', %s, 'oracle', 2, '1', %s)
"""


def put_gold_labels(
    settings: Settings, people: int, minutes: int, seed: int, audit: int, taught: int
) -> list[str]:
    """Queues and answers windows of people that no model has seen: `audit` of the audit share, `taught` to learn
    from, as evenly over activities as there are. Returns the labels that were given."""
    made = training_readings(people, minutes, seed)
    paned = windows_of(made.readings, settings.windows)
    batch = assemble(paned.window_start_us, paned.panes, settings.windows)
    matrix = features(batch, settings.windows)
    truth = _truth(made.readings, settings.windows.length_seconds)
    rows = []
    for i, (device, start) in enumerate(
        zip(paned.device_id.to_pylist(), paned.window_start_us.tolist(), strict=True)
    ):
        label = truth.get((device, start))
        if label and batch.coverage[i] >= settings.windows.queue_coverage:
            rows.append((i, device, start, label))
    # some people judge, others teach: a label beside one of the audit share teaches nothing
    draw = np.random.default_rng(seed)
    judges = set(paned.device_id.unique().to_pylist()[::2])
    labels = sorted({row[3] for row in rows})
    chosen = [
        (*row, stratum)
        for stratum, count in (("audit", audit), ("cold", taught))
        for row in _evenly([row for row in rows if (row[1] in judges) == (stratum == "audit")], count, draw)
    ]
    chances = [1 / len(labels)] * len(labels)
    with session(settings) as connection, connection.cursor() as cursor:
        for i, device, start_us, label, stratum in chosen:
            start = datetime.fromtimestamp(start_us / 1e6, UTC)
            end = start + timedelta(seconds=settings.windows.length_seconds)
            packed = b"".join(paned.panes[i].as_py())
            vector = [None if np.isnan(x) else float(x) for x in matrix[i]]
            name = f"labelled-{device}"
            cursor.execute(
                _ITEM,
                (
                    name,
                    start,
                    end,
                    stratum,
                    0.2,
                    packed,
                    vector,
                    FEATURES_VERSION,
                    label,
                    chances,
                    labels[:2],
                ),
            )
            item = cursor.fetchone()[0]
            cursor.execute(_ANSWER, (item, name, start, end, label, label))
    return [row[3] for row in chosen]


def _evenly(rows: list[Any], count: int, draw: np.random.Generator) -> list[Any]:
    """So many of the rows, in turn from each activity."""
    by_label: dict[str, list[Any]] = {}
    for k in draw.permutation(len(rows)):
        by_label.setdefault(rows[k][3], []).append(rows[k])
    turns = [row for turn in range(len(rows)) for own in by_label.values() for row in own[turn : turn + 1]]
    return turns[:count]


def _truth(readings: pa.Table, length_seconds: int) -> dict[tuple[str, int], str]:
    """(device, start of the window in microseconds) -> its activity, where it has but one."""
    length_us = length_seconds * 1_000_000
    stamp = pc.cast(readings.column("stamp"), pa.timestamp("us", "UTC")).cast(pa.int64()).to_numpy()
    table = pa.table(
        {
            "device": pc.cast(readings.column("device_id"), pa.string()),
            "start": stamp // length_us * length_us,
            "activity": pc.cast(readings.column("activity"), pa.string()),
        }
    )
    found = table.group_by(["device", "start"]).aggregate(
        [("activity", "count_distinct"), ("activity", "min")]
    )
    return {
        (row["device"], row["start"]): row["activity_min"]
        for row in found.to_pylist()
        if row["activity_count_distinct"] == 1
    }


def runs_in_store(settings: Settings) -> list[dict[str, Any]]:
    """retrain_runs as plain dicts, the oldest first."""
    with session(settings, read_only=True) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT to_jsonb(r) FROM retrain_runs r ORDER BY started_at")
        return [row[0] if isinstance(row[0], dict) else json.loads(row[0]) for row in cursor.fetchall()]
