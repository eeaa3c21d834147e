"""Reference statistics of prepared sources are measured anew only where their recordings changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from activitymodule.settings import Lake, Settings
from activitymodule.workflows import statistics


@pytest.fixture
def config(tmp_path: Path) -> Settings:
    folder = tmp_path / "prepared" / "wisdm" / "person=1"
    folder.mkdir(parents=True)
    (folder / "a.parquet").write_bytes(b"one")
    (tmp_path / "prepared" / "empty").mkdir()
    return Settings(lake=Lake(folder=str(tmp_path)))


def test_sources_are_folders_with_parquet(config: Settings, tmp_path: Path) -> None:
    assert statistics.prepared_sources(config) == ["wisdm"]
    assert statistics.prepared_sources(Settings(lake=Lake(folder=str(tmp_path / "nowhere")))) == []
    assert statistics.prepared_sources(Settings(lake=Lake(folder="s3://bucket/lake"))) == []


def test_measured_where_recordings_changed(
    config: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[str] = []

    def measure(config: Settings, what: str, *, out: Path, name: str) -> None:
        out.write_bytes(b"statistics")
        measured.append(name)

    monkeypatch.setattr(statistics, "measure", measure)

    def refreshed(**options: Any) -> bool:
        return statistics.refresh(config, "wisdm", **options).measured

    assert refreshed()
    assert not refreshed()
    assert refreshed(force=True)
    (tmp_path / "prepared" / "wisdm" / "person=1" / "a.parquet").write_bytes(b"two")
    assert refreshed()
    assert measured == ["wisdm"] * 3


@pytest.mark.parametrize(
    ("what", "name"),
    [
        ("reference:/home/me/mine.parquet", "reference:mine"),
        ("wisdm:/home/me/wisdm.tar.gz", "wisdm"),
        ("/home/me/recordings", "recordings"),
        ("wisdm", "wisdm"),
    ],
)
def test_names_without_folders(what: str, name: str) -> None:
    assert statistics.public_name(what) == name
