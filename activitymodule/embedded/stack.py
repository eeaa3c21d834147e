"""The embedded stack as a whole: up, down, status. `Stack(settings).up()` is `activity up`."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import psutil

from activitymodule.embedded.catalogue import NAMES, services_of
from activitymodule.embedded.processes import (
    Identity,
    clean_environment,
    end,
    marked,
    port_free,
    wait_until,
    who_listens,
)
from activitymodule.embedded.service import Service
from activitymodule.embedded.state import ServiceState, lock, read_state, read_wanted, write_wanted
from activitymodule.errors import ConfigError, ServiceUnavailableError
from activitymodule.files import disk_space
from activitymodule.kafka import topics
from activitymodule.settings import Settings, make_private, project_root, resolve, reveal
from activitymodule.store.migrate import upgrade

LEAST_FREE_MEGABYTES = 500
UP_SECONDS = 300.0


@dataclass(frozen=True)
class Status:
    """The stack as it is now. services : one state for each service"""

    folder: Path
    supervisor: int | None
    services: tuple[ServiceState, ...]

    @property
    def running(self) -> bool:
        """Whether its supervisor runs."""
        return self.supervisor is not None

    @property
    def healthy(self) -> bool:
        """Whether everything that was started answers."""
        started = [service for service in self.services if service.status != "stopped"]
        return self.running and bool(started) and all(service.status == "healthy" for service in started)


def _quiet(_: str) -> None:
    """Shows nothing."""


class Stack:
    """One embedded stack: that of the settings' local.folder."""

    def __init__(self, config: Settings) -> None:
        self.settings = config
        self.folder = resolve(config.local.folder)
        self.services: dict[str, Service] = {service.name: service for service in services_of(config)}
        self._supervisor: subprocess.Popen[bytes] | None = None

    # ---- what runs

    def status(self) -> Status:
        """The services that are not optional, and the optional ones that were started."""
        every = self._every_status()
        shown = (
            state
            for state in every.services
            if state.status != "stopped" or not self.services[state.name].optional
        )
        return replace(every, services=tuple(shown))

    def _every_status(self) -> Status:
        stack = read_state(self.folder)
        alive = stack.supervisor is not None and stack.supervisor.alive()
        services = []
        for name, service in self.services.items():
            state = stack.services.get(name, ServiceState(name))
            if not alive:
                # the supervisor is gone; a service may still be there
                left = state.process is not None and state.process.alive()
                state = ServiceState(
                    name, "orphaned" if left else "stopped", process=state.process if left else None
                )
            elif state.status == "healthy" and not (state.process and state.process.alive()):
                # its end is not in stack.json yet
                state = replace(state, status="waiting")
            services.append(replace(state, address=state.address or service.address))
        return Status(
            self.folder, stack.supervisor.pid if alive and stack.supervisor else None, tuple(services)
        )

    def pid(self, name: str) -> int | None:
        """The process of a service, None where it does not run."""
        state = read_state(self.folder).services.get(self._known(name))
        return state.process.pid if state and state.process and state.process.alive() else None

    # ---- up

    def up(
        self,
        only: Iterable[str] | None = None,
        say: Callable[[str], None] = _quiet,
        tied: bool = False,
        seconds: float = UP_SECONDS,
    ) -> Status:
        """Starts what does not run yet, waits until all of it answers, makes tables and topics.

        only: names of services; where None, all whose address is on this machine but the optional ones. tied:
        the stack ends when this process does (tests). Raises ConfigError or ServiceUnavailableError with one sentence.
        """
        chosen = self._chosen(only, say)
        for service in chosen:
            service.check()
        self._make_folder()
        if changed := make_private(self.settings):
            say(f"other users could read {changed:,} files and folders of the project; only you can now")
        with lock(self.folder / "up.lock", wait=True), self.undone_if_it_fails(say):
            self._start(chosen, say, tied)
            self._wait(chosen, say, seconds)
            self._make_contents(chosen, say)
        return self.status()

    @contextlib.contextmanager
    def undone_if_it_fails(self, say: Callable[[str], None] = _quiet) -> Iterator[None]:
        """Where the block fails or is interrupted, stop what was started since: nothing is left that would be started
        again and again, or that keeps a port."""
        before = self.wanted()
        try:
            yield
        except BaseException:
            self.restore(before, say)
            raise

    def wanted(self) -> frozenset[str] | None:
        """The services that are to run; None where the stack does not."""
        return frozenset(read_wanted(self.folder)) if self.status().running else None

    def restore(self, before: frozenset[str] | None, say: Callable[[str], None] = _quiet) -> None:
        """Stop what was started since `wanted` returned this."""
        if before is not None:
            self._stop_some(read_wanted(self.folder) - before)
            return
        self.down(say)
        if self.folder.is_dir():
            write_wanted(self.folder, set())

    def _known(self, name: str) -> str:
        if name not in self.services:
            raise ConfigError(f"there is no service {name!r}; the services are {', '.join(NAMES)}")
        return name

    def _chosen(self, only: Iterable[str] | None, say: Callable[[str], None]) -> list[Service]:
        if only is not None:
            names = {self._known(name) for name in only}
            for name in list(names):
                names |= {need for need in self.services[name].needs if self.services[need].ours}
            chosen = [service for service in self.services.values() if service.name in names]
            for service in chosen:
                if not service.ours:
                    raise ConfigError(
                        f"{service.setting} points at {service.host}, which is not this machine: "
                        f"the embedded {service.title} listens on 127.0.0.1 only"
                    )
            return chosen
        chosen = []
        for service in self.services.values():
            if service.optional:
                continue
            if service.ours:
                chosen.append(service)
            else:
                say(f"{service.title} at {service.host} ({service.setting}) is another machine's: left alone")
        return chosen

    def _make_folder(self) -> None:
        try:
            # others may pass through (PostgreSQL's user, where we are root) but not look around
            self.folder.mkdir(mode=0o711, parents=True, exist_ok=True)
            if os.geteuid() == 0:
                self.folder.chmod(0o711)
            (self.folder / "logs").mkdir(mode=0o700, exist_ok=True)
            free = disk_space(self.folder)[0] >> 20
            if not os.access(self.folder, os.W_OK):
                raise PermissionError(13, "not ours to write")
        except OSError as error:
            raise ConfigError(
                f"cannot use {self.folder} ({error.strerror}); "
                "set ACTIVITY_LOCAL__FOLDER to a folder that can be written"
            ) from error
        if free < LEAST_FREE_MEGABYTES:
            raise ServiceUnavailableError(
                f"the disk of {self.folder} is full: {free} MB of {LEAST_FREE_MEGABYTES} are free; "
                "remove something, or set ACTIVITY_LOCAL__FOLDER to a folder on another disk"
            )

    def _start(self, chosen: list[Service], say: Callable[[str], None], tied: bool) -> None:
        """Sees to it that a supervisor runs that wants `chosen`."""
        status = self._every_status()
        if status.running:
            self._refuse_other_addresses(status, {service.name for service in chosen})
            running = {state.name for state in status.services if state.status != "stopped"}
            self._refuse_taken_ports([service for service in chosen if service.name not in running])
            write_wanted(self.folder, read_wanted(self.folder) | {service.name for service in chosen})
            return
        self._end_leftovers(say)
        self._refuse_taken_ports(chosen)
        write_wanted(self.folder, {service.name for service in chosen})
        say("starting " + ", ".join(service.title for service in chosen))
        self._spawn_supervisor(tied)

    def _refuse_other_addresses(self, status: Status, chosen: set[str]) -> None:
        """The supervisor goes by the settings it was started with, also for what it is to start now."""
        for state in status.services:
            service = self.services[state.name]
            if (state.status != "stopped" or state.name in chosen) and state.address != service.address:
                raise ConfigError(
                    f"{service.title} of {self.folder} was set up for {state.address} and {service.setting} now "
                    f"says {service.address}; run `activity down` first, "
                    "or set ACTIVITY_LOCAL__FOLDER to another folder"
                )

    def _refuse_taken_ports(self, services: list[Service]) -> None:
        for service in services:
            if service.port is not None and not port_free(service.host, service.port):
                who = who_listens(service.port)
                variable = "ACTIVITY_" + service.setting.upper().replace(".", "__")
                raise ServiceUnavailableError(
                    f"port {service.port} of {service.title} ({service.setting}) is taken"
                    f"{f' by {who}' if who else ''}; stop that, or set {variable} to another one"
                )

    def _spawn_supervisor(self, tied: bool) -> None:
        # who it is, and not its id alone: it may end before the supervisor looks
        ours = Identity.of(os.getpid()) if tied else None
        given = {"settings": reveal(self.settings), "tied_to": asdict(ours) if ours else None}
        with open(self.folder / "logs" / "supervisor.log", "ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "activitymodule.embedded.supervisor"],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=project_root(),
                env=clean_environment({"ACTIVITY_HOME": str(project_root())}),
                start_new_session=True,
            )
        # a caller that lives on must wait for its child, or it stays a zombie
        self._supervisor = process
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(json.dumps(given).encode())
            process.stdin.close()

        def begun() -> bool:
            supervisor = read_state(self.folder).supervisor
            return process.poll() is not None or (supervisor is not None and supervisor.pid == process.pid)

        wait_until(begun, 60, 0.05)
        if process.poll() is not None and not self.status().running:
            raise ServiceUnavailableError(
                f"the supervisor ended with code {process.returncode}; "
                f"see {self.folder / 'logs/supervisor.log'}"
            )

    def _wait(self, chosen: list[Service], say: Callable[[str], None], seconds: float) -> None:
        waiting = [service.name for service in chosen]
        deadline = time.monotonic() + seconds
        while waiting:
            status = self._every_status()
            states = {state.name: state for state in status.services}
            if not status.running:
                raise ServiceUnavailableError(
                    f"the supervisor ended; see {self.folder / 'logs/supervisor.log'}"
                )
            for name in list(waiting):
                state, service = states[name], self.services[name]
                if state.status == "healthy":
                    where = f"answers at {service.address}" if service.address else "runs"
                    say(f"{service.title} {where}")
                    waiting.remove(name)
                elif state.status == "failed":
                    raise ServiceUnavailableError(self._failure(service, state.error))
            if waiting and time.monotonic() > deadline:
                service = self.services[waiting[0]]
                where = f"answer at {service.address}" if service.address else "come up"
                raise ServiceUnavailableError(
                    f"{service.title} does not {where} after {seconds:.0f} s; "
                    f"see `activity logs {service.name}`"
                )
            time.sleep(0.05)

    def _failure(self, service: Service, error: str | None) -> str:
        if error and "No space left" in error:
            return f"{service.title} does not start: the disk of {self.folder} is full; remove something"
        return f"{service.title} does not start ({error}); see `activity logs {service.name}`"

    def _make_contents(self, chosen: list[Service], say: Callable[[str], None]) -> None:
        names = {service.name for service in chosen}
        if "postgres" in names:
            upgrade(self.settings)
        if "kafka" in names and (made := topics.create(self.settings)):
            say("made the topics " + ", ".join(made))

    # ---- down

    def down(self, say: Callable[[str], None] = _quiet, only: Iterable[str] | None = None) -> bool:
        """Stops the stack (or `only` some services); returns whether there was anything to stop."""
        if only is not None:
            return self._stop_some({self._known(name) for name in only})
        supervisor = read_state(self.folder).supervisor
        process = supervisor.process() if supervisor else None
        if process is not None:
            say("stopping")
            end([process], signal.SIGTERM, seconds=120)
        if (child := self._supervisor) and (process is None or child.pid == process.pid):
            # one that was interrupted before it had written its state
            child.terminate()
            child.wait()
        return self._end_leftovers(say) or process is not None

    def _stop_some(self, names: set[str]) -> bool:
        for service in self.services.values():
            if names & set(service.needs):
                names = names | {service.name}
        before = read_wanted(self.folder)
        write_wanted(self.folder, before - names)
        if self.status().running:
            # by the supervisor's own account, which it gives after the process has ended
            wait_until(
                lambda: all(
                    state.status == "stopped"
                    for state in self._every_status().services
                    if state.name in names
                ),
                120,
                0.05,
            )
        return bool(before & names)

    def _end_leftovers(self, say: Callable[[str], None]) -> bool:
        """Ends what a killed supervisor left behind: by its record, and by the mark its processes carry."""
        left: dict[int, psutil.Process] = {}
        for state in read_state(self.folder).services.values():
            process = state.process.process() if state.process else None
            if process:
                left[process.pid] = process
        left |= {process.pid: process for process in marked(str(self.folder))}
        if left:
            say(f"ending {len(left)} processes that a killed supervisor left behind")
            postgres = self.pid("postgres")
            end([p for p in left.values() if p.pid != postgres], signal.SIGTERM)
            end([p for p in left.values() if p.pid == postgres], signal.SIGINT)
        return bool(left)

    # ---- for tests

    def kill(self, name: str) -> int:
        """SIGKILL to the service's process; returns the process id that was killed."""
        pid = self.pid(name)
        if pid is None:
            raise ServiceUnavailableError(f"{self.services[name].title} does not run")
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: self.pid(name) != pid, 30, 0.02)
        return pid

    def kill_supervisor(self) -> None:
        """SIGKILL to the supervisor."""
        supervisor = read_state(self.folder).supervisor
        process = supervisor.process() if supervisor else None
        if process:
            process.kill()
            if (child := self._supervisor) and child.pid == process.pid:
                child.wait()
            wait_until(lambda: not self.status().running, 30, 0.02)

    def wait_healthy(self, *names: str, seconds: float = 120) -> None:
        """Waits until the named services (all that are wanted where none is named) answer again."""
        wanted = names or tuple(read_wanted(self.folder))
        chosen = [self.services[self._known(name)] for name in wanted]
        if not wait_until(lambda: all(self._answers(service) for service in chosen), seconds):
            raise ServiceUnavailableError(f"{', '.join(wanted)} did not come back within {seconds:.0f} s")

    def _answers(self, service: Service) -> bool:
        return self.pid(service.name) is not None and service.healthy()
