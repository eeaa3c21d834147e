"""Generation: a synthesised fleet sends its readings to Kafka."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import asdict, dataclass
from types import FrameType
from typing import Any

from activitymodule.errors import ActivityError
from activitymodule.kafka import clients, topics
from activitymodule.settings import Settings, build
from activitymodule.store.connection import transact
from activitymodule.store.people import upsert_people
from activitymodule.streaming.generate import Sent, bounded, fleet_run, live
from activitymodule.streaming.session import spark_session
from activitymodule.streaming.spark_errors import explained_spark
from activitymodule.synthesis import people as fleet_people
from activitymodule.synthesis.faults import Run
from activitymodule.workflows.cloud.reference import with_reference


@dataclass(frozen=True)
class Generated(Sent):
    """What a fleet sent, from which second (UTC) on, and with which seed."""

    first_second: int = 0
    seed: int = 0


class Stop:
    """Ctrl-C or SIGTERM asks the fleet to stop; a second one insists.

    An exception in the middle of a call to the JVM, which is what Python and Spark make of Ctrl-C, leaves a stream
    that can no longer be stopped in order. So the signal is only noted.
    """

    def __init__(self) -> None:
        self._requested = False

    def listen(self) -> None:
        """Take the signals; only once Spark runs, which takes them as it starts."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._request)

    def requested(self) -> bool:
        """Whether the fleet is to stop."""
        return self._requested

    def _request(self, _number: int, _frame: FrameType | None) -> None:
        if self._requested:
            raise KeyboardInterrupt
        self._requested = True


def with_fleet(config: Settings, **changes: Any) -> Settings:
    """Settings with keys of `fleet` replaced, where they are not None; validated like those of a file."""
    given = {key: value for key, value in changes.items() if value is not None}
    if not given:
        return config
    fleet = build({"fleet": {**config.fleet.model_dump(), **given}}).fleet
    return config.model_copy(update={"fleet": fleet})


def generate(
    config: Settings,
    *,
    start: int | None = None,
    seconds: int | None = None,
    messages: int | None = None,
    store_people: bool = True,
    warn: Callable[[str], None] = lambda text: None,
    progress: Callable[[Run, Sent], None] = lambda run, sent: None,
) -> Generated:
    """Send a fleet's readings and truth to Kafka until `seconds` or `messages` are reached, or
    Ctrl-C or SIGTERM ends it in order.

    start : UTC seconds; store_people : write who wears the watches into the table people (where the store is away
    `warn` is called, and the fleet runs without). Raises ConfigError, ServiceUnavailableError or BrokerError.
    """
    config = with_reference(config)
    run = fleet_run(config, start=start, seconds=seconds, messages=messages)
    clients.require_broker(config)
    topics.create(config)
    if store_people:
        try:
            wearers = fleet_people.people(run.devices, run.seed)
            transact(config, lambda connection: upsert_people(connection, wearers))
        except ActivityError as error:
            warn(f"people are not stored: {error}")
    with explained_spark(config):
        spark = spark_session(config, "generate")
        stop = Stop()
        stop.listen()
        # Spark took its time to start: now is later
        run = fleet_run(config, start=start, seconds=seconds, messages=messages)
        send = bounded if config.fleet.speed == 0 else live
        sent = send(
            config, run, spark=spark, on_progress=lambda so_far: progress(run, so_far), stopped=stop.requested
        )
    return Generated(**asdict(sent), first_second=run.first_second, seed=run.seed)
