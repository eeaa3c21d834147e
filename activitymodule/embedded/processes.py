"""Processes of the embedded stack: started so that they die with their supervisor, found again from a record.

A process id alone may by now be somebody else's; a record therefore holds the start time as well.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

import psutil

from activitymodule.errors import ServiceUnavailableError

# Every process of a stack carries this variable with the stack's folder as its value (no ACTIVITY_ prefix:
# it is no setting).
MARK = "ACTIVITYSTACK"
_PR_SET_PDEATHSIG = 1
_PORTS = range(20_000, 32_000)
_NICENESS = 10  # above that of this process: under load a tenth of the time of a process without


@dataclass(frozen=True)
class Identity:
    """One process, not to be confused with a later one that got the same id. `created`: epoch seconds."""

    pid: int
    created: float

    @classmethod
    def of(cls, pid: int) -> Identity | None:
        """The process that has this id now; None where there is none."""
        try:
            return cls(pid, psutil.Process(pid).create_time())
        except psutil.Error:
            return None

    def process(self) -> psutil.Process | None:
        """The process if it still runs (a zombie does not)."""
        try:
            process = psutil.Process(self.pid)
            # the start time is reckoned from the boot time, which moves when the clock is set
            same = abs(process.create_time() - self.created) < 5
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.Error:
            return None

    def alive(self) -> bool:
        """Whether it still runs."""
        return self.process() is not None


@dataclass(frozen=True)
class Account:
    """The unprivileged user that PostgreSQL runs as where we are root."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True)
class Command:
    """What to start. The environment is ours without our settings (they hold passwords), plus `env`."""

    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    account: Account | None = None
    folder: Path | None = None


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of this process without the project's variables, plus `extra`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ACTIVITY_")}
    return {**kept, **(extra or {})}


class RunsAs(TypedDict, total=False):
    """Arguments of `subprocess` for another user."""

    user: int
    group: int
    extra_groups: list[int]


def as_account(account: Account | None) -> RunsAs:
    """Arguments of `subprocess` that run something as the account; none where it is ourselves."""
    return {"user": account.uid, "group": account.gid, "extra_groups": []} if account else {}


def _die_with_parent(signum: int) -> Callable[[], None] | None:
    """Have the kernel signal the child when its parent dies, even by kill -9.

    On Linux alone; elsewhere a child that is left over is found by its record.
    """
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getpid()

    def request_signal() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, int(signum), 0, 0, 0)
        if os.getppid() != parent:  # it died before the request
            os._exit(1)

    return request_signal


def spawn(command: Command, log: Path, mark: str, death_signal: int) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own, its output appended to `log`."""
    account = command.account
    with open(log, "ab") as output:
        return subprocess.Popen(
            list(command.argv),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=command.folder,
            env=clean_environment({**command.env, MARK: mark}),
            start_new_session=True,
            preexec_fn=_die_with_parent(death_signal),
            **as_account(account),
        )


def lower_priority(pid: int) -> None:
    """Let a process that was just started in a session of its own, and what it starts, give way to the others."""
    niceness = min(os.getpriority(os.PRIO_PROCESS, 0) + _NICENESS, 19)
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, niceness)
        # a kernel that shares time among sessions first compares priorities within a session only
        Path(f"/proc/{pid}/autogroup").write_text(f"{niceness}", encoding="ascii")


def signal_group(pid: int, signum: int) -> None:
    """Signal the session that `spawn` started with the process `pid`, also the groups made within it."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signum)
    for other in psutil.pids():
        with contextlib.suppress(OSError):
            if other != pid and os.getsid(other) == pid:
                os.kill(other, signum)


def marked(mark: str) -> list[psutil.Process]:
    """Processes of a stack, whoever started them, without this one."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and process.environ().get(MARK) == mark:
                found.append(process)
    return found


def end(processes: Iterable[psutil.Process], signum: int = signal.SIGTERM, seconds: float = 20) -> None:
    """End processes: signal them, then kill those that still run after `seconds`."""
    waiting = list(processes)
    for process in waiting:
        with contextlib.suppress(psutil.Error):
            process.send_signal(signum)
    _, left = psutil.wait_procs(waiting, timeout=seconds)
    for process in left:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(left, timeout=10)


def port_free(host: str, port: int) -> bool:
    """Whether a server could listen there now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def any_free_port(host: str = "127.0.0.1") -> int:
    """A free port below those that systems use for outgoing connections (from 32768 on Linux).

    So no connection takes it while a service that listens there restarts.
    """
    for port in random.SystemRandom().sample(_PORTS, 100):
        if port_free(host, port):
            return port
    raise ServiceUnavailableError(f"no port is free on {host} from {_PORTS.start} to {_PORTS.stop - 1}")


def who_listens(port: int) -> str | None:
    """`name (process 123)` of the listener on a port; None where the system does not show it."""
    with contextlib.suppress(psutil.Error, OSError):
        for connection in psutil.net_connections("tcp"):
            local = connection.laddr
            if local and local.port == port and connection.status == psutil.CONN_LISTEN and connection.pid:
                return f"{psutil.Process(connection.pid).name()} (process {connection.pid})"
    return None


def wait_until(true: Callable[[], bool], seconds: float, pause: float = 0.1) -> bool:
    """Whether `true()` came to hold within `seconds`."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True
