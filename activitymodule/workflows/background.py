"""Verbs as processes in the background, as the demos run them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from activitymodule.embedded.processes import lower_priority

_END_SECONDS = 30.0


def command(arguments: Sequence[str]) -> list[str]:
    """The command line of a verb."""
    return [sys.executable, "-m", "activitymodule", *arguments]


@dataclass(frozen=True)
class Job:
    """A verb that runs; its output goes to `log`."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self.process.poll()

    def end(self) -> None:
        """End it in order, where it still runs."""
        if self.process.poll() is None:
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(_END_SECONDS)

    def last_line(self) -> str:
        """What it printed last, and where the rest is."""
        lines = [
            line
            for line in self.log.read_text(errors="replace", encoding="utf-8").splitlines()
            if line.strip()
        ]
        return f"{lines[-1]} (the whole log: {self.log})" if lines else f"it printed nothing ({self.log})"


@contextmanager
def running(
    arguments: Sequence[str],
    log: Path,
    environment: Mapping[str, str] | None = None,
    *,
    gives_way: bool = False,
) -> Iterator[Job]:
    """A verb in a session of its own, so that Ctrl-C reaches this process alone, ended with the block.

    gives_way : at a lower priority, for work that nobody waits for

    SIGTERM ends it in order (a script's background processes ignore SIGINT), SIGKILL what is left of its session.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as out:
        process = subprocess.Popen(
            command(arguments),
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    if gives_way:
        lower_priority(process.pid)
    job = Job(process, log)
    try:
        yield job
    finally:
        job.end()
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
