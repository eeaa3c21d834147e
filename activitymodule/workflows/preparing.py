"""Preparation: recordings of a data source into cleaned Parquet."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
from pyarrow import fs
from pyspark.sql import SparkSession

from activitymodule import files
from activitymodule.errors import ActivityError, ServiceUnavailableError
from activitymodule.lake import preprocess
from activitymodule.lake.preprocess import Ingestion
from activitymodule.settings import Settings, location, resolve
from activitymodule.streaming.hadoop_files import HadoopFiles
from activitymodule.streaming.session import spark_session
from activitymodule.streaming.spark_errors import explained_spark
from activitymodule.telemetry import mapping
from activitymodule.telemetry.sources import SOURCES, remote, source_named
from activitymodule.telemetry.sources.tables import guess as guessing
from activitymodule.telemetry.sources.tables.guess import Guess
from activitymodule.telemetry.sources.tables.source import TableSource

SUMMARY = "ingestion_summary.json"
MOST_LEFT_OUT = 20


def mapping_file(name: str) -> str:
    """The file of a mapping: itself, or that of the shipped mapping of this name."""
    return str(mapping.shipped().get(name, name)) if not Path(name).exists() else name


def guess(path: Path, out: str | None = None) -> Guess:
    """A first mapping for the files of a path, written to `out` where it is given; prepares nothing.

    Raises ConfigError or DataError, also where nothing looks like an acceleration.
    """
    made = guessing.guess(path)
    for name, source in SOURCES.items():
        try:
            source.scan(path)
        except ActivityError:
            continue
        note = f"the source {name} reads some of it without a mapping: activity prepare {name} {path}"
        made = replace(made, notes=[note, *made.notes])
    if out is not None:
        files.write_text(Path(out), made.yaml)
    return made


def prepare(
    config: Settings,
    source: str,
    path: Path | str,
    out: str | None = None,
    *,
    say: Callable[[str], None] = lambda text: None,
) -> Ingestion:
    """Clean the recordings of a source into Parquet by person and date; a repetition changes nothing.

    source : its name, that of a shipped mapping, or a YAML file with a mapping
    path : of this machine, or an address (s3://, gs://), where the source reads file by file
    out : lake/prepared/SOURCE unless given, or the name of the mapping. The counts also go to
        reports/ingestion_summary.json.
    say : told what is done, and what the files hold that a mapping leaves out
    Raises ConfigError or DataError before Spark starts where the source or the path cannot be right.
    """
    reader = source_named(source)
    where = str(path) if remote.is_address(path) else Path(path).resolve()
    if isinstance(where, Path):
        reader.scan(where)
    else:
        remote.scan(reader, where)
    target = location(out or f"{config.lake.folder}/prepared/{reader.name}")
    say(f"preparing {path} ...")
    if isinstance(reader, TableSource):
        for line in reader.left_out[:MOST_LEFT_OUT]:
            say(f"  left out: {line}")
        if len(reader.left_out) > MOST_LEFT_OUT:
            say(f"  left out: {len(reader.left_out) - MOST_LEFT_OUT:,} more columns and files")
    with explained_spark(config):
        spark = spark_session(config, "prepare")
        with _writable(spark, target) as place:
            made = preprocess.prepare(spark, source, where, place)
    ingestion = replace(made, out=target)
    preprocess.report(ingestion, resolve(config.reports.folder) / SUMMARY)
    return ingestion


@contextmanager
def _writable(spark: SparkSession, target: str) -> Iterator[str]:
    """Where Spark writes what is to be at `target`: there, or, where Spark has no file system for the address (EMR and
    Dataproc have), in a folder of this machine, which is copied to the address in the end."""
    if HadoopFiles(spark).knows(target):
        yield target
        return
    with tempfile.TemporaryDirectory(prefix="activity-prepared-") as folder:
        yield folder
        try:
            _publish(Path(folder), target)
        except (OSError, pa.ArrowInvalid) as error:
            raise ServiceUnavailableError(
                f"{target} cannot be written: {error}; some of its partitions may be the former ones, until the "
                "command has run again"
            ) from error


def _publish(folder: Path, address: str) -> None:
    """Copy a folder of partitions to an address, each in place of the one that is there; others stay."""
    system, base = fs.FileSystem.from_uri(address)
    for partition in sorted({file.parent for file in folder.rglob("*.parquet")}):
        place = f"{base}/{partition.relative_to(folder).as_posix()}"
        there = system.get_file_info(fs.FileSelector(place, allow_not_found=True))
        for file in sorted(partition.glob("*.parquet")):
            fs.copy_files(
                str(file),
                f"{place}/{file.name}",
                source_filesystem=fs.LocalFileSystem(),
                destination_filesystem=system,
            )
        # afterwards, so that readings are never missing; Spark gives files of each run names of their own
        for info in there:
            if info.type == fs.FileType.File:
                system.delete_file(info.path)
