"""The same work by a plain Python consumer: confluent-kafka, orjson, a dict of windows, numpy, COPY.

It keeps no promises (what is in its memory when it dies is lost) and is as quick as Python gets. Runs in
.venv-bench; several processes share the partitions. Prints one line of JSON: when it committed how much.
"""

from __future__ import annotations

import argparse
import json
import signal
import time
from array import array
from pathlib import Path

import orjson
from confluent_kafka import Consumer, TopicPartition
from peers import WIDTH, Closed, Sink, numbers, stamp_us, values

AT_ONCE = 10_000  # messages a call; fewer where no more have come within WAIT_SECONDS
WAIT_SECONDS = 0.01


class Gatherer:
    """Readings into windows of one device and time; a window closes when it is full or a later one starts."""

    def __init__(self, length_us: int, full: int) -> None:
        self._length_us = length_us
        self._full = full * WIDTH
        self._open: dict[str, tuple[int, array]] = {}
        self.closed: list[Closed] = []

    def add(self, reading: dict, arrived_ms: int) -> None:
        device = reading["device_id"]
        us = stamp_us(reading["stamp"])
        start = us - us % self._length_us
        there = self._open.get(device)
        if there is None:
            window = array("d")
            self._open[device] = (start, window)
        elif there[0] == start:
            window = there[1]
        elif there[0] < start:
            self.closed.append(Closed(device, there[0], there[1], arrived_ms))
            window = array("d")
            self._open[device] = (start, window)
        else:  # late: a window of its own; the upsert keeps the row with more readings
            late = array("d", numbers(reading, us))
            self.closed.append(Closed(device, start, late, arrived_ms))
            return
        whole = len(window)
        window.append(us)
        try:
            window.extend(values(reading))
        except (KeyError, TypeError):  # a channel is absent or null
            del window[whole:]
            window.extend(numbers(reading, us))
        if whole + WIDTH >= self._full:
            self.closed.append(Closed(device, start, window, arrived_ms))
            del self._open[device]

    def close_all(self, arrived_ms: int) -> None:
        self.closed += [
            Closed(device, start, window, arrived_ms) for device, (start, window) in self._open.items()
        ]
        self._open.clear()


def consumer_of(args: argparse.Namespace) -> tuple[Consumer, int]:
    """A consumer of this process's share of the partitions, and how many messages lie there now."""
    consumer = Consumer(
        {
            "bootstrap.servers": args.servers,
            "group.id": args.group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 10,
            "queued.min.messages": 100_000,
            "queued.max.messages.kbytes": 131_072,
            "fetch.message.max.bytes": 8_388_608,
        }
    )
    partitions = sorted(consumer.list_topics(args.topic, 10).topics[args.topic].partitions)
    mine = [number for number in partitions if number % args.processes == args.part]
    there = 0
    places = []
    for number in mine:
        low, high = consumer.get_watermark_offsets(TopicPartition(args.topic, number), 10)
        there += high - low
        places.append(TopicPartition(args.topic, number, low if args.once else high))
    consumer.assign(places)
    return consumer, there


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--servers", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--group", required=True)
    parser.add_argument("--bundle", type=Path, required=True, help="folder of the models")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--part", type=int, default=0, help="which of the processes this is, from 0")
    parser.add_argument("--once", action="store_true", help="from start to end of the topic as it is now")
    parser.add_argument("--seconds", type=float, help="otherwise: from now on, so long")
    args = parser.parse_args()

    sink = Sink(args.bundle)
    windows = sink.settings.windows
    gatherer = Gatherer(windows.length_seconds * 1_000_000, windows.length_seconds * windows.rate_hz)
    consumer, there = consumer_of(args)
    stopped = False

    def stop(*_: object) -> None:
        nonlocal stopped
        stopped = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    print(json.dumps({"ready": time.time()}), flush=True)
    deadline = time.monotonic() + args.seconds if args.seconds else float("inf")
    read = arrived_ms = 0
    add = gatherer.add
    while not stopped and time.monotonic() < deadline and not (args.once and read >= there):
        messages = consumer.consume(AT_ONCE, WAIT_SECONDS)
        for message in messages:
            if message.error():
                raise SystemExit(f"plain_consumer.py: {message.error()}")
            value = orjson.loads(message.value())
            arrived_ms = message.timestamp()[1]
            if type(value) is dict:
                add(value, arrived_ms)
            else:
                for reading in value:
                    add(reading, arrived_ms)
        read += len(messages)
        if gatherer.closed:
            sink.write(gatherer.closed)
            gatherer.closed = []
            consumer.commit(asynchronous=True)
    gatherer.close_all(arrived_ms)
    if gatherer.closed:
        sink.write(gatherer.closed)
    consumer.close()
    print(json.dumps(sink.report()), flush=True)


if __name__ == "__main__":
    main()
