"""Replay: recordings of real people into Kafka, at their own pace or faster."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from activitymodule.kafka.clients import producer
from activitymodule.settings import Settings, resolve
from activitymodule.telemetry import recordings
from activitymodule.telemetry.recordings import Event


@dataclass(frozen=True)
class Replayed:
    """What was sent: messages of readings, the readings in them, spans of truth. stopped : by Ctrl-C"""

    messages: int
    readings: int
    truth: int
    people: int
    seconds: float
    stopped: bool


def replay(
    config: Settings,
    what: str,
    *,
    speed: float | None = 1.0,
    people: Collection[str] | None = None,
    keep_time: bool = False,
    limit_seconds: float | None = None,
    readings_per_message: int = 10,
    progress: Callable[[int, int], None] = lambda people, readings: None,
) -> Replayed:
    """Send recordings to Kafka, and their activities to the truth topic. People start together.

    what : a prepared source, or a path of prepared or raw recordings; speed : recorded seconds a second, None: as
    fast as possible; keep_time : send the recorded times, else they are moved so that none is ahead of the clock;
    progress : called with the number of people and of readings sent. KeyboardInterrupt ends it after what was sent
    has arrived. Raises DataError, ConfigError, ServiceUnavailableError, or
    BrokerError where Kafka refuses a message.
    """
    found = recordings.find(
        what,
        resolve(config.lake.folder) / "prepared",
        None if people is None else list(people),
        limit_seconds,
    )
    align_us = config.windows.length_seconds * 1_000_000
    count = len(found.people)
    messages = readings = truth = 0
    stopped = False
    with producer(config) as client:
        start_us = None
        if not keep_time:
            longest = found.longest_us(align_us)
            start_us = recordings.start_of_replay(int(time.time() * 1e6), longest, speed, align_us)
        began = time.monotonic()
        try:
            for event in _paced(found.schedule(start_us, align_us, readings_per_message), speed):
                topic = config.kafka.truth_topic if event.truth else config.kafka.topic
                client.send(topic, event.value, key=event.device_id.encode())
                truth += event.truth
                messages += not event.truth
                readings += event.readings
                progress(count, readings)
        except KeyboardInterrupt:
            stopped = True
        client.flush()
        seconds = round(time.monotonic() - began, 1)
    return Replayed(messages, readings, truth, count, seconds, stopped)


def _paced(events: Iterator[Event], speed: float | None) -> Iterator[Event]:
    """Events, each when it is due; the first one at once."""
    first_us = None
    began = time.monotonic()
    for event in events:
        if speed is not None:
            first_us = event.due_us if first_us is None else first_us
            ahead = began + (event.due_us - first_us) / 1e6 / speed - time.monotonic()
            if ahead > 0:
                time.sleep(ahead)
        yield event
