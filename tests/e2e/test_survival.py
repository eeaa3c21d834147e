"""The streaming job, killed under load, loses no reading and counts none twice: its rows equal a ledger."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from kafka import TopicPartition
from ledger import (
    Ledger,
    Load,
    assert_ledger,
    everything_read,
    kill_a_python_worker,
    kill_java,
    reading,
    rows,
    stored,
    until,
)
from own_settings import replaced
from small_disk import small_disk_at

from activitymodule.errors import JavaEndedError, RefusedError
from activitymodule.kafka.clients import admin, producer, topic_ends
from activitymodule.lake.archive import archive_path
from activitymodule.settings import Settings
from activitymodule.workflows.archiving import archive_report

pytestmark = [pytest.mark.e2e, pytest.mark.integration]


def test_driver_killed(fresh_settings, champion, job):
    # a batch follows the other at once
    settings = replaced(fresh_settings, scoring={"trigger_milliseconds": 0})
    ledger = Ledger()
    load = Load(settings, ledger, devices=20)
    load.start()
    scorer = job(settings, "score")
    until(lambda: stored(settings), "new windows", running=scorer)
    time.sleep(random.Random(3).uniform(0.2, 3))  # anywhere in a batch; `make soak` does it again and again
    scorer.kill()
    seen = len(stored(settings))
    scorer = job(settings, "score")
    until(lambda: len(stored(settings)) > seen, "windows of the second job", running=scorer)
    # a quick machine comes here within the first ten seconds, when no watch has a second window yet
    until(lambda: whole_windows(settings)[0] > 20, "a second window of a watch", running=scorer)
    load.finish()
    until(lambda: everything_read(settings), "the job to read everything", running=scorer)
    assert scorer.interrupt() == 0
    assert_ledger(settings, ledger)
    whole, with_activity = whole_windows(settings)
    assert whole == with_activity, "every window with enough readings has an activity"


def whole_windows(settings: Settings) -> tuple[int, int]:
    """How many windows have enough readings, and how many of these an activity."""
    return rows(settings, "select count(*), count(activity) from predictions where coverage >= 0.9")[0]


def test_rocksdb_on_a_disk_that_gets_full(fresh_settings, champion, job, tmp_path):
    """RocksDB would wait for ever on a full disk: the scorer ends before, and goes on once there is room.

    Also where its checkpoint holds a log of changes, as earlier versions wrote it.
    """
    changes = "spark.sql.streaming.stateStore.rocksdb.changelogCheckpointing.enabled"
    with small_disk_at(tmp_path / "disk", megabytes=600) as disk:
        settings = replaced(
            fresh_settings, spark={"state_store": "rocksdb", "checkpoints": str(disk / "checkpoints")}
        )
        ledger = Ledger()
        load = Load(settings, ledger, devices=10)
        load.start()
        scorer = job(replaced(settings, spark={"options": {changes: "true"}}), "score")
        until(lambda: stored(settings), "new windows", running=scorer)
        assert list((disk / "checkpoints").rglob("*.changelog"))
        with (disk / "other").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, 200 << 20)
        assert scorer.wait(120) == RefusedError.exit_code, scorer.output
        assert "is nearly full" in scorer.output
        (disk / "other").unlink()
        scorer = job(settings, "score")
        load.finish()
        until(lambda: everything_read(settings), "the job to read everything", running=scorer)
        assert scorer.interrupt() == 0
        assert_ledger(settings, ledger)


def test_services_and_worker_killed(fresh_settings, champion, job, stack):
    settings = fresh_settings
    ledger = Ledger()
    load = Load(settings, ledger, devices=10)
    load.start()
    scorer = job(settings, "score")
    wait = partial(until, running=scorer)
    wait(lambda: len(stored(settings)) > 10, "the first windows")
    stack.kill("postgres")
    wait(lambda: "is back" in scorer.output, "PostgreSQL to come back")
    before = len(stored(settings))
    wait(lambda: len(stored(settings)) > before, "windows after PostgreSQL came back")
    stack.kill("kafka")
    wait(lambda: scorer.output.count("is back") >= 2, "Kafka to come back")
    before = len(stored(settings))
    wait(lambda: len(stored(settings)) > before, "windows after Kafka came back")
    kill_a_python_worker(scorer.process.pid)
    load.finish()
    wait(lambda: everything_read(settings), "the job to read everything")
    assert scorer.process.poll() is None, "the job must outlive its services"
    assert scorer.interrupt() == 0
    assert_ledger(settings, ledger)
    assert len(scorer.output.splitlines()) < 40, "outages are logged once each"


def test_the_archive_stops_and_goes_on_and_then_java_is_killed(fresh_settings, champion, job):
    """Scoring goes on without the archive, which misses nothing; a killed JVM ends the job with one sentence."""
    settings = replaced(fresh_settings, archive={"interval_seconds": 1})
    folder, ledger = Path(archive_path(settings)), Ledger()
    folder.parent.mkdir(parents=True)
    folder.write_text("a file where the archive has its folder")
    send_some(settings, ledger, int(time.time()) // 10 * 10 * 1000 - 60_000, 200)
    scorer = job(settings, "score")
    until(lambda: everything_read(settings), "the job to read everything", running=scorer)
    until(lambda: "ARCHIVE STOPPED" in scorer.output, "the log of the archive", running=scorer)
    until(lambda: not archive_report(settings).good, "the state of the archive", running=scorer)
    folder.unlink()
    until(lambda: "the archive goes on" in scorer.output, "the archive to go on", running=scorer)
    report = until(lambda: archive_report(settings), "the state of the archive")
    assert (report.good, report.behind) == (True, 0)
    assert scorer.output.count("ARCHIVE STOPPED") == 1
    assert_ledger(settings, ledger)
    archived = list(folder.glob("date=*/messages-*.parquet"))
    assert sum(pq.read_metadata(path).num_rows for path in archived) == 200
    kill_java(scorer.process.pid)
    assert scorer.wait(240) == JavaEndedError.exit_code
    assert scorer.output.count("signal 9") == 1
    assert "Traceback" not in scorer.output


def test_a_scorer_waits_for_a_champion_and_a_second_one_is_refused(fresh_settings, job, one_after_the_other):
    # the first one waits with its lease: Spark is not needed
    first = job(fresh_settings, "score")
    until(lambda: rows(fresh_settings, "select 1 from pg_locks where locktype = 'advisory'"), "the lease")
    second = one_after_the_other(fresh_settings, "score")
    assert second.returncode == 5
    assert "already" in second.stderr
    assert "Traceback" not in second.stderr
    until(lambda: "activity train" in first.output, "the advice to train one", running=first)
    assert first.process.poll() is None
    assert first.interrupt() == 0
    assert first.output.count("no champion") == 1


def send_some(settings: Settings, ledger: Ledger, begin_ms: int, count: int, device: str = "watch-a") -> None:
    with producer(settings) as client:
        for k in range(count):
            stamp = begin_ms + 100 * k
            payload = json.dumps(reading(device, stamp)).encode()
            client.send(settings.kafka.topic, payload, key=device.encode())
            ledger.note(device, stamp)


def back_up(settings: Settings) -> Callable[[], None]:
    """Copy the tables that the scorer writes; gives a function that restores them, as an older backup does."""
    tables = ("predictions", "batches", "dead_letters")
    for table in tables:
        rows(settings, f"create table kept_{table} as table {table}; select 1")

    def restore() -> None:
        for table in tables:
            rows(settings, f"delete from {table}; insert into {table} table kept_{table}; select 1")

    return restore


def test_the_store_decides_where_to_resume(fresh_settings, champion, one_after_the_other):
    """A lost checkpoint, and one that is ahead of a store that was restored from an older backup."""
    settings, run, ledger = fresh_settings, one_after_the_other, Ledger()
    begin = int(time.time()) // 10 * 10 * 1000 - 60_000
    send_some(settings, ledger, begin, 250)  # the last window is half there
    assert run(settings, "score", "--once").returncode == 0
    restore = back_up(settings)
    send_some(settings, ledger, begin + 25_000, 150)
    send_some(settings, ledger, begin + 10_000, 120, device="watch-b")
    with producer(settings) as client:
        client.send(settings.kafka.topic, b"{not json", key=b"x")
    ledger.note_dead()
    again = run(settings, "score", "--once", "--set-checkpoint-aside")
    assert again.returncode == 0, again.stderr
    assert "the checkpoint is missing" in again.stderr
    assert_ledger(settings, ledger)

    restore()
    resumed = run(settings, "score", "--once")
    assert resumed.returncode == 0, resumed.stderr
    assert "the store lacks messages that the checkpoint has read" in resumed.stderr
    assert_ledger(settings, ledger)


def test_a_checkpoint_of_another_store_is_refused(fresh_settings, champion, one_after_the_other):
    settings, run, ledger = fresh_settings, one_after_the_other, Ledger()
    begin = int(time.time()) // 10 * 10 * 1000 - 60_000
    send_some(settings, ledger, begin, 100)
    assert run(settings, "score", "--once").returncode == 0
    # PostgreSQL died between the rows of the first batch and the word that it is finished: the same store all the same
    rows(settings, "with cut as (update batches set finished_at = null returning 1) select count(*) from cut")
    send_some(settings, ledger, begin + 10_000, 100)
    assert run(settings, "score", "--once").returncode == 0
    assert_ledger(settings, ledger)
    rows(settings, "with gone as (delete from batches returning 1) select count(*) from gone")
    refused = run(settings, "score", "--once")
    assert refused.returncode == 5, refused.stderr
    assert "--set-checkpoint-aside" in refused.stderr


def test_unread_messages_gone_is_loud(fresh_settings, champion, one_after_the_other):
    settings, run, ledger = fresh_settings, one_after_the_other, Ledger()
    begin = int(time.time()) // 10 * 10 * 1000 - 90_000
    send_some(settings, ledger, begin, 200)
    assert run(settings, "score", "--once").returncode == 0
    lost = Ledger()
    send_some(settings, lost, begin + 30_000, 100)
    with admin(settings) as client:
        ends = topic_ends(settings, settings.kafka.topic)
        client.delete_records(
            {TopicPartition(settings.kafka.topic, n): last for n, (_, last) in ends.items()}
        )
    refused = run(settings, "score", "--once", "--set-checkpoint-aside")
    assert refused.returncode == 5, refused.stderr
    assert "DATA LOSS" in refused.stderr
    assert "Traceback" not in refused.stderr
    kept = [path.name for path in Path(settings.spark.checkpoints).iterdir()]
    assert kept == [f"score-{settings.kafka.topic}"], "a start that was refused leaves everything as it was"
    assert_ledger(settings, ledger)
    send_some(settings, ledger, begin + 60_000, 100)
    accepted = run(settings, "score", "--once", "--accept-data-loss")
    assert accepted.returncode == 0, accepted.stderr
    assert_ledger(settings, ledger)
