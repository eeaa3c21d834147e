"""Preparation: recordings of a data source into cleaned Parquet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from activitymodule.lake import preprocess
from activitymodule.lake.preprocess import Ingestion
from activitymodule.settings import Settings, location, project_root
from activitymodule.streaming.session import spark_session
from activitymodule.streaming.spark_errors import explained_spark
from activitymodule.telemetry.sources import source_named

SUMMARY = "reports/ingestion_summary.json"


def prepare(
    config: Settings,
    source: str,
    path: Path,
    out: str | None = None,
    *,
    say: Callable[[str], None] = lambda text: None,
) -> Ingestion:
    """Clean the recordings of a source into Parquet by person and date; a repetition changes nothing.

    out : lake/prepared/SOURCE unless given. The counts also go to reports/ingestion_summary.json. Raises ConfigError
    or DataError before Spark starts where the source or the path cannot be right.
    """
    source_named(source).scan(path)
    target = location(out or f"{config.lake.folder}/prepared/{source}")
    say(f"preparing {path} ...")
    with explained_spark(config):
        ingestion = preprocess.prepare(spark_session(config, "prepare"), source, path.resolve(), target)
    preprocess.report(ingestion, project_root() / SUMMARY)
    return ingestion
