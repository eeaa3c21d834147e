"""The archive against a real broker and real disks: whatever happens to it, every message is there, and once."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from kafka import TopicPartition
from ledger import until
from own_settings import replaced
from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from small_disk import small_disk_at

from activitymodule.errors import ActivityError
from activitymodule.kafka import topics
from activitymodule.kafka.clients import admin, producer, topic_ends
from activitymodule.lake.archive import OLD_LOG, archive_path, delete_days_before, staging_path
from activitymodule.settings import Settings
from activitymodule.streaming.archive import ArchiveWriter, read
from activitymodule.streaming.archive_record import RECORD, Archived
from activitymodule.streaming.checkpoint import checkpoint_path
from activitymodule.streaming.messages import kafka_messages
from activitymodule.streaming.session import spark_session
from activitymodule.streaming.spark_errors import cause

pytestmark = pytest.mark.integration

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC).timestamp()


@pytest.fixture(scope="module")
def spark(stack_settings: Settings) -> Iterator[Any]:
    environment = dict(os.environ)
    session = spark_session(stack_settings, "archive")
    yield session
    session.stop()
    os.environ.clear()
    os.environ.update(environment)


def create(settings: Settings) -> None:
    """The topic, whose messages have the time that their sender says, and are kept."""
    configs = {"message.timestamp.type": "CreateTime", "retention.ms": "-1"}
    with admin(settings) as client:
        client.create_topics(
            {settings.kafka.topic: {"num_partitions": 2, "configs": configs}}, wait_for_metadata=True
        )


@pytest.fixture
def settings(fresh_settings: Settings) -> Iterator[Settings]:
    own = replaced(fresh_settings, kafka={"topic": f"{fresh_settings.kafka.topic}-by-date"})
    create(own)
    yield own
    topics.delete(own, [own.kafka.topic])


def send(settings: Settings, *texts: str, at: float = NEW_YEAR) -> None:
    """Messages that arrived at some time, spread over the partitions."""
    with producer(settings) as client:
        for number, text in enumerate(texts):
            client.send(
                settings.kafka.topic,
                text.encode(),
                key=text[:1].encode(),
                partition=number % 2,
                timestamp_ms=round(at * 1000),
            )


def texts(start: int, count: int) -> list[str]:
    return [f"{k}" for k in range(start, start + count)]


def archived(spark: Any, settings: Settings, since: date | None = None) -> Counter[str]:
    """What readers get."""
    return Counter(bytes(row["value"]).decode() for row in read(spark, settings, since, None).collect())


def stored(settings: Settings) -> Counter[str]:
    """What is in the files, without any reader's care for messages that are there twice."""
    return Counter(
        value.decode()
        for path in Path(archive_path(settings)).glob("date=*/[!_]*.parquet")
        for value in pq.read_table(path, columns=["value"], partitioning=None).column("value").to_pylist()
    )


def test_dates_are_moved_and_deleted_and_a_batch_is_written_again(
    spark: Any, settings: Settings, tmp_path: Path
) -> None:
    root = Path(archive_path(settings))
    writer = ArchiveWriter(spark, settings)
    send(settings, *texts(0, 5), at=NEW_YEAR - 1)  # the last second of the year
    send(settings, *texts(5, 5))
    progress = writer.write_batch()
    assert progress is not None
    assert (progress.done, progress.behind()) == (True, 0)
    assert {path.name for path in root.glob("date=*")} == {"date=2025-12-31", "date=2026-01-01"}
    assert stored(settings) == archived(spark, settings) == Counter(texts(0, 10))
    # killed between the files and the record: the same batch again, with more in the topic
    record = Archived.model_validate_json((root / RECORD).read_text())
    begun = record.model_copy(update={"offsets": {0: 0, 1: 0}, "writing": record.offsets, "last": {}})
    (root / RECORD).write_bytes(begun.encoded())
    send(settings, *texts(10, 4))
    again = ArchiveWriter(spark, settings)
    progress = again.write_batch()
    assert progress is not None
    assert not progress.done
    assert again.write_batch() is not None
    assert stored(settings) == Counter(texts(0, 14))
    # a date goes to another disk, and comes back after a restart
    shutil.move(root / "date=2026-01-01", tmp_path / "kept")
    send(settings, *texts(14, 4))
    ArchiveWriter(spark, settings).write_batch()
    assert archived(spark, settings) == Counter([*texts(0, 5), *texts(14, 4)])
    for path in (tmp_path / "kept").iterdir():
        shutil.move(path, root / "date=2026-01-01")
    assert stored(settings) == archived(spark, settings) == Counter(texts(0, 18))
    assert archived(spark, settings, date(2026, 1, 1)) == Counter(texts(5, 13))
    delete_days_before(settings, date(2026, 1, 1))
    ArchiveWriter(spark, settings).write_batch()
    assert archived(spark, settings) == Counter(texts(5, 13))
    # the folder is gone: all that Kafka has is archived anew
    shutil.rmtree(root)
    again.write_batch()
    assert stored(settings) == archived(spark, settings) == Counter(texts(0, 18))


def test_a_topic_created_again_and_messages_that_kafka_deleted(
    spark: Any, settings: Settings, capfd: Any
) -> None:
    topic = settings.kafka.topic
    writer = ArchiveWriter(spark, settings)
    send(settings, *texts(0, 6))
    writer.write_batch()
    send(settings, *texts(6, 4))
    ends = topic_ends(settings, topic) or {}
    with admin(settings) as client:
        client.delete_records({TopicPartition(topic, number): last for number, (_, last) in ends.items()})
    send(settings, *texts(10, 2))
    progress = writer.write_batch()
    assert progress is not None
    assert progress.record.missing() == 4
    assert "partition 0: 3 to 4, partition 1: 3 to 4" in capfd.readouterr().err
    assert archived(spark, settings) == Counter([*texts(0, 6), *texts(10, 2)])
    topics.delete(settings, [topic])
    create(settings)
    send(settings, *texts(0, 40))  # longer than the topic before it, and partly with the same messages
    writer.write_batch()
    assert archived(spark, settings) == Counter([*texts(0, 6), *texts(10, 2), *texts(0, 40)])
    assert "from its start" in capfd.readouterr().err


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk_at(tmp_path / "disk", megabytes=1) as folder:
        yield folder


def attempt(writer: ArchiveWriter) -> str:
    """Why a batch could not be written; "" where it could."""
    try:
        writer.write_batch()
    except (ActivityError, PySparkException, Py4JError) as error:
        return cause(error)
    return ""


def test_a_disk_that_was_full(spark: Any, settings: Settings, small_disk: Path, tmp_path: Path) -> None:
    """As the documentation advises: a date is moved away, and the archive goes on."""
    settings = replaced(settings, archive={"folder": str(small_disk)})
    root = Path(archive_path(settings))
    writer = ArchiveWriter(spark, settings)
    noise = [os.urandom(75_000).hex() for _ in range(8)]
    send(settings, *noise[:6], at=NEW_YEAR - 1)
    writer.write_batch()
    (small_disk / "other").write_bytes(bytes(440_000))
    send(settings, *noise[6:])
    assert "No space left on device" in attempt(writer)
    assert archived(spark, settings) == Counter(noise[:6])
    shutil.move(root / "date=2025-12-31", tmp_path / "moved")
    # Java may still hold the file of the attempt before open, and so its room: the date is larger than that
    until(lambda: not attempt(writer), "the archive to go on")
    assert stored(settings) == archived(spark, settings) == Counter(noise[6:])
    assert not Path(staging_path(settings)).exists()


def test_an_archive_of_a_former_version_is_continued_and_read_where_it_was_moved(
    spark: Any, settings: Settings, tmp_path: Path
) -> None:
    root = Path(archive_path(settings))

    def write_as_before() -> None:
        messages = kafka_messages(spark, settings, starting="earliest", fail_on_loss=True, at_most=4)
        rows = messages.selectExpr(
            "key", "value", "partition", "offset", "timestamp", "timestampType", "to_date(timestamp) AS date"
        )
        query = (
            rows.writeStream.format("parquet")
            .partitionBy("date")
            .option("compression", "zstd")
            .option("checkpointLocation", checkpoint_path(settings, "archive"))
            .trigger(availableNow=True)
            .start(str(root))
        )
        query.awaitTermination()

    send(settings, *texts(0, 9), at=NEW_YEAR - 1)
    write_as_before()
    # killed in a batch: a file that is broken off, another that is whole and not in the list
    day = root / "date=2025-12-31"
    whole = next(day.glob("part-*.parquet"))
    (day / "part-00000-broken-c000.zstd.parquet").write_bytes(whole.read_bytes()[:-9])
    shutil.copy(whole, day / "part-00000-again-c000.zstd.parquet")
    assert archived(spark, settings) == Counter(texts(0, 9))
    moved = replaced(settings, archive={"folder": str(tmp_path / "moved")})
    shutil.copytree(root, archive_path(moved))
    shutil.rmtree(Path(archive_path(moved)) / OLD_LOG / "0", ignore_errors=True)
    assert archived(spark, moved) == Counter(texts(0, 9))
    send(settings, *texts(9, 3))
    ArchiveWriter(spark, settings).write_batch()
    assert archived(spark, settings) == Counter(texts(0, 12))
    (day / "part-00000-again-c000.zstd.parquet").unlink()
    assert stored(settings) == Counter(texts(0, 12)), "nothing is read again"
    assert not (root / OLD_LOG).exists()
    assert not Path(checkpoint_path(settings, "archive")).exists()
    # as any other program reads the folder
    assert spark.read.parquet(str(root)).count() == 12
