"""Diagnosis: what the project needs of this machine and its configuration, checked one by one."""

from __future__ import annotations

import os
import stat
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

from activitymodule.embedded.processes import port_free, who_listens
from activitymodule.embedded.stack import Stack
from activitymodule.errors import ActivityError, ServiceUnavailableError
from activitymodule.files import disk_space
from activitymodule.kafka import topics
from activitymodule.learning import doubt
from activitymodule.settings import Settings, load, project_root, read_env_file, resolve
from activitymodule.store.connection import connect, session
from activitymodule.store.live import watches_at_last
from activitymodule.streaming import state_size
from activitymodule.streaming.jars import NEEDED, read_lock, sha256, wrong
from activitymodule.streaming.java import find_java, java_version
from activitymodule.workflows.archiving import archive_report
from activitymodule.workflows.model_versions import problems_of_serving

SECRETS = ("ACTIVITY_STORE__PASSWORD", "ACTIVITY_STORE__ADMIN_PASSWORD")


@dataclass(frozen=True)
class Finding:
    """The result of one check. state `note`: worth knowing, no fault; remedy: what to do."""

    check: str
    state: Literal["good", "note", "bad"]
    result: str
    remedy: str = ""


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    good = (3, 11) <= sys.version_info[:2] <= (3, 13)
    return Finding(
        "Python", "good" if good else "bad", f"{version} at {sys.executable}", "" if good else "./init.sh"
    )


def _java() -> Finding:
    java = find_java()
    return Finding("Java", "good", f"{java_version(java)} at {java}")


def _packages() -> Finding:
    lock = project_root() / "requirements.lock"
    stamp = Path(sys.prefix) / ".requirements.sha256"
    if not lock.is_file():
        return Finding("packages", "note", "no requirements.lock to compare with")
    if stamp.is_file() and stamp.read_text(encoding="utf-8").strip() == sha256(lock):
        return Finding("packages", "good", f"as in requirements.lock, in {sys.prefix}")
    return Finding("packages", "bad", f"{sys.prefix} differs from requirements.lock", "./init.sh")


def _jars() -> Finding:
    root = project_root()
    if off := wrong(root):
        more = f" and {len(off) - 1} more" if len(off) > 1 else ""
        return Finding("jars", "bad", f"missing or altered: jars/{off[0]}{more}", "./init.sh")
    count = sum(jar.folder in NEEDED for jar in read_lock(root / "jars.lock"))
    return Finding("jars", "good", f"{count} files with the right SHA-256")


def _secrets() -> Finding:
    path = project_root() / ".env"
    given = {**read_env_file(path), **os.environ}
    if missing := [name for name in SECRETS if not given.get(name)]:
        return Finding(".env", "bad", f"{missing[0]} is missing", "./init.sh")
    if path.is_file() and stat.S_IMODE(path.stat().st_mode) & 0o077:
        return Finding(".env", "bad", "other users of this machine can read it", f"chmod 600 {path}")
    return Finding(".env", "good", "passwords are set and readable by you only")


def _disk(config: Settings) -> Finding:
    free = disk_space(resolve(config.local.folder))[0] >> 20
    result = f"{free / 1024:.1f} GB free for {config.local.folder}"
    if free < 500:
        return Finding("disk", "bad", result, "free 500 MB, or point ACTIVITY_LOCAL__FOLDER at another disk")
    return Finding("disk", "note" if free < 5000 else "good", result, "it may fill" if free < 5000 else "")


def _memory(config: Settings) -> Finding:
    memory = psutil.virtual_memory()
    # beside the heaps: Spark's Python workers, PostgreSQL and MLflow
    needed = state_size.heap_bytes(config) / 2**20 + config.local.kafka_memory_megabytes + 1500
    available, total = memory.available / 2**30, memory.total / 2**30
    result = f"{available:.1f} of {total:.1f} GB free, {needed / 1024:.1f} GB needed at most"
    if memory.total / 2**20 < needed:
        return Finding("memory", "bad", result, "lower ACTIVITY_SPARK__DRIVER_MEMORY, such as 1g")
    tight = memory.available / 2**20 < needed
    return Finding("memory", "note" if tight else "good", result, "end other programs" if tight else "")


def _services(config: Settings) -> Iterator[Finding]:
    stack = Stack(config)
    states = {state.name: state for state in stack.status().services}
    for service in stack.services.values():
        if service.optional or service.port is None:
            continue
        state = states[service.name].status
        variable = "ACTIVITY_" + service.setting.upper().replace(".", "__")
        if service.ours and state == "stopped" and port_free(service.host, service.port):
            yield Finding(service.title, "note", f"not started; {service.address} is free", "activity up")
            continue
        try:
            answers = _answers(config, service.name)
        except ActivityError as error:
            answers, reason = False, str(error)
        else:
            reason = f"does not answer at {service.address}"
        if answers:
            yield Finding(service.title, "good", f"answers at {service.address}")
        elif not service.ours:
            yield Finding(service.title, "bad", reason, f"start it, or set {variable}")
        elif state != "stopped":
            error_text = states[service.name].error or reason
            yield Finding(service.title, "bad", f"{state}: {error_text}", f"activity logs {service.name}")
        else:
            who = who_listens(service.port)
            result = f"not started, and port {service.port} is taken" + (f" by {who}" if who else "")
            yield Finding(service.title, "bad", result, f"stop that, or set {variable}")


def open_windows(config: Settings) -> Iterator[Finding]:
    """Whether the scorer's memory holds the open windows of the watches that the store knows."""
    with session(config, read_only=True) as connection:
        watches = watches_at_last(connection)
    if trouble := state_size.warning(config, watches):
        yield Finding("open windows", "note", trouble, "raise ACTIVITY_SPARK__DRIVER_MEMORY")


def _archive(config: Settings) -> Iterator[Finding]:
    report = archive_report(config)
    if report is not None:
        remedy = "" if report.good else "free some space, or make the folder writable"
        yield Finding("archive", "good" if report.good else "bad", report.summary, remedy)


def _models(config: Settings) -> Finding:
    """Whether what serves is what was promoted; downloads the champions' files."""
    try:
        found = problems_of_serving(config, download=True)
    except ServiceUnavailableError:
        return Finding("models", "note", "not compared with the record: store or registry do not answer")
    if found:
        return Finding("models", "bad", found[0], "activity models list")
    return Finding("models", "good", "the champions are those that were promoted")


def _answers(config: Settings, name: str) -> bool:
    """Whether a service answers the request that its users make."""
    if name == "kafka":
        topics.names(config)
        return True
    if name == "postgres":
        connect(config).close()
        return True
    try:
        with urllib.request.urlopen(f"{config.registry.uri.rstrip('/')}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def examine() -> list[Finding]:
    """All findings, in the order in which one would correct them. No check raises."""

    def safely(check: str, run: Callable[[], Finding]) -> Finding:
        try:
            return run()
        except ActivityError as error:
            return Finding(check, "bad", str(error))
        except OSError as error:
            return Finding(check, "bad", f"{error.strerror} ({error.filename})", "./init.sh")

    findings = [
        safely("Python", _python),
        safely("Java", _java),
        safely("packages", _packages),
        safely("jars", _jars),
        safely(".env", _secrets),
    ]
    try:
        config = load()
        doubt.required(config.queue.doubt)
    except ActivityError as error:
        return [*findings, Finding("configuration", "bad", str(error), "correct that setting")]
    findings.append(Finding("configuration", "good", "every key is known and every value valid"))
    findings.append(safely("disk", lambda: _disk(config)))
    findings.append(safely("memory", lambda: _memory(config)))
    try:
        findings += [*_services(config), *_archive(config)]
        with suppress(ActivityError):  # a store that cannot be asked has its own finding
            findings += open_windows(config)
    except ActivityError as error:
        findings.append(Finding("services", "bad", str(error), "correct that setting"))
    findings.append(safely("models", lambda: _models(config)))
    return findings
