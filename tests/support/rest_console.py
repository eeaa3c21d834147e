"""A running console for tests of its REST interface: clients of it, and readings to send."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pyarrow as pa
from forks import Fork

from activitymodule.settings import Settings
from activitymodule.synthesis.history import training_readings
from activitymodule.telemetry.encode import messages

PASSWORD = "correct horse battery"

# the server closes an idle connection after 5 s: one as old is not used again
FRESH = httpx.Limits(keepalive_expiry=2)


class Console:
    """A console of its own, and clients of it: with a token, signed in as an admin, and nobody."""

    def __init__(self, settings: Settings, token: str, log: Path) -> None:
        self.settings, self.token, self.log = settings, token, log
        base = f"http://{settings.console.host}:{settings.console.port}"
        self.base = base
        self.client = httpx.Client(
            base_url=base, headers={"authorization": f"Bearer {token}"}, timeout=30, limits=FRESH
        )
        self.nobody = httpx.Client(base_url=base, timeout=30, limits=FRESH)

    def signed_in(self, name: str) -> httpx.Client:
        client = httpx.Client(base_url=self.base, timeout=30, headers={"origin": self.base}, limits=FRESH)
        answer = client.post("/signin", data={"name": name, "password": PASSWORD})
        assert answer.status_code in (200, 303), answer.text
        return client


@contextmanager
def serving(
    settings: Settings, environment: dict[str, str], token: str, log: Path, *, in_order: bool = False
) -> Iterator[Console]:
    """A console that answers, with its own process; it is ended with the block, in order or at once."""
    process = Fork(["console"], environment, log)
    console = Console(settings, token, log)
    try:
        deadline = time.monotonic() + 240
        while True:
            try:
                if console.nobody.get("/health", params={"need": "store"}).status_code == 200:
                    break
            except httpx.TransportError:
                pass
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        yield console
    finally:
        # in order it waits for its clients
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT if in_order else signal.SIGKILL)
        process.wait(20)
        print(log.read_text())


def live(devices: int, minutes: int, seed: int = 5) -> pa.Table:
    """Readings of the last minutes, so that no stamp is refused; they end with a whole window."""
    now = int(time.time()) // 10 * 10 - 10
    return training_readings(devices, minutes, seed, start=now - 60 * minutes).readings


def body(readings: pa.Table) -> str:
    """One message with all the readings."""
    return "[" + ",".join(v.decode().strip("[]") for v in messages(readings, 10).value) + "]"
