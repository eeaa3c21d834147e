"""The real job as a process of its own, and a ledger of what was sent, kept apart from it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

WINDOW_SECONDS = 10


@dataclass
class Job:
    """A verb of the command line as a process (and group) of its own, with its output in a file."""

    arguments: list[str]
    environment: dict[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> Job:
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "activitymodule", *self.arguments],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        return self

    def kill(self) -> None:
        """kill -9 of the driver, its JVM and its workers at one instant."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def interrupt(self, timeout: float = 60) -> int:
        """Ctrl-C, and the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout)

    def wait(self, timeout: float) -> int:
        assert self.process is not None
        return self.process.wait(timeout)

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")


def until(condition: Any, what: str, timeout: float = 240, every: float = 0.5) -> Any:
    """Wait for a condition; its value, or a failure that says what did not come."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(every)
    raise AssertionError(f"waited {timeout:.0f} s for {what}")


@dataclass
class Ledger:
    """What was sent, kept by the sender alone: watch and window -> stamps, each with how often it went out."""

    readings: dict[tuple[str, int], Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    dead: int = 0
    items: int = 0

    def note(self, device_id: str, stamp_ms: int) -> None:
        self.readings[device_id, stamp_ms // 1000 // WINDOW_SECONDS * WINDOW_SECONDS][stamp_ms] += 1
        self.items += 1

    def note_dead(self, items: int = 1) -> None:
        self.dead += items
        self.items += items

    def expected(self) -> dict[tuple[str, int], tuple[int, int]]:
        """(watch, window start in s) -> (readings that count, duplicates)."""
        return {key: (len(c), sum(c.values()) - len(c)) for key, c in self.readings.items()}


def reading(device_id: str, stamp_ms: int, phase: float = 0.0) -> dict[str, Any]:
    """One plausible reading: a walk at 1.8 Hz."""
    wave = float(np.sin(2 * np.pi * 1.8 * stamp_ms / 1000 + phase))
    stamp = datetime.fromtimestamp(stamp_ms / 1000, UTC).isoformat(timespec="milliseconds")
    return {
        "device_id": device_id,
        "stamp": stamp,
        "pitch": round(0.2 + 0.1 * wave, 6),
        "roll": -0.4,
        "yaw": 0.1,
        "rotation_rate_x": round(wave, 6),
        "rotation_rate_y": 0.0,
        "rotation_rate_z": 0.1,
        "user_acceleration_x": round(0.2 * wave, 6),
        "user_acceleration_y": round(0.3 * wave, 6),
        "user_acceleration_z": 0.01,
        "heart_rate": 92,
        "steps": 0,
    }
