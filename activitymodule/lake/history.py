"""What belongs to the synthesised daily records of `history/`: who the people are, and what was planted.

history-people/people.parquet    as the participants of a study are known: an input like any other
history-truth/truth.parquet      planted personas and stops: for evaluation alone, never an input
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq

from activitymodule.errors import DataError
from activitymodule.lake.folder import LakeFolder
from activitymodule.settings import Settings

PEOPLE = ("history-people", "people.parquet")
TRUTH = ("history-truth", "truth.parquet")


def write(config: Settings, place: tuple[str, str], table: pa.Table) -> None:
    """Replace one of the two files at once."""
    lake = LakeFolder(config, place[0])
    with lake.explained():
        lake.write_table(f"{lake.base}/{place[1]}", table)


def read(config: Settings, place: tuple[str, str]) -> pa.Table:
    """PEOPLE or TRUTH. Raises DataError where no history was generated."""
    lake = LakeFolder(config, place[0])
    path = f"{lake.base}/{place[1]}"
    with lake.explained():
        if not lake.is_file(path):
            raise DataError(f"there is no {path}; `activity history generate` writes it")
        return pq.read_table(path, filesystem=lake.files, partitioning=None)
