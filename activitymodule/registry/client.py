"""MLflow's REST interface, as far as we need it: the scorer asks it every second, and must not import MLflow.

Endpoints: https://mlflow.org/docs/latest/api_reference/rest-api.html
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests

from activitymodule import settings
from activitymodule.errors import ModelError, ServiceUnavailableError

CONNECT_SECONDS = 2.0
READ_SECONDS = 10.0
ARTIFACTS = "mlflow-artifacts:"

_sessions: dict[int, requests.Session] = {}


class NotFoundError(Exception):
    """The registry answered that there is no such thing."""


def _session() -> requests.Session:
    """One connection a process, kept open: a fork must not share its parent's socket."""
    session = _sessions.get(os.getpid())
    if session is None:
        session = requests.Session()
        # MLflow's own variables for a server that wants to know who asks
        token, user = os.environ.get("MLFLOW_TRACKING_TOKEN"), os.environ.get("MLFLOW_TRACKING_USERNAME")
        if token:
            session.headers["Authorization"] = f"Bearer {token}"
        elif user:
            session.auth = (user, os.environ.get("MLFLOW_TRACKING_PASSWORD", ""))
        _sessions.clear()
        _sessions[os.getpid()] = session
    return session


def away(config: settings.Settings, why: str) -> ServiceUnavailableError:
    return ServiceUnavailableError(
        f"the model registry at {config.registry.uri} does not answer ({why}); start it with `activity up`, or "
        "set registry.uri"
    )


def _send(config: settings.Settings, method: str, path: str, **arguments: Any) -> requests.Response:
    url = config.registry.uri.rstrip("/") + path
    if not url.startswith(("http://", "https://")):
        raise away(config, "registry.uri must be an http address")
    try:
        response = _session().request(method, url, timeout=(CONNECT_SECONDS, READ_SECONDS), **arguments)
    except requests.RequestException as error:
        raise away(config, type(error).__name__) from None
    if response.status_code == 404:
        raise NotFoundError(_message(response))
    if response.status_code >= 500 or response.status_code in (401, 403, 429):
        raise away(config, f"{response.status_code}: {_message(response)}")
    if response.status_code >= 400:
        raise ModelError(f"the model registry refused the request: {_message(response)}")
    return response


def _message(response: requests.Response) -> str:
    try:
        return str(response.json().get("message", ""))[:200] or response.reason
    except (ValueError, AttributeError):
        return response.reason or "no reason given"


def ask(config: settings.Settings, path: str, **parameters: str) -> dict[str, Any]:
    """GET /api/2.0/mlflow/{path}. Raises NotFoundError or ServiceUnavailableError."""
    return _json(config, _send(config, "GET", f"/api/2.0/mlflow/{path}", params=parameters))


def tell(config: settings.Settings, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """POST /api/2.0/mlflow/{path}. Raises NotFoundError, ModelError or ServiceUnavailableError."""
    return _json(config, _send(config, "POST", f"/api/2.0/mlflow/{path}", json=body))


def remove(config: settings.Settings, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """DELETE /api/2.0/mlflow/{path}. Raises NotFoundError, ModelError or ServiceUnavailableError."""
    return _json(config, _send(config, "DELETE", f"/api/2.0/mlflow/{path}", json=body))


def _json(config: settings.Settings, response: requests.Response) -> dict[str, Any]:
    try:
        return response.json()
    except ValueError:
        raise away(config, "what answers there is no MLflow server") from None


def download(config: settings.Settings, source: str, folder: Path) -> None:
    """All files of a source of artifacts into an existing folder.

    Sources the server passes on are read from it; any other (s3://, gs://, a folder) by MLflow's own client.
    """
    if not source.startswith(ARTIFACTS):
        _download_with_mlflow(config, source, folder)
        return
    root = source.removeprefix(ARTIFACTS).strip("/")
    if "//" in source.removeprefix(ARTIFACTS):
        # mlflow-artifacts://host/path: the host is the server we talk to
        root = source.removeprefix(ARTIFACTS).lstrip("/").partition("/")[2]
    base = "/api/2.0/mlflow-artifacts/artifacts"
    listed = _json(config, _send(config, "GET", base, params={"path": root})).get("files", [])
    for entry in listed:
        name = Path(entry["path"]).name
        if entry.get("is_dir"):
            continue
        content = _send(config, "GET", f"{base}/{quote(root)}/{quote(name)}").content
        (folder / name).write_bytes(content)


def _download_with_mlflow(config: settings.Settings, source: str, folder: Path) -> None:
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    try:
        download_artifacts(artifact_uri=source, dst_path=str(folder), tracking_uri=config.registry.uri)
    except (MlflowException, OSError) as error:
        raise away(config, f"artifacts at {source}: {str(error).splitlines()[0]}") from None
