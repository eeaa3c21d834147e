"""What was predicted by REST: a rotating log of lines of JSON, and counts for drift monitoring like the stream's.

Nothing of a request decides about the next one. What is kept in memory are counts that are written every few seconds;
each process writes rows and a file of its own, so that replicas behind a balancer do not meet. The log names no watch
and no person, so that the removal of a person's data has nothing to look for in it.
"""

from __future__ import annotations

import hashlib
import logging
import os
import socket
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path

import numpy as np
import orjson

from activitymodule.errors import ActivityError
from activitymodule.models.baseline import Totals
from activitymodule.models.bundle import ScoringModel
from activitymodule.settings import Settings, resolve
from activitymodule.store.connection import Connection
from activitymodule.store.drift import write_rest_minutes
from activitymodule.streaming.minutes import Minutes
from activitymodule.streaming.queue.marks import Scored
from activitymodule.windows.catalogue import FEATURE_NAMES

Write = Callable[[Callable[[Connection], None]], None]
"""Runs work in one transaction of the store."""

_WRITE_SECONDS = 10.0
_MOST_MINUTES = 500  # kept while the store is away: some 15 MB; then the oldest are dropped
_MOST_WATCHES = 10_000
_log = logging.getLogger(__name__)


class Taken(Minutes):
    """The windows of one request: counted as the stream counts them, and kept for the log."""

    def __init__(self, config: Settings) -> None:
        super().__init__(config)
        self.scored: list[tuple[Scored, ScoringModel]] = []

    def add(self, scored: Scored, model: ScoringModel) -> None:
        """As of `Minutes`."""
        super().add(scored, model)
        self.scored.append((scored, model))


class Recorder:
    """Keeps what one process predicts. `record` each request; `close` at the end writes what is left."""

    def __init__(self, config: Settings, write: Write) -> None:
        self._config, self._write = config, write
        self._replica = f"{socket.gethostname()}-{os.getpid()}-{time.time_ns():x}"
        self._minutes: OrderedDict[tuple[str, int], Totals] = OrderedDict()  # by version and minute
        self._watches: OrderedDict[str, float] = OrderedDict()  # when each was last scored
        self._number = 0
        self._lock, self._end = threading.Lock(), threading.Event()
        self._thread: threading.Thread | None = None
        self._told = ""
        self._file = _file(config)

    def record(self, taken: Taken, version: str) -> None:
        """Log the windows of a request and count them. Never fails: the request has its answer."""
        for scored, model in taken.scored:
            if self._file is not None:
                for line in lines(scored, model):
                    self._file.handle(logging.makeLogRecord({"msg": line}))
        if not taken.totals:
            return
        now = time.monotonic()
        with self._lock:
            for minute, totals in taken.totals.items():
                before = self._minutes.get((version, minute))
                self._minutes[version, minute] = totals if before is None else before + totals
            for scored, _ in taken.scored:
                for device in set(scored.device_id.to_pylist()):
                    self._watches[device] = now
                    self._watches.move_to_end(device)
            _drop(self._minutes, _MOST_MINUTES)
            _drop(self._watches, _MOST_WATCHES)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="rest predictions", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Write what is left, and end."""
        self._end.set()
        if self._thread is not None:
            self._thread.join(10)
        if self._file is not None:
            self._file.close()

    def _run(self) -> None:
        while not self._end.wait(_WRITE_SECONDS):
            self.write()
        self.write()

    def write(self) -> None:
        """Write the counts; those that cannot be written now are kept."""
        since = time.monotonic() - self._config.monitoring.look_back_minutes * 60
        with self._lock:
            minutes, self._minutes = self._minutes, OrderedDict()
            while self._watches and next(iter(self._watches.values())) < since:
                self._watches.popitem(last=False)
            watches = list(self._watches)
            self._number += 1
        if not minutes:
            return
        try:
            self._write(lambda connection: self._rows(connection, minutes, watches))
            self._told = ""
        except ActivityError as error:
            with self._lock:
                for key, totals in self._minutes.items():
                    minutes[key] = minutes[key] + totals if key in minutes else totals
                self._minutes = minutes
                _drop(self._minutes, _MOST_MINUTES)
            self._tell(f"predictions by REST are not counted for drift monitoring yet: {error}")

    def _rows(
        self, connection: Connection, minutes: OrderedDict[tuple[str, int], Totals], watches: list[str]
    ) -> None:
        for version in {version for version, _ in minutes}:
            own = {minute: totals for (of, minute), totals in minutes.items() if of == version}
            write_rest_minutes(
                connection,
                own,
                model_version=version,
                replica=self._replica,
                number=self._number,
                devices=watches,
            )

    def _tell(self, message: str) -> None:
        if message != self._told:
            _log.warning("%s", message)
        self._told = message


def lines(scored: Scored, model: ScoringModel) -> Iterator[str]:
    """A line of JSON of each window: when it was predicted, by which version, from which features, and what."""
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    features = np.ascontiguousarray(scored.features, "<f4")
    missing = np.isnan(features).sum(1)
    farthest, distance, mean = _distances(features, model)
    probabilities = scored.scores.probabilities
    for row, place in enumerate(scored.rows.tolist()):
        known = bool(np.isfinite(probabilities[row]).all())
        best = int(probabilities[row].argmax()) if known else 0
        start = datetime.fromtimestamp(int(scored.window_start_us[place]) / 1e6, UTC)
        yield orjson.dumps(
            {
                "at": at,
                "model_version": model.version,
                "energy_version": model.energy_version or None,
                "window_start": start.isoformat(),
                "coverage": _number(scored.assembled.coverage[place]),
                "features_sha256": hashlib.sha256(features[row].tobytes()).hexdigest(),
                "features": {
                    "missing": int(missing[row]),
                    "mean_distance": _number(mean[row]),
                    "farthest": FEATURE_NAMES[int(farthest[row])] if np.isfinite(distance[row]) else None,
                    "farthest_distance": _number(distance[row]),
                },
                "activity": model.labels[best] if known else None,
                "probability": _number(probabilities[row, best]) if known else None,
                "familiarity": _number(scored.scores.familiarity[row]),
                "kcal_per_min": _number(scored.scores.kcal_per_min[row]),
            }
        ).decode()


def _distances(features: np.ndarray, model: ScoringModel) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The feature that lies farthest from its mean in training, by how many standard deviations, and the mean of the
    absolute distances: each (n_windows,), NaN where the version keeps no baseline."""
    n = len(features)
    if model.baseline is None:
        return np.zeros(n, int), np.full(n, np.nan), np.full(n, np.nan)
    distance = np.abs((features - model.baseline.mean) / model.baseline.sd)
    distance[:, ~model.baseline.monitored] = np.nan
    known = np.nan_to_num(distance, nan=-1.0)
    farthest, there = known.argmax(1), np.isfinite(distance)
    total = np.where(there, distance, 0).sum(1)
    count = there.sum(1)
    mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return farthest, np.where(count > 0, known.max(1), np.nan), mean


def _number(value: float) -> float | None:
    return round(float(value), 4) if np.isfinite(value) else None


def _drop(held: OrderedDict[tuple[str, int], Totals] | OrderedDict[str, float], most: int) -> None:
    while len(held) > most:
        held.popitem(last=False)


class _File(RotatingFileHandler):
    """A file that the first line makes. One that cannot be written is told once, and the console goes on."""

    told = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802, ARG002 (of logging)
        if not self.told:
            self.told = True
            _log.warning("predictions by REST are not logged: %s cannot be written", self.baseFilename)


def _file(config: Settings) -> _File | None:
    """The log of this process, beside those of the services: retention deletes what is old. None where it is off."""
    size = config.console.prediction_log_megabytes
    if not size:
        return None
    folder = log_folder(config)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        _log.warning("predictions by REST are not logged: %s", error)
        return None
    name = f"{socket.gethostname()}-{os.getpid()}.jsonl"
    return _File(
        folder / name,
        maxBytes=int(size * 1e6),
        backupCount=config.console.prediction_log_files,
        encoding="utf-8",
        delay=True,
    )


def log_folder(config: Settings) -> Path:
    """Where the logs of predictions by REST are, a file a process."""
    return resolve(config.local.folder) / "logs" / "rest"
