"""The part of MLflow's REST API that the project needs: the scorer calls it every second and must not import MLflow.

Endpoints: https://mlflow.org/docs/latest/api_reference/rest-api.html
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests

from activitymodule.errors import ModelError, ModelTooLargeError, ServiceUnavailableError, SignInRefusedError
from activitymodule.settings import Settings

CONNECT_SECONDS = 2.0
READ_SECONDS = 10.0
ARTIFACTS = "mlflow-artifacts:"
# a download may have so many times models.max_megabytes: the gate decides how large a model may be
_MOST_TIMES = 10

Json = dict[str, Any]  # MLflow's own objects

_GIVEN = os.environ.get("MLFLOW_TRACKING_USERNAME")  # by who started this process
_sessions: dict[int, requests.Session] = {}


class NotFoundError(Exception):
    """The registry answered that the object does not exist."""


def _session() -> requests.Session:
    """One session a process, kept open: a fork must not share its parent's socket."""
    session = _sessions.get(os.getpid())
    if session is None:
        session = requests.Session()
        if token := os.environ.get("MLFLOW_TRACKING_TOKEN"):
            session.headers["Authorization"] = f"Bearer {token}"
        _sessions.clear()
        _sessions[os.getpid()] = session
    return session


def _credentials(config: Settings) -> tuple[str, str] | None:
    """User and password: MLflow's own variables where they were set, else the settings; None: a token, or neither."""
    if "MLFLOW_TRACKING_TOKEN" in os.environ:
        return None
    if _GIVEN:
        return _GIVEN, os.environ.get("MLFLOW_TRACKING_PASSWORD", "")
    own = config.registry
    if not own.authentication or own.password is None:
        return None
    return own.user, own.password.get_secret_value()


def sign_in_mlflow(config: Settings) -> None:
    """Have MLflow's own client of this process sign in as the settings say: it reads nothing but the environment."""
    credentials = _credentials(config)
    if credentials is not None:
        os.environ["MLFLOW_TRACKING_USERNAME"], os.environ["MLFLOW_TRACKING_PASSWORD"] = credentials


def unavailable(config: Settings, why: str) -> ServiceUnavailableError:
    """The error for a registry that does not answer."""
    return ServiceUnavailableError(
        f"the model registry at {config.registry.uri} does not answer ({why}); start it with `activity up`, or "
        "set registry.uri"
    )


def _send(config: Settings, method: str, path: str, **arguments: Any) -> requests.Response:
    url = config.registry.uri.rstrip("/") + path
    if not url.startswith(("http://", "https://")):
        raise unavailable(config, "registry.uri must be an http address")
    try:
        response = _session().request(
            method,
            url,
            timeout=(CONNECT_SECONDS, READ_SECONDS),
            auth=_credentials(config),
            **arguments,
        )
    except requests.RequestException as error:
        raise unavailable(config, type(error).__name__) from None
    if response.status_code == 404:
        raise NotFoundError(_message(response))
    if response.status_code in (401, 403):
        raise SignInRefusedError(
            f"the model registry at {config.registry.uri} refuses this user ({response.status_code}): "
            "ACTIVITY_REGISTRY__PASSWORD in .env is not its password (./init.sh makes one, `activity up` sets it)"
        )
    if response.status_code >= 500 or response.status_code == 429:
        raise unavailable(config, f"{response.status_code}: {_message(response)}")
    if response.status_code >= 400:
        raise ModelError(f"the model registry refused the request: {_message(response)}")
    return response


def _message(response: requests.Response) -> str:
    try:
        return str(response.json().get("message", ""))[:200] or response.reason
    except (ValueError, AttributeError):
        return response.reason or "no reason given"


def get(config: Settings, path: str, **parameters: str) -> Json:
    """GET /api/2.0/mlflow/{path}. Raises NotFoundError or ServiceUnavailableError."""
    return _json(config, _send(config, "GET", f"/api/2.0/mlflow/{path}", params=parameters))


def post(config: Settings, path: str, body: Json) -> Json:
    """POST /api/2.0/mlflow/{path}. Raises NotFoundError, ModelError or ServiceUnavailableError."""
    return _json(config, _send(config, "POST", f"/api/2.0/mlflow/{path}", json=body))


def delete(config: Settings, path: str, body: Json) -> Json:
    """DELETE /api/2.0/mlflow/{path}. Raises NotFoundError, ModelError or ServiceUnavailableError."""
    return _json(config, _send(config, "DELETE", f"/api/2.0/mlflow/{path}", json=body))


def _json(config: Settings, response: requests.Response) -> Json:
    try:
        return response.json()
    except ValueError:
        raise unavailable(config, "the server there is not MLflow") from None


def download(config: Settings, source: str, folder: Path, *, only: str | None = None) -> None:
    """Download all files of a source of artifacts, or `only` one of them, into an existing folder.

    Sources proxied by the server are read over HTTP; any other (s3://, gs://, a folder) by MLflow's client. Raises
    NotFoundError or ServiceUnavailableError.
    """
    if not source.startswith(ARTIFACTS):
        _download_with_mlflow(config, source if only is None else f"{source.rstrip('/')}/{only}", folder)
        return
    root = source.removeprefix(ARTIFACTS).strip("/")
    if "//" in source.removeprefix(ARTIFACTS):
        # mlflow-artifacts://host/path: the host is this server
        root = source.removeprefix(ARTIFACTS).lstrip("/").partition("/")[2]
    base = "/api/2.0/mlflow-artifacts/artifacts"
    listed = _json(config, _send(config, "GET", base, params={"path": root})).get("files", [])
    most = _MOST_TIMES * config.models.max_megabytes
    if sum(int(entry.get("file_size") or 0) for entry in listed) > most * 1e6:
        raise ModelTooLargeError(f"the files at {source} have more than {most:g} MB; they are not downloaded")
    for entry in listed:
        name = Path(entry["path"]).name
        if entry.get("is_dir") or name != (only or name):
            continue
        content = _send(config, "GET", f"{base}/{quote(root)}/{quote(name)}").content
        (folder / name).write_bytes(content)


def _download_with_mlflow(config: Settings, source: str, folder: Path) -> None:
    # an import of some seconds
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    sign_in_mlflow(config)
    try:
        download_artifacts(artifact_uri=source, dst_path=str(folder), tracking_uri=config.registry.uri)
    except (MlflowException, OSError) as error:
        raise unavailable(config, f"artifacts at {source}: {str(error).splitlines()[0]}") from None
