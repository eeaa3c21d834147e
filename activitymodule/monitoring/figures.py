"""Figures of the running system for machines: Prometheus' text format, from a few cheap queries.

Every query goes along an index over the last minute or hour, or over tables that stay small; what costs more
(`SlowFigures`) is for the caller to keep for a while. The text follows the exposition format 0.0.4
(prometheus.io/docs/instrumenting/exposition_formats). tests/infra holds the dashboards and alerts to the names here.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import activitymodule
from activitymodule.errors import ServiceUnavailableError
from activitymodule.learning.agreement import OverallAgreement, overall_agreement
from activitymodule.settings import Settings, resolve
from activitymodule.store.connection import Connection

LATENCY_BUCKETS = (0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0, 10.0, 60.0)

_LATENCY = """
SELECT width_bucket(seconds, %s::float8[]) AS bucket, count(*), sum(seconds)
FROM (
    SELECT greatest(extract(epoch FROM processed_at - received_at), 0)::double precision AS seconds
    FROM predictions WHERE processed_at > now() - interval '60 seconds' AND received_at IS NOT NULL
) AS last_minute
GROUP BY 1
"""
_DEAD = """
SELECT reason, count(*) FROM dead_letters
WHERE noticed_at > now() - interval '1 hour' GROUP BY reason ORDER BY reason
"""
_QUEUE = """
SELECT stratum, count(*), coalesce(extract(epoch FROM now() - min(queued_at)), 0)::double precision
FROM queue_items WHERE closed_at IS NULL AND expires_at > now() GROUP BY stratum ORDER BY stratum
"""
_WINDOWS = """
SELECT avg(confidence), count(*) FILTER (WHERE activity IS NULL AND window_end < now())
FROM predictions WHERE processed_at > now() - interval '60 seconds'
"""
_LATE = """
SELECT coalesce(sum(dropped_late), 0)::bigint FROM batches
WHERE topic = %s AND started_at > now() - interval '1 hour'
"""
_ANSWERS = """
SELECT answer, count(*) FROM annotations
WHERE created_at > now() - interval '1 hour' GROUP BY answer ORDER BY answer
"""
_PEOPLE = """
SELECT (SELECT count(DISTINCT annotator) FROM annotations WHERE created_at > now() - interval '1 hour'),
       (SELECT count(*) FROM leases WHERE expires_at > now())
"""
_DRIFT = "SELECT measure, count(*) FROM drift_alarms WHERE over_at IS NULL GROUP BY measure ORDER BY measure"
# `touched` is when a run last said something: for one that waits, when it began to.
_RETRAIN = """
SELECT count(*),
       coalesce(max(extract(epoch FROM now()) - coalesce((parameters ->> 'touched')::double precision,
                                                         extract(epoch FROM started_at)::double precision))
                FILTER (WHERE state = 'waiting'), 0)::double precision
FROM retrain_runs WHERE state IN ('running', 'waiting')
"""
_REVISION = "SELECT version_num FROM alembic_version"


class _Text:
    """Families of samples, each with its help."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def add(
        self, name: str, kind: str, says: str, samples: Iterable[tuple[dict[str, str], float | None]]
    ) -> None:
        held = [(labels, value) for labels, value in samples if value is not None]
        if not held:
            return
        self.lines += [f"# HELP activity_{name} {says}", f"# TYPE activity_{name} {kind}"]
        for labels, value in held:
            self.lines.append(f"activity_{name}{_labels(labels)} {_number(value)}")

    def one(self, name: str, says: str, value: float | None) -> None:
        self.add(name, "gauge", says, [({}, value)])


def _labels(labels: dict[str, str]) -> str:
    if not labels:
        return ""
    escaped = {
        key: value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
        for key, value in labels.items()
    }
    return "{" + ",".join(f'{key}="{value}"' for key, value in escaped.items()) + "}"


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))


@dataclass(frozen=True)
class SlowFigures:
    """What is not looked up for every answer. drift : measure -> (value, its bar), {} where nothing can be judged."""

    agreement: OverallAgreement
    drift: dict[str, tuple[float, float]]


def slow_figures(settings: Settings, connection: Connection) -> SlowFigures:
    """How far annotators agree, and how far the readings are from the champion's baseline. Some 100 ms."""
    from activitymodule.monitoring.drift import drift_report
    from activitymodule.store.annotations import pairs_of_labels

    said = pairs_of_labels(connection)
    agreement = overall_agreement(
        [a for a, _, _ in said], [w for _, w, _ in said], [one for _, _, one in said]
    )
    try:
        found = drift_report(settings, connection).comparison if settings.monitoring.enabled else None
    except ServiceUnavailableError:
        found = None
    if found is None:
        return SlowFigures(agreement, {})
    return SlowFigures(
        agreement,
        {
            "features_share": (found.features_share, settings.monitoring.features_share),
            "class_shift": (found.class_shift, found.class_bar),
            "confidence_shift": (abs(found.confidence_shift), found.confidence_bar),
        },
    )


def disks(settings: Settings) -> dict[str, tuple[int, int]]:
    """What a disk holds -> its (free, total) bytes; nothing of what lies in a bucket. A folder that is yet to be
    made counts as the nearest one above it."""
    held = {
        "lake": settings.lake.folder,
        "archive": settings.archive.folder,
        "checkpoints": settings.spark.checkpoints,
    }
    found = {}
    for name, folder in held.items():
        if "://" not in folder:
            usage = shutil.disk_usage(_nearest(resolve(folder)))
            found[name] = (usage.free, usage.total)
    return found


def _nearest(folder: Path) -> Path:
    return next(one for one in (folder, *folder.parents) if one.exists())


def prometheus_text(
    settings: Settings,
    connection: Connection,
    *,
    lag: dict[int, int] | None = None,
    ends: dict[int, tuple[int, int]] | None = None,
    slow: SlowFigures | None = None,
) -> str:
    """All figures as text. Where the broker was asked: lag, messages of each partition that are not scored yet, and
    ends, first and last offset of each."""
    from activitymodule.store.live import take_pulse

    pulse = take_pulse(connection, settings.kafka.topic, recent=0)
    text = _Text()
    text.one("windows_last_minute", "Windows written in the last minute", pulse.windows)
    text.one("readings_last_minute", "Readings in those windows", pulse.readings)
    text.add(
        "watches",
        "gauge",
        "Watches heard of in the last minute by activity (empty: none)",
        [({"activity": activity}, n) for activity, n in sorted(pulse.watches.items())],
    )
    text.add(
        "latency_quantile_seconds",
        "gauge",
        "From a window's newest reading in Kafka to its row, over the last minute",
        [({"quantile": "0.5"}, pulse.latency_p50_seconds), ({"quantile": "0.95"}, pulse.latency_p95_seconds)],
    )
    with connection.cursor() as cursor:
        cursor.execute(_LATENCY, (list(LATENCY_BUCKETS),))
        found = {int(bucket): (int(n), float(seconds)) for bucket, n, seconds in cursor.fetchall()}
        samples, running = [], 0
        for place, bucket in enumerate(LATENCY_BUCKETS):
            running += found.get(place, (0, 0.0))[0]
            samples.append(({"le": f"{bucket:g}"}, float(running)))
        text.add(
            "latency_last_minute_windows",
            "gauge",
            "Windows of the last minute that took at most `le` seconds",
            [*samples, ({"le": "+Inf"}, float(sum(n for n, _ in found.values())))],
        )
        cursor.execute(_WINDOWS)
        confidence, without = cursor.fetchone()
        text.one("confidence_mean", "Mean confidence of the windows of the last minute", confidence)
        text.one(
            "windows_without_activity_last_minute",
            "Windows of the last minute that are over and have no activity",
            without,
        )
        cursor.execute(_LATE, (settings.kafka.topic,))
        text.one(
            "late_panes_last_hour",
            "Panes of the last hour that came later than the watermark",
            cursor.fetchone()[0],
        )
        cursor.execute(_DEAD)
        text.add(
            "dead_letters_last_hour",
            "gauge",
            "Dead letters of the last hour by reason",
            [({"reason": reason}, n) for reason, n in cursor.fetchall()],
        )
        text.one(
            "dead_letters_last_minute", "Dead letters of the last minute", pulse.dead_letters_last_minute
        )
        cursor.execute(_QUEUE)
        queue = cursor.fetchall()
        text.add(
            "queue_items",
            "gauge",
            "Windows that wait to be labelled by stratum",
            [({"stratum": stratum}, n) for stratum, n, _ in queue],
        )
        text.one(
            "queue_oldest_seconds",
            "How long the oldest of them waits",
            max((age for *_, age in queue), default=0.0),
        )
        cursor.execute(_ANSWERS)
        answers = dict(cursor.fetchall())
        text.one("labels_last_hour", "Labels given in the last hour", answers.get("label", 0))
        text.add(
            "answers_last_hour",
            "gauge",
            "Answers of the last hour by kind",
            [({"answer": answer}, n) for answer, n in answers.items()],
        )
        cursor.execute(_PEOPLE)
        annotators, leases = cursor.fetchone()
        text.one("annotators_last_hour", "People who answered in the last hour", annotators)
        text.one("leases", "Items held by annotators now", leases)
        cursor.execute(_DRIFT)
        text.add(
            "drift_alarms",
            "gauge",
            "Measures over their bar by kind",
            [({"measure": measure}, n) for measure, n in cursor.fetchall()],
        )
        cursor.execute(_RETRAIN)
        under_way, waits = cursor.fetchone()
        text.one("retrainings_under_way", "Retrainings that run or wait for approval", under_way)
        text.one(
            "retraining_waits_seconds", "How long the oldest of them waits for approval (0: none)", waits
        )
        cursor.execute(_REVISION)
        text.add(
            "build_info",
            "gauge",
            "Version of the program, revision of the store's tables",
            [({"version": activitymodule.__version__, "revision": cursor.fetchone()[0]}, 1)],
        )
    if lag is not None:
        text.add(
            "lag_messages",
            "gauge",
            "Messages in Kafka that are not scored yet",
            [({"partition": str(number)}, behind) for number, behind in sorted(lag.items())],
        )
    if ends is not None:
        text.add(
            "broker_messages_total",
            "counter",
            "Messages that ever reached the topic",
            [({"partition": str(number)}, last) for number, (_, last) in sorted(ends.items())],
        )
    room = disks(settings)
    for place, name, says in (
        (0, "disk_free_bytes", "Room on the disk that holds it"),
        (1, "disk_total_bytes", "Size of the disk that holds it"),
    ):
        text.add(name, "gauge", says, [({"holds": held}, sizes[place]) for held, sizes in room.items()])
    if slow is not None:
        agreement = slow.agreement
        text.one("annotator_pairs", "Windows labelled by two, counted for each pair", agreement.windows)
        text.one("annotator_agreement", "Share of them with one label", agreement.agree)
        text.one("annotator_kappa", "Mean of Cohen's kappa over the pairs", agreement.kappa)
        for place, name, says in (
            (0, "drift_measure", "Distance from the champion's baseline"),
            (1, "drift_bar", "What that distance may be"),
        ):
            text.add(
                name, "gauge", says, [({"measure": what}, pair[place]) for what, pair in slow.drift.items()]
            )
    if pulse.batch_seconds is not None:
        text.one("batch_seconds", "How long the last batch took", pulse.batch_seconds)
    if pulse.batch_started_at is not None:
        text.one(
            "batch_age_seconds",
            "How long ago the last batch began",
            (pulse.at - pulse.batch_started_at).total_seconds(),
        )
    if pulse.model_version is not None:
        text.add(
            "champion_info",
            "gauge",
            "Versions that scored the last batch",
            [
                (
                    {
                        "name": pulse.model_name or settings.registry.classifier,
                        "version": pulse.model_version,
                        "energy_version": pulse.energy_version or "",
                    },
                    1,
                )
            ],
        )
    return "\n".join(text.lines) + "\n"


def lag_of(ends: dict[int, tuple[int, int]] | None, scored: dict[int, int]) -> dict[int, int] | None:
    """Messages of each partition that are not scored yet; ends : first and last offset of each."""
    if ends is None:
        return None
    return {
        number: max(0, last - max(first, scored.get(number, 0))) for number, (first, last) in ends.items()
    }
