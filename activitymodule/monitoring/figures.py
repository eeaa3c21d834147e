"""Figures of the running system for Prometheus, from a few cheap queries.

Every query goes along an index over the last minute or hour, or over tables that stay small; what costs more
(`SlowFigures`) is for the caller to keep for a while. tests/infra holds the dashboards and alerts to the names here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

import activitymodule
from activitymodule.errors import ServiceUnavailableError
from activitymodule.files import disk_space
from activitymodule.learning.agreement import OverallAgreement, overall_agreement
from activitymodule.models.calibration import UNFAMILIAR
from activitymodule.models.thresholds import Thresholds
from activitymodule.monitoring.event_figures import event_figures
from activitymodule.monitoring.report import drift_report
from activitymodule.monitoring.threshold_figures import champion_thresholds, threshold_figures
from activitymodule.serving.record import problems
from activitymodule.settings import Settings, resolve
from activitymodule.store.archive import read_archive_state
from activitymodule.store.connection import Connection
from activitymodule.store.labels import pairs_of_labels
from activitymodule.store.live import Pulse, take_pulse

LATENCY_BUCKETS = (0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0, 10.0, 60.0)

_LATENCY = """
SELECT width_bucket(seconds, %s::float8[]) AS bucket, count(*)
FROM (
    SELECT greatest(extract(epoch FROM processed_at - received_at), 0)::double precision AS seconds
    FROM predictions WHERE processed_at > now() - interval '60 seconds' AND received_at IS NOT NULL
) AS last_minute
GROUP BY 1
"""
_DEAD_LETTERS = """
SELECT reason, count(*) FROM dead_letters
WHERE noticed_at > now() - interval '1 hour' GROUP BY reason ORDER BY reason
"""
_QUEUE = """
SELECT stratum, count(*), coalesce(extract(epoch FROM now() - min(queued_at)), 0)::double precision
FROM queue_items WHERE closed_at IS NULL AND expires_at > now() GROUP BY stratum ORDER BY stratum
"""
_WINDOWS = """
SELECT avg(confidence), count(*) FILTER (WHERE activity IS NULL AND window_end < now()),
       avg((decided IS NOT NULL)::integer) FILTER (WHERE activity IS NOT NULL)::double precision
FROM predictions WHERE processed_at > now() - interval '60 seconds'
"""
# device models come from messages: of many only those with most windows
_BY_MODEL = """
SELECT coalesce(d.device_model, ''), avg((p.familiarity < %s)::integer)::double precision, avg(p.confidence)
FROM predictions p LEFT JOIN devices d ON d.device_id = p.device_id
WHERE p.processed_at > now() - interval '60 seconds' AND p.confidence IS NOT NULL
GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 20
"""
_LATE = """
SELECT coalesce(sum(dropped_late), 0)::bigint FROM batches
WHERE topic = %s AND started_at > now() - interval '1 hour'
"""
_ANSWERS = """
SELECT answer, count(*) FROM annotations
WHERE created_at > now() - interval '1 hour' GROUP BY answer ORDER BY answer
"""
_ANNOTATORS = """
SELECT (SELECT count(DISTINCT annotator) FROM annotations WHERE created_at > now() - interval '1 hour'),
       (SELECT count(*) FROM leases WHERE expires_at > now())
"""
_DRIFT_ALARMS = (
    "SELECT measure, count(*) FROM drift_alarms WHERE over_at IS NULL GROUP BY measure ORDER BY measure"
)
# `touched` is when a run last reported something: for one that waits, when it began to wait.
_RETRAININGS = """
SELECT count(*),
       coalesce(max(extract(epoch FROM now()) - coalesce((parameters ->> 'touched')::double precision,
                                                         extract(epoch FROM started_at)::double precision))
                FILTER (WHERE state = 'waiting'), 0)::double precision
FROM retrain_runs WHERE state IN ('running', 'waiting')
"""
_REVISION = "SELECT version_num FROM alembic_version"


@dataclass(frozen=True)
class SlowFigures:
    """What is not looked up for every answer. drift : measure -> (size, threshold), {} without a comparison;
    problems : model -> how many things are wrong with what serves, {} where the registry is away"""

    agreement: OverallAgreement
    drift: dict[str, tuple[float, float]]
    problems: dict[str, int] = field(default_factory=dict)
    thresholds: Thresholds | None = None  # of the champion


def slow_figures(config: Settings, connection: Connection) -> SlowFigures:
    """Agreement of annotators, and the overall drift measures. Some 100 ms."""
    pairs = pairs_of_labels(connection)
    agreement = overall_agreement(
        [a for a, _, _ in pairs], [w for _, w, _ in pairs], [one for _, _, one in pairs]
    )
    try:
        found = drift_report(config, connection).comparison if config.monitoring.enabled else None
    except ServiceUnavailableError:
        found = None
    measures = found.measures if found is not None else ()
    try:
        wrong = problems(config, connection, download=True)
    except ServiceUnavailableError:
        wrong = {}
    drift = {one.name: (abs(one.value), one.bar) for one in measures}
    counts = {name: len(sentences) for name, sentences in wrong.items()}
    return SlowFigures(agreement, drift, counts, champion_thresholds(config))


def disks(config: Settings) -> dict[str, tuple[int, int]]:
    """What a disk holds -> its (free, total) bytes; nothing of what lies in a bucket."""
    held = {
        "lake": config.lake.folder,
        "archive": config.archive.folder,
        "checkpoints": config.spark.checkpoints,
    }
    return {name: disk_space(resolve(folder)) for name, folder in held.items() if "://" not in folder}


def prometheus_text(
    config: Settings,
    connection: Connection,
    *,
    lag: dict[int, int] | None = None,
    ends: dict[int, tuple[int, int]] | None = None,
    slow: SlowFigures | None = None,
) -> str:
    """All figures, and those of this process, in the exposition format 0.0.4.

    lag : unscored messages by partition; ends : first and last offset by partition; both None where the broker is away
    """
    registry = CollectorRegistry()
    registry.register(_Figures(config, connection, lag, ends, slow))
    ProcessCollector(registry=registry)
    return generate_latest(registry).decode()


def lag_of(ends: dict[int, tuple[int, int]] | None, scored: dict[int, int]) -> dict[int, int] | None:
    """Messages of each partition that are not scored yet; ends : first and last offset of each."""
    if ends is None:
        return None
    return {
        number: max(0, last - max(first, scored.get(number, 0))) for number, (first, last) in ends.items()
    }


def _gauge(name: str, text: str, value: float | None) -> Iterator[Metric]:
    """One value; nothing where there is none."""
    if value is not None:
        yield GaugeMetricFamily(f"activity_{name}", text, value=value)


def _gauges(
    name: str, text: str, label: str, values: Iterable[tuple[object, float | None]]
) -> Iterator[Metric]:
    """A value for each value of a label; nothing where there is none."""
    family = GaugeMetricFamily(f"activity_{name}", text, labels=[label])
    for key, value in values:
        if value is not None:
            family.add_metric([str(key)], value)
    if family.samples:
        yield family


@dataclass(frozen=True, eq=False)
class _Figures(Collector):
    """Looks everything up once a scrape; the arguments are those of `prometheus_text`."""

    config: Settings
    connection: Connection
    lag: dict[int, int] | None
    ends: dict[int, tuple[int, int]] | None
    slow: SlowFigures | None

    def describe(self) -> list[Metric]:
        return []  # registering looks nothing up

    def collect(self) -> Iterator[Metric]:
        pulse = take_pulse(self.connection, self.config.kafka.topic, recent=0)
        yield from self._windows(pulse)
        yield from self._dead_letters(pulse)
        yield from self._labelling()
        yield from self._learning()
        yield from self._broker()
        yield from self._archive()
        if self.config.events.enabled:
            yield from event_figures(self.connection, self.config.events.topic)
        yield from self._disks()
        yield from self._slow()
        yield from self._batches(pulse)

    def _rows(self, query: str, parameters: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        with self.connection.cursor() as cursor:
            cursor.execute(query, parameters)
            return cursor.fetchall()

    def _windows(self, pulse: Pulse) -> Iterator[Metric]:
        yield from _gauge("windows_last_minute", "Windows written in the last minute", pulse.windows)
        yield from _gauge("readings_last_minute", "Readings in those windows", pulse.readings)
        yield from _gauges(
            "watches",
            "Watches with a window in the last minute by activity (empty: none)",
            "activity",
            sorted(pulse.watches.items()),
        )
        yield from _gauges(
            "latency_quantile_seconds",
            "From a window's newest reading in Kafka to its row, over the last minute",
            "quantile",
            [("0.5", pulse.latency_p50_seconds), ("0.95", pulse.latency_p95_seconds)],
        )
        counts: dict[int, int] = dict(self._rows(_LATENCY, (list(LATENCY_BUCKETS),)))
        cumulative = [sum(counts.get(k, 0) for k in range(n + 1)) for n in range(len(LATENCY_BUCKETS))]
        yield from _gauges(
            "latency_last_minute_windows",
            "Windows of the last minute that took at most `le` seconds",
            "le",
            [
                *((f"{bucket:g}", n) for bucket, n in zip(LATENCY_BUCKETS, cumulative, strict=True)),
                ("+Inf", sum(counts.values())),
            ],
        )
        ((confidence, without, decided),) = self._rows(_WINDOWS)
        yield from _gauge("confidence_mean", "Mean confidence of the windows of the last minute", confidence)
        yield from _gauge(
            "windows_without_activity_last_minute",
            "Windows of the last minute that have ended and have no activity",
            without,
        )
        yield from _gauge("decided_share", "Share of the windows with an activity that are decided", decided)
        by_model = self._rows(_BY_MODEL, (UNFAMILIAR,))
        for place, name, text in (
            (1, "unfamiliar_share", "Share of unfamiliar windows"),
            (2, "confidence_by_device_model", "Mean confidence of the windows"),
        ):
            yield from _gauges(
                name,
                f"{text} of the last minute by device model (empty: unknown)",
                "device_model",
                [(row[0], row[place]) for row in by_model if row[place] is not None],
            )
        ((late,),) = self._rows(_LATE, (self.config.kafka.topic,))
        yield from _gauge(
            "late_panes_last_hour", "Panes of the last hour that came later than the watermark", late
        )

    def _dead_letters(self, pulse: Pulse) -> Iterator[Metric]:
        yield from _gauges(
            "dead_letters_last_hour",
            "Dead letters of the last hour by reason",
            "reason",
            self._rows(_DEAD_LETTERS),
        )
        yield from _gauge(
            "dead_letters_last_minute", "Dead letters of the last minute", pulse.dead_letters_last_minute
        )

    def _labelling(self) -> Iterator[Metric]:
        queue = self._rows(_QUEUE)
        yield from _gauges(
            "queue_items",
            "Windows in the annotation queue by stratum",
            "stratum",
            [(stratum, n) for stratum, n, _ in queue],
        )
        yield from _gauge(
            "queue_oldest_seconds", "Age of the oldest of them", max((age for *_, age in queue), default=0.0)
        )
        answers: dict[str, int] = dict(self._rows(_ANSWERS))
        yield from _gauge("labels_last_hour", "Labels given in the last hour", answers.get("label", 0))
        yield from _gauges("answers_last_hour", "Answers of the last hour by kind", "answer", answers.items())
        ((annotators, leases),) = self._rows(_ANNOTATORS)
        yield from _gauge("annotators_last_hour", "Annotators who answered in the last hour", annotators)
        yield from _gauge("leases", "Items leased to annotators now", leases)

    def _learning(self) -> Iterator[Metric]:
        yield from _gauges(
            "drift_alarms", "Open drift alarms by measure", "measure", self._rows(_DRIFT_ALARMS)
        )
        ((under_way, waits),) = self._rows(_RETRAININGS)
        yield from _gauge("retrainings_under_way", "Retrainings that run or wait for approval", under_way)
        yield from _gauge(
            "retraining_waits_seconds",
            "How long the oldest of them has waited for approval (0: none waits)",
            waits,
        )
        ((revision,),) = self._rows(_REVISION)
        build = GaugeMetricFamily(
            "activity_build_info",
            "Version of the program, revision of the store's tables",
            labels=["version", "revision"],
        )
        build.add_metric([activitymodule.__version__, revision], 1)
        yield build

    def _broker(self) -> Iterator[Metric]:
        if self.lag is not None:
            yield from _gauges(
                "lag_messages",
                "Messages in Kafka that are not scored yet",
                "partition",
                sorted(self.lag.items()),
            )
        if self.ends:
            total = CounterMetricFamily(
                "activity_broker_messages", "Messages that ever reached the topic", labels=["partition"]
            )
            for number, (_, last) in sorted(self.ends.items()):
                total.add_metric([str(number)], last)
            yield total

    def _archive(self) -> Iterator[Metric]:
        state = read_archive_state(self.connection, self.config.kafka.topic)
        if state is None or not self.config.archive.enabled:
            return
        if self.ends:
            yield from _gauges(
                "archive_lag_messages",
                "Messages in Kafka that are not archived yet",
                "partition",
                sorted(state.behind(self.ends).items()),
            )
        yield from _gauge(
            "archive_failing_seconds",
            "How long the archive has not been written (0: it is)",
            state.failing_seconds,
        )
        yield from _gauge(
            "archive_missing_messages",
            "Messages that Kafka deleted before they were archived",
            state.missing,
        )

    def _disks(self) -> Iterator[Metric]:
        sizes = disks(self.config)
        for place, name, text in (
            (0, "disk_free_bytes", "Free bytes of the disk that holds it"),
            (1, "disk_total_bytes", "Size of the disk that holds it"),
        ):
            yield from _gauges(name, text, "holds", [(held, size[place]) for held, size in sizes.items()])

    def _slow(self) -> Iterator[Metric]:
        if self.slow is None:
            return
        agreement = self.slow.agreement
        yield from _gauge(
            "annotator_pairs", "Windows labelled by two annotators, counted for each pair", agreement.windows
        )
        yield from _gauge("annotator_agreement", "Share of them with one label", agreement.agree)
        yield from _gauge("annotator_kappa", "Mean of Cohen's kappa over the pairs", agreement.kappa)
        for place, name, text in (
            (0, "drift_measure", "Drift from the champion's baseline by measure"),
            (1, "drift_bar", "Threshold of that measure"),
        ):
            yield from _gauges(
                name, text, "measure", [(what, pair[place]) for what, pair in self.slow.drift.items()]
            )
        yield from threshold_figures(self.slow.thresholds)
        yield from _gauges(
            "champion_problems",
            "What is wrong with the champion: alias or files that were not promoted, a refusal",
            "model",
            self.slow.problems.items(),
        )

    def _batches(self, pulse: Pulse) -> Iterator[Metric]:
        yield from _gauge("batch_seconds", "Duration of the last batch", pulse.batch_seconds)
        if pulse.batch_started_at is not None:
            age = (pulse.at - pulse.batch_started_at).total_seconds()
            yield from _gauge("batch_age_seconds", "How long ago the last batch began", age)
        if pulse.model_version is not None:
            info = GaugeMetricFamily(
                "activity_champion_info",
                "Versions that scored the last batch",
                labels=["name", "version", "energy_version"],
            )
            name = pulse.model_name or self.config.registry.classifier
            info.add_metric([name, pulse.model_version, pulse.energy_version or ""], 1)
            yield info
