"""`activity replay` against a real broker: what the topic holds afterwards is the recording."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from ledger import messages_sent, until
from typer.testing import CliRunner
from verbs import Verbs

from activitymodule.errors import ConfigError
from activitymodule.jobs.options import speed_of
from activitymodule.jobs.replay import app
from activitymodule.kafka.clients import consumer, partitions, read_until
from activitymodule.settings import Settings
from activitymodule.telemetry.decoding import decode_messages


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Two people, walking then sitting, 20 s each."""
    rng = np.random.default_rng(3)
    folder = tmp_path / "wisdm"
    folder.mkdir()
    for person in (1700, 1701):
        force = rng.normal([0, 3, 9], 1, (800, 3))
        lines = [f"{person},{'AD'[i // 400]},{x:.4f},{y:.4f},{z:.4f};" for i, (x, y, z) in enumerate(force)]
        (folder / f"data_{person}_accel_watch.txt").write_text("\n".join(lines))
    return folder


def read(settings: Settings, topic: str) -> list[Any]:
    with consumer(settings) as client:
        parts = partitions(client, settings, topic)
        client.assign(parts)
        client.seek_to_beginning(*parts)
        ends = {part: end for part, end in client.end_offsets(parts).items() if end}
        return [one for records in read_until(client, settings, ends) for one in records]


@pytest.mark.integration
def test_replay(
    fresh_settings: Settings, environment_of: Callable[..., dict[str, str]], recording: Path, verbs: Verbs
) -> None:
    environment = environment_of(fresh_settings)
    result = verbs.run(environment, "replay", str(recording), "--speed", "max", "--json")
    assert result.returncode == 0, result.stderr
    done = json.loads(result.stdout)
    assert (done["readings"], done["messages"], done["truth"], done["people"]) == (800, 80, 8, 2)
    messages = read(fresh_settings, fresh_settings.kafka.topic)
    now_us = int(time.time() * 1e6)
    decoded = decode_messages(
        pa.array([m.value for m in messages], pa.binary()), now_us=now_us, limits=fresh_settings.telemetry
    )
    assert (len(decoded.readings), len(decoded.dead)) == (800, 0)
    newest = max(decoded.readings.column("stamp").cast(pa.int64()).to_pylist())
    assert now_us - 120_000_000 < newest <= now_us
    devices = decoded.readings.column("device_id").to_pylist()
    keys = {m.key.decode() for m in messages}
    assert keys == set(devices) == {"wisdm-1700", "wisdm-1701"}
    spans = [json.loads(m.value) for m in read(fresh_settings, fresh_settings.kafka.truth_topic)]
    assert {span["activity"] for span in spans} == {"walking", "sitting"}
    assert all(span["kcal_per_min"] is None and span["source"] == "wisdm" for span in spans)


@pytest.mark.integration
def test_interrupted(
    fresh_settings: Settings, environment_of: Callable[..., dict[str, str]], recording: Path
) -> None:
    """Ctrl-C: the topic holds what the result counts."""
    command = [sys.executable, "-m", "activitymodule", "replay", str(recording), "--json"]
    process = subprocess.Popen(
        command, env=environment_of(fresh_settings), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    until(lambda: messages_sent(fresh_settings) or process.poll() is not None, "messages", every=0.05)
    assert process.poll() is None, process.communicate()
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    done = json.loads(out)
    assert done["stopped"] is True
    assert 0 < done["messages"] < 80
    assert len(read(fresh_settings, fresh_settings.kafka.topic)) == done["messages"]


def test_no_broker(recording: Path, verbs: Verbs) -> None:
    environment = {**os.environ, "ACTIVITY_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    result = verbs.run(environment, "replay", str(recording), "--speed", "max")
    assert result.returncode == 3
    assert result.stderr.strip().count("\n") == 0
    assert "127.0.0.1:1 does not answer" in result.stderr


@pytest.mark.parametrize("text", ["0", "-1", "fast", "nan", "inf"])
def test_impossible_speeds_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--speed"):
        speed_of(text)


def test_speeds() -> None:
    assert (speed_of("max"), speed_of("0.5"), speed_of("10")) == (None, 0.5, 10)


def test_help_has_an_example() -> None:
    assert "activity replay wisdm" in CliRunner().invoke(app, ["--help"]).stdout
