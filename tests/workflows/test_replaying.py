"""Replay with a broker that keeps what is sent: pace and Ctrl-C."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from activitymodule.errors import ConfigError
from activitymodule.settings import load
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

    def send(self, topic: str, value: bytes, key: bytes) -> None:
        self.topics.append(topic)

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
