"""Secrets by name: fetched by HTTP as Google's Secret Manager answers, and where they are needed only."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests

from activitymodule import settings as config
from activitymodule.errors import ConfigError, ServiceUnavailableError
from activitymodule.settings import secret_manager, sources
from activitymodule.settings.secret_manager import fetch_secret


class Answers(BaseHTTPRequestHandler):
    """Secret Manager's `versions.access` for one secret."""

    def do_GET(self) -> None:
        known = {
            "/v1/projects/p/secrets/s/versions/latest:access": "héllo",
            "/v1/projects/p/secrets/s/versions/3:access": "old",
        }
        text = known.get(self.path)
        body = json.dumps({"payload": {"data": base64.b64encode((text or "").encode()).decode()}}).encode()
        self.send_response(200 if text else 403)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def manager() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_the_latest_version_or_the_one_that_is_named(manager: str) -> None:
    fetch = partial(fetch_secret, session=requests.Session(), address=manager)
    assert fetch("projects/p/secrets/s") == "héllo"
    assert fetch("projects/p/secrets/s/versions/3") == "old"


def test_a_secret_that_cannot_be_had_is_named(manager: str) -> None:
    with pytest.raises(
        ServiceUnavailableError, match=r"projects/p/secrets/t cannot be had \(403.*secretAccessor"
    ):
        fetch_secret("projects/p/secrets/t", session=requests.Session(), address=manager)
    with pytest.raises(ConfigError, match="names no secret"):
        fetch_secret("s", session=requests.Session(), address=manager)


def test_settings_fetch_secrets_that_are_named_and_nothing_else(
    manager: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACTIVITY_HOME", str(tmp_path))
    fetch = partial(fetch_secret, session=requests.Session(), address=manager)
    monkeypatch.setattr(sources, "fetch_secret", fetch)
    named = f"{secret_manager.NAMED_SECRET}projects/p/secrets/s"
    loaded = config.load(
        {
            "ACTIVITY_STORE__PASSWORD": named,
            "ACTIVITY_CONSOLE__SECRET": "plain",
            "ACTIVITY_KAFKA__TOPIC": named,
        }
    )
    assert loaded.store.password is not None
    assert loaded.store.password.get_secret_value() == "héllo"
    assert loaded.console.secret is not None
    assert loaded.console.secret.get_secret_value() == "plain"
    assert loaded.kafka.topic == named, "a topic is no secret"
    assert loaded.airflow.password is None
