"""The running system, once a session."""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from compose import DEVICES, OPTIONAL_IMAGES, PEOPLE, System, environment_of_ones_own, missing_engine


def _profiles(system: System) -> str:
    """Those whose images can be had here; TEST_COMPOSE_PROFILES says them outright."""
    named = os.environ.get("TEST_COMPOSE_PROFILES")
    if named:
        return named
    try:
        system.compose(
            *["--profile", "observability", "pull", "--quiet", "prometheus", "grafana", "kafka-ui"],
            timeout=OPTIONAL_IMAGES,
        )
    except (AssertionError, subprocess.TimeoutExpired):
        print("the images of the profile observability cannot be had here; it is left out")
        return "core,orchestration"
    return "core,orchestration,observability"


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """All services of docker-compose.yml, healthy, predictions arriving; taken down with its data at the end."""
    why_not = missing_engine()
    if why_not:
        pytest.skip(f"{why_not}; the tests of docker-compose.yml need an engine")
    env_file = Path(tmp_path_factory.mktemp("compose")) / "env"
    made = System(
        f"activity-test-{secrets.token_hex(3)}", environment_of_ones_own(PEOPLE, DEVICES, "core"), env_file
    )

    made.write()
    made.environment["COMPOSE_PROFILES"] = _profiles(made)
    made.write()
    try:
        made.compose("build", "--quiet", timeout=3600)
        made.compose("up", "--detach", "--wait", "--wait-timeout", "1500", timeout=1800)
        yield made
    finally:
        print(made.compose("logs", "--no-color", "--tail", "60", check=False))
        made.compose("down", "--volumes", "--remove-orphans", "--timeout", "5", check=False)
