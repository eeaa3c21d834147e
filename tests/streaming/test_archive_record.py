"""The record of the archive: what is written next, after every way in which files, record and topic may differ."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from activitymodule.lake.archive import OLD_LOG, ArrowFiles, Range, file_name
from activitymodule.streaming.archive_record import (
    RECORD,
    Archived,
    archived_by_name,
    checked,
    fitted,
    former_offsets,
    load_record,
    next_batch,
)


@pytest.fixture
def files(tmp_path: Path) -> ArrowFiles:
    return ArrowFiles(str(tmp_path))


def put(root: Path, *names: str, text: str = "") -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def record(offsets: dict[int, int], **more: object) -> Archived:
    return Archived.model_validate({"series": "s", "topic_id": "s", "offsets": offsets, **more})


def test_what_was_begun_is_written_again_with_the_same_ends() -> None:
    ends = {0: (0, 100), 1: (0, 40)}
    assert next_batch(record({0: 10, 1: 40}), ends, 1000) == {0: (10, 100)}
    assert next_batch(record({0: 10, 1: 0}), ends, 20) == {0: (10, 20), 1: (0, 10)}
    assert next_batch(record({0: 10, 1: 0}, writing={0: 30}), ends, 1000) == {0: (10, 30)}
    assert next_batch(record({0: 100, 1: 40}), ends, 1000) == {}
    # Kafka has deleted all of the batch that was begun: what follows is next
    assert next_batch(record({0: 50, 1: 40}, writing={0: 30}), {0: (50, 100), 1: (0, 40)}, 1000) == {
        0: (50, 100)
    }


def test_messages_that_kafka_deleted_are_named_once() -> None:
    found = fitted(record({0: 10, 1: 5}), "t", "s", {0: (60, 100), 1: (0, 40), 2: (0, 3)})
    assert found.record.offsets == {0: 60, 1: 5, 2: 0}
    assert [(gap.partition, gap.first, gap.until) for gap in found.record.gaps] == [(0, 10, 60)]
    assert "50 messages of t" in found.messages[0]
    assert "partition 0: 10 to 59" in found.messages[0]
    again = fitted(found.record, "t", "s", {0: (60, 100), 1: (0, 40), 2: (0, 3)})
    assert (again.messages, again.record.missing()) == ([], 50)


@pytest.mark.parametrize(
    ("topic_id", "ends"),
    [
        ("other", {0: (0, 900)}),  # created again, and longer than what was archived
        ("other", {0: (3, 5)}),
        ("s", {0: (0, 5)}),  # the broker has lost messages
        (None, {0: (0, 5)}),  # a broker without ids: seen by its length
    ],
)
def test_another_topic_of_the_name_is_archived_from_its_start(
    topic_id: str | None, ends: dict[int, tuple[int, int]]
) -> None:
    before = record({0: 10, 1: 5}, writing={0: 20}, last={"date=2026-01-01": ["x"]})
    found = fitted(before, "t", topic_id, ends)
    assert found.record.offsets == {0: ends[0][0]}
    assert found.record.series != "s", "its files would replace those of the topic before it"
    assert (found.record.writing, found.record.last, found.record.gaps) == (None, {}, [])
    assert "from its start" in found.messages[0]
    assert fitted(found.record, "t", topic_id, ends).messages == []


def test_an_id_that_was_not_known_changes_nothing() -> None:
    unknown = record({0: 10}, topic_id=None, series="unknown-1")
    known = fitted(unknown, "t", "s", {0: (0, 20)})
    assert (known.record.series, known.record.topic_id, known.record.offsets) == ("unknown-1", "s", {0: 10})
    assert known.messages == []


def test_a_record_newer_than_the_files_goes_back_to_them(tmp_path: Path, files: ArrowFiles) -> None:
    """As after a backup that copied the record last; a date that is not there was moved or deleted."""
    day = "date=2026-01-02"
    names = [file_name(Range(0, low, low + 10, "s")) for low in (0, 10, 20)]
    put(tmp_path, f"{day}/{names[0]}", f"{day}/{file_name(Range(1, 0, 7, 's'))}")
    last = {day: [names[2], file_name(Range(1, 0, 7, "s"))]}
    newer = record({0: 30, 1: 7}, last=last, writing={0: 40})
    back = checked(files, files.base, newer)
    assert (back.offsets, back.writing) == ({0: 10, 1: 7}, None)
    put(tmp_path, f"{day}/{names[1]}", f"{day}/{names[2]}")
    assert checked(files, files.base, newer) == newer
    (tmp_path / day).rename(tmp_path / "elsewhere")
    assert checked(files, files.base, newer) == newer


def test_a_lost_record_is_made_of_the_names_of_files(tmp_path: Path, files: ArrowFiles) -> None:
    put(tmp_path, RECORD, text="{ broken")
    assert load_record(files, files.base) is None
    for day, part in (
        ("01", Range(0, 0, 9, "s")),
        ("02", Range(0, 9, 30, "s")),
        ("02", Range(0, 0, 99, "o")),
    ):
        put(tmp_path, f"date=2026-01-{day}/{file_name(part)}")
    assert archived_by_name(files, files.base, "s") == {0: 30}
    kept = record({0: 30}, gaps=[{"partition": 0, "first": 3, "until": 5, "noticed": "2026-01-02T00:00:00Z"}])
    put(tmp_path, RECORD, text=kept.encoded().decode())
    assert load_record(files, files.base) == kept


def former(root: Path, *, offsets: dict[int, int], commits: list[int], listed: list[str]) -> None:
    """A checkpoint and a list of a former version. offsets : batch -> end of partition 0."""
    for batch, end in offsets.items():
        text = f'v1\n{{"batchWatermarkMs":0}}\n{json.dumps({"t": {"0": end}})}'
        put(root, f"checkpoint/offsets/{batch}", text=text)
    put(root, *(f"checkpoint/commits/{batch}" for batch in commits), ".crc")
    put(root, *(f"{OLD_LOG}/{name}" for name in listed))


@pytest.mark.parametrize(
    ("listed", "end"),
    [
        (["9.compact", "10"], 100),  # all of it done
        (["9.compact", "10", "11"], 110),  # killed after the files were listed, before the commit
        (["9.compact"], 90),  # the archive is of an older backup than the checkpoint
        ([], 100),  # the list was deleted, as once advised where it was broken
        (["29.compact"], None),  # of another checkpoint, which was lost: nothing says what is archived
    ],
)
def test_a_former_version_is_continued_where_its_list_ends(
    tmp_path: Path, files: ArrowFiles, listed: list[str], end: int | None
) -> None:
    former(tmp_path, offsets={9: 90, 10: 100, 11: 110}, commits=[9, 10], listed=listed)
    found = former_offsets(files, files.base, f"{files.base}/checkpoint")
    assert found == (None if end is None else {0: end})


def test_without_a_former_checkpoint_there_are_no_former_offsets(files: ArrowFiles) -> None:
    assert former_offsets(files, files.base, f"{files.base}/checkpoint") is None
