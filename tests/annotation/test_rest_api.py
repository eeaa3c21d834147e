"""The REST interface of a running console on the real stack: what it answers, refuses, and passes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from own_settings import register_champion, replaced, settings_of_ones_own

from activitymodule.embedded.processes import any_free_port, wait_until
from activitymodule.kafka.clients import consumer
from activitymodule.settings import Settings
from activitymodule.store.connection import session
from activitymodule.store.users import add_token, add_user, revoke_token
from activitymodule.synthesis.history import training_readings
from activitymodule.telemetry.encode import messages

pytestmark = pytest.mark.integration
PASSWORD = "correct horse battery"


class Console:
    """A console of its own, and clients of it: with a token, signed in as an admin, and nobody."""

    def __init__(self, settings: Settings, token: str, log: Path) -> None:
        self.settings, self.token, self.log = settings, token, log
        base = f"http://{settings.console.host}:{settings.console.port}"
        self.base = base
        self.client = httpx.Client(base_url=base, headers={"authorization": f"Bearer {token}"}, timeout=30)
        self.nobody = httpx.Client(base_url=base, timeout=30)

    def signed_in(self, name: str) -> httpx.Client:
        client = httpx.Client(base_url=self.base, timeout=30, headers={"origin": self.base})
        answer = client.post("/signin", data={"name": name, "password": PASSWORD})
        assert answer.status_code in (200, 303), answer.text
        return client


@pytest.fixture(scope="module")
def api(
    stack: Any,
    trained: Path,
    environment_of: Callable[[Settings], dict[str, str]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Console]:
    folder = tmp_path_factory.mktemp("rest")
    with settings_of_ones_own(stack, folder) as own:
        settings = replaced(
            own,
            console={"port": any_free_port(), "secret": "0123456789abcdef", "requests_per_minute": 100_000},
            airflow={"uri": f"http://127.0.0.1:{any_free_port()}"},
        )
        register_champion(settings, trained)
        with session(settings) as connection:
            token = add_token(connection, "phone")
            add_user(connection, "boss", "admin", PASSWORD)
            add_user(connection, "ann", "annotator", PASSWORD)
        log = folder / "console.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "activitymodule", "console"],
                env=environment_of(settings),
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        console = Console(settings, token, log)
        try:
            deadline = time.monotonic() + 60
            while True:
                try:
                    if console.nobody.get("/health", params={"need": "store"}).status_code == 200:
                        break
                except httpx.TransportError:
                    pass
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.2)
            yield console
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
            print(log.read_text())


def live(devices: int, minutes: int, seed: int = 5) -> pa.Table:
    """Readings of the last minutes, so that no stamp is refused; they end with a whole window."""
    now = int(time.time()) // 10 * 10 - 10
    return training_readings(devices, minutes, seed, start=now - 60 * minutes).readings


def body(readings: pa.Table) -> str:
    """One message with all the readings."""
    return "[" + ",".join(v.decode().strip("[]") for v in messages(readings, 10).value) + "]"


# ---- health and who may ask ----------------------------------------------------------------------------------------


def test_health_needs_no_sign_in_and_says_which_part_is_away(api: Console):
    answer = api.nobody.get("/health")
    parts = answer.json()["parts"]
    assert {name: part["ok"] for name, part in parts.items()} == {
        "store": True, "broker": True, "registry": True, "scorer": False,
    }  # fmt: skip
    assert answer.status_code == 503  # nobody scores
    assert all(part["milliseconds"] >= 0 for part in parts.values())
    assert api.nobody.get("/health?need=store&need=broker").status_code == 200
    assert api.nobody.get("/health?need=moon").status_code == 422


@pytest.mark.parametrize("path", ["/predict", "/batch_predict", "/ingest", "/ingest/sensorlogger"])
def test_without_a_token_nothing_is_taken(api: Console, path: str):
    assert api.nobody.post(path, content="{}").status_code == 401
    wrong = api.nobody.post(path, content="{}", headers={"authorization": "Bearer " + "x" * 43})
    assert wrong.status_code == 401


def test_a_token_that_was_revoked_is_worth_nothing(api: Console):
    with session(api.settings) as connection:
        token = add_token(connection, "old")
    headers = {"authorization": f"Bearer {token}"}
    assert api.nobody.get("/metrics", headers=headers).status_code == 200
    with session(api.settings) as connection:
        revoke_token(connection, "old")
    assert api.nobody.get("/metrics", headers=headers).status_code == 401


# ---- scoring ------------------------------------------------------------------------------------------------------


def test_readings_of_a_watch_are_scored(api: Console):
    answer = api.client.post("/predict", content=body(live(1, 1)))
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert found["refused"] == []
    assert found["model_version"] == "1"
    whole = [window for window in found["windows"] if window["coverage"] > 0.99]
    assert len(whole) >= 5
    for window in whole:
        assert sum(window["probabilities"].values()) == pytest.approx(1, abs=1e-5)
        assert window["activity"] == max(window["probabilities"], key=window["probabilities"].get)
        assert window["activity"] in window["conformal_set"]
        assert window["kcal_per_min"] > 0
        assert window["reason"] is None


def test_bad_items_are_named_and_good_ones_count(api: Console):
    items = json.loads(body(live(1, 1)))[-100:]
    items[3]["stamp"] = "2999-01-01T00:00:00Z"
    items[5]["pitch"] = "steep"
    items.append(7)
    answer = api.client.post("/predict", json=items)
    assert answer.status_code == 200
    found = answer.json()
    assert {(r["item"], r["reason"]) for r in found["refused"]} == {
        (3, "stamp_from_the_future"), (5, "wrong_type"), (100, "unknown_item"),
    }  # fmt: skip
    assert sum(window["readings_used"] for window in found["windows"]) == 98


def test_too_few_readings_have_no_activity_and_say_why(api: Console):
    found = api.client.post("/predict", json=json.loads(body(live(1, 1)))[-5:]).json()
    assert [window["reason"] for window in found["windows"]] == ["low coverage"]
    assert found["windows"][0]["activity"] is None


@pytest.mark.parametrize(
    ("content", "status"),
    [("{", 422), ("[]", 422), ("7", 422), ("", 422), ('{"device_id": "a"}', 422), ("x" * 1_100_000, 413)],
)
def test_what_cannot_be_scored_is_refused_with_reasons(api: Console, content: str, status: int):
    for path in ("/predict", "/ingest"):
        answer = api.client.post(path, content=content)
        assert answer.status_code == status
        assert answer.json()["detail"]
        assert status == 413 or answer.json()["refused"][0]["reason"]


def test_many_watches_at_once_and_each_message_by_its_place(api: Console):
    readings = live(3, 1)
    made = messages(readings, 10)
    given = [json.loads(value) for value in made.value]
    given.insert(2, {"device_id": "a b", "stamp": "2026-01-01T00:00:00Z"})
    answer = api.client.post("/batch_predict", json={"messages": given})
    assert answer.status_code == 200
    found = answer.json()
    assert [(r["message"], r["reason"]) for r in found["refused"]] == [(2, "bad_device_id")]
    assert len({window["device_id"] for window in found["windows"]}) == 3
    # the same windows as one by one
    one = {(w["device_id"], w["window_start"]): w for w in found["windows"]}
    first = made.device_id[0]
    mask = [name == first for name in readings.column("device_id").to_pylist()]
    for window in api.client.post("/predict", content=body(readings.filter(pa.array(mask)))).json()[
        "windows"
    ]:
        assert one[window["device_id"], window["window_start"]] == window
    assert api.client.post("/predict", content=body(readings)).status_code == 422
    assert api.client.post("/batch_predict", json={"messages": []}).status_code == 422
    assert api.client.post("/batch_predict", json=[1]).status_code == 422


# ---- ingest, and that the stream says the same --------------------------------------------------------------------


def sent(settings: Settings) -> list[tuple[str, Any]]:
    """Everything in the topic: key and message."""
    found = []
    with consumer(settings) as client:
        from kafka import TopicPartition

        parts = [TopicPartition(settings.kafka.topic, n) for n in range(2)]
        client.assign(parts)
        ends = client.end_offsets(parts)
        client.seek_to_beginning(*parts)
        while any(client.position(part) < ends[part] for part in parts):
            for records in client.poll(timeout_ms=5000).values():
                found += [(record.key.decode(), json.loads(record.value)) for record in records]
    return found


def test_the_stream_says_of_ingested_readings_what_rest_says_to_the_last_bit(
    api: Console, environment_of: Callable[[Settings], dict[str, str]]
):
    """/ingest, Kafka, Spark, the store: and /predict of the same readings. The counts for drift come along."""
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

    ended = subprocess.run(
        [sys.executable, "-m", "activitymodule", "score", "--once"],
        env=environment_of(api.settings),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    rest = {
        (window["device_id"], datetime.fromisoformat(window["window_start"])): window
        for window in api.client.post("/batch_predict", json={"messages": [items]}).json()["windows"]
    }
    with session(api.settings, read_only=True) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT device_id, window_start, activity, probabilities, conformal_set, kcal_per_min, coverage, "
            "readings_used, reason FROM predictions"
        )
        stored = cursor.fetchall()
        cursor.execute("SELECT sum(windows)::int, max(cardinality(counts)) FROM feature_minutes")
        counted, features = cursor.fetchone()
    assert len(stored) == len(rest) >= 3 * 6
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
        "/ingest/sensorlogger", json={**push, "payload": [{**payload[0], "time": 5}, payload[1]]}
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
            told = list(threads.map(lambda push: api.client.post(push[0], json=push[1]), pushes * 10))
            told += [api.client.post(path, json=content) for path, content in pushes]
        for answer in told:
            assert answer.status_code == 503
            assert answer.headers["content-type"] == "application/json"
            assert answer.json()["detail"].startswith(f"Kafka at {api.settings.kafka.bootstrap_servers} ")
            assert "nothing was accepted" in answer.json()["detail"]
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


# ---- monitoring -----------------------------------------------------------------------------------------------------


def test_metrics_are_prometheus_text(api: Console):
    from prometheus_client.parser import text_string_to_metric_families

    answer = api.client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = {family.name: family for family in text_string_to_metric_families(answer.text)}
    assert "activity_windows_last_minute" in families
    assert {s.labels["partition"] for s in families["activity_lag_messages"].samples} == {"0", "1"}
    assert {s.labels["partition"] for s in families["activity_broker_messages"].samples} == {"0", "1"}
    assert families["activity_broker_messages"].type == "counter"
    assert {s.labels["holds"] for s in families["activity_disk_free_bytes"].samples} == {
        "lake", "archive", "checkpoints",
    }  # fmt: skip


def test_metrics_get_what_is_slow_with_a_later_answer(api: Console):
    deadline = time.monotonic() + 120
    while "activity_annotator_pairs" not in api.client.get("/metrics").text:
        assert time.monotonic() < deadline, "agreement and drift never came"
        time.sleep(1)


def test_only_a_signed_in_admin_may_begin_a_retraining(api: Console):
    assert api.client.post("/monitoring/retraining_trigger", json={}).status_code == 401
    ann = api.signed_in("ann")
    assert ann.post("/monitoring/retraining_trigger", json={}).status_code == 403
    boss = api.signed_in("boss")
    assert boss.post("/monitoring/retraining_trigger", json={"force": "perhaps"}).status_code == 422
    elsewhere = boss.post(
        "/monitoring/retraining_trigger", json={}, headers={"origin": "https://elsewhere.example"}
    )
    assert elsewhere.status_code == 403
    begun = boss.post("/monitoring/retraining_trigger", json={"why": "to see"})
    assert begun.status_code == 202, begun.text
    assert begun.json()["through"] == "job"
    state: dict[str, Any] = {}
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        state = boss.get(f"/monitoring/retraining/{begun.json()['run_id']}").json()
        if state["state"] != "running":
            break
        time.sleep(0.3)
    # nobody has labelled anything
    assert state["state"] == "unneeded", state
    assert state["started_by"] == "boss"
    assert boss.get("/monitoring/retraining/none-such").status_code == 404


def test_the_description_names_every_route_and_is_for_who_is_signed_in(api: Console):
    assert api.nobody.get("/openapi.json").status_code == 401
    paths = api.client.get("/openapi.json").json()["paths"]
    assert {
        "/health", "/predict", "/batch_predict", "/ingest", "/ingest/sensorlogger", "/monitoring/drift",
        "/monitoring/retraining_trigger", "/monitoring/retraining/{run_id}", "/metrics",
    } <= set(paths)  # fmt: skip


# ---- fuzzing ------------------------------------------------------------------------------------------------------

_ROUTES = [
    ("GET", "/health"),
    ("POST", "/predict"),
    ("POST", "/batch_predict"),
    ("POST", "/ingest"),
    ("POST", "/ingest/sensorlogger"),
    ("GET", "/monitoring/drift"),
    ("GET", "/monitoring/retraining/{run_id}"),
    ("POST", "/monitoring/retraining_trigger"),
    ("GET", "/metrics"),
]


@pytest.mark.parametrize(("method", "path"), _ROUTES)
def test_whatever_fits_or_breaks_the_description_is_answered_as_described(
    api: Console, method: str, path: str
):
    """schemathesis: no crash, and no status, content type or body that the description does not know."""
    import schemathesis
    from schemathesis.checks import load_all_checks  # type: ignore[attr-defined]

    load_all_checks()
    schema = schemathesis.openapi.from_dict(api.client.get("/openapi.json").json())
    schema.config.update(base_url=api.base)
    operation = schema[path][method]
    checks = [
        schemathesis.checks.not_a_server_error,
        *(
            schemathesis.checks.CHECKS.get_by_names(
                ["status_code_conformance", "content_type_conformance", "response_schema_conformance"]
            )
        ),
    ]
    headers = {"authorization": f"Bearer {api.token}"}

    @hypothesis_settings(
        max_examples=15,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        derandomize=True,
    )
    @given(case=operation.as_strategy())
    def fuzz(case: Any) -> None:
        answer = case.call(headers=headers, timeout=30)
        # a service that is away would be no crash, but here they are all there
        case.validate_response(answer, checks=checks, excluded_checks=[] if path != "/health" else checks[:1])

    fuzz()


@hypothesis_settings(max_examples=40, deadline=None, database=None)
@given(content=st.one_of(st.binary(max_size=200), st.text(max_size=100).map(str.encode)))
def test_no_body_makes_it_crash(api: Console, content: bytes):
    for path in ("/predict", "/batch_predict", "/ingest", "/ingest/sensorlogger"):
        assert api.client.post(path, content=content).status_code in (202, 413, 422)
