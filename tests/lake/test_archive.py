"""Folders and files of the archive: which of them can be read, and what retention deletes."""

from __future__ import annotations

import json
import shutil
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from activitymodule.errors import ServiceUnavailableError
from activitymodule.lake.archive import (
    OLD_LOG,
    ArrowFiles,
    Range,
    archive_path,
    archived_days,
    delete_days_before,
    file_name,
    message_files,
    range_of,
)
from activitymodule.settings import Settings, build


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return build({"archive": {"folder": str(tmp_path / "archive")}, "kafka": {"topic": "t"}})


def filled(root: Path, *names: str) -> None:
    """Each of the files, whole; those that begin with ! are broken off."""
    for name in names:
        path = root / name.removeprefix("!")
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"value": [b"x"]}), path)
        if name.startswith("!"):
            path.write_bytes(path.read_bytes()[:-2])


def logged(root: Path, entry: str, *names: str) -> None:
    """An entry of the log of Spark's file sink, which has absolute paths of another machine."""
    (root / OLD_LOG).mkdir(exist_ok=True)
    lines = [
        json.dumps({"path": f"file:///gone/t/{name}", "size": 1, "action": "add"}, separators=(",", ":"))
        for name in names
    ]
    (root / OLD_LOG / entry).write_text("\n".join(["v1", *lines]))


def found(settings: Settings, since: date | None = None, until: date | None = None) -> set[str]:
    files = ArrowFiles(archive_path(settings))
    return {
        path.removeprefix(f"{files.base}/")
        for day in message_files(files, files.base, since, until)
        for path in day.paths
    }


@pytest.mark.parametrize("series", ["wUWcZ2VbTLmGbcNp6m1HOw", "-0_-a__Zb-c", "unknown-0f3c"])
@pytest.mark.parametrize("number", [0, 3])
def test_a_name_says_what_is_in_the_file(series: str, number: int) -> None:
    part = Range(12, 0, 9_000_000_000, series)
    assert range_of(file_name(part, number)) == part
    assert range_of("part-00000-0d6f.c000.zstd.parquet") is None


def test_an_archive_of_a_former_version_is_read_where_it_is_now(settings: Settings, tmp_path: Path) -> None:
    """Absolute paths in its list, a part of the list compacted and a part gone, files that a kill left behind."""
    root = Path(archive_path(settings))
    days = "date=2026-01-01", "date=2026-01-02"
    filled(root, f"{days[0]}/part-a.zstd.parquet", f"{days[1]}/part-b.zstd.parquet")
    filled(root, f"!{days[1]}/part-broken.zstd.parquet", f"{days[1]}/part-unlisted.zstd.parquet")
    filled(root, f"{days[1]}/messages-0-5-9-id.parquet", "_staging/0/messages-0-9-10-id.parquet")
    (root / days[0] / "part-empty.zstd.parquet").touch()
    logged(root, "9.compact", f"{days[0]}/part-a.zstd.parquet")
    logged(root, "10", f"{days[1]}/part-b.zstd.parquet")
    expected = {
        f"{days[0]}/part-a.zstd.parquet",
        f"{days[1]}/part-b.zstd.parquet",
        f"{days[1]}/part-unlisted.zstd.parquet",  # whole: its messages are recognised where they are there twice
        f"{days[1]}/messages-0-5-9-id.parquet",
    }
    assert found(settings) == expected
    shutil.move(root, tmp_path / "elsewhere" / "t")
    moved = build({"archive": {"folder": str(tmp_path / "elsewhere")}, "kafka": {"topic": "t"}})
    assert found(moved) == expected
    shutil.rmtree(tmp_path / "elsewhere" / "t" / OLD_LOG)
    assert found(moved) == expected
    (tmp_path / "elsewhere" / "t" / days[0]).rename(tmp_path / "kept")
    assert found(moved) == {name for name in expected if name.startswith(days[1])}


def test_dates_are_asked_for_by_their_folders(settings: Settings) -> None:
    root = Path(archive_path(settings))
    nameless = "date=__HIVE_DEFAULT_PARTITION__"
    names = [f"{day}/part-x.parquet" for day in ("date=2026-01-01", "date=2026-01-03", nameless)]
    filled(root, *names)
    assert found(settings) == set(names)
    assert found(settings, since=date(2026, 1, 2)) == {names[1]}
    assert found(settings, until=date(2026, 1, 1)) == {names[0]}
    assert found(settings, date(2026, 1, 2), date(2026, 1, 2)) == set()


def test_retention_deletes_whole_dates_and_nothing_else(settings: Settings) -> None:
    assert archived_days(settings) == []
    assert delete_days_before(settings, date(2030, 1, 1)) == []
    root = Path(archive_path(settings))
    kept = [f"{OLD_LOG}/0", "_archived.json", "date=__HIVE_DEFAULT_PARTITION__/part-n.parquet"]
    filled(root, "date=2026-01-01/part-a.parquet", "date=2026-01-01/part-b.parquet")
    filled(root, "date=2026-01-02/messages-0-0-1-id.parquet", *kept)
    would = delete_days_before(settings, date(2026, 1, 2), dry_run=True)
    assert [(one.day, one.files, one.bytes > 0) for one in would] == [(date(2026, 1, 1), 2, True)]
    assert delete_days_before(settings, date(2026, 1, 2)) == would
    assert not (root / "date=2026-01-01").exists()
    assert [one.day for one in archived_days(settings)] == [date(2026, 1, 2)]
    assert all((root / name).exists() for name in kept)


def test_an_archive_that_cannot_be_read_is_not_taken_for_an_empty_one(settings: Settings) -> None:
    path = Path(archive_path(settings))
    path.parent.mkdir(parents=True)
    path.write_text("a file where the folder should be")
    with pytest.raises(ServiceUnavailableError):
        archived_days(settings)
