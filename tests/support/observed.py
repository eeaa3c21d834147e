"""What the tests of dashboards and alerts look at: processes of a running stream, and who scrapes them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyspark
import requests

from activitymodule.embedded.processes import any_free_port, wait_until
from activitymodule.settings import Settings, project_root
from activitymodule.streaming.java import find_java


class Processes:
    """Processes that end with the block, each with its output in a file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: list[tuple[subprocess.Popen[bytes], Path]] = []

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_: object) -> None:
        for process, _log in reversed(self._running):
            if process.poll() is None:
                process.terminate()
        for process, log in reversed(self._running):
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            print(f"--- {log.name}\n{log.read_text(errors='replace')[-4000:]}")

    def start(self, name: str, command: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
        log = self._folder / f"{name}-{len(self._running)}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                list(command), stdin=subprocess.DEVNULL, stdout=out, stderr=out, **options
            )
        self._running.append((process, log))
        return process

    def verb(self, name: str, *arguments: str, environment: dict[str, str]) -> subprocess.Popen[bytes]:
        """`activity NAME ...`"""
        return self.start(name, [sys.executable, "-m", "activitymodule", name, *arguments], env=environment)

    def output(self, process: subprocess.Popen[bytes]) -> str:
        return next(log for one, log in self._running if one is process).read_text(errors="replace")

    def alive(self, process: subprocess.Popen[bytes]) -> bool:
        assert process.poll() is None, self.output(process)
        return True


@dataclass(frozen=True)
class Observed:
    """A stream that runs: its settings, the ports of the scorer's and the fleet's Spark pages, a token for /metrics,
    its processes and the fleet among them."""

    settings: Settings
    spark_ui: int
    fleet_ui: int
    token: str
    processes: Processes
    fleet: subprocess.Popen[bytes]


def start_cluster(processes: Processes, folder: Path) -> tuple[int, int]:
    """A Spark master and a worker, as in a standalone cluster; ports of their pages."""
    configuration = folder / "conf"
    configuration.mkdir()
    shutil.copy(
        project_root() / "infra" / "prometheus" / "spark-metrics.properties",
        configuration / "metrics.properties",
    )
    home = Path(pyspark.__file__).parent
    java = [str(find_java()), "-Xmx256m", "-cp", f"{configuration}:{home}/jars/*"]
    port, master, worker = (any_free_port() for _ in range(3))
    deploy = "org.apache.spark.deploy"
    here = ["--host", "127.0.0.1"]
    processes.start(
        "master",
        [*java, f"{deploy}.master.Master", *here, "--port", str(port), "--webui-port", str(master)],
    )
    processes.start(
        "worker",
        [
            *java, f"{deploy}.worker.Worker", *here, "--webui-port", str(worker), "--cores", "1", "--memory", "512m",
            "--work-dir", str(folder / "work"), f"spark://127.0.0.1:{port}",
        ],
    )  # fmt: skip

    def registered() -> bool:
        try:
            page = requests.get(f"http://127.0.0.1:{master}/metrics/master/prometheus/", timeout=5).text
        except requests.RequestException:
            return False
        return "metrics_master_aliveWorkers_Value" in page and any(
            line.startswith("metrics_master_aliveWorkers_Value") and line.endswith(" 1")
            for line in page.splitlines()
        )

    assert wait_until(registered, 600, pause=1), "the worker never came to the master"
    return master, worker
