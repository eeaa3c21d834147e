"""The client of Airflow's REST interface, against a server that answers as Airflow does."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from activitymodule.errors import (
    ActivityError,
    ConfigError,
    DataError,
    NotAllowedError,
    NotFoundError,
    ServiceUnavailableError,
)
from activitymodule.orchestration import client
from activitymodule.orchestration.names import RETRAIN
from activitymodule.settings import Settings, build

RUNS = f"GET /api/v2/dags/{RETRAIN}/dagRuns?limit=20&order_by=-run_after"


def run(run_id: str, state: str) -> dict[str, Any]:
    return {
        "dag_id": RETRAIN, "dag_run_id": run_id, "state": state, "run_type": "manual", "conf": None,
        "start_date": "2026-11-29T10:00:00Z", "end_date": None,
    }  # fmt: skip


class Served:
    """Answers by `METHOD path`; a number stands for an error of that status."""

    def __init__(self, port: int) -> None:
        self.answers: dict[str, Any] = {"POST /auth/token": {"access_token": "t"}}
        self.bodies: list[Any] = []
        self.config = build(
            {"airflow": {"uri": f"http://127.0.0.1:{port}", "password": "secret", "user": "admin"}}
        )


@pytest.fixture
def served() -> Iterator[Served]:
    class Handler(BaseHTTPRequestHandler):
        def do_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            known.bodies.append(json.loads(body) if body else None)
            found = known.answers.get(f"{self.command} {self.path}", 404)
            status = found if isinstance(found, int) else 200
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps({"detail": "no"} if status != 200 else found).encode())

        do_GET = do_POST = do_PATCH = do_any  # noqa: N815 - names of the base class

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    known = Served(server.server_port)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield known
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, NotAllowedError),
        (403, NotAllowedError),
        (404, NotFoundError),
        (409, DataError),
        (422, DataError),
        (500, ServiceUnavailableError),
    ],
)
def test_each_refusal_has_its_class(served: Served, status: int, kind: type[ActivityError]) -> None:
    served.answers[RUNS] = status
    with pytest.raises(ActivityError) as caught:
        client.runs(served.config, RETRAIN)
    assert type(caught.value) is kind


def test_without_a_server_or_a_password() -> None:
    nowhere = {"uri": "http://127.0.0.1:9", "password": "x"}
    with pytest.raises(ServiceUnavailableError):
        client.trigger(build({"airflow": nowhere}), RETRAIN)
    assert not client.healthy(build({"airflow": nowhere}))
    with pytest.raises(ConfigError):
        client.password(Settings())


def test_healthy_is_every_part_that_a_run_needs(served: Served) -> None:
    parts = {name: {"status": "healthy"} for name in ("metadatabase", "scheduler", "dag_processor")}
    served.answers["GET /api/v2/monitor/health"] = {**parts, "triggerer": {"status": None}}
    assert client.healthy(served.config)
    served.answers["GET /api/v2/monitor/health"] = {**parts, "scheduler": {"status": "unhealthy"}}
    assert not client.healthy(served.config)
    assert client.health(served.config)["metadatabase"] == "healthy"


def test_a_run_is_begun_and_read(served: Served) -> None:
    served.answers[f"POST /api/v2/dags/{RETRAIN}/dagRuns"] = run("manual__1", "queued")
    served.answers[f"GET /api/v2/dags/{RETRAIN}/details"] = {"params": {"force": {}, "dry_run": {}}}
    assert client.trigger(served.config, RETRAIN, {"force": True}) == "manual__1"
    assert served.bodies[-1] == {"logical_date": None, "conf": {"force": True}}
    served.answers[RUNS] = {"dag_runs": [run("manual__1", "queued")]}
    (found,) = client.runs(served.config, RETRAIN)
    assert (found.run_id, found.over, found.ended_at) == ("manual__1", False, None)
    assert found.begun_at is not None
    with pytest.raises(ConfigError, match="has no Param 'dryrun'; did you mean dry_run"):
        client.trigger(served.config, RETRAIN, {"force": True, "dryrun": True})
    assert served.bodies[-1] is None, "no run is begun"


def test_a_run_is_held_back_by_one_that_waits(served: Served) -> None:
    tasks = f"GET /api/v2/dags/{RETRAIN}/dagRuns/first/taskInstances?limit=100"
    served.answers[RUNS] = {"dag_runs": [run("second", "queued"), run("first", "running")]}
    for state, waits in (("running", False), ("awaiting_input", True)):
        served.answers[tasks] = {"task_instances": [{"task_id": "approval", "state": state, "try_number": 1}]}
        assert ("first" in client.held_back(served.config, RETRAIN, "second")) is waits
    assert client.held_back(served.config, RETRAIN, "first") == ""


def test_new_labels_are_an_event_of_the_asset(served: Served) -> None:
    assets = "GET /api/v2/assets?name_pattern=new_labels&limit=100"
    served.answers[assets] = {"assets": [{"id": 6, "name": "new_labels_of_others"}]}
    with pytest.raises(NotFoundError):
        client.announce_labels(served.config, 60)
    served.answers[assets] = {"assets": [{"id": 7, "name": "new_labels"}]}
    served.answers["POST /api/v2/assets/events"] = {}
    client.announce_labels(served.config, 60)
    assert served.bodies[-1] == {"asset_id": 7, "extra": {"labels": 60}}
