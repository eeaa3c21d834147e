"""The whole system in one container: it comes up, goes on after a restart with the data of its volume, and ends by a
signal."""

from __future__ import annotations

import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from compose import ROOT, missing_engine

from activitymodule.embedded.processes import any_free_port

pytestmark = pytest.mark.docker

NAME = "activity-demo-of-tests"


def docker(*arguments: str, seconds: float = 120) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=seconds)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip()


@pytest.fixture
def container() -> Iterator[int]:
    """The port of a console, in a container of its own with a volume of its own."""
    if reason := missing_engine():
        pytest.skip(reason)
    docker(
        "build", "--quiet", "--file", f"{ROOT}/infra/docker/Dockerfile", "--target", "demo", "--tag", NAME, str(ROOT),
        seconds=1500,
    )  # fmt: skip
    port = any_free_port()
    docker(
        "run", "--detach", "--name", NAME, "--publish", f"127.0.0.1:{port}:18080", "--volume", f"{NAME}:/data", NAME,
        "demo", "--devices", "10",
    )  # fmt: skip
    yield port
    print(subprocess.run(["docker", "logs", NAME], capture_output=True, text=True).stdout[-4000:])
    for removed in (("rm", "--force", "--volumes", NAME), ("volume", "rm", NAME)):
        subprocess.run(["docker", *removed], capture_output=True, timeout=60)


def wait_for(condition: Callable[[], bool], what: str, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert docker("inspect", "--format", "{{.State.Running}}", NAME) == "true", docker(
            "logs", "--tail", "40", NAME
        )
        assert time.monotonic() < deadline, f"{what}\n{docker('logs', '--tail', '40', NAME)}"
        time.sleep(1)


def answers(port: int) -> bool:
    with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/signin", timeout=5) as page:
        return bool(page.status == 200)
    return False


def predictions() -> int:
    done = subprocess.run(
        ["docker", "exec", NAME, "activity", "db", "psql", "--", "-XAt", "-c", "SELECT count(*) FROM predictions"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    return int(done.stdout) if done.returncode == 0 else 0


def modes() -> str:
    return docker("exec", NAME, "sh", "-c", "stat -L -c %a .env /data/local /data/lake /data/reports")


@pytest.mark.timeout(2400)
def test_it_starts_goes_on_and_ends(container: int) -> None:
    wait_for(lambda: answers(container), "the console does not answer", 400)
    wait_for(lambda: predictions() > 0, "there are no predictions", 300)
    assert modes().split() == ["600", "700", "700", "700"]
    secret = docker("exec", NAME, "sha256sum", ".env")
    docker("stop", "--time", "120", NAME, seconds=150)
    assert docker("inspect", "--format", "{{.State.ExitCode}}", NAME) in ("0", "130")
    docker("start", NAME)
    wait_for(lambda: predictions() > 0, "the predictions of before are gone", 300)
    before = predictions()
    wait_for(lambda: predictions() > before, "it does not go on", 300)
    assert docker("exec", NAME, "sha256sum", ".env") == secret
