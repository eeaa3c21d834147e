"""What every run of the benchmark stands on: a stack of its own, children that are watched, the store.

Everything lives in one temporary folder and listens on free ports of 127.0.0.1; `Bench.close` leaves nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import psycopg2
from kafka import KafkaAdminClient
from kafka.admin import NewTopic
from summaries import Json

from activitymodule.embedded.postgres import SUPERUSER
from activitymodule.embedded.processes import any_free_port
from activitymodule.embedded.stack import Stack
from activitymodule.settings import load
from activitymodule.store.connection import connect

ROOT = Path(__file__).resolve().parent.parent
HERE = ROOT / "benchmarks"
PEER_PYTHON = ROOT / ".venv-bench" / "bin" / "python"
LOCK = HERE / "requirements.lock"


class BenchmarkError(Exception):
    """A run that does not count: it failed, took too long, or lost readings."""


def say(sentence: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {sentence}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def as_command() -> Iterator[None]:
    """The work of a benchmark: a failure is one sentence and exit code 1. SIGTERM unwinds as Ctrl-C does, so that the
    stack goes down with us."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        yield
    except (BenchmarkError, OSError, ValueError) as error:
        say(f"FAILED: {error}")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


@contextlib.contextmanager
def kept(result: Json, place: Path) -> Iterator[None]:
    """The result is written to this file at the end, also where a run fails."""
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BenchmarkError as error:
        result["failed"] = str(error)
        raise
    finally:
        place.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        say(f"the result: {os.path.relpath(place)}")


def ensure_peer_environment() -> None:
    """.venv-bench from requirements.lock, made where it is missing or older than the lock."""
    stamp = ROOT / ".venv-bench" / "lock"
    wanted = LOCK.read_text(encoding="utf-8")
    if PEER_PYTHON.exists() and stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return
    say("making .venv-bench for the peers (a minute)")
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(ROOT / ".venv-bench")], check=True)
    pip = [str(PEER_PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run(
        [*pip, "--require-hashes", "-r", str(LOCK)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
    )
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["pip gave no reason"]
        raise BenchmarkError(f"the peers' environment could not be made: {said[-1]}")
    stamp.write_text(wanted, encoding="utf-8")


@dataclass
class Usage:
    """What a process and all it started used: CPU seconds, and the most memory at one time (sum of RSS)."""

    cpu_seconds: float = 0.0
    peak_mb: float = 0.0


class Watcher(threading.Thread):
    """Samples a tree of processes; what a process used is known up to half a second before it ended."""

    def __init__(self, pids: list[int]) -> None:
        super().__init__(daemon=True)
        self._roots = pids
        self._cpu: dict[tuple[int, float], float] = {}
        self._done = threading.Event()
        self.usage = Usage()

    def run(self) -> None:
        while not self._done.wait(0.5):
            self.sample()

    def sample(self) -> None:
        resident = 0
        for pid in self._roots:
            with contextlib.suppress(psutil.Error):
                root = psutil.Process(pid)
                for process in (root, *root.children(recursive=True)):
                    with contextlib.suppress(psutil.Error):
                        times = process.cpu_times()
                        self._cpu[(process.pid, process.create_time())] = times.user + times.system
                        resident += process.memory_info().rss
        self.usage.peak_mb = max(self.usage.peak_mb, resident / 1e6)
        self.usage.cpu_seconds = sum(self._cpu.values())

    def finish(self) -> Usage:
        self._done.set()
        return self.usage


@dataclass
class Child:
    """A started program of ours, its output in a file, ended with its whole session."""

    name: str
    process: subprocess.Popen[str]
    log: Path

    def lines(self) -> list[Json]:
        """The lines of JSON it printed."""
        found = []
        for line in self.log.read_text(errors="replace", encoding="utf-8").splitlines():
            if line.startswith("{"):
                with contextlib.suppress(ValueError):
                    found.append(json.loads(line))
        return found

    def wait(self, seconds: float) -> None:
        """Until it ended well; BenchmarkError with its last words where it did not."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise BenchmarkError(f"{self.name} took more than {seconds:.0f} s; {self.last_words()}") from None
        if code:
            raise BenchmarkError(f"{self.name} ended with code {code}; {self.last_words()}")

    def wait_for_line(self, key: str, seconds: float) -> Json:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for line in self.lines():
                if key in line:
                    return line
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise BenchmarkError(f"{self.name} did not say {key} within {seconds:.0f} s; {self.last_words()}")

    def last_words(self) -> str:
        text = self.log.with_suffix(".err").read_text(errors="replace", encoding="utf-8").strip().splitlines()
        return "its last words: " + (" | ".join(text[-8:]) if text else "none")

    def end(self, signum: int = signal.SIGTERM, seconds: float = 30) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if self.process.poll() is None:
                os.killpg(self.process.pid, signum)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
        # Spark's Java and Python workers are of the same session; what is left of it goes now
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)


@dataclass
class Bench:
    """The stack of one benchmark and its folder. `environment` makes any child talk to it."""

    folder: Path
    environment: dict[str, str]
    settings: Any = None
    stack: Any = None
    children: list[Child] = field(default_factory=list)
    _runs: int = 0

    @classmethod
    def open(cls, partitions: int, extra: dict[str, str]) -> Bench:
        """Start PostgreSQL, Kafka and the registry; they end with this process, whatever ends it."""
        folder = Path(tempfile.mkdtemp(prefix="activity-bench-"))
        folder.chmod(0o711)  # PostgreSQL's own user must be able to pass through, where we are root
        servers = f"127.0.0.1:{any_free_port()}"
        ours = {
            "ACTIVITY_LOCAL__FOLDER": str(folder / "local"),
            "ACTIVITY_LOCAL__ARTIFACTS": str(folder / "mlflow"),
            "ACTIVITY_STORE__HOST": "127.0.0.1",
            "ACTIVITY_STORE__PORT": str(any_free_port()),
            "ACTIVITY_KAFKA__BOOTSTRAP_SERVERS": servers,
            "ACTIVITY_KAFKA__PARTITIONS": str(partitions),
            "ACTIVITY_REGISTRY__URI": f"http://127.0.0.1:{any_free_port()}",
            "ACTIVITY_SPARK__CHECKPOINTS": str(folder / "checkpoints"),
            "ACTIVITY_ARCHIVE__FOLDER": str(folder / "archive"),
            "ACTIVITY_LAKE__FOLDER": str(folder / "lake"),
            **extra,
        }
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        os.environ |= ours | threads
        bench = cls(folder, {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"})
        try:
            bench.settings = load()
            bench.stack = Stack(bench.settings)
            bench.stack.up(only=["postgres"], tied=True)
            # so that the store itself knows when each row was committed; takes a restart
            bench._as_superuser("alter system set track_commit_timestamp = on")
            bench.stack.down(only=["postgres"])
            bench.stack.up(say=say, tied=True)
        except BaseException:
            bench.close()
            raise
        return bench

    @classmethod
    def here(cls) -> Bench:
        """The stack of the settings in force, which runs already and stays."""
        folder = Path(tempfile.mkdtemp(prefix="activity-bench-"))
        return cls(folder, {**os.environ, "PYTHONUNBUFFERED": "1"}, load())

    def _as_superuser(self, statement: str) -> None:
        store = self.settings.store
        connection = psycopg2.connect(
            host=store.host,
            port=store.port,
            user=SUPERUSER,
            password=store.admin_password.get_secret_value(),
            dbname="postgres",
        )
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement)
        finally:
            connection.close()

    def _keep_logs(self) -> Path:
        """Copy what the children, Spark and the services printed out of the folder, which `close` removes."""
        kept = HERE / "results" / time.strftime("failed-%Y%m%dT%H%M%S")
        for pattern in ("*.out", "*.err", "local/logs/*.log"):
            for log in self.folder.glob(pattern):
                target = kept / log.relative_to(self.folder)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(log, target)
        return kept

    def close(self) -> None:
        for child in self.children:
            child.end(seconds=5)
        if isinstance(sys.exc_info()[1], Exception):  # a failure is being handled
            say(f"the logs of the failed run: {os.path.relpath(self._keep_logs())}")
        if self.stack is not None:
            with contextlib.suppress(Exception):
                self.stack.down()
        # as root, PostgreSQL's data may lie where its own user can reach them, behind a link
        link = self.folder / "local" / "postgres"
        if link.is_symlink() and link.resolve().parts[:4] == ("/", "var", "lib", "activitymodule"):
            shutil.rmtree(link.resolve(), ignore_errors=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    # ---- children

    def start(self, name: str, argv: list[str], **environment: str) -> Child:
        self._runs += 1
        log = self.folder / f"{self._runs:03d}-{name}.out"
        with (
            open(log, "w", encoding="utf-8") as out,
            open(log.with_suffix(".err"), "w", encoding="utf-8") as err,
        ):
            process = subprocess.Popen(
                argv,
                stdout=out,
                stderr=err,
                stdin=subprocess.DEVNULL,
                env={**self.environment, **environment},
                cwd=ROOT,
                start_new_session=True,
                text=True,
                encoding="utf-8",
                errors="replace",
            )
        child = Child(name, process, log)
        self.children.append(child)
        return child

    def activity(self, *arguments: str, **environment: str) -> Child:
        return self.start(arguments[0], [sys.executable, "-m", "activitymodule", *arguments], **environment)

    def peer(self, script: str, *arguments: str) -> Child:
        return self.start(script, [str(PEER_PYTHON), str(HERE / f"{script}.py"), *arguments])

    @property
    def servers(self) -> str:
        return str(self.settings.kafka.bootstrap_servers)

    def service_cpu_seconds(self) -> float:
        """What broker, store and registry have used so far."""
        total = 0.0
        for name in self.stack.services:
            pid = self.stack.pid(name)
            if pid is None:  # not running; psutil takes None for the current process
                continue
            with contextlib.suppress(psutil.Error):
                root = psutil.Process(pid)
                for process in (root, *root.children(recursive=True)):
                    with contextlib.suppress(psutil.Error):
                        times = process.cpu_times()
                        total += times.user + times.system + times.children_user + times.children_system
        return total

    # ---- topics and store

    def make_topic(self, name: str, partitions: int = 0) -> None:
        """A topic whose messages carry the time at which the broker took them. partitions : 0: as the settings say"""
        admin = KafkaAdminClient(bootstrap_servers=self.servers)
        try:
            config = {"message.timestamp.type": "LogAppendTime"}
            topic = NewTopic(name, partitions or self.settings.kafka.partitions, 1, topic_configs=config)
            admin.create_topics([topic])
        finally:
            admin.close()

    def drop_topic(self, name: str) -> None:
        admin = KafkaAdminClient(bootstrap_servers=self.servers)
        try:
            admin.delete_topics([name])
        finally:
            admin.close()

    @contextlib.contextmanager
    def store(self) -> Iterator[Any]:
        connection = connect(self.settings)
        try:
            with connection, connection.cursor() as cursor:
                yield cursor
        finally:
            connection.close()

    def empty_store(self) -> None:
        """Every run starts with empty tables, without what the run before left for vacuum."""
        with self.store() as cursor:
            cursor.execute("truncate predictions, batches, dead_letters")
