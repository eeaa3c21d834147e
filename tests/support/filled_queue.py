"""Real queue items: readings synthesised from the reference statistics, through the library's windows, features
and model, into predictions and the queue. Nothing in them is typed by hand but their stratum."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from activitymodule.learning.doubt.margin import margin
from activitymodule.models.activity import activity_pipeline
from activitymodule.settings import Settings, Windows
from activitymodule.store.connection import Connection
from activitymodule.store.models import record_model_version
from activitymodule.store.predictions import PredictionRows, write_predictions
from activitymodule.store.queue import QueueItem, put
from activitymodule.synthesis.history import training_parts
from activitymodule.windows.assembling import WindowBatch, assemble
from activitymodule.windows.catalogue import FEATURES_VERSION
from activitymodule.windows.features import features
from activitymodule.windows.packing import to_records
from activitymodule.windows.panes import PanedWindows, windows_of

VERSION = "1"
_LEARNT_FROM = 4  # watches; the others are new to the model


@dataclass(frozen=True)
class Scored:
    """Windows of a synthesised fleet: what was measured, what is true, and what a model that never saw these
    people says."""

    windows: PanedWindows
    batch: WindowBatch
    features: np.ndarray
    labels: tuple[str, ...]
    probabilities: np.ndarray
    truth: np.ndarray


def _truth(readings: pa.Table, windows: PanedWindows, seconds: int) -> np.ndarray:
    """The activity of most readings of each window."""
    records_us = to_records(readings)["stamp_us"]
    devices = np.asarray(readings.column("device_id").to_pylist(), object)
    activities = np.asarray(readings.column("activity").to_pylist(), object)
    most: dict[tuple[str, int], dict[str, int]] = {}
    for device, stamp, activity in zip(devices, records_us // (seconds * 1_000_000), activities, strict=True):
        counts = most.setdefault((device, int(stamp) * seconds * 1_000_000), {})
        counts[activity] = counts.get(activity, 0) + 1
    return np.array(
        [
            max(most[key].items(), key=lambda pair: pair[1])[0]
            for key in zip(windows.device_id.to_pylist(), windows.window_start_us.tolist(), strict=True)
        ],
        object,
    )


@lru_cache(maxsize=2)
def scored(devices: int = 9, minutes: int = 12, start: int | None = None) -> Scored:
    """Windows of `devices` watches the model has not seen, over `minutes` that end about now, or from `start`."""
    windows = Windows()
    begin = start if start is not None else int(datetime.now(UTC).timestamp()) // 60 * 60 - (minutes + 2) * 60
    parts = list(training_parts(devices + _LEARNT_FROM, minutes, 7, start=begin))
    readings = pa.concat_tables([part.readings for part in parts])
    cut = windows_of(readings, windows)
    batch = assemble(cut.window_start_us, cut.panes, windows)
    made = features(batch, windows)
    truth = _truth(readings, cut, windows.length_seconds)
    names = np.asarray(cut.device_id.to_pylist(), object)
    known = np.isin(names, sorted(set(names))[:_LEARNT_FROM])
    model = activity_pipeline(rounds=40).fit(made[known], truth[known].astype(str))
    keep = np.flatnonzero(~known)
    index = pa.array(keep)
    return Scored(
        PanedWindows(cut.device_id.take(index), cut.window_start_us[keep], cut.panes.take(index)),
        batch.take(keep),
        made[keep],
        tuple(str(one) for one in model.classes_),
        model.predict_proba(made[keep]).astype(np.float32),
        truth[keep],
    )


def packed(windows: PanedWindows, row: int) -> bytes:
    """The readings of one window, as the queue keeps them."""
    return b"".join(windows.panes[row].as_py())


def fill(
    connection: Connection, settings: Settings, *, items: int = 60, made: Scored | None = None
) -> Scored:
    """Predictions of all windows, and `items` of them queued, spread over people and time; commits."""
    made = made or scored()
    name = settings.registry.classifier
    record_model_version(
        connection, name=name, version=VERSION, labels=made.labels, feature_version=FEATURES_VERSION
    )
    n = len(made.truth)
    in_set = made.probabilities >= 0.1
    whole = made.batch.coverage >= 0.5
    probabilities = np.where(whole[:, None], made.probabilities, np.nan)
    write_predictions(
        connection,
        PredictionRows(
            device_id=made.windows.device_id,
            window_start_us=made.windows.window_start_us,
            window_seconds=10,
            labels=made.labels,
            probabilities=probabilities.astype(np.float32),
            in_set=in_set & whole[:, None],
            kcal_per_min=np.full(n, np.nan, np.float32),
            coverage=made.batch.coverage,
            readings_used=made.batch.readings_used,
            duplicates=made.batch.duplicates,
            reason=[None if one else "too few readings" for one in whole],
            model_version=VERSION,
            energy_version=None,
            last_reading_us=made.batch.newest_us,
            received_us=made.batch.newest_us,
            batch_id=1,
        ),
    )
    put(connection, queue_items(made, items))
    connection.commit()
    return made


def queue_items(made: Scored, items: int) -> list[QueueItem]:
    """As many windows as queue items: every fifth of the audit, every tenth wanted twice."""
    doubt = margin(made.probabilities)
    full = np.flatnonzero(made.batch.coverage >= 0.9)
    names = np.asarray(made.windows.device_id.to_pylist(), object)
    # every so many windows of each watch: spread, and with neighbours that were queued too here and there
    order = sorted(full.tolist(), key=lambda k: (made.windows.window_start_us[k] // 10_000_000 % 7, k))
    chosen = []
    for place, row in enumerate(order[:items]):
        stratum = "audit" if place % 5 == 4 else "doubt" if place % 2 else "cold"
        start = int(made.windows.window_start_us[row])
        chosen.append(
            QueueItem(
                device_id=str(names[row]),
                window_start_us=start,
                window_end_us=start + 10_000_000,
                stratum=stratum,
                reason="random" if stratum != "doubt" else "margin",
                doubt=float(doubt[row]),
                doubts={"margin": float(doubt[row])},
                propensity=0.2 if stratum == "audit" else 0.5,
                decision={},
                required_labels=1,
                readings=packed(made.windows, row),
                features=made.features[row],
                features_version=FEATURES_VERSION,
                activity=made.labels[int(made.probabilities[row].argmax())],
                probabilities=made.probabilities[row],
                conformal_set=tuple(
                    label for label, p in zip(made.labels, made.probabilities[row], strict=True) if p >= 0.1
                ),
                kcal_per_min=float("nan"),
                model_version=VERSION,
                energy_version=None,
                expire_hours=72,
            )
        )
    return chosen


def wanted_twice(item: QueueItem) -> QueueItem:
    """The same item, to be shown to two annotators."""
    return replace(item, required_labels=2)


def true_label(made: Scored, device_id: str, start: datetime) -> str:
    """What really happened in a window."""
    at = round(start.timestamp() * 1e6)
    same = pc.equal(made.windows.device_id, device_id).to_numpy(zero_copy_only=False)
    return str(made.truth[np.flatnonzero(same & (made.windows.window_start_us == at))[0]])
