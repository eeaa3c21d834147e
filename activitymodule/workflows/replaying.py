"""Replay: recordings of real people into Kafka, at their own pace or faster."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass

from activitymodule.errors import ConfigError
from activitymodule.kafka.clients import producer
from activitymodule.settings import Settings, resolve
from activitymodule.telemetry import recordings
from activitymodule.telemetry.recordings import Event

_GAP_SECONDS = 5.0  # recorded; a longer silence of everybody is skipped


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
    passes: int = 1,
    skip_gaps: bool = False,
    progress: Callable[[int, int], None] = lambda people, readings: None,
) -> Replayed:
    """Send recordings to Kafka, and their activities to the truth topic. People start together.

    what : a prepared source, or a path of prepared or raw recordings; speed : recorded seconds a second, None: as
    fast as possible; keep_time : send the recorded times, else they are moved so that none is ahead of the clock;
    passes : how often, one after another in the time of the messages, not with keep_time; skip_gaps : do not wait while
    nobody has a reading;
    progress : called with the number of people and of readings sent. KeyboardInterrupt ends it after what was sent
    has arrived. Raises DataError, ConfigError, ServiceUnavailableError, or
    BrokerError where Kafka refuses a message.
    """
    if keep_time and passes > 1:
        raise ConfigError("recordings that keep their times cannot be sent several times")
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
        start_us, longest = None, 0
        if not keep_time:
            longest = (found.longest_us(align_us) // align_us + 1) * align_us
            start_us = recordings.start_of_replay(
                int(time.time() * 1e6), passes * longest, None if skip_gaps else speed, align_us
            )
        starts = [None if start_us is None else start_us + k * longest for k in range(passes)]
        schedule = (found.schedule(start, align_us, readings_per_message) for start in starts)
        most = _GAP_SECONDS if skip_gaps else None
        began = time.monotonic()
        try:
            for event in _paced(itertools.chain.from_iterable(schedule), speed, most):
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


def _paced(
    events: Iterable[Event], speed: float | None, most_seconds: float | None = None
) -> Iterator[Event]:
    """Events, each when it is due; the first one at once. most_seconds : a longer silence is skipped"""
    first_us, last_us = None, 0
    began = time.monotonic()
    for event in events:
        if speed is not None:
            first_us = event.due_us if first_us is None else first_us
            if most_seconds is not None and event.due_us - last_us > most_seconds * 1e6:
                first_us, began = event.due_us, time.monotonic()
            last_us = event.due_us
            ahead = began + (event.due_us - first_us) / 1e6 / speed - time.monotonic()
            if ahead > 0:
                time.sleep(ahead)
        yield event
