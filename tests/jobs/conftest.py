"""Verbs on fresh services, and what they show."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from activitymodule.jobs import db, dead_letters, devices, evaluate, people, watch
from activitymodule.kafka.clients import producer
from activitymodule.store.batches import begin_batch, finish_batch
from activitymodule.store.connection import session
from activitymodule.store.dead_letters import DeadLetters, write_dead_letters
from activitymodule.store.models import record_model_version
from activitymodule.store.predictions import PredictionRows, write_predictions


@pytest.fixture
def run(fresh_settings, monkeypatch):
    """A function that runs a verb on the fresh services and returns what it printed; errors come as they are."""
    for module in (db, dead_letters, devices, evaluate, people, watch):
        monkeypatch.setattr(module, "settings", lambda: fresh_settings)

    def call(module, *arguments):
        result = CliRunner().invoke(module.app, arguments)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result.stdout

    return call


@pytest.fixture
def letters(fresh_settings):
    with session(fresh_settings) as connection:
        write_dead_letters(
            connection,
            DeadLetters(
                topic=fresh_settings.kafka.topic,
                partition=[0, 0, 1],
                offset=[5, 5, 9],
                item=[0, 3, -1],
                device_id=["watch-1", "watch-1", None],
                reason=["bad_stamp", "bad_stamp", "not_json"],
                detail=["x", None, "\x1b[31mred"],
                payload=[b"[1,2,3,4]", b"[1,2,3,4]", b"\x1b[2J{no json\n"],
                kafka_at_us=[1_790_000_000_000_000] * 3,
            ),
        )


@pytest.fixture
def scored(fresh_settings):
    """Ten windows of two watches, nine right, and their truth in Kafka."""
    labels = ("sitting", "walking")
    now = int(time.time()) // 10 * 10 - 120
    n = 10
    truth = np.array([i % 2 for i in range(n)])
    predicted = truth.copy()
    predicted[0] = 1 - predicted[0]
    starts = np.array([now + 10 * (i // 2) for i in range(n)], np.int64) * 1_000_000
    devices = [f"watch-{i % 2}" for i in range(n)]
    with session(fresh_settings) as connection:
        record_model_version(connection, name="m", version="4", labels=labels, feature_version="f")
        begin_batch(
            connection,
            query_id="q",
            batch_id=1,
            topic=fresh_settings.kafka.topic,
            offsets={0: (0, 3)},
            model_version="4",
            energy_version="2",
        )
        write_predictions(
            connection,
            PredictionRows(
                device_id=pa.array(devices),
                window_start_us=starts,
                window_seconds=10,
                labels=labels,
                probabilities=np.where(np.arange(2) == predicted[:, None], 0.9, 0.1).astype(np.float32),
                in_set=np.arange(2) == predicted[:, None],
                kcal_per_min=np.full(n, 3, np.float32),
                coverage=np.ones(n, np.float32),
                readings_used=np.full(n, 100, np.int32),
                duplicates=np.zeros(n, np.int32),
                reason=[None] * n,
                model_version="4",
                energy_version="2",
                last_reading_us=starts + 9_900_000,
                received_us=starts + 10_000_000,
                batch_id=1,
            ),
        )
        finish_batch(connection, query_id="q", batch_id=1, windows=n)
    with producer(fresh_settings) as out:
        for device, start, activity in zip(devices, starts // 1_000_000, truth, strict=True):
            begin = datetime.fromtimestamp(int(start), UTC)
            message = {
                "device_id": device,
                "start": begin.isoformat(),
                "end": (begin + timedelta(seconds=10)).isoformat(),
                "activity": labels[activity],
                "kcal_per_min": 2.0,
                "source": "test",
            }
            out.send(fresh_settings.kafka.truth_topic, json.dumps(message).encode(), key=device.encode())
        out.send(fresh_settings.kafka.truth_topic, b"no truth")
        for _ in range(5):
            out.send(fresh_settings.kafka.topic, b"{}", partition=0)
    return fresh_settings
