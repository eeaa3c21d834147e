"""Figures of the running system for machines: Prometheus' text format, from a few cheap queries.

Every query goes along an index over the last minute, or over tables that stay small. The text follows the exposition
format 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from activitymodule.settings import Settings

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
_LABELS = """
SELECT (SELECT count(*) FROM annotations WHERE created_at > now() - interval '1 hour' AND answer = 'label'),
       (SELECT count(*) FROM leases WHERE expires_at > now())
"""
_DRIFT = "SELECT measure, count(*) FROM drift_alarms WHERE over_at IS NULL GROUP BY measure ORDER BY measure"
_RETRAIN = "SELECT count(*) FROM retrain_runs WHERE state IN ('running', 'waiting')"


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


def prometheus_text(settings: Settings, connection: Any, *, lag: dict[int, int] | None = None) -> str:
    """All figures as text. lag : messages of each partition that are not scored yet, where the broker was asked."""
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
        cursor.execute(_LABELS)
        labels, leases = cursor.fetchone()
        text.one("labels_last_hour", "Labels given in the last hour", labels)
        text.one("leases", "Items held by annotators now", leases)
        cursor.execute(_DRIFT)
        text.add(
            "drift_alarms",
            "gauge",
            "Measures over their bar by kind",
            [({"measure": measure}, n) for measure, n in cursor.fetchall()],
        )
        cursor.execute(_RETRAIN)
        text.one("retrainings_under_way", "Retrainings that run or wait for approval", cursor.fetchone()[0])
    if lag is not None:
        text.add(
            "lag_messages",
            "gauge",
            "Messages in Kafka that are not scored yet",
            [({"partition": str(number)}, behind) for number, behind in sorted(lag.items())],
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
