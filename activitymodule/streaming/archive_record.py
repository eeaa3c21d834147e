"""What the archive holds: a record in its own folder, which moves and is restored with it.

There is no second record that could differ from it. A batch is written down before it is written, so that one that was
broken off is written again with the same ends, over its own files.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict, ValidationError

from activitymodule.lake.archive import OLD_LOG, Files, Range, day_folders, range_of
from activitymodule.streaming.offsets import partition_offsets

RECORD = "_archived.json"
Ends = Mapping[int, tuple[int, int]]  # partition -> first offset that Kafka holds, offset after its last


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Gap(_Part):
    """Messages [first, until) of a partition that Kafka deleted before they were archived."""

    partition: int
    first: int
    until: int
    noticed: datetime


class Archived(_Part):
    """The record. series : names the topic in the names of files; offsets : partition -> first offset that is not
    archived; writing : partition -> where the batch that was begun ends; last : folder -> files of the last batch."""

    series: str
    topic_id: str | None = None
    offsets: dict[int, int] = {}
    writing: dict[int, int] | None = None
    last: dict[str, list[str]] = {}
    gaps: list[Gap] = []

    def encoded(self) -> bytes:
        """The record as its file has it."""
        return self.model_dump_json(indent=1).encode()

    def missing(self) -> int:
        """How many messages Kafka deleted before they were archived."""
        return sum(gap.until - gap.first for gap in self.gaps)


def new_record(topic_id: str | None, ends: Ends, gaps: Sequence[Gap] = ()) -> Archived:
    """The record of an archive that begins with what Kafka holds."""
    series = topic_id or f"unknown-{secrets.token_hex(4)}"
    return Archived(
        series=series,
        topic_id=topic_id,
        offsets={p: first for p, (first, _) in ends.items()},
        gaps=list(gaps),
    )


def load_record(files: Files, root: str) -> Archived | None:
    """The record at `root`; None where there is none, or none that can be read."""
    if RECORD not in files.names(root):
        return None
    try:
        return Archived.model_validate_json(files.read(f"{root}/{RECORD}"))
    except ValidationError:
        return None


def archived_by_name(files: Files, root: str, series: str) -> dict[int, int]:
    """Partition -> offset after the last one that the files of a series hold, by their names."""
    until: dict[int, int] = {}
    for folder in day_folders(files, root):
        for name in files.names(folder):
            part = range_of(name)
            if part is not None and part.series == series:
                until[part.partition] = max(part.until, until.get(part.partition, 0))
    return until


def checked(files: Files, root: str, record: Archived) -> Archived:
    """The record, moved back where files of its last batch are missing from a date that is there.

    So it is after a backup that copied the record later than the files. A date that is not there was moved away or
    deleted, and its messages are archived.
    """
    lost: list[Range] = []
    for folder, names in record.last.items():
        present = set(files.names(f"{root}/{folder}"))
        if present:
            lost += [part for name in names if name not in present and (part := range_of(name))]
    if not lost:
        return record
    known = archived_by_name(files, root, record.series)
    back = {part.partition: min(part.first, known.get(part.partition, part.first)) for part in lost}
    return record.model_copy(update={"offsets": {**record.offsets, **back}, "writing": None, "last": {}})


def former_offsets(files: Files, root: str, checkpoint: str) -> dict[int, int] | None:
    """Partition -> first offset that a former version did not archive; None where that cannot be known.

    Spark's file sink lists the files of a batch before the checkpoint records that the batch is done. So the list
    decides, if the checkpoint belongs to it.
    """
    offsets, commits, listed = (
        {int(name.split(".")[0]) for name in files.names(folder) if name[:1].isdigit()}
        for folder in (f"{checkpoint}/offsets", f"{checkpoint}/commits", f"{root}/{OLD_LOG}")
    )
    done = max(commits, default=-1)
    last = max(listed, default=done)
    if last not in offsets or last > done + 1:
        return None
    text = files.read(f"{checkpoint}/offsets/{last}").decode().splitlines()[-1]
    topics = list(json.loads(text))
    return partition_offsets(text, topics[0]) if len(topics) == 1 else None


@dataclass(frozen=True)
class Found:
    """The record as it fits the topic now, and the messages about that."""

    record: Archived
    messages: list[str]


def fitted(record: Archived, topic: str, topic_id: str | None, ends: Ends) -> Found:
    """The record for the topic that Kafka has now: another topic of that name is archived from its start, and messages
    that Kafka has deleted are noted and passed over."""
    other = topic_id is not None and record.topic_id is not None and topic_id != record.topic_id
    shorter = [p for p, offset in record.offsets.items() if p not in ends or offset > ends[p][1]]
    if other or shorter:
        begun = new_record(topic_id, ends, record.gaps)
        if (
            begun.series == record.series
        ):  # the broker has lost messages: their files stay beside the new ones
            begun = begun.model_copy(update={"series": f"{record.series}-{secrets.token_hex(4)}"})
        why = "it was deleted and created again" if other else "it ends before the offsets archived from it"
        return Found(begun, [f"the archive begins the topic {topic} from its start: {why}"])
    gone = [
        Gap(partition=p, first=record.offsets.get(p, 0), until=first, noticed=datetime.now(UTC))
        for p, (first, _) in sorted(ends.items())
        if record.offsets.get(p, 0) < first
    ]
    offsets = {p: max(first, record.offsets.get(p, 0)) for p, (first, _) in ends.items()}
    record = record.model_copy(
        update={
            "topic_id": topic_id or record.topic_id,
            "offsets": offsets,
            "gaps": [*record.gaps, *gone],
        }
    )
    return Found(record, [gap_sentence(topic, gone)] if gone else [])


def gap_sentence(topic: str, gaps: list[Gap]) -> str:
    """Which messages the archive will never have, and what to do."""
    count = sum(gap.until - gap.first for gap in gaps)
    parts = ", ".join(f"partition {gap.partition}: {gap.first} to {gap.until - 1}" for gap in gaps)
    return (
        f"ARCHIVE GAP: Kafka has deleted {count:,} messages of {topic} before they were archived ({parts}); "
        "`activity backfill` cannot score them; raise kafka.retention_hours"
    )


def next_batch(record: Archived, ends: Ends, at_most: int) -> dict[int, tuple[int, int]]:
    """Partition -> (first, until) of the next batch: the one that was begun, else what there is, up to some number.

    {}: all is archived.
    """
    each = max(1, at_most // max(1, len(ends)))
    new = {p: min(ends[p][1], first + each) for p, first in record.offsets.items()}
    for untils in (record.writing or {}, new):
        # of a batch that was begun Kafka may have deleted a part, or all, meanwhile
        ranges = {p: (first, min(untils.get(p, first), ends[p][1])) for p, first in record.offsets.items()}
        if ranges := {p: (first, until) for p, (first, until) in ranges.items() if first < until}:
            return ranges
    return {}
