"""An archive of the Java classes that Spark loads, made once: a fifth less time until a job's first batch.

Java 17 maps such an archive into memory in place of reading, checking and linking some ten thousand classes
(application class data sharing, JEP 350). It belongs to one Java and to the jars it was made with; Java leaves an
archive aside that does not fit, and the job starts as slowly as without one. init.sh runs
`python -m activitymodule.streaming.class_archive`, which makes it where it is missing or belongs to others.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyspark.sql import functions as F

from activitymodule.errors import ActivityError
from activitymodule.settings import Settings, load, resolve
from activitymodule.streaming.jars import pyspark_jars
from activitymodule.streaming.java import which_java
from activitymodule.streaming.session import class_archive, spark_session
from activitymodule.streaming.spark_errors import explained_spark

_WAIT_SECONDS = 180


def fingerprint(config: Settings) -> str:
    """Of the Java and the jars that an archive belongs to."""
    java = which_java()
    assert java is not None
    files = [
        Path(java).resolve(),
        *sorted(pyspark_jars().glob("*.jar")),
        *sorted(resolve(config.spark.jars).glob("*.jar")),
    ]
    facts = [f"{file} {file.stat().st_size} {file.stat().st_mtime_ns}" for file in files]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()


def note_of(config: Settings) -> Path:
    """Where the fingerprint of the archive stands."""
    return class_archive(config).with_suffix(".txt")


def is_current(config: Settings) -> bool:
    """Whether the archive is there and was made with this Java and these jars."""
    note = note_of(config)
    return (
        class_archive(config).is_file()
        and note.is_file()
        and note.read_text(encoding="utf-8").strip() == fingerprint(config)
    )


def make(config: Settings) -> None:
    """Run a small job of the kinds of work that the jobs do, and archive what it loaded. Some 25 s, 200 MB of disk.

    Raises ActivityError where Java wrote no archive, DataError and ServiceUnavailableError as a Spark session does.
    """
    archive = class_archive(config)
    with tempfile.TemporaryDirectory(prefix=".part-", dir=archive.parent) as folder:
        part = Path(folder) / archive.name
        with explained_spark(config):
            _work(config, Path(folder), part)
        if not part.is_file():
            raise ActivityError(f"Java wrote no archive of Spark's classes to {archive.parent}")
        note_of(config).write_text(fingerprint(config) + "\n", encoding="utf-8")
        part.replace(archive)


def _same(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
    yield from batches


def _work(config: Settings, folder: Path, archive: Path) -> None:
    """A stream with a state, Python workers, Parquet; then the JVM ends, which writes the archive."""
    spark = spark_session(config, "class-archive", archive_classes_to=archive)
    gateway: Any = spark.sparkContext._gateway
    frame = spark.range(100).select(
        F.col("id"), F.timestamp_seconds("id").alias("at"), F.lit("{}").alias("text")
    )
    frame.write.parquet(str(folder / "in"))

    def batch(windows: Any, _: int) -> None:
        windows.mapInArrow(_same, "start timestamp, many long").collect()

    query = (
        spark.readStream.schema(frame.schema)
        .parquet(str(folder / "in"))
        .mapInArrow(_same, frame.schema)
        .withWatermark("at", "10 seconds")
        .groupBy(F.window("at", "10 seconds").alias("window"))
        .agg(F.count("*").alias("many"))
        .select("window.start", "many")
        .writeStream.outputMode("update")
        .option("checkpointLocation", str(folder / "checkpoint"))
        .foreachBatch(batch)
        .trigger(availableNow=True)
        .start()
    )
    query.awaitTermination()
    spark.stop()
    # Java ends with its input, and takes some seconds to write the archive
    gateway.shutdown()
    gateway.proc.stdin.close()
    try:
        gateway.proc.wait(timeout=_WAIT_SECONDS)
    except subprocess.TimeoutExpired as error:
        gateway.proc.kill()
        raise ActivityError(f"Java did not come to its end in {_WAIT_SECONDS} s") from error


def main() -> None:
    """The command of init.sh: make the archive where it is missing or does not fit."""
    began = time.monotonic()
    try:
        chosen = load()
        if is_current(chosen):
            return
        print("init: archiving Spark's classes, so that jobs start faster (half a minute)", file=sys.stderr)
        make(chosen)
    except (ActivityError, OSError) as error:
        # nothing needs it
        print(
            f"init: jobs will start more slowly, without an archive of Spark's classes: {error}",
            file=sys.stderr,
        )
        return
    megabytes = class_archive(chosen).stat().st_size / 1e6
    print(f"init: archived, {megabytes:.0f} MB in {time.monotonic() - began:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
