"""How long /predict of one window takes at a steady rate, beside the bare call of the model on the same window.

    python benchmarks/predict.py [--rate 20] [--seconds 300] [--host http://127.0.0.1:18080]

Needs a running console with a champion, such as that of `activity demo`; adds a token for itself and revokes it at the
end. Requests are sent at their times whether or not those before have an answer, and each is timed from its time, so
that a queue counts. Those during which a batch job ran on this machine (daily records, a report, a retraining) are
counted apart. Before and after, the champion is called in this process: decode, features and model, and the model
alone. Prints JSON: percentiles in milliseconds with the least and the greatest of stretches of 20 s, and ratios of
medians.
"""

from __future__ import annotations

import os

# before numpy: as `activity` does, one thread for linear algebra, as several processes share the cores
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import asyncio
import json
import secrets
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import numpy as np
import psutil
import pyarrow as pa

from activitymodule.models.bundle import BundleBytes, ScoringModel, load_bundle
from activitymodule.serving.checking import checked
from activitymodule.serving.record import serving_version
from activitymodule.settings import Settings, settings
from activitymodule.store.connection import session
from activitymodule.store.users import add_token, revoke_token
from activitymodule.synthesis.history import training_readings
from activitymodule.telemetry.encode import messages
from activitymodule.windows.assembling import assemble
from activitymodule.windows.features import features
from activitymodule.windows.grouping import group_panes
from activitymodule.windows.panes import decode_panes

WINDOW_SECONDS = 10
STRETCH_SECONDS = 20
BATCH_JOBS = (
    ["activitymodule", "days"],
    ["activitymodule", "report"],
    ["activitymodule.workflows.retraining"],
)
"""What follows `python -m` in their command lines."""


def one_window(config: Settings) -> bytes:
    """A message with the readings of one whole window, which ended lately."""
    now = int(time.time()) // WINDOW_SECONDS * WINDOW_SECONDS - WINDOW_SECONDS
    readings = training_readings(1, 1, 7, start=now - 60).readings
    stamps = readings.column("stamp").cast(pa.int64()).to_numpy()
    last = stamps // (WINDOW_SECONDS * 1_000_000)
    whole = readings.filter(pa.array(last == np.bincount(last - last.min()).argmax() + last.min()))
    texts = [value.decode().strip("[]") for value in messages(whole, config.fleet.readings_per_message).value]
    return f"[{','.join(texts)}]".encode()


class Bare:
    """The champion in this process."""

    def __init__(self, config: Settings, body: bytes) -> None:
        version = serving_version(config, config.registry.classifier)
        regressor = serving_version(config, config.registry.regressor)
        if version is None:
            sys.exit("there is no champion; `activity train` makes one")
        stored = checked(config, version).stored
        energy = checked(config, regressor).stored if regressor else None
        self.config, self.body = config, body
        self.model: ScoringModel = load_bundle(BundleBytes(stored, energy), config.windows)
        self.features = self._features()

    def _features(self) -> np.ndarray:
        config, now_us = self.config, time.time_ns() // 1000
        panes, _ = decode_panes(
            pa.array([self.body], pa.binary()),
            np.full(1, now_us),
            now_us=now_us,
            limits=config.telemetry,
            slide_seconds=config.windows.slide_seconds,
        )
        batch = group_panes(panes, config.windows)
        starts = batch.column("window_us").to_numpy()
        return features(assemble(starts, batch.column("panes"), config.windows), config.windows)

    def model_alone(self) -> float:
        """Milliseconds of the model on the window's features."""
        begin = time.perf_counter()
        self.model.score(self.features)
        return 1000 * (time.perf_counter() - begin)

    def whole(self) -> float:
        """Milliseconds from the message to the scores."""
        begin = time.perf_counter()
        self.model.score(self._features())
        return 1000 * (time.perf_counter() - begin)


@dataclass(frozen=True)
class Answer:
    """due : seconds since the first request; milliseconds : from then on; beside : whether a batch job ran then"""

    due: float
    milliseconds: float
    status: int
    beside: bool


def batch_job_runs() -> bool:
    """Whether one of BATCH_JOBS runs on this machine."""
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if "-m" in words and any(words[words.index("-m") + 1 :][: len(job)] == job for job in BATCH_JOBS):
            return True
    return False


async def load(host: str, token: str, body: bytes, rate: float, seconds: float) -> list[Answer]:
    """The answers of `rate` requests a second, each sent at its time."""
    answers: list[Answer] = []
    beside = False
    headers = {"authorization": f"Bearer {token}"}

    async def look() -> None:
        nonlocal beside
        while True:
            beside = await asyncio.to_thread(batch_job_runs)
            await asyncio.sleep(1)

    async with httpx.AsyncClient(base_url=host, headers=headers, timeout=30) as client:
        first = time.perf_counter() + 0.5

        async def one(due: float) -> None:
            await asyncio.sleep(max(0.0, first + due - time.perf_counter()))
            during = beside
            answer = await client.post("/predict", content=body)
            took = 1000 * (time.perf_counter() - first - due)
            answers.append(Answer(due, took, answer.status_code, during))

        looking = asyncio.create_task(look())
        await asyncio.gather(*(one(k / rate) for k in range(int(rate * seconds))))
        looking.cancel()
    return answers


def percentiles(took: list[float]) -> dict[str, float]:
    """p50, p95 and p99, rounded."""
    return {f"p{q}": round(float(np.percentile(took, q)), 2) for q in (50, 95, 99)}


def summary(answers: list[Answer]) -> dict[str, object] | None:
    """Counts and percentiles of answers, with the least and the greatest of whole stretches; None without answers."""
    if not answers:
        return None
    stretches: dict[int, list[float]] = {}
    for one in answers:
        stretches.setdefault(int(one.due // STRETCH_SECONDS), []).append(one.milliseconds)
    most = max(map(len, stretches.values()))
    by_stretch = [percentiles(own) for own in stretches.values() if 2 * len(own) >= most]
    return {
        "requests": len(answers),
        "statuses": dict(Counter(one.status for one in answers)),
        "milliseconds": percentiles([one.milliseconds for one in answers]),
        f"of_{STRETCH_SECONDS}_s": {
            q: [min(own[q] for own in by_stretch), max(own[q] for own in by_stretch)] for q in by_stretch[0]
        },
    }


@contextmanager
def token_of(config: Settings) -> Iterator[str]:
    """A token for the length of the block."""
    name = f"benchmark-{secrets.token_hex(4)}"
    with session(config) as connection:
        token = add_token(connection, name)
    try:
        yield token
    finally:
        with session(config) as connection:
            revoke_token(connection, name)


def main() -> None:
    """Measure, and print JSON."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--rate", type=float, default=20)
    options.add_argument("--seconds", type=float, default=300)
    options.add_argument("--host", default="")
    given = options.parse_args()
    config = settings()
    host = given.host or f"http://127.0.0.1:{config.console.port}"
    body = one_window(config)
    bare = Bare(config, body)
    calls: dict[str, list[float]] = {"model": [], "message_to_scores": []}

    def call() -> None:
        for _ in range(100):
            calls["model"].append(bare.model_alone())
            calls["message_to_scores"].append(bare.whole())

    with token_of(config) as token:
        asyncio.run(load(host, token, body, given.rate, 3))  # loads the champion there
        call()
        answers = asyncio.run(load(host, token, body, given.rate, given.seconds))
        call()
    steady = [one for one in answers if not one.beside]
    middle = float(np.median([one.milliseconds for one in steady or answers]))
    found = {
        "rate_per_second": given.rate,
        "predict": summary(steady),
        "predict_beside_batch_jobs": summary([one for one in answers if one.beside]),
        **{f"{call}_milliseconds": percentiles(times) for call, times in calls.items()},
        "ratio_to_model": round(middle / float(np.median(calls["model"])), 1),
        "ratio_to_message_to_scores": round(middle / float(np.median(calls["message_to_scores"])), 1),
        "load_average": round(os.getloadavg()[0], 1),
        "cores": os.cpu_count(),
    }
    sys.stdout.write(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
