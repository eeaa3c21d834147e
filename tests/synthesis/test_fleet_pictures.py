"""The pictures of docs/fleet.md."""

from __future__ import annotations

from pathlib import Path

from activitymodule.synthesis.figures import draw


def test_all_pictures_are_drawn(tmp_path: Path) -> None:
    drawn = draw(tmp_path / "figures", "wisdm", 1)
    assert [path.name for path in drawn] == ["fleet-plans.png", "fleet-bodies.png", "fleet-readings.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in drawn)
