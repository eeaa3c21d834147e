"""The choice of services for tests, and the containers: reachable from here only, killed without loss, left nowhere."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from containers import Containers, containers_of, why_no_engine
from own_settings import replaced

from activitymodule.embedded.postgres import Postgres
from activitymodule.embedded.processes import any_free_port, wait_until
from activitymodule.kafka import topics
from activitymodule.settings import Settings, project_root, reveal

SUPPORT = Path(__file__).parent / "support"

# a test run that is killed while its containers are up
KILLED_RUN = """
import json, os, signal, sys
from containers import Containers, containers_of
from activitymodule.settings import build
running = Containers(build(json.load(sys.stdin)))
running.up(["postgres"])
print(len(containers_of(running.folder)), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def pytest_with(services: str, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        capture_output=True,
        text=True,
        cwd=project_root(),
        env={**os.environ, "TEST_SERVICES": services, **env},
        timeout=300,
    )


def test_an_unknown_kind_of_services_is_one_error() -> None:
    done = pytest_with("podman", "--collect-only", "tests/embedded")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert done.stderr.strip() == "ERROR: TEST_SERVICES must be embedded or containers (given: 'podman')"


def test_without_an_engine_tests_skip_and_say_why(tmp_path: Path) -> None:
    done = pytest_with(
        "containers",
        "tests/kafka/test_topics.py",
        # a home without settings that name another engine
        HOME=str(tmp_path),
        DOCKER_HOST=f"unix://{tmp_path}/nothing.sock",
    )
    assert done.returncode == pytest.ExitCode.OK, done.stdout
    assert " 4 skipped" in done.stdout
    assert "no Docker engine answers" in done.stdout


@pytest.fixture
def own(stack_settings: Settings, tmp_path: Path) -> Iterator[Containers]:
    """Containers of this test's own, not started: to be killed at will."""
    if reason := why_no_engine():
        pytest.skip(reason)
    running = Containers(
        replaced(
            stack_settings,
            local={"folder": str(tmp_path / "local"), "artifacts": str(tmp_path / "artifacts")},
            store={"port": any_free_port()},
            kafka={"bootstrap_servers": f"127.0.0.1:{any_free_port()}"},
            registry={"uri": f"http://127.0.0.1:{any_free_port()}"},
        )
    )
    yield running
    running.down()


def query(settings: Settings, text: str) -> Any:
    connection = Postgres(settings).connect()
    with connection.cursor() as cursor:
        cursor.execute(text)
        rows = cursor.fetchall() if cursor.description else None
    connection.close()
    return rows


@pytest.mark.docker
@pytest.mark.integration
def test_containers_are_loopback_only_and_a_kill_loses_nothing(own: Containers) -> None:
    from activitymodule.kafka.clients import producer

    settings = own.settings
    own.up(["postgres", "kafka"])
    made = containers_of(own.folder)
    published = [port for one in made for ports in one.ports.values() for port in ports or ()]
    assert {port["HostIp"] for port in published} == {"127.0.0.1"}
    assert {int(port["HostPort"]) for port in published} == {own.postgres.port, own.kafka.port}
    assert query(settings, "show max_connections") == [("200",)], "the options are the embedded one's"

    query(settings, "create table kept as select 42 as answer")
    with producer(settings) as client:
        client.send(settings.kafka.topic, b"kept").get(timeout=30)
    for name in ("postgres", "kafka"):
        own.kill(name)
    own.wait_healthy("postgres", "kafka")
    assert query(settings, "select answer from kept") == [(42,)]
    assert topics.describe(settings, [settings.kafka.topic])[0].messages == 1

    own.down()
    assert containers_of(own.folder) == []
    assert not Postgres(settings).healthy()


@pytest.mark.docker
@pytest.mark.integration
def test_a_killed_run_leaves_no_container(own: Containers) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED_RUN],
        input=json.dumps(reveal(own.settings)),
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{SUPPORT}{os.pathsep}{project_root()}"},
        timeout=300,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert done.stdout.strip() == "1", "there was a container"
    assert wait_until(lambda: containers_of(own.folder) == [], 60)
