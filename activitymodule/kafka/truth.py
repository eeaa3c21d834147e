"""The truth topic: spans of the true activity. Read by evaluation, never by scoring."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json
from kafka import TopicPartition

from activitymodule.errors import ServiceUnavailableError
from activitymodule.kafka.clients import consumer
from activitymodule.models.evaluation.against_truth import SPAN_SCHEMA
from activitymodule.settings import Settings

_TIMEOUT_MS = 15_000
_MESSAGE = pa.schema(
    [
        ("device_id", pa.string()),
        ("start", pa.string()),
        ("end", pa.string()),
        ("activity", pa.string()),
        ("kcal_per_min", pa.float64()),
    ]
)


def parse_spans(messages: Sequence[bytes]) -> pa.Table:
    """Messages of the truth topic as SPAN_SCHEMA; messages that are no spans are left out."""
    if not messages:
        return SPAN_SCHEMA.empty_table()
    try:
        return _parse(b"\n".join(messages))
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        good = []
        for message in messages:
            try:
                good.append(_parse(message))
            except (pa.ArrowInvalid, pa.ArrowTypeError):
                continue
        return pa.concat_tables(good) if good else SPAN_SCHEMA.empty_table()


def _parse(lines: bytes) -> pa.Table:
    read = pyarrow.json.read_json(
        io.BytesIO(lines),
        read_options=pyarrow.json.ReadOptions(
            use_threads=False, block_size=max(1 << 20, min(len(lines), 1 << 28))
        ),
        parse_options=pyarrow.json.ParseOptions(explicit_schema=_MESSAGE, unexpected_field_behavior="ignore"),
    )
    times = {
        name: pc.cast(read.column(name), pa.timestamp("us", tz="UTC")).cast(pa.int64())
        for name in ("start", "end")
    }
    table = pa.table(
        [
            read.column("device_id"),
            times["start"],
            times["end"],
            read.column("activity"),
            read.column("kcal_per_min"),
        ],
        schema=SPAN_SCHEMA,
    )
    required = [table.column(name).is_valid() for name in ("device_id", "start_us", "end_us", "activity")]
    keep = required[0]
    for one in required[1:]:
        keep = pc.and_(keep, one)
    return table.filter(keep)


def read_truth(config: Settings, since: datetime | None = None) -> pa.Table | None:
    """Every retained span (that arrived since a time), SPAN_SCHEMA; None where the topic does not exist.

    Raises ServiceUnavailableError where Kafka does not answer.
    """
    topic = config.kafka.truth_topic
    messages: list[bytes] = []
    with consumer(config) as client:
        numbers = client.partitions_for_topic(topic)
        if not numbers:
            return None
        parts = [TopicPartition(topic, number) for number in sorted(numbers)]
        begin = client.beginning_offsets(parts, timeout_ms=_TIMEOUT_MS)
        end = client.end_offsets(parts, timeout_ms=_TIMEOUT_MS)
        if since is not None:
            by_time = client.offsets_for_times(
                {part: int(since.timestamp() * 1000) for part in parts}, timeout_ms=_TIMEOUT_MS
            )
            begin = {part: by_time[part].offset if by_time.get(part) else end[part] for part in parts}
        left = {part for part in parts if begin[part] < end[part]}
        client.assign(parts)
        for part in parts:
            client.seek(part, begin[part])
        while left:
            polled = client.poll(timeout_ms=_TIMEOUT_MS, max_records=5000)
            if not polled:
                raise ServiceUnavailableError(
                    f"Kafka at {config.kafka.bootstrap_servers} stopped sending the topic {topic}; try again"
                )
            for part, records in polled.items():
                messages += [
                    record.value
                    for record in records
                    if record.offset < end[part] and record.value is not None
                ]
            left = {part for part in left if client.position(part, timeout_ms=_TIMEOUT_MS) < end[part]}
    return parse_spans(messages)


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
        topic = self._config.kafka.truth_topic
        numbers = self._client.partitions_for_topic(topic)
        if not numbers:
            self.close()
            return False
        parts = [TopicPartition(topic, number) for number in sorted(numbers)]
        self._client.assign(parts)
        by_time = self._client.offsets_for_times(
            {part: int((now - self._seconds) * 1000) for part in parts}, timeout_ms=_TIMEOUT_MS
        )
        end = self._client.end_offsets(parts, timeout_ms=_TIMEOUT_MS)
        for part in parts:
            self._client.seek(part, by_time[part].offset if by_time.get(part) else end[part])
        self._held.clear()
        return True

    def poll(self, now: float) -> pa.Table:
        """Spans that arrived in the last `seconds` before `now` (Unix time).

        Raises ServiceUnavailableError where Kafka does not answer.
        """
        try:
            if self._client is None and not self._open(now):
                return SPAN_SCHEMA.empty_table()
            while True:
                polled = self._client.poll(timeout_ms=100, max_records=5000)
                messages = [
                    record.value
                    for records in polled.values()
                    for record in records
                    if record.value is not None
                ]
                if not messages:
                    break
                newest = max(record.timestamp for records in polled.values() for record in records) / 1000
                self._held.append((newest, parse_spans(messages)))
                if len(messages) < 5000:
                    break
        except Exception as error:
            self.close()
            if isinstance(error, ServiceUnavailableError):
                raise
            raise ServiceUnavailableError(
                f"Kafka at {self._config.kafka.bootstrap_servers} does not answer; start it with `activity up`"
            ) from error
        while self._held and self._held[0][0] < now - self._seconds:
            self._held.popleft()
        return (
            pa.concat_tables([table for _, table in self._held]) if self._held else SPAN_SCHEMA.empty_table()
        )
