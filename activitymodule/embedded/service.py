"""What the supervisor asks of a service: how to prepare, start, probe and stop it."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import ClassVar

from activitymodule.embedded.processes import Command
from activitymodule.errors import ConfigError
from activitymodule.settings import Settings, resolve

LOOPBACK = {"127.0.0.1", "localhost", "::1"}


class Service:
    """One part of the embedded stack. Subclasses fill in the table below and the steps."""

    name: ClassVar[str]
    title: ClassVar[str]
    setting: ClassVar[str]  # the setting that holds its port
    needs: ClassVar[tuple[str, ...]] = ()
    optional: ClassVar[bool] = False  # starts only when it is asked for, not with plain `activity up`
    stop_signal: ClassVar[int] = signal.SIGTERM
    stop_seconds: ClassVar[float] = 20

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.stack_folder = resolve(settings.local.folder)

    @property
    def folder(self) -> Path:
        return self.stack_folder / self.name

    @property
    def log(self) -> Path:
        return self.stack_folder / "logs" / f"{self.name}.log"

    @property
    def host(self) -> str:
        raise NotImplementedError

    @property
    def port(self) -> int | None:
        """None where it listens nowhere."""
        raise NotImplementedError

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}" if self.port is not None else ""

    @property
    def ours(self) -> bool:
        """Whether its address is on this machine; another machine's service is not ours to start."""
        return self.host in LOOPBACK

    def check(self) -> None:
        """What must be there before anything starts; raises one sentence that says what to do."""

    def prepare(self) -> None:
        """Makes its folder and files where they are missing; runs before every start."""

    def command(self) -> Command:
        raise NotImplementedError

    def healthy(self) -> bool:
        raise NotImplementedError

    def settle(self) -> None:
        """What is to be done once it answers (roles, databases), after every start; changes nothing twice."""


def address_of(text: str, setting: str, default_port: int | None = None) -> tuple[str, int]:
    """(host, port) of `host:port`, `[::1]:port`."""
    host, _, port = text.rpartition(":")
    if not host and default_port is not None:
        host, port = text, str(default_port)
    if not host or not port.isdigit():
        raise ConfigError(f"the setting {setting} must be host:port (given: {text!r})")
    return host.strip("[]"), int(port)
