"""A running console as the tests see it, and who may sign in to it."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import requests
from filled_queue import Scored
from forks import Fork

from activitymodule.embedded.processes import wait_until
from activitymodule.settings import Settings
from activitymodule.store.connection import connect

PASSWORDS = {"anna": "a-password-of-anna", "bob": "a-password-of-bob", "cleo": "a-password-of-cleo"}
ROLES = {"anna": "admin", "bob": "annotator", "cleo": "annotator"}
Running = TypeVar("Running", Fork, "subprocess.Popen[bytes]")


@dataclass
class Console:
    """A console that runs: where, with which settings, on what data."""

    address: str
    settings: Settings
    made: Scored | None
    process: Fork | subprocess.Popen[bytes]
    log: Path

    def connect(self) -> Any:
        return connect(self.settings)

    def rows(self, sql: str, values: Any = None) -> list[tuple[Any, ...]]:
        connection = self.connect()
        with connection, connection.cursor() as cursor:
            cursor.execute(sql, values)
            found = cursor.fetchall() if cursor.description else []
        connection.close()
        return found

    def session(self, name: str = "anna") -> requests.Session:
        """An HTTP client that is signed in."""
        client = requests.Session()
        answer = client.post(
            f"{self.address}/signin",
            data={"name": name, "password": PASSWORDS[name]},
            allow_redirects=False,
            timeout=20,
        )
        assert answer.status_code == 303, answer.text
        return client

    def stop(self) -> None:
        """At once: in order it would wait for its clients."""
        self.process.kill()
        self.process.wait(60)


def start_console(settings: Settings, environment: dict[str, str], log: Path) -> Fork:
    """`activity console`; answers when this returns."""
    return answering(Fork(["console"], environment, log), settings, log)


def answering(process: Running, settings: Settings, log: Path) -> Running:
    """The process of a console, as soon as it answers. It is ended where it does not."""

    def answers() -> bool:
        assert process.poll() is None, log.read_text()
        try:
            return requests.get(f"http://127.0.0.1:{settings.console.port}/health?need=store", timeout=2).ok
        except requests.RequestException:
            return False

    try:
        assert wait_until(answers, 240), log.read_text()
    except BaseException:
        process.kill()
        raise
    return process
