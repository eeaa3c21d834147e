"""Verbs that run on, each a fork of one process that has imported the libraries: a console or a scorer takes seconds of
processor time to import them. Some tests start the command itself all the same.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import signal
import subprocess
from contextlib import suppress
from multiprocessing import forkserver
from pathlib import Path

import pytest

_IMPORTED = (
    "annotation.app",
    "annotation.connections",
    "activitymodule.jobs.console",
    "activitymodule.streaming.generate",
    "activitymodule.streaming.score",
)
_FORKS = multiprocessing.get_context("forkserver")


def _run(arguments: list[str], environment: dict[str, str], log: str) -> None:
    from activitymodule import cli
    from activitymodule.settings import settings

    os.setsid()
    os.environ.clear()
    os.environ.update(environment)
    settings.cache_clear()
    written = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for number in (1, 2):
        os.dup2(written, number)
    try:
        cli.main(arguments)
    finally:
        atexit._run_exitfuncs()


class Fork:
    """`activity ARGUMENTS` as a process and group of its own; what it prints is added to the file `log`.

    Its methods are those of subprocess.Popen.
    """

    def __init__(self, arguments: list[str], environment: dict[str, str], log: Path) -> None:
        _begin()
        log.touch()
        self._process = _FORKS.Process(target=_run, args=(arguments, environment, str(log)))
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        code = self.poll()
        if code is None:
            raise subprocess.TimeoutExpired("activity", timeout or 0)
        return code

    def send_signal(self, signum: int) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signum)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _begin() -> None:
    """Starts the process that is forked, where there is none yet."""
    _FORKS.set_forkserver_preload(list(_IMPORTED))
    with pytest.MonkeyPatch.context() as environment:
        # what a verb sets before it imports the framework of the pages, and numpy
        environment.setenv("NICEGUI_STORAGE_PATH", os.devnull)
        environment.setenv("OPENBLAS_NUM_THREADS", "1")
        forkserver.ensure_running()
