"""The sender of activity events as a process of the embedded stack: `activity events send`."""

from __future__ import annotations

import contextlib
import sys

import psycopg2
from typing_extensions import override

from activitymodule.embedded.processes import Command
from activitymodule.embedded.service import Service
from activitymodule.errors import ActivityError
from activitymodule.settings import Settings, environment_of
from activitymodule.store.connection import session
from activitymodule.store.locks import SENDING, holder


class Events(Service):
    """The sender; it starts with the others where events are on."""

    name = "events"
    title = "Event sender"
    setting = "store.port"
    needs = ("postgres", "kafka")

    def __init__(self, config: Settings) -> None:
        super().__init__(config)
        self.optional = not config.events.enabled

    @property
    @override
    def host(self) -> str:
        return self.settings.store.host

    @property
    @override
    def port(self) -> None:
        return None

    @override
    def command(self) -> Command:
        argv = [sys.executable, "-m", "activitymodule", "events", "send"]
        env = {**environment_of(self.settings), "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"}
        return Command(argv, env)

    @override
    def healthy(self) -> bool:
        """Whether a sender holds the lock of the topic."""
        with contextlib.suppress(ActivityError, psycopg2.Error), session(self.settings) as connection:
            return holder(connection, SENDING, self.settings.events.topic) is not None
        return False
