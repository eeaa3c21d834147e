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
    optional: bool = False  # started only by name, not with plain `activity up`
    stop_signal: ClassVar[int] = signal.SIGTERM
    stop_seconds: ClassVar[float] = 20

    def __init__(self, config: Settings) -> None:
        self.settings = config
        self.stack_folder = resolve(config.local.folder)

    @property
    def folder(self) -> Path:
        """Its own folder in the stack's."""
        return self.stack_folder / self.name

    @property
    def log(self) -> Path:
        """Where its output goes."""
        return self.stack_folder / "logs" / f"{self.name}.log"

    @property
    def host(self) -> str:
        """The host of its address."""
        raise NotImplementedError

    @property
    def port(self) -> int | None:
        """The port of its address; None where it does not listen."""
        raise NotImplementedError

    @property
    def address(self) -> str:
        """`host:port`, or nothing."""
        return f"{self.host}:{self.port}" if self.port is not None else ""

    @property
    def ours(self) -> bool:
        """Whether its address is on this machine; another machine's service is not started here."""
        return self.host in LOOPBACK

    def check(self) -> None:
        """Check what must be there before anything starts. Raises an ActivityError that names what to do."""

    def prepare(self) -> None:
        """Make its folder and files where they are missing; runs before every start."""

    def command(self) -> Command:
        """What to start."""
        raise NotImplementedError

    def healthy(self) -> bool:
        """Whether it answers."""
        raise NotImplementedError

    def settle(self) -> None:
        """Set up what it holds (roles, databases) once it answers, after every start; may be repeated."""


def address_of(text: str, setting: str, default_port: int | None = None) -> tuple[str, int]:
    """(host, port) of `host:port`, `[::1]:port`."""
    host, _, port = text.rpartition(":")
    if not host and default_port is not None:
        host, port = text, str(default_port)
    if not host or not (port.isascii() and port.isdecimal() and len(port) <= 5):
        raise ConfigError(f"the setting {setting} must be host:port (given: {text!r})")
    return host.strip("[]"), int(port)
