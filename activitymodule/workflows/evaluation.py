"""Evaluation of what was predicted: the store's windows against the truth topic."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pyarrow.compute as pc

from activitymodule.errors import DataError
from activitymodule.kafka.truth import read_truth
from activitymodule.models.evaluation.against_truth import Evaluation, compare
from activitymodule.settings import Settings
from activitymodule.store.connection import session
from activitymodule.store.evaluation import predicted_windows
from activitymodule.store.slices import groups_for


def evaluate(
    config: Settings, since: datetime | None = None, coverage: float = 0.0, device: str | None = None
) -> Evaluation:
    """Compare the truth topic with the predictions in the store.

    since : only windows after it; coverage : the least share of a window's readings; device : only this watch.
    Raises DataError where the truth topic holds nothing of them.
    """
    read = read_truth(config)
    truth = read.spans
    if not truth.num_rows:
        counts = ", ".join(f"{n:,} {reason}" for reason, n in sorted(read.unusable.items()))
        held = f"holds no usable span ({counts})" if counts else "is empty"
        raise DataError(
            f"the truth topic {config.kafka.truth_topic} {held}; `activity generate` and `activity replay` fill it"
        )
    if device is not None:
        truth = truth.filter(pc.equal(truth.column("device_id"), device))
    if since is not None:
        truth = truth.filter(pc.greater(truth.column("end_us"), int(since.timestamp() * 1e6)))
    if not truth.num_rows:
        raise DataError("the truth topic has nothing of that watch or time; widen --since, or drop --device")
    first = datetime.fromtimestamp(pc.min(truth.column("start_us")).as_py() / 1e6, UTC)
    last = datetime.fromtimestamp(pc.max(truth.column("end_us")).as_py() / 1e6, UTC)
    with session(config, read_only=True) as connection:
        windows = predicted_windows(
            connection, max(first, since or first), last, coverage=coverage, device=device
        )
        groups = groups_for(connection, windows.column("device_id").unique().to_pylist())
    result = compare(windows, truth, slide_seconds=config.windows.slide_seconds, groups=groups)
    return replace(result, unusable_truth=read.unusable)
