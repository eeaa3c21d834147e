"""The REST interface of a running console: access, health, scoring, monitoring."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import mlflow
import pyarrow as pa
import pytest
from own_settings import replaced
from prometheus_client.parser import text_string_to_metric_families
from rest_console import Console, body, live, serving

from activitymodule.embedded.processes import any_free_port
from activitymodule.registry.client import sign_in_mlflow
from activitymodule.store.connection import session
from activitymodule.store.drift import merge_minutes, read_seen
from activitymodule.store.queries import fetch_all
from activitymodule.store.users import add_token, revoke_token
from activitymodule.telemetry.encode import messages
from activitymodule.workflows.drift import LATEST_PAGE, reports_folder
from activitymodule.workflows.model_operations.rest_predictions import log_folder

pytestmark = pytest.mark.integration


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


# ---- devices ------------------------------------------------------------------------------------------------------


def test_a_device_model_that_is_set_turns_what_is_scored(api: Console):
    readings = live(1, 1)
    device = readings.column("device_id")[0].as_py()
    before = api.client.post("/predict", content=body(readings)).json()["windows"]
    answer = api.client.put(f"/devices/{device}", json={"device_model": "Empatica E4", "wrist": "left"})
    assert (answer.status_code, answer.json()["profile"], answer.json()["source"]) == (
        200,
        "empatica-e4",
        "rest",
    )
    listed = [one["device_id"] for one in api.client.get("/devices").json()]
    turned = api.client.post("/predict", content=body(readings)).json()["windows"]
    assert api.client.delete(f"/devices/{device}").json()["profile"] is None
    naming = [one | {"device_model": "Empatica E4"} for one in json.loads(body(readings))]
    named = api.client.post("/predict", content=json.dumps(naming)).json()["windows"]
    assert named == turned, "a message that names the model says as much"
    after = api.client.post("/predict", content=body(readings)).json()["windows"]
    assert device in listed
    assert before == after
    assert [one["probabilities"] for one in turned] != [one["probabilities"] for one in before]
    assert api.client.delete(f"/devices/{device}").status_code == 404
    with session(api.settings) as connection:
        bound = {"authorization": f"Bearer {add_token(connection, 'bound', devices=['strap-1'])}"}
    foreign = api.nobody.put(f"/devices/{device}", json={"device_model": "e4"}, headers=bound)
    assert foreign.status_code == 403


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
        alone = one[window["device_id"], window["window_start"]]
        # a product of matrices: its last bit hangs on their size
        assert alone.pop("familiarity") == pytest.approx(window.pop("familiarity"), abs=1e-5)
        assert alone == window
    assert api.client.post("/predict", content=body(readings)).status_code == 422
    assert api.client.post("/batch_predict", json={"messages": []}).status_code == 422
    assert api.client.post("/batch_predict", json=[1]).status_code == 422


def test_metrics_are_prometheus_text(api: Console):
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
        "/spans", "/spans/{span_id}/undo",
    } <= set(paths)  # fmt: skip


def test_the_description_is_a_page_whose_files_are_our_own(api: Console):
    assert api.nobody.get("/docs").status_code == 401
    ann = api.signed_in("ann")
    page = ann.get("/docs").text
    named = re.findall(r"""(?:src|href)=["']([^"']+)""", page)
    assert "/openapi.json" in page
    assert {"/docs/files/swagger-ui-bundle.js", "/docs/files/swagger-ui.css"} <= set(named)
    assert "//" not in "".join(named), "the page loads something from elsewhere"
    for path in named:
        assert ann.get(path).status_code == 200, path
    assert api.nobody.get("/docs/files/swagger-ui.css").status_code == 401


def test_the_last_drift_report_is_shown_to_who_is_signed_in(api: Console):
    ann, folder = api.signed_in("ann"), reports_folder(api.settings)
    assert api.nobody.get("/drift/report").status_code == 401
    assert ann.get("/drift/report").status_code == 404
    folder.mkdir(parents=True)
    (folder / LATEST_PAGE).write_text("<p>the report</p>")
    shown = ann.get("/drift/report")
    assert (shown.status_code, shown.text) == (200, "<p>the report</p>")
    assert shown.headers["content-type"].startswith("text/html")


# ---- what was predicted


def logged(api: Console) -> list[dict[str, Any]]:
    """The lines of all logs of predictions, of all processes."""
    return [
        json.loads(line)
        for path in sorted(log_folder(api.settings).glob("*.jsonl*"))
        for line in path.read_text().splitlines()
    ]


def counted(api: Console) -> dict[str, int]:
    """Windows by the process that scored them, as drift monitoring counts them."""
    with session(api.settings, read_only=True) as connection:
        rows = fetch_all(
            connection, "SELECT query_id, sum(windows)::int FROM feature_minutes GROUP BY query_id"
        )
    return {name: windows for name, windows in rows if name.startswith("rest ")}


def test_two_replicas_answer_alike_and_both_are_counted(api: Console, environment_of: Any, tmp_path: Path):
    given = body(live(1, 1))
    lines, windows = len(logged(api)), sum(counted(api).values())
    second = replaced(api.settings, console={"port": any_free_port()})
    # in order: what a process has counted since it last wrote it down is lost when it is killed
    with serving(second, environment_of(second), api.token, tmp_path / "second.log", in_order=True) as other:
        one, two = (each.client.post("/predict", content=given).json() for each in (api, other))
        # who signed in at one replica is signed in at all
        cookies = api.signed_in("ann").cookies
        assert httpx.get(f"{other.base}/openapi.json", cookies=dict(cookies)).status_code == 200
    assert one == two
    whole = sum(window["coverage"] >= api.settings.windows.queue_coverage for window in one["windows"])
    scored = [window for window in one["windows"] if window["activity"]]
    deadline = time.monotonic() + 40
    while sum(counted(api).values()) < windows + 2 * whole:
        assert time.monotonic() < deadline, counted(api)
        time.sleep(0.2)
    assert len(counted(api)) == 2
    new = logged(api)[lines:]
    assert len(new) == 2 * len(scored)
    key = ("window_start", "features_sha256", "activity", "probability", "features", "model_version")
    seen = Counter(json.dumps([line[name] for name in key]) for line in new)
    assert set(seen.values()) == {2}, "the same readings had other features at the other replica"
    assert {line["activity"] for line in new} == {window["activity"] for window in scored}
    assert not any(window["device_id"] in json.dumps(new) for window in scored), "the log names a watch"
    with session(api.settings) as connection:
        merge_minutes(connection)
        found = read_seen(connection, "1", 30, api.settings.windows.queue_coverage)
    assert found is not None
    assert found.totals.windows >= windows + 2 * whole
    assert sum(counted(api).values()) == 0, "they were not merged with those of the stream"


def test_mlflow_loads_the_champion_and_predicts_what_rest_does(api: Console):
    sign_in_mlflow(api.settings)
    mlflow.set_tracking_uri(api.settings.registry.uri)
    readings = live(2, 1)
    model = mlflow.pyfunc.load_model(f"models:/{api.settings.registry.classifier}@champion")
    found = model.predict(readings.to_pandas())
    given = [json.loads(value) for value in messages(readings, 10).value]
    windows = api.client.post("/batch_predict", json={"messages": given}).json()["windows"]
    assert found["device_id"].tolist() == [one["device_id"] for one in windows]
    assert found["activity"].tolist() == [one["activity"] for one in windows]
    for (_, row), window in zip(found.iterrows(), windows, strict=True):
        for label, probability in (window["probabilities"] or {}).items():
            assert row[f"probability_{label}"] == pytest.approx(probability, abs=1e-6)
    example = model.predict(model.input_example)
    assert set(example["activity"]) <= set(windows[0]["probabilities"] or found["activity"])
    assert {"user_acceleration_x", "stamp"} <= set(model.metadata.get_input_schema().input_names())
    assert "activity" in model.metadata.get_output_schema().input_names()
