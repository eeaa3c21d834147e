"""/ingest and /ingest/sensorlogger on the real broker, and that the stream scores the same."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from kafka import TopicPartition
from rest_console import Console, body, live

from activitymodule.embedded.processes import wait_until
from activitymodule.kafka.clients import consumer
from activitymodule.lake.archive import archive_path
from activitymodule.settings import Settings
from activitymodule.store import participants
from activitymodule.store.connection import session
from activitymodule.store.participants import Wear
from activitymodule.workflows.people.withdrawing import withdraw

pytestmark = pytest.mark.integration


def sent(settings: Settings) -> list[tuple[str, Any]]:
    """Everything in the topic: key and message."""
    found = []
    with consumer(settings) as client:
        parts = [TopicPartition(settings.kafka.topic, n) for n in range(2)]
        client.assign(parts)
        ends = client.end_offsets(parts)
        client.seek_to_beginning(*parts)
        while any(client.position(part) < ends[part] for part in parts):
            for records in client.poll(timeout_ms=5000).values():
                found += [(record.key.decode(), json.loads(record.value)) for record in records]
    return found


def withdraw_wearer(api: Console, items: list[Any]) -> None:
    """Who wears the watch of these readings withdraws; they are refused from then on."""
    with session(api.settings) as connection:
        participants.add(connection, "anna")
        participants.assign(connection, Wear("anna", items[0]["device_id"], None, None))
    withdraw(api.settings, "anna")
    again = api.client.post("/ingest", json=items)
    assert (again.status_code, {one["reason"] for one in again.json()["refused"]}) == (422, {"withdrawn"})


def archived(settings: Settings) -> set[bytes]:
    """The keys of the archived messages."""
    files = Path(archive_path(settings)).glob("date=*/*.parquet")
    return {key for file in files for key in pq.read_table(file, partitioning=None)["key"].to_pylist()}


def test_the_stream_says_of_ingested_readings_what_rest_says_to_the_last_bit(
    api: Console, one_after_the_other: Callable[..., Any]
):
    """/ingest, Kafka, Spark, the store: and /predict of the same readings. The counts for drift come along.

    Who wears one of the watches withdraws while their readings wait in Kafka: nobody takes them any more.
    """
    readings = live(3, 1, seed=11)
    items = json.loads(body(readings))
    items[7]["user_acceleration_x"] = 1e9
    answer = api.client.post("/ingest", json=items)
    assert answer.status_code == 202, answer.text
    accepted = answer.json()
    assert accepted["readings"] == len(items) - 1
    assert [(r["item"], r["reason"]) for r in accepted["refused"]] == [(7, "out_of_range")]
    in_kafka = sent(api.settings)
    assert sum(len(m) if isinstance(m, list) else 1 for _, m in in_kafka) == len(items) - 1
    assert all(
        key == reading["device_id"] for key, m in in_kafka for reading in (m if isinstance(m, list) else [m])
    )

    gone = items[-1]["device_id"]
    withdraw_wearer(api, items[-5:])
    ended = one_after_the_other(api.settings, "score", "--once")
    assert ended.returncode == 0, ended.stderr[-3000:]
    scored = api.client.post("/batch_predict", json={"messages": [items]}).json()
    rest = {
        (window["device_id"], datetime.fromisoformat(window["window_start"])): window
        for window in scored["windows"]
    }
    assert {one["device_id"] for one in scored["refused"] if one["reason"] == "withdrawn"} == {gone}
    assert len(archived(api.settings) - {gone.encode()}) == len(archived(api.settings)) == 2
    with session(api.settings, read_only=True) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT device_id, window_start, activity, probabilities, conformal_set, kcal_per_min, coverage, "
            "readings_used, reason FROM predictions"
        )
        stored = cursor.fetchall()
        assert gone not in {row[0] for row in stored}
        cursor.execute(
            "SELECT sum(windows)::int, max(cardinality(counts)) FROM feature_minutes "
            "WHERE query_id NOT LIKE 'rest %'"
        )
        counted, features = cursor.fetchone()
    assert len(stored) == len(rest) >= 2 * 6
    for device, start, activity, chances, inside, kcal, coverage, used, reason in stored:
        window = rest[device, start]
        assert (activity, used, reason) == (window["activity"], window["readings_used"], window["reason"])
        assert np.float32(coverage) == np.float32(window["coverage"])
        if activity is not None:
            np.testing.assert_array_equal(
                np.array(chances, np.float32), np.array(list(window["probabilities"].values()), np.float32)
            )
            assert inside == window["conformal_set"]
            assert np.float32(kcal) == np.float32(window["kcal_per_min"])
    complete = sum(1 for w in rest.values() if w["coverage"] >= api.settings.windows.queue_coverage)
    assert counted == complete > 0
    assert features > 300

    drift = api.client.get("/monitoring/drift", params={"features": 3}).json()
    assert drift["model_version"] == "1"
    assert drift["status"] == "too_few_windows"  # three watches for a minute


def push_of(device: str) -> dict[str, Any]:
    """What the app sends: the last ten seconds of a phone."""
    now_ns = time.time_ns()
    payload = [
        {"name": name, "time": str(now_ns - 10_000_000_000 + k * 20_000_000), "values": values}
        for k in range(500)
        for name, values in (
            ("accelerometer", {"x": 0.1, "y": 0.2, "z": 0.3}),
            ("gravity", {"x": 0.0, "y": 0.0, "z": -9.80665}),
        )
    ]
    return {"messageId": 1, "sessionId": "s", "deviceId": device, "payload": payload}


def test_a_phone_with_sensor_logger_is_a_watch(api: Console):
    push = push_of("my-phone")
    payload = push["payload"]
    answer = api.nobody.post("/ingest/sensorlogger", params={"token": api.token}, json=push)
    assert answer.status_code == 202, answer.text
    assert 100 <= answer.json()["readings"] <= 101
    arrived = [
        r for key, m in sent(api.settings) if key == "my-phone" for r in (m if isinstance(m, list) else [m])
    ]
    assert len(arrived) == answer.json()["readings"]
    assert arrived[0]["user_acceleration_y"] == pytest.approx(0.2 / 9.80665, abs=1e-5)
    late = api.client.post(
        "/ingest/sensorlogger", json={**push, "payload": [{**one, "time": 5} for one in payload[:2]]}
    )
    assert late.status_code == 422
    assert late.json()["refused"][0]["reason"] == "stamp_too_old"
    assert api.client.post("/ingest/sensorlogger", json=[]).status_code == 422
    assert api.nobody.post("/ingest", params={"token": api.token}, json=push).status_code == 401


@contextmanager
def kafka_is(how: str, stack: Any) -> Iterator[None]:
    """Kafka is stopped for as long as the block, or does not answer though its port is open."""
    if how == "stopped":
        stack.down(only=["kafka"])
        try:
            yield
        finally:
            stack.up(["kafka"])
        return
    broker = stack.pid("kafka")
    os.kill(broker, signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.kill(broker, signal.SIGCONT)


@pytest.mark.parametrize("how", ["stopped", "silent"])
def test_without_kafka_a_push_is_refused_and_later_taken(api: Console, stack: Any, how: str):
    device = f"phone-{how}"
    readings = [{"device_id": device, "stamp": int(time.time() * 1000) - 1000 * k} for k in range(20)]
    pushes: list[tuple[str, Any]] = [("/ingest", readings), ("/ingest/sensorlogger", push_of(device))]
    # the producer that is kept has sent something before
    assert api.client.post("/ingest", json=readings[:1]).status_code == 202
    with kafka_is(how, stack):
        with ThreadPoolExecutor(20) as threads:
            responses = list(threads.map(lambda push: api.client.post(push[0], json=push[1]), pushes * 10))
            responses += [api.client.post(path, json=content) for path, content in pushes]
        for answer in responses:
            assert answer.status_code == 503
            assert answer.headers["content-type"] == "application/json"
            assert answer.json()["detail"].startswith(f"Kafka at {api.settings.kafka.bootstrap_servers} ")
            assert "nothing was accepted" in answer.json()["detail"]
        # a port that is open is no broker that answers
        assert api.nobody.get("/health?need=broker").status_code == 503
        # pages and scoring do not wait for Kafka
        assert api.client.get("/health?need=store").status_code == 200
    # by itself, as soon as Kafka is there again
    for path, content in pushes:
        taken = wait_until(lambda: api.client.post(path, json=content).status_code == 202, 60, 0.2)  # noqa: B023
        assert taken, path
    arrived = {
        reading["stamp"]
        for key, message in sent(api.settings)
        if key == device
        for reading in (message if isinstance(message, list) else [message])
    }
    assert len(arrived) >= 120
    assert "Traceback" not in api.log.read_text()
