"""The real job as a process, and a ledger of the readings that were sent to it."""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from forks import Fork
from told import all_events, assert_in_order, stored_bouts, told_bouts

from activitymodule.kafka.clients import producer, topic_ends
from activitymodule.settings import Settings
from activitymodule.store.connection import connect, session
from activitymodule.store.telling import silent_watches, tell_silent

WINDOW_SECONDS = 10
DAY_MS = 86_400_000
MALFORMED = [b"{not json", b"", b"[]", b'"text"', b'{"stamp": 1}', b"\xff\xfe", b"null", b"[1, 2"]


@dataclass
class Job:
    """A verb of the command line as a process (and group) of its own, with its output in a file."""

    arguments: list[str]
    environment: dict[str, str]
    log: Path
    process: Fork | None = None

    def start(self) -> Job:
        self.process = Fork(self.arguments, self.environment, self.log)
        return self

    def kill(self) -> None:
        """kill -9 of the driver, its JVM and its workers at one instant."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def interrupt(self, timeout: float = 240) -> int:
        """Ctrl-C, and the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout)

    def wait(self, timeout: float) -> int:
        assert self.process is not None
        return self.process.wait(timeout)

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")


def until(
    condition: Any, what: str, timeout: float = 240, every: float = 0.5, running: Job | None = None
) -> Any:
    """Wait for a condition and return its value; fail with what was waited for.

    running : a job that the condition depends on: where it has ended, the failure shows its output.
    """
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        if running is not None and running.process is not None and running.process.poll() is not None:
            raise AssertionError(f"the job ended while the test waited for {what}: {running.output}")
        time.sleep(every)
    raise AssertionError(f"waited {timeout:.0f} s for {what}")


@dataclass
class Ledger:
    """What was sent: watch and window -> stamps, each with how often it was sent."""

    readings: dict[tuple[str, int], Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    dead: int = 0
    items: int = 0

    def note(self, device_id: str, stamp_ms: int) -> None:
        self.readings[device_id, stamp_ms // 1000 // WINDOW_SECONDS * WINDOW_SECONDS][stamp_ms] += 1
        self.items += 1

    def note_dead(self, items: int = 1) -> None:
        self.dead += items
        self.items += items

    def expected(self) -> dict[tuple[str, int], tuple[int, int]]:
        """(watch, window start in s) -> (readings that count, duplicates)."""
        return {key: (len(c), sum(c.values()) - len(c)) for key, c in self.readings.items()}


def reading(device_id: str, stamp_ms: int, phase: float = 0.0) -> dict[str, Any]:
    """One plausible reading: a walk at 1.8 Hz."""
    wave = float(np.sin(2 * np.pi * 1.8 * stamp_ms / 1000 + phase))
    stamp = datetime.fromtimestamp(stamp_ms / 1000, UTC).isoformat(timespec="milliseconds")
    return {
        "device_id": device_id,
        "stamp": stamp,
        "pitch": round(0.2 + 0.1 * wave, 6),
        "roll": -0.4,
        "yaw": 0.1,
        "rotation_rate_x": round(wave, 6),
        "rotation_rate_y": 0.0,
        "rotation_rate_z": 0.1,
        "user_acceleration_x": round(0.2 * wave, 6),
        "user_acceleration_y": round(0.3 * wave, 6),
        "user_acceleration_z": 0.01,
        "heart_rate": 92,
        "steps": 0,
    }


class Load(threading.Thread):
    """Watches at 10 Hz in real time with everything that happens to telemetry on its way, noted in a ledger."""

    def __init__(
        self, settings: Settings, ledger: Ledger, devices: int, at_most_seconds: float = 600
    ) -> None:
        super().__init__(daemon=True)
        self.settings, self.ledger, self.devices, self.seconds = settings, ledger, devices, at_most_seconds
        self.enough = threading.Event()
        self.random = random.Random(7)
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            with producer(self.settings, linger_ms=5, retries=1000, delivery_timeout_ms=300_000) as client:
                self._send(client)
        except BaseException as error:
            self.error = error

    def finish(self) -> None:
        """Stop sending. Raises the error of the sender, if there was one."""
        self.enough.set()
        self.join()
        if self.error is not None:
            raise self.error

    def _send(self, client: Any) -> None:
        topic, ledger, dice = self.settings.kafka.topic, self.ledger, self.random

        def send(device: str, value: Any) -> None:
            payload = value if isinstance(value, bytes) else json.dumps(value).encode()
            client.send(topic, payload, key=device.encode())

        held: list[int] = []
        begin = time.time()
        tick = 0
        while not self.enough.is_set() and time.time() - begin < self.seconds:
            stamp = round((begin + tick / 10) * 10) * 100
            for number in range(self.devices):
                device = f"watch-{number:03d}"
                if number == 0:
                    held.append(stamp)  # comes in bursts, out of order
                    continue
                send(device, reading(device, stamp, number))
                ledger.note(device, stamp)
                if dice.random() < 0.02:
                    send(device, reading(device, stamp, number))
                    ledger.note(device, stamp)
            if len(held) >= 70:
                dice.shuffle(held)
                send("watch-000", [reading("watch-000", s) for s in held])
                for s in held:
                    ledger.note("watch-000", s)
                held = []
            if tick % 20 == 0:
                send("watch-fast", reading("watch-fast", stamp + DAY_MS))
                ledger.note_dead()
            if tick % 25 == 0:
                send("x", dice.choice(MALFORMED))
                ledger.note_dead()
            if tick % 30 == 0:
                # an array with one bad item: the good ones still count
                good = [reading("watch-mixed", stamp + k) for k in (0, 50)]
                send("watch-mixed", [good[0], {"device_id": "watch-mixed", "stamp": "yesterday"}, good[1]])
                for k in (0, 50):
                    ledger.note("watch-mixed", stamp + k)
                ledger.note_dead()
            tick += 1
            time.sleep(max(0.0, begin + tick / 10 - time.time()))
        if held:
            send("watch-000", [reading("watch-000", s) for s in held])
            for s in held:
                ledger.note("watch-000", s)


def rows(settings: Settings, query: str, *values: Any) -> list[tuple]:
    connection = connect(settings)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(query, values)
            return cursor.fetchall()
    finally:
        connection.close()


def stored(settings: Settings) -> dict[tuple[str, int], tuple[int, int]]:
    return {
        (device, int(start)): (used, again)
        for device, start, used, again in rows(
            settings,
            "select device_id, extract(epoch from window_start), readings_used, duplicates from predictions",
        )
    }


def dead_items(settings: Settings) -> int:
    return rows(settings, "select count(*) from dead_letters")[0][0]


def messages_sent(settings: Settings) -> int:
    """How many messages the topic has had."""
    return sum(last for _, last in (topic_ends(settings, settings.kafka.topic) or {}).values())


def everything_read(settings: Settings) -> bool:
    ends = topic_ends(settings, settings.kafka.topic) or {}
    done = rows(
        settings,
        "select key, max((value->>1)::bigint) from batches, jsonb_each(offsets) "
        "where finished_at is not null and topic = %s group by key",
        settings.kafka.topic,
    )
    read = {int(number): until_ for number, until_ in done}
    return all(read.get(number, first) >= last for number, (first, last) in ends.items())


def assert_ledger(settings: Settings, ledger: Ledger) -> None:
    expected, got = ledger.expected(), stored(settings)
    wrong = {key: (expected.get(key), got.get(key)) for key in expected.keys() | got.keys()}
    wrong = {key: pair for key, pair in wrong.items() if pair[0] != pair[1]}
    assert not wrong, f"{len(wrong)} of {len(expected)} windows differ, such as {list(wrong.items())[:5]}"
    assert dead_items(settings) == ledger.dead
    total = sum(used + again for used, again in got.values()) + dead_items(settings)
    assert total == ledger.items
    assert_every_bout_is_told(settings)


def assert_every_bout_is_told(settings: Settings) -> None:
    """What a receiver of the events knows once all watches are silent is what the view `bouts` has, bout by bout."""
    with session(settings) as connection:
        while silent := silent_watches(connection, timedelta(0), by_clock=True):
            assert tell_silent(connection, silent, settings.scoring.smoothing_windows)
    with session(settings) as connection:
        events = all_events(connection)
        assert_in_order(events)
        assert told_bouts(events) == stored_bouts(connection)


def kill_a_python_worker(pid: int) -> None:
    def kill_one() -> bool:
        # processes come and go while one looks
        for parent in psutil.Process(pid).children(recursive=True):
            try:
                # Java's arguments name the daemon, too
                if "java" not in parent.name() and "streaming.daemon" in " ".join(parent.cmdline()):
                    for worker in parent.children():
                        worker.kill()
                        return True
            except psutil.NoSuchProcess:
                continue
        return False

    until(kill_one, "a Python worker to kill", every=0.05)


def kill_java(pid: int) -> None:
    """kill -9 of the JVM of a job alone, as where the system is out of memory."""
    (java,) = [child for child in psutil.Process(pid).children() if child.name() == "java"]
    java.kill()
