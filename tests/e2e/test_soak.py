"""Long runs of the streaming job, for `make soak`: SOAK_MINUTES (12 by default) of watches and of things that break."""

from __future__ import annotations

import os
import random
import time

import psutil
import pytest
from ledger import (
    Job,
    Ledger,
    Load,
    assert_ledger,
    everything_read,
    kill_a_python_worker,
    rows,
    stored,
    until,
)

from activitymodule.errors import ServiceUnavailableError
from activitymodule.store.connection import connect

pytestmark = [pytest.mark.soak, pytest.mark.e2e, pytest.mark.integration]

MINUTES = float(os.environ.get("SOAK_MINUTES", "12"))
BETWEEN_SECONDS = 45  # two things that break
MEGABYTE = 1 << 20
FINISHED = "select count(*) from batches where finished_at is not null"


def python_megabytes(job: Job) -> float:
    """Resident memory of the driver's and the workers' Python; Java's heap has its own bound."""
    assert job.process is not None
    total = 0
    driver = psutil.Process(job.process.pid)
    for process in [driver, *driver.children(recursive=True)]:
        try:
            if "python" in process.name():
                total += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total / MEGABYTE


def test_hours_of_trouble_and_of_peace(fresh_settings, champion, job, stack):
    """Two thirds of the time something is killed again and again, then nothing: the store equals the ledger, and in
    peace the job's Python grows by nothing worth naming."""
    settings, ledger = fresh_settings, Ledger()
    load = Load(settings, ledger, devices=60, at_most_seconds=MINUTES * 60 + 600)
    load.start()
    scorer = job(settings, "score")
    until(lambda: len(stored(settings)) > 60, "the first windows")
    dice = random.Random(11)
    peace_at = time.monotonic() + MINUTES * 40
    broken: list[str] = []
    while time.monotonic() < peace_at:
        what = dice.choice(["scorer", "postgres", "kafka", "worker"])
        if what == "scorer":
            scorer.kill()
            scorer = job(settings, "score")
        elif what == "worker":
            kill_a_python_worker(scorer.process.pid)
        else:
            stack.kill(what)
        broken.append(what)
        until(lambda: reachable(settings), "the store to answer", timeout=120)
        before = rows(settings, FINISHED)[0][0]
        until(
            lambda before=before: counted(settings, FINISHED) > before, f"batches after {what}", timeout=180
        )
        time.sleep(min(BETWEEN_SECONDS, max(0.0, peace_at - time.monotonic())))
    assert scorer.process.poll() is None, f"the job ended after {broken}"

    until(lambda: caught_up(settings), "the job to catch up", timeout=180)
    time.sleep(30)  # the workers' libraries have settled
    began, peace = python_megabytes(scorer), MINUTES * 20 - 30
    time.sleep(max(30.0, peace))
    ended = python_megabytes(scorer)
    load.finish()
    until(lambda: everything_read(settings), "the job to read everything")
    assert scorer.interrupt() == 0
    assert_ledger(settings, ledger)
    unsmoothed = "select count(*) from predictions where activity is not null and smoothed_activity is null"
    assert rows(settings, unsmoothed)[0][0] == 0
    print(f"{ledger.items:,} readings; broken: {', '.join(broken)}; Python {began:.0f} -> {ended:.0f} MB")
    assert ended < began * 1.15 + 40, f"Python grew from {began:.0f} to {ended:.0f} MB"


def reachable(settings) -> bool:
    try:
        connect(settings).close()
    except ServiceUnavailableError:
        return False
    return True


def counted(settings, query: str) -> int:
    """A count, or nothing while the store is away."""
    return rows(settings, query)[0][0] if reachable(settings) else -1


def caught_up(settings) -> bool:
    return bool(
        rows(
            settings,
            "select 1 from predictions where processed_at - received_at < '2 s' and "
            "processed_at > now() - interval '5 s'",
        )
    )
