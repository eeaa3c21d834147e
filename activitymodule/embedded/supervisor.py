"""The supervisor of the embedded stack: starts the wanted services, probes them, restarts them when they die.

`Stack.up` starts it as `python -m activitymodule.embedded.supervisor`, detached, with the settings as JSON on
its standard input (they hold passwords, which neither arguments nor environment should). It ends on SIGTERM,
stopping all services in order, or when the process it is tied to is gone.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from activitymodule.embedded.catalogue import services_of
from activitymodule.embedded.postgres import Postgres, WrongPasswordError
from activitymodule.embedded.processes import Identity, signal_group, spawn, wait_until
from activitymodule.embedded.service import Service
from activitymodule.embedded.state import ServiceState, StackState, lock, read_wanted, write_state
from activitymodule.errors import ActivityError
from activitymodule.settings import Settings, build, keep_private, resolve

log = logging.getLogger("supervisor")

TICK_SECONDS = 0.1
PROBE_SECONDS = 2.0
# a service that answers no probe for so long is stuck, and restarted
PROBES_BEFORE_KILL = 60
# after so many starts without becoming healthy it has failed, and `up` ends with the reason
STARTS_BEFORE_FAILED = 3
LONGEST_BACK_OFF_SECONDS = 15.0
LOG_BYTES = 20 << 20


@dataclass
class Charge:
    """A service that the supervisor starts and probes."""

    service: Service
    process: subprocess.Popen[bytes] | None = None
    identity: Identity | None = None  # of the process; looked up once, not at each tick
    status: str = "stopped"
    since: float | None = None
    restarts: int = 0
    error: str | None = None
    not_before: float = 0.0
    next_probe: float = 0.0
    bad_probes: int = 0
    bad_starts: int = 0
    settled: bool = False
    log_before: int = 0  # length of its log when it was started

    @property
    def running(self) -> bool:
        """Whether it has a process."""
        return self.process is not None

    def state(self) -> ServiceState:
        """Its line of stack.json."""
        identity = self.identity if self.process else None
        service = self.service
        return ServiceState(
            service.name, self.status, service.address, identity, self.since, self.restarts, self.error
        )


def length_of(path: Path) -> int:
    """Bytes of a file; 0 where there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def last_error(path: Path, since: int = 0) -> str:
    """The last line of a log that reports an error.

    since : bytes of an earlier start, which do not count (unless the log was truncated)
    """
    with contextlib.suppress(OSError), open(path, "rb") as file:
        size = length_of(path)
        file.seek(max(since if since < size else 0, size - 16_384))
        lines = file.read().decode(errors="replace").splitlines()
        words = ("No space left", "FATAL", "PANIC", "ERROR", "rror:", "xception")
        for word in words:
            for line in reversed(lines):
                if word in line:
                    return line.strip()[:300]
    return "its log has no error"


def limit_log(path: Path) -> None:
    """Keep a log under its limit: its content moves to `.1`. Writers append, so they continue in the empty file."""
    with contextlib.suppress(OSError):
        if path.stat().st_size > LOG_BYTES:
            shutil.copyfile(path, path.with_suffix(".log.1"))
            os.truncate(path, 0)


class Supervisor:
    """The loop. One thread: the kernel's death signal follows the thread that started a child."""

    def __init__(self, config: Settings, tied_to: Identity | None) -> None:
        self.folder = resolve(config.local.folder)
        self.charges = {service.name: Charge(service) for service in services_of(config)}
        self.tied_to = tied_to
        self.identity = Identity.of(os.getpid())
        self.ending = False
        self.written: StackState | None = None

    def run(self) -> None:
        """Loop until SIGTERM, or until the process it is tied to is gone; then stop all services."""
        signal.signal(signal.SIGTERM, self._end)
        signal.signal(signal.SIGINT, self._end)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        log.info("begins, process %d", os.getpid())
        self._write_state()
        next_limit = next_look = 0.0
        try:
            while not self.ending:
                if time.monotonic() > next_look:
                    next_look = time.monotonic() + 1
                    if self.tied_to and not self.tied_to.alive():
                        log.info("process %d, which this stack is tied to, is gone", self.tied_to.pid)
                        break
                wanted = read_wanted(self.folder)
                for charge in self.charges.values():
                    self._tend(charge, charge.service.name in wanted)
                self._write_state()
                if time.monotonic() > next_limit:
                    next_limit = time.monotonic() + 10
                    for path in (self.folder / "logs").glob("*.log"):
                        limit_log(path)
                time.sleep(TICK_SECONDS)
        finally:
            self.stop_all()
            log.info("ends")

    def _end(self, *_: Any) -> None:
        self.ending = True

    def _write_state(self) -> None:
        state = StackState(self.identity, {name: charge.state() for name, charge in self.charges.items()})
        if state != self.written:
            try:
                write_state(self.folder, state)
                self.written = state
            except OSError as error:  # the disk is full: go on, the services may still run
                log.error("cannot write the process file: %s", error)

    def _tend(self, charge: Charge, wanted: bool) -> None:
        process = charge.process
        if not wanted:
            if process:
                self._stop(charge)
            charge.status, charge.error, charge.bad_starts, charge.restarts = "stopped", None, 0, 0
            charge.not_before = 0.0
        elif process is None:
            if time.monotonic() >= charge.not_before and self._needs_met(charge):
                self._start(charge)
        elif process.poll() is not None:
            self._gone(
                charge,
                f"ended with code {process.returncode}: {last_error(charge.service.log, charge.log_before)}",
            )
        elif time.monotonic() >= charge.next_probe:
            self._probe(charge)

    def _needs_met(self, charge: Charge) -> bool:
        needed = [self.charges[name] for name in charge.service.needs if self.charges[name].service.ours]
        return all(other.status == "healthy" for other in needed)

    def _start(self, charge: Charge) -> None:
        service = charge.service
        charge.status, charge.settled, charge.bad_probes = "starting", False, 0
        self._write_state()
        charge.log_before = length_of(service.log)
        try:
            service.prepare()
            charge.process = spawn(service.command(), service.log, str(self.folder), service.stop_signal)
            charge.identity = Identity.of(charge.process.pid)
        except (ActivityError, OSError) as error:
            charge.process = None
            self._back_off(charge, str(error))
            return
        charge.since = time.time()
        charge.next_probe = time.monotonic() + 0.2
        log.info("%s started, process %d", service.name, charge.process.pid)

    def _probe(self, charge: Charge) -> None:
        service = charge.service
        try:
            healthy = service.healthy()
            if healthy and not charge.settled:
                service.settle()
                charge.settled = True
        except WrongPasswordError:
            self._mend_password(charge)
            return
        except Exception as error:
            # a probe must never end the supervisor: the databases' drivers raise classes of their own
            log.warning("%s: %s", service.name, error)
            charge.error = str(error).strip()
            healthy = False
        if healthy:
            if charge.status != "healthy":
                log.info("%s is healthy at %s", service.name, service.address)
            charge.status, charge.error, charge.bad_probes, charge.bad_starts = "healthy", None, 0, 0
            charge.next_probe = time.monotonic() + PROBE_SECONDS
            return
        was_healthy = charge.status in ("healthy", "unhealthy")
        charge.status = "unhealthy" if was_healthy else "starting"
        charge.bad_probes += 1
        charge.next_probe = time.monotonic() + (PROBE_SECONDS if was_healthy else 0.3)
        if was_healthy and charge.bad_probes >= PROBES_BEFORE_KILL and charge.process:
            log.warning("%s does not answer and is stopped", service.name)
            self._stop(charge)
            self._gone(charge, "it did not answer and was stopped")

    def _mend_password(self, charge: Charge) -> None:
        log.warning("the superuser's password is not that of .env, and is set to it")
        self._stop(charge)
        assert isinstance(charge.service, Postgres)
        try:
            charge.service.set_admin_password()
        except (ActivityError, OSError) as error:
            self._back_off(charge, str(error))

    def _gone(self, charge: Charge, why: str) -> None:
        log.warning("%s %s", charge.service.name, why)
        if charge.process:
            # its helpers, if it left any, would hold the port
            signal_group(charge.process.pid, signal.SIGKILL)
            charge.process = None
        charge.since = None
        charge.restarts += 1
        self._back_off(charge, why, was_healthy=charge.settled)

    def _back_off(self, charge: Charge, why: str, was_healthy: bool = False) -> None:
        charge.bad_starts = 0 if was_healthy else charge.bad_starts + 1
        wait = 0.2 if was_healthy else min(LONGEST_BACK_OFF_SECONDS, 0.5 * 2**charge.bad_starts)
        charge.not_before = time.monotonic() + wait
        charge.status = "failed" if charge.bad_starts >= STARTS_BEFORE_FAILED else "waiting"
        charge.error = why
        log.info("%s starts again in %.1f s (%s)", charge.service.name, wait, why)

    def _stop(self, charge: Charge) -> None:
        process = charge.process
        if process is None:
            return
        service = charge.service
        process.send_signal(service.stop_signal)
        if not wait_until(lambda: process.poll() is not None, service.stop_seconds, 0.02):
            log.warning("%s does not stop and is killed", service.name)
            signal_group(process.pid, signal.SIGQUIT if service.name == "postgres" else signal.SIGKILL)
            if not wait_until(lambda: process.poll() is not None, 10):
                signal_group(process.pid, signal.SIGKILL)
                process.wait()
        signal_group(process.pid, signal.SIGKILL)
        log.info("%s stopped", service.name)
        charge.process, charge.since, charge.status = None, None, "stopped"

    def stop_all(self) -> None:
        """Stop all services, those that need others first."""
        for charge in reversed(self.charges.values()):
            self._stop(charge)
        self._write_state()


def main() -> int:
    """Supervise the stack of the settings on stdin; the exit code."""
    keep_private()
    content = json.loads(sys.stdin.read())
    config = build(content["settings"])
    folder = resolve(config.local.folder)
    logging.basicConfig(
        level=logging.INFO, stream=sys.stdout, format="%(asctime)s %(levelname)s %(message)s", force=True
    )
    tied_to = Identity(**content["tied_to"]) if content["tied_to"] else None
    with lock(folder / "stack.lock", wait=False) as held:
        if not held:
            log.info("another supervisor runs here; this one ends")
            return 1
        Supervisor(config, tied_to).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
