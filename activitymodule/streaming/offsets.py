"""Offsets as Spark writes them: JSON of topic -> partition -> offset."""

from __future__ import annotations

import json
from typing import Any


def partition_offsets(text: str, topic: str) -> dict[int, int]:
    """Partition -> offset of one topic."""
    return {int(number): offset for number, offset in json.loads(text).get(topic, {}).items()}


def only_offsets(text: str) -> dict[int, int]:
    """Partition -> offset of the only topic."""
    return partition_offsets(text, next(iter(json.loads(text)), ""))


def offsets_json(topic: str, offsets: dict[int, int]) -> str:
    """The same as Spark's `startingOffsets`."""
    return json.dumps({topic: {str(number): offset for number, offset in sorted(offsets.items())}})


def progress_offsets(progress: Any, topic: str) -> dict[int, int]:
    """Partition -> offset of a JVM StreamProgress; {} before a query's first batch."""
    sources = progress.valuesIterator()
    return partition_offsets(sources.next().json(), topic) if sources.hasNext() else {}


def offset_ranges(start: dict[int, int], end: dict[int, int]) -> dict[int, tuple[int, int]]:
    """Partition -> (from, until) of a batch; a partition that is new begins at 0."""
    return {number: (start.get(number, 0), until) for number, until in end.items()}
