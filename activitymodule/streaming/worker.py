"""What runs inside Spark's Python workers: thin functions around those on Arrow tables and numpy arrays.

A worker process serves many tasks. What is expensive to make (the model, the connection to the store, the people)
is kept in this module and not in the function that Spark sends: the globals of a pickled function are made anew for
every task, so a cache there never hits.
"""

from __future__ import annotations

import gc
import importlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

from activitymodule.errors import ActivityError
from activitymodule.models.bundle import PersonColumns, ScoringModel, load_bundle
from activitymodule.models.recalibration import Recalibration
from activitymodule.settings import Settings
from activitymodule.store.connection import Connection
from activitymodule.store.dead_letters import PAYLOAD_BYTES, DeadLetters, write_dead_letters
from activitymodule.store.devices import ModelCache
from activitymodule.store.late import note_late
from activitymodule.store.participants import excluded
from activitymodule.store.people import UNKNOWN_PERSON, Person, people_at, people_for
from activitymodule.store.predictions import PredictionRows, write_predictions
from activitymodule.streaming.causes import error_text
from activitymodule.streaming.connections import KeptConnection
from activitymodule.streaming.minutes import Minutes
from activitymodule.streaming.queue.marking import Marker
from activitymodule.streaming.queue.marks import Marking, Marks, Scored, together
from activitymodule.telemetry.excluded import NOTHING_EXCLUDED, Excluded
from activitymodule.windows.assembling import LOW_COVERAGE, NO_FEATURES, assemble
from activitymodule.windows.features import features
from activitymodule.windows.frame import KnownModels
from activitymodule.windows.late import late_windows
from activitymodule.windows.panes import arrival_us, decode_panes

T = TypeVar("T")

# error: of the project, returned and not raised: Spark would try the task again, whatever the error means
COUNT_SCHEMA = "windows long, written long, complete long, weight double, marked binary, error string"

_DECODE_ROWS = 50_000  # messages that are decoded together, at the most ...
_DECODE_BYTES = 128 << 20  # ... and about so many bytes of them
_PEOPLE_SECONDS = 60.0  # how long a person is kept before the store is asked again
_MODELS_SECONDS = 5.0  # ... and the models of the watches


@dataclass
class _Process:
    """What a worker process keeps between tasks."""

    connection: KeptConnection = field(default_factory=KeptConnection)
    models: dict[str, ScoringModel] = field(default_factory=dict)
    people: dict[str, Person] = field(default_factory=dict)
    people_until: dict[str, float] = field(default_factory=dict)
    devices: ModelCache = field(default_factory=lambda: ModelCache(_MODELS_SECONDS))
    quick: bool = False


_process = _Process()


def make_tasks_quick() -> None:
    """Once a process: keep Python's import caches, which PySpark invalidates before every task (70 ms a task), and
    exempt the libraries from garbage collection. No module changes while a job runs."""
    if not _process.quick:
        importlib.invalidate_caches = lambda: None
        gc.collect()
        gc.freeze()
        _process.quick = True


def in_store(config: Settings, work: Callable[[Connection], T]) -> T:
    """`work(connection)` in one transaction, on the connection of this process (KeptConnection.run)."""
    return _process.connection.run(config, work)


def _payloads(values: pa.BinaryArray, rows: np.ndarray) -> list[bytes | None]:
    """The messages without the newline that the query appended, cut to PAYLOAD_BYTES."""
    kept: list[bytes | None] = []
    for row in rows.tolist():
        value = values[row].as_py()
        kept.append(None if value is None else value.removesuffix(b"\n")[:PAYLOAD_BYTES])
    return kept


def decode(
    batches: Iterator[pa.RecordBatch],
    config: Settings,
    topic_id: str | None = None,
    late_before: Callable[[], int] | None = None,
) -> Iterator[pa.RecordBatch]:
    """Messages (value, MESSAGE_COLUMNS and perhaps topic_id) to panes; dead letters go to the store at once.

    late_before : the end, UTC microseconds, of windows that Spark takes no reading of any more; windows with such
    readings are noted, to be scored from the archive.

    Dead letters are committed before the task ends, so before the query commits its offsets; their key is the
    message's place in the topic and the topic's id, so a task that runs twice writes them once. The models that
    messages name are recorded, too.
    """
    make_tasks_quick()
    run = partial(_process.connection.run, config)
    for batch in gathered(batches):
        kafka_us = batch.column("timestamp").cast(pa.int64()).to_numpy()
        named: dict[str, str] = {}
        panes, dead = decode_panes(
            batch.column("value"),
            kafka_us,
            now_us=arrival_us(kafka_us, batch.column("timestampType").to_numpy()),
            limits=config.telemetry,
            slide_seconds=config.windows.slide_seconds,
            newline_terminated=True,
            known=_process.devices.models(run),
            said=named,
        )
        if named:
            _process.devices.learn(named, run)
        if dead.num_rows:
            _write_dead(batch, dead, config, topic_id)
        if late_before is not None and (
            late := late_windows(panes, config.windows, late_before(), int(kafka_us.min()))
        ):
            _process.connection.run(config, partial(note_late, topic=config.kafka.topic, windows=late))
        yield panes


def gathered(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Join small batches: the more readings of a watch are in one batch, the fewer panes it has."""
    waiting: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        if not batch.num_rows:
            continue
        waiting.append(batch)
        rows += batch.num_rows
        size += batch.nbytes
        if rows >= _DECODE_ROWS or size >= _DECODE_BYTES:
            yield pa.concat_batches(waiting)
            waiting, rows, size = [], 0, 0
    if waiting:
        yield pa.concat_batches(waiting)


def _write_dead(batch: pa.RecordBatch, dead: pa.Table, config: Settings, topic_id: str | None) -> None:
    rows = dead.column("message").to_numpy()
    take = pa.array(rows)
    of_each = "topic_id" in batch.schema.names
    letters = DeadLetters(
        topic=config.kafka.topic,
        partition=batch.column("partition").take(take).to_numpy(),
        offset=batch.column("offset").take(take).to_numpy(),
        item=dead.column("item").to_numpy(),
        device_id=dead.column("device_id").to_pylist(),
        reason=dead.column("reason").to_pylist(),
        detail=dead.column("detail").to_pylist(),
        payload=_payloads(batch.column("value"), rows),
        kafka_at_us=batch.column("timestamp").cast(pa.int64()).to_numpy()[rows],
        topic_id=batch.column("topic_id").take(take).to_pylist() if of_each else [topic_id] * len(rows),
    )
    _process.connection.run(
        config, lambda connection: write_dead_letters(connection, letters.without(excluded(connection)))
    )


@dataclass(frozen=True)
class Scorer:
    """How a batch is scored: one version of each model, as broadcast bytes, and the batch's number."""

    config: Settings
    model: Any  # pyspark.Broadcast of models.bundle.BundleBytes
    model_version: str
    batch_id: int
    query_id: str = ""
    marking: Marking | None = None  # how to mark what may be queued
    calibrations: Mapping[str, Recalibration] = field(default_factory=dict)  # of the classifier
    excluded: Excluded = NOTHING_EXCLUDED  # as it was when the batch began
    past: bool = False  # windows of any time: who wore a watch then, not who wears it now

    def taken(self, windows: pa.RecordBatch, excluded: Excluded) -> pa.RecordBatch:
        """The windows (grouping.WINDOWS_SCHEMA) that overlap no excluded time."""
        if not excluded:
            return windows
        length_us = self.config.windows.length_seconds * 1_000_000
        start_us = windows.column("window_us").to_numpy()
        return windows.filter(pa.array(~excluded.rows(windows.column("device_id"), start_us, length_us)))


def _model(scorer: Scorer) -> ScoringModel:
    """The models of this batch, loaded once a process and pair of versions; of older ones only the last is kept."""
    bundle = scorer.model.value
    loaded = _process.models.get(bundle.key)
    if loaded is None:
        # the driver has checked these bytes
        loaded = load_bundle(bundle, checked=True)
        while len(_process.models) > 1:
            _process.models.pop(next(iter(_process.models)))
        _process.models[bundle.key] = loaded
    return loaded


def score(batches: Iterator[pa.RecordBatch], scorer: Scorer) -> Iterator[pa.RecordBatch]:
    """Windows (grouping.WINDOWS_SCHEMA) to rows of the store: one transaction a partition."""
    make_tasks_quick()
    taken = (scorer.taken(batch, scorer.excluded) for batch in gathered(batches))
    tables = [batch for batch in taken if batch.num_rows]
    windows, marks = sum(batch.num_rows for batch in tables), list[Marks]()

    def transaction(connection: Connection) -> int:
        marks.clear()
        minutes = Minutes(scorer.config)
        written = sum(
            write_predictions(connection, score_windows(batch, scorer, connection, minutes, marks))
            for batch in tables
        )
        minutes.write(
            connection,
            model_version=scorer.model_version,
            query_id=scorer.query_id,
            batch_id=scorer.batch_id,
        )
        return written

    written, error = 0, None
    if tables:
        try:
            written = _process.connection.run(scorer.config, transaction)
        except ActivityError as failure:
            error = error_text(failure)
    yield result_of(marks, error, windows=windows, written=written)


def result_of(marks: Sequence[Marks], error: str | None, **counts: int) -> pa.RecordBatch:
    """The row that a task returns: its counts, and the rest of COUNT_SCHEMA."""
    marked = together(marks)
    numbers = counts | {"complete": marked.complete, "weight": marked.weight}
    columns = {name: pa.array([number]) for name, number in numbers.items()}
    texts = {"marked": pa.array([marked.marked], pa.binary()), "error": pa.array([error], pa.string())}
    return pa.RecordBatch.from_pydict(columns | texts)


def score_windows(
    batch: pa.RecordBatch,
    scorer: Scorer,
    connection: Connection | None,
    minutes: Minutes | None = None,
    marks: list[Marks] | None = None,
    *,
    people: Mapping[str, Person] | None = None,
    known: KnownModels | None = None,
) -> PredictionRows:
    """Assemble, compute features and score one Arrow batch of windows; one row a window.

    A window below the least coverage, or without acceleration, has no activity, and a reason.
    minutes : counts the complete windows for drift monitoring; marks : gets those that may be queued
    people, known : the wearers and the models of the watches, for who has no connection to hold while it scores; None:
    they are read
    """
    config = scorer.config
    model = _model(scorer)
    device_id = batch.column("device_id")
    window_us = batch.column("window_us").to_numpy()
    assembled = assemble(window_us, batch.column("panes"), config.windows)
    n = len(assembled)
    chosen = np.flatnonzero(assembled.coverage >= config.windows.least_coverage)
    probabilities = np.full((n, len(model.labels)), np.nan, np.float32)
    in_set = np.zeros((n, len(model.labels)), bool)
    kcal_per_min, familiarity = np.full((2, n), np.nan, np.float32)
    if len(chosen):
        computed = features(assembled.take(chosen), config.windows)
        devices = device_id.take(pa.array(chosen)).to_pylist()
        if connection is not None:
            known = _process.devices.models(partial(_on, connection)) if known is None else known
        if scorer.past and connection is not None:
            wearers = _columns(people_at(connection, devices, window_us[chosen].tolist()))
        else:
            if connection is not None and people is None:
                people = _known_people(devices, connection)
            wearers = _columns([(people or {}).get(device, UNKNOWN_PERSON) for device in devices])
        scores = model.score(computed, wearers, _named(devices, known), scorer.calibrations)
        probabilities[chosen], in_set[chosen] = scores.probabilities, scores.in_set
        kcal_per_min[chosen], familiarity[chosen] = scores.kcal_per_min, scores.familiarity
        panes, weight_kg = batch.column("panes"), wearers.weight_kg
        scored = Scored(device_id, window_us, panes, assembled, chosen, computed, scores, weight_kg)
        if minutes is not None:
            minutes.add(scored, model)
        if marks is not None and scorer.marking is not None and connection is not None:
            marks.append(Marker(scorer.marking, model, config, connection).mark_safely(scored))
    blank = np.asarray(np.isnan(probabilities).any(1))
    probabilities[blank] = np.nan
    in_set[blank] = False
    return PredictionRows(
        device_id=device_id,
        window_start_us=window_us,
        window_seconds=config.windows.length_seconds,
        labels=model.labels,
        probabilities=probabilities,
        in_set=in_set,
        kcal_per_min=kcal_per_min,
        coverage=assembled.coverage,
        readings_used=assembled.readings_used,
        duplicates=assembled.duplicates,
        reason=_reasons(blank, assembled.coverage, config.windows.least_coverage),
        model_version=model.version,
        energy_version=model.energy_version or None,
        last_reading_us=assembled.newest_us,
        received_us=batch.column("kafka_at").cast(pa.int64()).to_numpy(),
        batch_id=scorer.batch_id,
        familiarity=familiarity,
        thresholds=model.thresholds,
    )


def _reasons(blank: np.ndarray, coverage: np.ndarray, least: float) -> pa.StringArray:
    """Why windows have no activity; null where they have one."""
    reason = np.full(len(blank), None, object)
    reason[blank] = NO_FEATURES
    reason[coverage < least] = LOW_COVERAGE
    return pa.array(reason, pa.string())


def _known_people(devices: Sequence[str], connection: Connection) -> Mapping[str, Person]:
    """The wearers of at least these devices; the store is asked once a watch and minute."""
    now = time.monotonic()
    known = _process.people
    stale = [d for d in set(devices) if d not in known or _process.people_until[d] < now]
    if stale:
        found = people_for(connection, stale)
        for device in stale:
            known[device] = found.get(device, UNKNOWN_PERSON)
            _process.people_until[device] = now + _PEOPLE_SECONDS
    return known


def _named(devices: Sequence[str], known: KnownModels | None) -> list[str | None] | None:
    """The device model of each of these watches; None where none is known."""
    return [known[one].model if one in known else None for one in devices] if known else None


def _on(connection: Connection, work: Callable[[Connection], T]) -> T:
    """Work in the transaction of this connection."""
    return work(connection)


def _columns(people: Sequence[Person]) -> PersonColumns:
    age, sex, height, weight, resting = zip(*people, strict=True)
    return PersonColumns(
        _floats(age), np.array(sex, object), _floats(height), _floats(weight), _floats(resting)
    )


def _floats(values: Sequence[float | None]) -> np.ndarray:
    return np.array([np.nan if value is None else value for value in values], np.float32)
