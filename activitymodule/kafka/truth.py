"""The truth topic: spans of the true activity. Read by evaluation, never by scoring."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
from kafka.errors import KafkaError

from activitymodule.errors import ActivityError
from activitymodule.kafka.clients import TIMEOUT_MS, consumer, partitions, read_until
from activitymodule.kafka.failures import no_topic, of
from activitymodule.models.evaluation.against_truth import SPAN_SCHEMA
from activitymodule.settings import Settings
from activitymodule.telemetry.decoding import parse_stamps
from activitymodule.telemetry.identifiers import is_device_id
from activitymodule.telemetry.untrusted import UnusableError, is_number, is_text, parse_json

_DAY_US = 86_400_000_000
_MOST_KCAL = 100  # kcal/min; nobody burns a quarter of that


@dataclass(frozen=True)
class Truth:
    """Spans of the truth topic (SPAN_SCHEMA), and how many messages could not be used, by reason."""

    spans: pa.Table
    unusable: dict[str, int]


def parse_truth(messages: Sequence[bytes | None]) -> Truth:
    """Messages of the truth topic as spans; what is no span is counted by reason."""
    unusable = Counter[str]()
    rows = []
    for message in messages:
        try:
            rows.append(_row(message))
        except UnusableError as error:
            unusable[str(error.reason)] += 1
        except ValueError as error:
            unusable[str(error)] += 1
    device, start, end, activity, kcal = (list(one) for one in zip(*rows, strict=True)) if rows else ([],) * 5
    (start_us, start_known), (end_us, end_known) = (
        parse_stamps(pa.array(one, pa.string())) for one in (start, end)
    )
    known = start_known & end_known
    latest = (
        int(time.time() * 1e6) + _DAY_US
    )  # beyond, times of many watches on one axis would not fit 64 bits
    possible = known & (start_us >= 0) & (start_us < end_us) & (end_us <= latest)
    unusable["bad_time"] += int((~known).sum())
    unusable["impossible_time"] += int((known & ~possible).sum())
    table = pa.table(
        [
            pa.array(column, field.type)
            for column, field in zip((device, start_us, end_us, activity, kcal), SPAN_SCHEMA, strict=True)
        ],
        schema=SPAN_SCHEMA,
    )
    return Truth(table.filter(pa.array(possible)), {reason: n for reason, n in unusable.items() if n})


def _row(message: bytes | None) -> tuple[str, str, str, str, float | None]:
    """A span's watch, start, end, activity and kcal/min. Raises ValueError with the reason where it is none."""
    value = parse_json(message or b"")
    if not isinstance(value, dict):
        raise ValueError("not_an_object")
    device, start, end, activity, kcal = (value.get(field.name.removesuffix("_us")) for field in SPAN_SCHEMA)
    if not is_device_id(device):
        raise ValueError("bad_device_id")
    if not (is_text(start) and is_text(end)):
        raise ValueError("bad_time")
    if not (is_text(activity) and activity.strip()):
        raise ValueError("bad_activity")
    if kcal is None:
        return device, start, end, activity, None
    if not (is_number(kcal) and 0 <= kcal <= _MOST_KCAL):
        raise ValueError("bad_kcal_per_min")
    return device, start, end, activity, float(kcal)


def parse_spans(messages: Sequence[bytes | None]) -> pa.Table:
    """Messages of the truth topic as SPAN_SCHEMA; messages that are no spans are left out."""
    return parse_truth(messages).spans


def read_truth(config: Settings, since: datetime | None = None) -> Truth:
    """Every retained span (that arrived since a time).

    Raises NoTopicError where there is no such topic, ServiceUnavailableError where Kafka does not answer.
    """
    topic = config.kafka.truth_topic
    messages: list[bytes | None] = []
    with consumer(config) as client:
        parts = partitions(client, config, topic)
        if not parts:
            raise no_topic(config, topic)
        begin = client.beginning_offsets(parts, timeout_ms=TIMEOUT_MS)
        end = client.end_offsets(parts, timeout_ms=TIMEOUT_MS)
        if since is not None:
            by_time = client.offsets_for_times(
                {part: int(since.timestamp() * 1000) for part in parts}, timeout_ms=TIMEOUT_MS
            )
            begin = {part: by_time[part].offset if by_time.get(part) else end[part] for part in parts}
        client.assign(parts)
        for part in parts:
            client.seek(part, begin[part])
        for records in read_until(client, config, end):
            messages += [record.value for record in records]
    return parse_truth(messages)


class TruthTail:
    """The newest spans as they arrive; for one thread. `with TruthTail(config, 300) as tail:`."""

    def __init__(self, config: Settings, seconds: float) -> None:
        self._config = config
        self._seconds = seconds
        self._held: deque[tuple[float, pa.Table]] = deque()
        self._context: Any = None
        self._client: Any = None

    def __enter__(self) -> TruthTail:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the consumer."""
        context, self._context, self._client = self._context, None, None
        if context is not None:
            context.__exit__(None, None, None)

    def _open(self, now: float) -> bool:
        self._context = consumer(self._config)
        self._client = self._context.__enter__()
        parts = partitions(self._client, self._config, self._config.kafka.truth_topic)
        if not parts:
            self.close()
            return False
        self._client.assign(parts)
        by_time = self._client.offsets_for_times(
            {part: int((now - self._seconds) * 1000) for part in parts}, timeout_ms=TIMEOUT_MS
        )
        end = self._client.end_offsets(parts, timeout_ms=TIMEOUT_MS)
        for part in parts:
            self._client.seek(part, by_time[part].offset if by_time.get(part) else end[part])
        self._held.clear()
        return True

    def poll(self, now: float) -> pa.Table:
        """Spans that arrived in the last `seconds` before `now` (Unix time).

        Raises ServiceUnavailableError where Kafka does not answer, BrokerError where it refuses.
        """
        try:
            if self._client is None and not self._open(now):
                return SPAN_SCHEMA.empty_table()
            while True:
                polled = self._client.poll(timeout_ms=100, max_records=5000)
                messages = [record.value for records in polled.values() for record in records]
                if not messages:
                    break
                newest = max(record.timestamp for records in polled.values() for record in records) / 1000
                self._held.append((newest, parse_spans(messages)))
                if len(messages) < 5000:
                    break
        except Exception as error:
            self.close()
            if isinstance(error, KafkaError):
                raise of(self._config, error) from error
            if isinstance(error, ActivityError):
                raise
            raise ActivityError(
                f"the topic {self._config.kafka.truth_topic} cannot be followed: {type(error).__name__}: {error}"
            ) from error
        while self._held and self._held[0][0] < now - self._seconds:
            self._held.popleft()
        return (
            pa.concat_tables([table for _, table in self._held]) if self._held else SPAN_SCHEMA.empty_table()
        )
