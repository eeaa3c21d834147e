"""Readings for the benchmark: a topic filled in one go, or watches in real time.

Runs in the benchmark's own environment (.venv-bench). Prints one line of JSON: what was sent.

    preload.py fill --servers HOST:PORT --topic T --devices 1000 --seconds 200 --start EPOCH_SECONDS
    preload.py live --servers HOST:PORT --topic T --devices 100 --seconds 90
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
import time
from datetime import UTC, datetime

from confluent_kafka import Producer

RATE_HZ = 10
POOL = 5000  # readings of each kind of watch; a watch walks through them from a place of its own
PERSONS = (("still", 0.0, 0.02), ("walking", 1.9, 0.25), ("jogging", 2.7, 0.8), ("restless", 0.6, 0.1))


def reading_pool(kind: int) -> list[str]:
    """The end of a message, after device and stamp: every other field of the schema, smooth in time."""
    draw = random.Random(kind)
    _, hertz, size = PERSONS[kind]
    pool = []
    for step in range(POOL):
        second = step / RATE_HZ
        swing = math.sin(2 * math.pi * hertz * second)
        slow = math.sin(2 * math.pi * second / 97)
        noise = [draw.gauss(0, 0.01 + size / 4) for _ in range(9)]
        pool.append(
            f'"yaw":{slow + noise[0]:.6f},"pitch":{0.3 * swing * size + 0.2 * slow + noise[1]:.6f},'
            f'"roll":{-0.6 + 0.4 * swing * size + noise[2]:.6f},'
            f'"rotation_rate_x":{2 * size * swing + noise[3]:.6f},"rotation_rate_y":{noise[4]:.6f},'
            f'"rotation_rate_z":{-size * swing + noise[5]:.6f},'
            f'"user_acceleration_x":{size * swing + noise[6]:.6f},'
            f'"user_acceleration_y":{size * abs(swing) + noise[7]:.6f},'
            f'"user_acceleration_z":{0.5 * size * swing * swing + noise[8]:.6f},'
            f'"latitude_distance_from_mean":{draw.random():.4f},'
            f'"longitude_distance_from_mean":{draw.random():.4f},'
            f'"altitude_distance_from_mean":{draw.random() * 9:.2f},"course":{draw.random() * 360:.1f},'
            f'"speed":{size * 3:.2f},"horizontal_accuracy":{draw.random() * 9:.1f},'
            f'"vertical_accuracy":{draw.random() * 9:.1f},"battery_state":"unplugged",'
            f'"heart_rate":{70 + 60 * size + 5 * slow:.0f},"steps":{int(draw.random() < hertz / RATE_HZ)}}}'
        )
    return pool


def pools() -> list[list[str]]:
    return [reading_pool(kind) for kind in range(len(PERSONS))]


def stamp_of(epoch_seconds: float) -> str:
    return datetime.fromtimestamp(epoch_seconds, UTC).isoformat(timespec="milliseconds")


def names(devices: int) -> list[str]:
    return [f"watch-{number:05d}" for number in range(devices)]


class Sender:
    """A producer that counts what it sent and what the broker took."""

    def __init__(self, servers: str, topic: str, linger_ms: int) -> None:
        self.topic = topic
        self.sent = self.messages = self.bytes = 0
        self.failed: str | None = None
        self._producer = Producer(
            {
                "bootstrap.servers": servers,
                "linger.ms": linger_ms,
                "batch.size": 1_000_000,
                "compression.type": "lz4",
                "queue.buffering.max.messages": 500_000,
                "queue.buffering.max.kbytes": 1_000_000,
                "acks": "all",
                "on_delivery": self._told,
            }
        )

    def _told(self, error: object, _: object) -> None:
        if error is not None:
            self.failed = str(error)

    def send(self, key: str, value: str, readings: int = 1) -> None:
        while True:
            try:
                self._producer.produce(self.topic, value, key)
                break
            except BufferError:
                self._producer.poll(0.1)
        self.sent += readings
        self.messages += 1
        self.bytes += len(value)

    def poll(self) -> None:
        self._producer.poll(0)

    def finish(self) -> None:
        left = self._producer.flush(60)
        if left or self.failed:
            sys.exit(f"preload.py: {left} messages did not reach the broker ({self.failed or 'no answer'})")


def fill(args: argparse.Namespace) -> dict[str, object]:
    """Whole windows of every watch, then one reading more of each: what closes the last window of an engine
    that closes a window by the next reading. A message holds `--together` readings, in a list where they are several.
    """
    sender = Sender(args.servers, args.topic, 50)
    kinds = pools()
    watches = names(args.devices)
    began = time.monotonic()
    steps = range(args.seconds * args.rate + 1)
    for first in steps[:: args.together]:
        stamps = [
            (step, stamp_of(args.start + step / args.rate)) for step in steps[first : first + args.together]
        ]
        for number, watch in enumerate(watches):
            kind, place = kinds[number % len(kinds)], 97 * number
            readings = [
                f'{{"device_id":"{watch}","stamp":"{stamp}",{kind[(step + place) % POOL]}'
                for step, stamp in stamps
            ]
            text = readings[0] if args.together == 1 else f"[{','.join(readings)}]"
            sender.send(watch, text, len(readings))
        sender.poll()
    sender.finish()
    seconds = time.monotonic() - began
    return {
        "sent": sender.sent,
        "messages": sender.messages,
        "bytes_per_message": round(sender.bytes / sender.messages, 1),
        "seconds": round(seconds, 2),
    }


def live(args: argparse.Namespace) -> dict[str, object]:
    """Every watch at its rate in real time, each a little out of step with the others, as watches are."""
    sender = Sender(args.servers, args.topic, 2)
    kinds = pools()
    watches = names(args.devices)
    period = 1 / RATE_HZ
    phases = [period * number / args.devices for number in range(args.devices)]
    began = time.time()
    first = math.ceil(began / period) * period
    worst = 0.0
    for step in range(args.seconds * RATE_HZ):
        for number, watch in enumerate(watches):
            due = first + step * period + phases[number]
            wait = due - time.time()
            if wait > 0.002:  # a sleep a reading would be a thousand a second; some watches share one
                sender.poll()
                time.sleep(wait)
            worst = max(worst, time.time() - due)
            rest = kinds[number % len(kinds)][(step + 97 * number) % POOL]
            sender.send(watch, f'{{"device_id":"{watch}","stamp":"{stamp_of(due)}",{rest}')
    sender.finish()
    return {
        "sent": sender.sent,
        "messages": sender.messages,
        "bytes_per_message": round(sender.bytes / sender.messages, 1),
        "seconds": round(time.time() - began, 2),
        "first_stamp": first,
        "last_stamp": first + (args.seconds * RATE_HZ - 1) * period + phases[-1],
        "worst_delay_ms": round(worst * 1000, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(required=True)
    for name, job in (("fill", fill), ("live", live)):
        verb = verbs.add_parser(name, help=(job.__doc__ or "").splitlines()[0])
        verb.add_argument("--servers", required=True, help="Kafka, host:port")
        verb.add_argument("--topic", required=True)
        verb.add_argument("--devices", type=int, required=True)
        verb.add_argument("--seconds", type=int, required=True, help="of readings")
        if job is fill:
            verb.add_argument("--rate", type=int, default=RATE_HZ, help="readings a second of each")
            verb.add_argument("--start", type=int, required=True, help="epoch seconds of the first reading")
            verb.add_argument("--together", type=int, default=1, help="readings of a message")
        verb.set_defaults(job=job)
    args = parser.parse_args()
    print(json.dumps(args.job(args)))


if __name__ == "__main__":
    main()
