"""Prepared recordings: Parquet by person and date, as `activity prepare` writes it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote, unquote

import pyarrow as pa
import pyarrow.dataset as pads

from activitymodule.errors import ConfigError, DataError
from activitymodule.telemetry.sources.base import chunk_schema


def prepared_schema() -> pa.Schema:
    """Canonical readings, `activity` (the truth, null where unknown), then the partitions person and date."""
    return chunk_schema().append(pa.field("date", pa.date32()))


def dataset(folder: str | Path) -> pads.Dataset:
    """The prepared recordings of a folder, lazily. Raises ConfigError or DataError where there are none."""
    path = Path(folder)
    if not path.is_dir():
        raise ConfigError(f"there is no folder {path}; make it with `activity prepare SOURCE PATH`")
    if not is_prepared(path):
        raise DataError(f"{path} holds no prepared recordings (person=.../date=...); see `activity prepare`")
    # people are names, also where they look like numbers
    parts = pads.partitioning(pa.schema([("person", pa.string()), ("date", pa.date32())]), flavor="hive")
    return pads.dataset(path, prepared_schema(), format="parquet", partitioning=parts)


def is_prepared(path: Path) -> bool:
    """Whether a folder is what `activity prepare` writes."""
    return path.is_dir() and any(path.glob("person=*/date=*"))


def people_in(folder: str | Path) -> list[str]:
    """The people with prepared recordings, sorted."""
    dataset(folder)
    return sorted(unquote(part.name.removeprefix("person=")) for part in Path(folder).glob("person=*"))


def folder_name(person: str) -> str:
    """A person as part of the name of a partition's folder."""
    return quote(person, safe=" ._-+@")


def choose(known: Sequence[str], people: Sequence[str] | None) -> list[str]:
    """These people, in the order of `known`; all of them if none are named. ConfigError where one is not known."""
    if not people:
        return list(known)
    unknown = [person for person in people if person not in known]
    if unknown:
        shown = ", ".join(known[:8]) + (" ..." if len(known) > 8 else "")
        raise ConfigError(f"there is no recording of person {unknown[0]}; there are {shown}")
    return [person for person in known if person in people]
