"""Makes the Spark session: the same settings for every job, local or on a cluster."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from activitymodule.errors import ConfigError, ServiceUnavailableError
from activitymodule.settings import Settings, resolve
from activitymodule.streaming.hadoop_files import HadoopFiles
from activitymodule.streaming.state_size import heap_bytes

_LOGGING = Path(__file__).with_name("log4j2.properties")
# Throughput over pauses (they stay far below a micro-batch), and room for what a batch makes and forgets.
# Without memory it ends at once, with a line that names the error: one that goes on has lost threads at random.
# The thresholds of the optimising compiler (C2) are ten times Java's: else it spends a fifth of the processor, half a
# minute into a job, on methods that plan a batch. Room for the classes from the start spares two full collections.
_JAVA = (
    "-XX:+UseParallelGC -XX:NewRatio=1 -XX:+ExitOnOutOfMemoryError -XX:MetaspaceSize=128m "
    "-XX:Tier4InvocationThreshold=50000 -XX:Tier4MinInvocationThreshold=6000 "
    "-XX:Tier4CompileThreshold=150000 -XX:Tier4BackEdgeThreshold=400000"
)
_FIRST_HEAP = 2**30  # bytes that it begins with, where it may have so many
# Spark 4.1 moved the classes that write checkpoints
_SPARK = tuple(map(int, version("pyspark").split(".")[:2]))
_CHECKPOINTING = "org.apache.spark.sql.execution.streaming" + (".checkpointing" if _SPARK >= (4, 1) else "")
_STATE = "org.apache.spark.sql.execution.streaming.state."
# Messages of one Arrow batch on its way to Python. Spark would look at the batch's bytes after every row, which
# costs as much as writing the row; a number this small bounds them too (to a gigabyte of messages of the largest
# size Kafka takes), and the worker puts small batches together.
_ARROW_RECORDS = 1000
# RocksDB commits snapshots, and not a log of changes: Spark loads the state again for each batch, and would do again
# all changes since the last snapshot, a minute of them.
_STATE_STORES = {
    "memory": {"spark.sql.streaming.stateStore.providerClass": _STATE + "HDFSBackedStateStoreProvider"},
    "rocksdb": {
        "spark.sql.streaming.stateStore.providerClass": _STATE + "RocksDBStateStoreProvider",
        "spark.sql.streaming.stateStore.rocksdb.changelogCheckpointing.enabled": "false",
    },
}
# A micro-batch broadcasts some five small things, and each gets a whole block of memory: 4 MB of Spark's own size.
_BROADCAST_BLOCK = "256k"
# Spark describes what it runs, whether or not a page shows it: shortly, and with little history, where none does.
_SHORT_DESCRIPTIONS = {
    "spark.sql.ui.explainMode": "simple",
    "spark.sql.ui.retainedExecutions": "10",
    "spark.ui.retainedJobs": "20",
    "spark.ui.retainedStages": "20",
}
# Hadoop's own local file system forks chmod and readlink for every file it writes, some hundred processes a
# micro-batch; this one does not.
_BARE_FILE_SYSTEM = "com.globalmentor.apache.hadoop.fs.BareLocalFileSystem"


def _connector_jars(folder: Path) -> list[Path]:
    jars = sorted(folder.glob("*.jar"))
    if not any(jar.name.startswith("spark-sql-kafka") for jar in jars):
        raise ServiceUnavailableError(f"Spark's Kafka connector is not in {folder}; run ./init.sh")
    return jars


def _java_is_there() -> None:
    home = os.environ.get("JAVA_HOME")
    if (home and (Path(home) / "bin" / "java").is_file()) or shutil.which("java"):
        return
    raise ServiceUnavailableError(
        "Spark needs Java 17 or 21, and none is installed; ./init.sh prints how to install it"
    )


def class_archive(config: Settings) -> Path:
    """Where the archive of Spark's classes is or would be: beside the folder of jars (local/class_archive)."""
    jars = resolve(config.spark.jars)
    return jars.with_name(f"{jars.name}.jsa")


def class_archive_options(config: Settings, archive_to: Path | None = None) -> str:
    """Options for a JVM that uses the archive, or writes one to `archive_to`; empty where there is none.

    Java reports only errors, on stderr: an archive that does not fit is none.
    """
    quiet = "-Xlog:disable -Xlog:all=error:stderr"
    if archive_to is not None:
        return f"-XX:ArchiveClassesAtExit={archive_to} {quiet}"
    archive = class_archive(config)
    return f"-XX:SharedArchiveFile={archive} {quiet}" if archive.is_file() else ""


@contextmanager
def _output_to(log: Path | None) -> Iterator[None]:
    """Redirect what the JVM that is started meanwhile prints to a file, for as long as it lives: its warnings are not
    for the user of the command."""
    if log is None:
        yield
        return
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [(number, os.dup(number)) for number in (1, 2)]
    with log.open("ab") as out:
        for number, _ in kept:
            os.dup2(out.fileno(), number)
    try:
        yield
    finally:
        for number, before in kept:
            os.dup2(before, number)
            os.close(before)


def submitted() -> bool:
    """Whether this process runs under spark-submit, which configures logging."""
    return "PYSPARK_GATEWAY_PORT" in os.environ


def details(config: Settings) -> str:
    """Where Spark's details of an error are."""
    return "above" if submitted() else f"in {resolve(config.local.folder) / 'logs'}"


def jvm_log(config: Settings, app_name: str) -> Path:
    """What the Java process of a job printed, where this process started it."""
    return resolve(config.local.folder) / "logs" / f"{app_name}.jvm.log"


def spark_options(config: Settings, app_name: str) -> dict[str, str]:
    """Spark's settings for a job: the project's own, overridden by `spark.options` of the configuration."""
    options = {
        "spark.app.name": app_name,
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": str(config.spark.shuffle_partitions),
        "spark.sql.adaptive.enabled": "false",
        "spark.sql.execution.arrow.maxRecordsPerBatch": str(_ARROW_RECORDS),
        "spark.sql.execution.arrow.maxBytesPerBatch": str(2**31 - 1),
        "spark.sql.streaming.noDataMicroBatches.enabled": "false",
        "spark.sql.streaming.minBatchesToRetain": "20",
        # after a look at Kafka that found nothing, milliseconds: a fifth of the processor time of an idle scorer
        "spark.sql.streaming.pollingDelay": "50",
        "spark.sql.streaming.checkpointFileManagerClass": (
            f"{_CHECKPOINTING}.FileSystemBasedCheckpointFileManager"
        ),
        "spark.sql.sources.partitionOverwriteMode": "dynamic",
        # Hadoop sets the modes of files itself, whatever the umask: lake and checkpoints are the user's alone
        "spark.hadoop.fs.permissions.umask-mode": "077",
        "spark.broadcast.blockSize": _BROADCAST_BLOCK,
        "spark.shuffle.checksum.enabled": "false",  # a file more for each task
        "spark.python.worker.reuse": "true",
        "spark.sql.execution.pyspark.udf.simplifiedTraceback.enabled": "true",
    }
    if config.spark.options.get("spark.ui.enabled", "false") == "false":
        options |= _SHORT_DESCRIPTIONS
    return options | _STATE_STORES[config.spark.state_store]


def spark_session(
    config: Settings, app_name: str, *, scoring: bool = False, archive_classes_to: Path | None = None
) -> SparkSession:
    """The Spark session of this process.

    scoring : the Python workers will score windows, so that their libraries are worth importing beforehand.
    archive_classes_to : where Java writes an archive of what it loaded when it ends.
    Under spark-submit, master, memory and jars are the submission's; otherwise they come from the config.
    Raises ServiceUnavailableError where Java or the connector is missing, ConfigError where Spark refuses.
    """
    printed = None
    options = spark_options(config, app_name)
    if not submitted():
        _java_is_there()
        jars = _connector_jars(resolve(config.spark.jars))
        logs = resolve(config.local.folder) / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        warehouse = resolve(config.local.folder) / "spark"
        warehouse.mkdir(parents=True, exist_ok=True)
        options |= {
            "spark.master": config.spark.master,
            "spark.driver.memory": config.spark.driver_memory,
            "spark.local.dir": str(warehouse),
            "spark.sql.warehouse.dir": str(warehouse / "warehouse"),
            "spark.jars": ",".join(str(jar) for jar in jars),
            "spark.driver.extraJavaOptions": (
                f"{_JAVA} -Xms{min(_FIRST_HEAP, heap_bytes(config))} "
                f"{class_archive_options(config, archive_classes_to)} "
                f"-Dlog4j2.configurationFile={_LOGGING} -Dactivity.log={logs / (app_name + '.spark.log')}"
            ),
        }
        if config.spark.master.startswith("local"):
            options |= {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
            bare = [jar for jar in jars if "bare-naked-local-fs" in jar.name]
            if bare:
                options["spark.hadoop.fs.file.impl"] = _BARE_FILE_SYSTEM
                options["spark.driver.extraClassPath"] = str(bare[0])
        printed = jvm_log(config, app_name)
        # the workers must be this very Python, whatever is on PATH
        os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    if scoring:
        options["spark.python.daemon.module"] = "activitymodule.streaming.daemon"
        # the archive is written by day and partition, of which a task has one or two: no need to sort for that
        options["spark.sql.maxConcurrentOutputFileWriters"] = "16"
    options |= config.spark.options

    builder = SparkSession.builder
    for key, value in options.items():
        builder = builder.config(key, value)
    try:
        with _output_to(printed):
            session = builder.getOrCreate()
    except (PySparkException, RuntimeError) as error:
        where = f" (details in {printed})" if printed else ""
        raise ConfigError(f"Spark did not start: {str(error).splitlines()[0]}{where}") from error
    session.sparkContext.setLogLevel("ERROR" if submitted() else "WARN")
    if not submitted() and config.spark.master.startswith("local"):
        HadoopFiles(session).reduce_cost_of_batches()
    return session
