"""The live state of the stream, for a view in the terminal. Reads the store and Kafka; disturbs neither."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from activitymodule.errors import ActivityError
from activitymodule.kafka.clients import topic_ends
from activitymodule.kafka.topics import topic_id
from activitymodule.kafka.truth import TruthTail
from activitymodule.models.evaluation.against_truth import Evaluation, compare
from activitymodule.monitoring.figures import lag_of
from activitymodule.settings import Settings
from activitymodule.store.connection import Connection, connect, explained, session
from activitymodule.store.evaluation import predicted_windows
from activitymodule.store.live import Pulse, count_dead_letters, take_pulse

_TRUTH_SECONDS = 300.0  # the comparison with the truth is over the last five minutes
_SLOW_SECONDS = 5.0  # between reads of what is costly: Kafka, the truth
_LEAST_COVERAGE = 0.5


@dataclass(frozen=True)
class Snapshot:
    """Everything one frame of the view shows. None: not known (yet, or while a service is away)."""

    topic: str
    pulse: Pulse | None = None
    lag: int | None = None  # messages that are not scored yet
    dead_letters: int | None = None
    agreement: Evaluation | None = None
    store_trouble: str | None = None
    kafka_trouble: str | None = None

    @property
    def windows_per_second(self) -> float | None:
        """Windows written a second over the last minute; None too soon after a start to say."""
        return self.pulse.windows_per_second if self.pulse and self.pulse.windows else 0.0

    @property
    def readings_per_second(self) -> float | None:
        """Readings a second in these windows; None too soon after a start to say."""
        return self.pulse.readings_per_second if self.pulse and self.pulse.windows else 0.0


@dataclass
class _Slow:
    """What the background thread read last."""

    ends: dict[int, tuple[int, int]] | None = None
    topic_id: str | None = None
    dead_letters: int | None = None
    agreement: Evaluation | None = None
    trouble: str | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


class Watcher:
    """Takes snapshots. The store is read each time; Kafka and the truth by a thread of their own, because a broker
    that is away keeps its clients waiting."""

    def __init__(self, config: Settings) -> None:
        self._config = config
        self._connection: Connection | None = None
        self._pulse: Pulse | None = None
        self._slow = _Slow()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="watch-kafka", daemon=True)

    def __enter__(self) -> Watcher:
        logging.getLogger("kafka").setLevel(logging.CRITICAL)  # the view shows what is away
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(2)
        self._drop()

    def snapshot(self, recent: int = 10) -> Snapshot:
        """The state now, with that many of the last predictions; never raises for a service that is away."""
        trouble = None
        try:
            self._pulse = self._take(recent)
        except ActivityError as error:
            trouble = str(error)
            self._drop()
        with self._slow.lock:
            ends, dead = self._slow.ends, self._slow.dead_letters
            agreement, kafka_trouble = self._slow.agreement, self._slow.trouble
            number = self._slow.topic_id
        return Snapshot(
            topic=self._config.kafka.topic,
            pulse=self._pulse,
            lag=lag(ends, self._pulse, number) if self._pulse else None,
            dead_letters=dead,
            agreement=agreement,
            store_trouble=trouble,
            kafka_trouble=kafka_trouble,
        )

    def _take(self, recent: int) -> Pulse:
        if self._connection is None or self._connection.closed:
            self._connection = connect(self._config, seconds=2)
            self._connection.set_session(readonly=True)
        with explained(self._config):
            pulse = take_pulse(
                self._connection,
                self._config.kafka.topic,
                recent=recent,
                live_seconds=self._config.windows.length_seconds,
                least_coverage=self._config.windows.least_coverage,
            )
            self._connection.rollback()
        return pulse

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    # ---- the slow part ------------------------------------------------------------------------------------

    def _follow(self) -> None:
        while not self._stop.is_set():
            try:
                self._read_slowly()
            except Exception as error:
                # a thread that dies would leave a view that never changes
                with self._slow.lock:
                    self._slow.trouble = f"{type(error).__name__}: {error}"
                self._stop.wait(_SLOW_SECONDS)

    def _read_slowly(self) -> None:
        with TruthTail(self._config, _TRUTH_SECONDS) as tail:
            while not self._stop.is_set():
                ends, number, trouble, truth = None, None, None, None
                try:
                    number = topic_id(self._config, self._config.kafka.topic)
                    ends = topic_ends(self._config, self._config.kafka.topic)
                    truth = tail.poll(time.time())
                except ActivityError as error:
                    trouble = str(error)
                with self._slow.lock:
                    self._slow.ends, self._slow.topic_id, self._slow.trouble = ends, number, trouble
                dead, agreement = self._measure(truth)
                with self._slow.lock:
                    self._slow.dead_letters, self._slow.agreement = dead, agreement
                self._stop.wait(1 if trouble or not dead else _SLOW_SECONDS if agreement else 2)

    def _measure(self, truth: pa.Table | None) -> tuple[int | None, Evaluation | None]:
        try:
            with session(self._config, read_only=True, statement_seconds=10) as connection:
                dead = count_dead_letters(connection)
                if truth is None or not truth.num_rows:
                    return dead, None
                first = datetime.fromtimestamp(pc.min(truth.column("start_us")).as_py() / 1e6, UTC)
                last = datetime.fromtimestamp(pc.max(truth.column("end_us")).as_py() / 1e6, UTC)
                # windows that are still open have no truth yet: it comes every ten seconds
                windows = predicted_windows(
                    connection, first, last - timedelta(seconds=1), coverage=_LEAST_COVERAGE
                )
            result = compare(windows, truth, slide_seconds=self._config.windows.slide_seconds)
            return dead, result if result.raw.compared else None
        except ActivityError:
            return None, None


def lag(ends: dict[int, tuple[int, int]] | None, pulse: Pulse, topic_id: str | None) -> int | None:
    """Messages that are not scored yet. ends : first and next offset by partition; topic_id : of the topic they are of:
    offsets of another topic of that name say nothing about it."""
    known = None in (topic_id, pulse.topic_id) or topic_id == pulse.topic_id
    unscored = lag_of(ends, pulse.offsets if known else {})
    return None if unscored is None else sum(unscored.values())
