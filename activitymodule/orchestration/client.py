"""A client of Airflow's REST interface (version 2), embedded or elsewhere: airflow.uri, airflow.user and password.

https://airflow.apache.org/docs/apache-airflow/stable/stable-rest-api-ref.html
"""

from __future__ import annotations

import contextlib
import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode

from activitymodule.errors import (
    ActivityError,
    ConfigError,
    DataError,
    NotAllowedError,
    NotFoundError,
    ServiceUnavailableError,
)
from activitymodule.orchestration.names import LABELS
from activitymodule.orchestration.params import refuse_unknown
from activitymodule.settings import Settings


@dataclass(frozen=True)
class DagRun:
    """One run of a DAG. state: queued, running, success or failed; times are UTC."""

    dag_id: str
    run_id: str
    state: str
    kind: str
    conf: Mapping[str, object]
    begun_at: datetime | None
    ended_at: datetime | None

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self.state in ("success", "failed")


@dataclass(frozen=True)
class TaskRun:
    """One task of a run. state : as Airflow names it."""

    task_id: str
    state: str | None
    tries: int

    @property
    def waits(self) -> bool:
        """Whether it waits for a person's yes or no."""
        return self.state in ("awaiting_input", "deferred")


def password(config: Settings) -> str:
    """The password of airflow.user. Raises ConfigError where it is not set."""
    secret = config.airflow.password
    if secret is None or not secret.get_secret_value():
        raise ConfigError(
            "the setting airflow.password is missing; run ./init.sh, "
            "which writes ACTIVITY_AIRFLOW__PASSWORD to .env"
        )
    return str(secret.get_secret_value())


# ---- requests


def _request(
    config: Settings,
    method: str,
    path: str,
    body: Mapping[str, Any] | None = None,
    token: str | None = None,
    seconds: float = 30,
) -> Any:
    """One request; the JSON of its response. Raises what `_refusal` and a missing service are."""
    uri = config.airflow.uri.rstrip("/")
    request = urllib.request.Request(
        uri + path,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={
            "Accept": "application/json",
            "Content-Type": "application/json",
            **({"Authorization": f"Bearer {token}"} if token else {}),
        },
    )
    # no proxy: the address is this machine's, or that of an internal server
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=seconds) as response:
            text = response.read()
            return json.loads(text) if text else None
    except urllib.error.HTTPError as error:
        raise _refusal(config, error) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise ServiceUnavailableError(
            f"Airflow at {uri} does not answer ({reason}); start it with `activity airflow up`"
        ) from error


def _refusal(config: Settings, error: urllib.error.HTTPError) -> ActivityError:
    """The error of ours that an HTTP status stands for."""
    uri, detail = config.airflow.uri.rstrip("/"), _detail(error)
    if error.code in (401, 403):
        return NotAllowedError(
            f"Airflow at {uri} does not let {config.airflow.user} in ({detail}); airflow.password is not the "
            "one it was started with: `activity airflow down`, then `activity airflow up`"
        )
    if error.code == 404:
        return NotFoundError(f"Airflow at {uri} does not have it: {detail}")
    if error.code in (400, 409, 422):
        return DataError(f"Airflow refuses it: {detail}")
    return ServiceUnavailableError(
        f"Airflow at {uri} failed ({error.code}: {detail}); see `activity logs airflow`"
    )


def _detail(error: urllib.error.HTTPError) -> str:
    text = error.read().decode(errors="replace")
    with contextlib.suppress(ValueError, AttributeError):
        detail = json.loads(text).get("detail")
        if isinstance(detail, list):
            return "; ".join(f"{'.'.join(map(str, d.get('loc', ())))}: {d.get('msg')}" for d in detail)
        if detail:
            return str(detail)
    return text.strip()[:300] or str(error.reason)


def _api(config: Settings, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
    sign_in = {"username": config.airflow.user, "password": password(config)}
    token = str(_request(config, "POST", "/auth/token", sign_in)["access_token"])
    return _request(config, method, f"/api/v2{path}", body, token)


def _dag(dag_id: str) -> str:
    return f"/dags/{quote(dag_id, safe='')}"


def _run(dag_id: str, run_id: str) -> str:
    return f"{_dag(dag_id)}/dagRuns/{quote(run_id, safe='')}"


# ---- health


def health(config: Settings) -> dict[str, str]:
    """Status of each part: `healthy`, or what it is. Raises ServiceUnavailableError where Airflow does not answer."""
    parts = dict(_request(config, "GET", "/api/v2/monitor/health", seconds=5))
    return {name: str((part or {}).get("status")) for name, part in parts.items()}


def healthy(config: Settings) -> bool:
    """Whether Airflow answers and its scheduler and DAG processor work: a run that is triggered now would run."""
    try:
        parts = health(config)
    except ActivityError:
        return False
    return all(parts.get(name) == "healthy" for name in ("metadatabase", "scheduler", "dag_processor"))


def import_errors(config: Settings) -> list[str]:
    """Why DAG files cannot be read, one sentence each."""
    found = _api(config, "GET", "/importErrors?limit=100")["import_errors"]
    return [f"{one['filename']}: {one['stack_trace'].strip().splitlines()[-1]}" for one in found]


# ---- runs


def _as_run(content: Mapping[str, Any]) -> DagRun:
    def moment(text: str | None) -> datetime | None:
        return datetime.fromisoformat(text.replace("Z", "+00:00")) if text else None

    return DagRun(
        content["dag_id"],
        content["dag_run_id"],
        content["state"],
        content["run_type"],
        content.get("conf") or {},
        moment(content.get("start_date")),
        moment(content.get("end_date")),
    )


def trigger(config: Settings, dag_id: str, conf: Mapping[str, Any] | None = None) -> str:
    """Begin a run of a DAG with these Params; its run id.

    Raises ServiceUnavailableError where Airflow does not answer, NotFoundError for an unknown DAG, ConfigError for a
    wrong password or a Param that the DAG does not have, DataError for Params that Airflow refuses.
    """
    if conf:
        known = _api(config, "GET", f"{_dag(dag_id)}/details").get("params") or {}
        refuse_unknown(dag_id, conf, known)
    body = {"logical_date": None, "conf": dict(conf or {})}
    return str(_api(config, "POST", f"{_dag(dag_id)}/dagRuns", body)["dag_run_id"])


def run_of(config: Settings, dag_id: str, run_id: str) -> DagRun:
    """One run as it is now. Raises NotFoundError."""
    return _as_run(_api(config, "GET", _run(dag_id, run_id)))


def runs(config: Settings, dag_id: str, limit: int = 20) -> list[DagRun]:
    """The newest runs of a DAG, newest first. Raises NotFoundError for an unknown DAG."""
    query = urlencode({"limit": limit, "order_by": "-run_after"})
    return [_as_run(one) for one in _api(config, "GET", f"{_dag(dag_id)}/dagRuns?{query}")["dag_runs"]]


def tasks(config: Settings, dag_id: str, run_id: str) -> list[TaskRun]:
    """The tasks of a run, with their states."""
    found = _api(config, "GET", f"{_run(dag_id, run_id)}/taskInstances?limit=100")
    return [TaskRun(one["task_id"], one["state"], one["try_number"]) for one in found["task_instances"]]


def held_back(config: Settings, dag_id: str, run_id: str) -> str:
    """A sentence where another run of the DAG waits for a person, so that this one starts only after it; else ''."""
    for other in runs(config, dag_id):
        if other.run_id == run_id or other.state != "running":
            continue
        if any(task.waits for task in tasks(config, dag_id, other.run_id)):
            return (
                f"it starts after the run {other.run_id}, which waits for approval: "
                f"`activity airflow answer {dag_id} {other.run_id}`, or with --reject"
            )
    return ""


def wait(config: Settings, dag_id: str, run_id: str, seconds: float = 3600, pause: float = 1.0) -> DagRun:
    """Wait until a run is over. Raises ServiceUnavailableError after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (run := run_of(config, dag_id, run_id)).over:
        if time.monotonic() > deadline:
            raise ServiceUnavailableError(
                f"the run {run_id} of {dag_id} is still {run.state} after {seconds:.0f} s"
            )
        time.sleep(pause)
    return run


def rerun(config: Settings, dag_id: str, run_id: str) -> None:
    """Clear the failed tasks of a run and what follows them: the run continues where it failed, under its id."""
    _api(config, "POST", f"{_run(dag_id, run_id)}/clear", {"dry_run": False, "only_failed": True})


def answer(config: Settings, dag_id: str, run_id: str, task_id: str, approve: bool) -> None:
    """Approve or reject what a run waits for. Raises DataError where it no longer waits."""
    body = {"chosen_options": ["Approve" if approve else "Reject"], "params_input": {}}
    path = f"{_run(dag_id, run_id)}/taskInstances/{quote(task_id, safe='')}/-1/hitlDetails"
    _api(config, "PATCH", path, body)


def announce_labels(config: Settings, labels: int) -> None:
    """Post the event of the asset that triggers the retraining: there are so many new gold labels."""
    query = urlencode({"name_pattern": LABELS, "limit": 100})
    found = _api(config, "GET", f"/assets?{query}")["assets"]
    numbers = [asset["id"] for asset in found if asset["name"] == LABELS]
    if not numbers:
        raise NotFoundError(f"Airflow has no asset {LABELS} yet; has it read airflow/dags?")
    _api(config, "POST", "/assets/events", {"asset_id": numbers[0], "extra": {"labels": labels}})
