"""Replay with a broker that keeps what is sent: pace and Ctrl-C."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from activitymodule.errors import ConfigError
from activitymodule.settings import load
from activitymodule.telemetry.recordings import Event
from activitymodule.workflows import replaying
from activitymodule.workflows.replaying import replay


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Two people, walking then sitting, 20 s each."""
    folder = tmp_path / "wisdm"
    folder.mkdir()
    for person in (1700, 1701):
        force = np.random.default_rng(person).normal([0, 3, 9], 1, (800, 3))
        lines = [f"{person},{'AD'[i // 400]},{x:.4f},{y:.4f},{z:.4f};" for i, (x, y, z) in enumerate(force)]
        (folder / f"data_{person}_accel_watch.txt").write_text("\n".join(lines))
    return folder


class Broker:
    """Keeps topics of what is sent."""

    def __init__(self) -> None:
        self.topics: list[str] = []
        self.values: list[bytes] = []

    def send(self, topic: str, value: bytes, key: bytes) -> None:
        self.topics.append(topic)
        self.values.append(value)

    def flush(self) -> None:
        """Everything is sent already."""


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Broker:
    made = Broker()

    @contextmanager
    def producer(config: Any) -> Iterator[Broker]:
        yield made

    monkeypatch.setattr(replaying, "producer", producer)
    return made


def test_everything_is_counted(recording: Path, broker: Broker) -> None:
    config, shown = load({}), []
    done = replay(
        config, str(recording), speed=None, progress=lambda people, readings: shown.append(readings)
    )
    assert (done.messages, done.readings, done.truth, done.people, done.stopped) == (80, 800, 8, 2, False)
    assert broker.topics.count(config.kafka.topic) == 80
    assert broker.topics.count(config.kafka.truth_topic) == 8
    assert shown == sorted(shown)
    assert shown[-1] == 800


def test_only_these_people(recording: Path, broker: Broker) -> None:
    assert replay(load({}), str(recording), speed=None, people=["1701"]).readings == 400
    with pytest.raises(ConfigError):
        replay(load({}), str(recording), people=["1"])


def test_ctrl_c_ends_it_with_what_was_sent(recording: Path, broker: Broker) -> None:
    def interrupt(people: int, readings: int) -> None:
        if readings >= 100:
            raise KeyboardInterrupt

    done = replay(load({}), str(recording), speed=None, progress=interrupt)
    assert done.stopped
    assert done.readings == 100
    assert done.messages + done.truth == len(broker.topics)


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now, self.waited = 0.0, list[float]()

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.waited.append(seconds)
        self.now += seconds


def test_gaps_are_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(replaying, "time", clock)
    events = [Event(int(at * 1e6), "a", b"", 1, False) for at in (0, 1, 3600, 3601, 9000)]
    assert len(list(replaying._paced(events, 10.0, 5.0))) == 5
    assert clock.waited == pytest.approx([0.1, 0.1]), "an hour of silence is no wait"
    assert len(list(replaying._paced(events, 10.0))) == 5
    assert sum(clock.waited[2:]) == pytest.approx(900)


def test_passes_follow_each_other(recording: Path, broker: Broker) -> None:
    done = replay(load({}), str(recording), speed=None, passes=3)
    assert (done.readings, done.truth) == (3 * 800, 3 * 8)
    stamps = [orjson.loads(value)[0]["stamp"] for value in broker.values if value[:1] == b"["]
    assert len(set(stamps)) == len(stamps) / 2, "two people, and no stamp comes again"
    with pytest.raises(ConfigError):
        replay(load({}), str(recording), passes=2, keep_time=True)
