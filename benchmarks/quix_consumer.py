"""The same work by Quix Streams: tumbling windows in its state, our features, models and upsert.

As good as its API allows: one JSON parse a message (orjson), only the numbers that are needed kept in the
state (`Collect` stores each reading apart, where a reduce would write the growing window again with every
reading), no changelog topic (the state is on this disk, as Spark's checkpoint is), rows written in batches by
a sink with each checkpoint. Runs in .venv-bench. Prints one line of JSON: when it committed how much.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import orjson
from peers import Closed, Sink, numbers, stamp_us
from quixstreams import Application
from quixstreams.dataframe.windows import Collect
from quixstreams.models import JSONDeserializer
from quixstreams.sinks import BatchingSink, SinkBatch


def readings(message: bytes) -> list[float]:
    """A message as the numbers of its one reading (this benchmark sends no arrays)."""
    reading = orjson.loads(message)
    return list(numbers(reading, stamp_us(reading["stamp"])))


def event_time_ms(value: Any, headers: Any, arrived_ms: int, kind: Any) -> int:
    """The reading's own time; Kafka's goes along at the end of the numbers."""
    value.append(arrived_ms)
    return int(value[0]) // 1000


class Predictions(BatchingSink):
    """Rows to the store with every checkpoint of Quix Streams."""

    def __init__(self, sink: Sink) -> None:
        super().__init__(on_client_connect_success=lambda: None)
        self._sink = sink

    def write(self, batch: SinkBatch) -> None:
        for items in batch.iter_chunks(2000):
            self._sink.write([closed(item.key, item.value) for item in items])


def closed(key: Any, window: dict[str, Any]) -> Closed:
    device = key.decode() if isinstance(key, bytes) else key
    rows = window["readings"]
    flat = [number for row in rows for number in row[:-1]]
    return Closed(device, window["start"] * 1000, flat, rows[-1][-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--servers", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--group", required=True)
    parser.add_argument("--bundle", type=Path, required=True, help="folder of the models")
    parser.add_argument("--state", type=Path, required=True, help="folder of its state")
    parser.add_argument("--windows", type=int, required=True, help="stop after so many")
    args = parser.parse_args()

    sink = Sink(args.bundle)
    length_ms = sink.settings.windows.length_seconds * 1000
    application = Application(
        broker_address=args.servers,
        consumer_group=args.group,
        auto_offset_reset="earliest",
        commit_interval=1.0,
        state_dir=args.state,
        use_changelog_topics=False,
        auto_create_topics=False,
        loglevel="WARNING",
        consumer_extra_config={
            "fetch.wait.max.ms": 10,
            "queued.min.messages": 100_000,
            "fetch.message.max.bytes": 8_388_608,
        },
    )
    topic = application.topic(
        args.topic,
        key_deserializer="str",
        value_deserializer=JSONDeserializer(loads=readings),
        timestamp_extractor=event_time_ms,
    )
    frame = application.dataframe(topic)
    frame = frame.tumbling_window(length_ms).agg(readings=Collect()).final()
    frame.sink(Predictions(sink))
    print(json.dumps({"ready": time.time()}), flush=True)
    application.run(count=args.windows, timeout=10, collect=False)
    print(json.dumps(sink.report()), flush=True)


if __name__ == "__main__":
    main()
