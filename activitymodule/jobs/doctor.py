"""`activity doctor`: is everything here that the project needs, and if not, what mends it."""

from __future__ import annotations

import json
import os
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import typer

from activitymodule.errors import ActivityError
from activitymodule.settings import Settings, load, project_root, read_env_file, resolve

app = typer.Typer(add_completion=False, rich_markup_mode=None)

SECRETS = ("ACTIVITY_STORE__PASSWORD", "ACTIVITY_STORE__ADMIN_PASSWORD")


@dataclass(frozen=True)
class Finding:
    """One thing looked at. `note` is worth knowing and no fault; `mend` says what to do."""

    what: str
    state: Literal["good", "note", "bad"]
    found: str
    mend: str = ""


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    good = (3, 11) <= sys.version_info[:2] <= (3, 13)
    return Finding(
        "Python", "good" if good else "bad", f"{version} at {sys.executable}", "" if good else "./init.sh"
    )


def _java() -> Finding:
    from activitymodule.streaming.java import find_java, java_version

    java = find_java()
    return Finding("Java", "good", f"{java_version(java)} at {java}")


def _packages() -> Finding:
    from activitymodule.streaming.jars import sha256

    lock = project_root() / "requirements.lock"
    stamp = Path(sys.prefix) / ".requirements.sha256"
    if not lock.is_file():
        return Finding("packages", "note", "there is no requirements.lock here to compare with")
    if stamp.is_file() and stamp.read_text().strip() == sha256(lock):
        return Finding("packages", "good", f"those of requirements.lock, in {sys.prefix}")
    return Finding("packages", "bad", f"{sys.prefix} was not made from this requirements.lock", "./init.sh")


def _jars() -> Finding:
    from activitymodule.streaming.jars import NEEDED, read_lock, wrong

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
    return Finding(".env", "good", "passwords are set, and for you only to read")


def _disk(settings: Settings) -> Finding:
    folder = resolve(settings.local.folder)
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free >> 20
    found = f"{free / 1024:.1f} GB free for {settings.local.folder}"
    if free < 500:
        return Finding("disk", "bad", found, "free 500 MB, or point ACTIVITY_LOCAL__FOLDER at another disk")
    return Finding("disk", "note" if free < 5000 else "good", found, "it may fill" if free < 5000 else "")


def _memory(settings: Settings) -> Finding:
    import psutil

    memory = psutil.virtual_memory()
    text = settings.spark.driver_memory.strip().lower()
    unit = {"k": 2**-10, "m": 1, "g": 2**10, "t": 2**20}.get(text[-1:], 0)
    spark = float(text[:-1]) * unit if unit and text[:-1].replace(".", "").isdigit() else 1024
    # beside the heaps: Spark's Python workers, PostgreSQL and MLflow
    needed = spark + settings.local.kafka_memory_megabytes + 1500
    found = f"{memory.available / 2**30:.1f} of {memory.total / 2**30:.1f} GB free, {needed / 1024:.1f} GB used at most"
    if memory.total / 2**20 < needed:
        return Finding("memory", "bad", found, "lower ACTIVITY_SPARK__DRIVER_MEMORY, such as 1g")
    tight = memory.available / 2**20 < needed
    return Finding("memory", "note" if tight else "good", found, "end other programs" if tight else "")


def _services(settings: Settings) -> Iterator[Finding]:
    from activitymodule.embedded.processes import port_free, who_listens
    from activitymodule.embedded.stack import Stack

    stack = Stack(settings)
    told = {state.name: state for state in stack.status().services}
    for service in stack.services.values():
        if service.optional or service.port is None:
            continue
        state = told[service.name].status
        variable = "ACTIVITY_" + service.setting.upper().replace(".", "__")
        if service.ours and state == "stopped" and port_free(service.host, service.port):
            yield Finding(service.title, "note", f"not started; {service.address} is free", "activity up")
            continue
        try:
            answers = _answers(settings, service.name)
        except ActivityError as error:
            answers, reason = False, str(error)
        else:
            reason = f"does not answer at {service.address}"
        if answers:
            yield Finding(service.title, "good", f"answers at {service.address}")
        elif not service.ours:
            yield Finding(service.title, "bad", reason, f"start it, or set {variable}")
        elif state != "stopped":
            said = told[service.name].error or reason
            yield Finding(service.title, "bad", f"{state}: {said}", f"activity logs {service.name}")
        else:
            who = who_listens(service.port)
            found = f"not started, and port {service.port} is taken" + (f" by {who}" if who else "")
            yield Finding(service.title, "bad", found, f"stop that, or set {variable}")


def _answers(settings: Settings, name: str) -> bool:
    """Whether a service answers as its users will ask it."""
    if name == "kafka":
        from activitymodule.kafka.topics import names

        names(settings)
        return True
    if name == "postgres":
        from activitymodule.store.connection import connect

        connect(settings).close()
        return True
    import urllib.request

    try:
        with urllib.request.urlopen(f"{settings.registry.uri.rstrip('/')}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def examine() -> list[Finding]:
    """All findings, in the order a person would mend them. No finding raises."""

    def safely(what: str, look: Callable[[], Finding]) -> Finding:
        try:
            return look()
        except ActivityError as error:
            return Finding(what, "bad", str(error), "see there")
        except OSError as error:
            return Finding(what, "bad", f"{error.strerror} ({error.filename})", "./init.sh")

    findings = [
        safely("Python", _python),
        safely("Java", _java),
        safely("packages", _packages),
        safely("jars", _jars),
        safely(".env", _secrets),
    ]
    try:
        settings = load()
    except ActivityError as error:
        return [*findings, Finding("configuration", "bad", str(error), "mend that setting")]
    findings.append(Finding("configuration", "good", "every key is known and every value valid"))
    findings.append(safely("disk", lambda: _disk(settings)))
    findings.append(safely("memory", lambda: _memory(settings)))
    try:
        findings += list(_services(settings))
    except ActivityError as error:
        findings.append(Finding("services", "bad", str(error), "mend that setting"))
    return findings


@app.command(epilog="Example: activity doctor --json")
def doctor(
    as_json: bool = typer.Option(False, "--json", help="Print JSON for scripts."),
) -> None:
    """Check this machine and the configuration, and say what to mend. Ends with code 3 if something is wrong."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    findings = examine()
    bad = [finding for finding in findings if finding.state == "bad"]
    if as_json:
        typer.echo(json.dumps({"good": not bad, "findings": [asdict(f) for f in findings]}, indent=2))
    else:
        marks = {"good": ("ok", "green"), "note": ("--", "yellow"), "bad": ("NO", "red")}
        table = Table(box=None, pad_edge=False)
        for heading in ("", "what", "found", "to do"):
            table.add_column(heading, overflow="fold")
        for finding in findings:
            table.add_row(
                Text(*marks[finding.state]), finding.what, Text(finding.found), Text(finding.mend, "bold")
            )
        Console().print(table)
    if bad:
        raise typer.Exit(3)
